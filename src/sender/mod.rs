//! Getting runs to LangSmith: queue, batches, requests, and an account of each run.

mod advice;
mod batch;
mod boundary;
mod bubble;
mod checks;
mod circuit;
mod client;
mod concurrency;
mod delivery;
mod encode;
mod features;
mod gate;
mod hand;
mod in_flight;
mod info;
mod multipart;
mod notice;
mod oversize;
mod pending;
mod progress;
mod queue;
mod replay;
mod reply;
mod share;
mod spool;
mod tail;
mod transport;
mod updates;
mod wake;
mod worker;

#[cfg(feature = "testing")]
pub(crate) use batch::OpenBatch;
pub use client::Client;
#[cfg(feature = "testing")]
pub(crate) use encode::Shared;
#[cfg(feature = "testing")]
pub(crate) use multipart::Operation;
pub(crate) use notice::{Notice, Notices};
#[cfg(feature = "testing")]
pub(crate) use spool::{read_adopted, Request as Kept};
// Where `gate` and `wake` find their atomics; in `models/` these are loom's.
use std::sync::atomic;

//! Getting runs to LangSmith: queue, batches, requests, and an account of each run.

mod batch;
mod checks;
mod circuit;
mod client;
mod delivery;
mod encode;
mod gate;
mod hand;
mod info;
mod multipart;
mod notice;
mod oversize;
mod pending;
mod queue;
mod replay;
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
pub(crate) use encode::{Operation, Shared};
// Where `gate` and `wake` find their atomics; in `models/` these are loom's.
use std::sync::atomic;

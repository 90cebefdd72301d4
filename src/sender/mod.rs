//! Getting runs to LangSmith: queue, batches, requests, and an account of each run.

mod batch;
mod checks;
mod circuit;
mod client;
mod concurrency;
mod delivery;
mod encode;
mod hand;
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
pub(crate) use encode::{Operation, Shared};
pub(crate) use queue::Work;
// Where `wake` finds its atomics; in `models/` these are loom's.
use std::sync::atomic;

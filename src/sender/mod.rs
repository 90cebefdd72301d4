//! Getting runs to LangSmith: queue, batches, requests, and an account of each run.

mod batch;
mod checks;
mod client;
mod delivery;
mod encode;
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
mod worker;

pub use client::Client;
pub(crate) use queue::{Placed, Work};

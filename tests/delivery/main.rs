//! How batches are cut, counted and sent, against a real socket.

mod batches;
mod by_hand;
#[path = "../common/mod.rs"]
mod common;
mod counters;
mod info;
mod left_out;
mod no_zstd;

use common::{patient, posts, run, submit};

//! How batches are cut, sent, sent again, split and given up, against a real socket.

mod answers;
mod batches;
mod by_hand;
#[path = "../common/mod.rs"]
mod common;
mod counters;
mod info;
mod waits;

use opentelemetry_langsmith::testing::{LocalLangSmith, ReceivedRequest};
use opentelemetry_langsmith::{Client, Config, Run, RunType};
use std::time::Duration;

/// A run that has ended, with so many bytes in it.
fn run(name: String, bytes: usize) -> Run {
    let text = "x".repeat(bytes);
    Run::builder(name, RunType::Chain).outputs(&serde_json::json!({ "text": text })).end_now().build().unwrap()
}

/// Runs named `0`, `1`, …
fn submit(client: &Client, runs: usize) {
    for number in 0..runs {
        client.submit(run(number.to_string(), 10)).unwrap();
    }
}

/// Nothing goes out by itself: a test says when.
fn patient(server: &LocalLangSmith) -> Config {
    common::config(server).with_flush_interval(Duration::from_secs(3600))
}

/// The requests that carried runs.
fn posts(server: &LocalLangSmith) -> Vec<ReceivedRequest> {
    server.requests().into_iter().filter(|request| request.method == "POST").collect()
}

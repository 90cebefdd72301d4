//! What the person who runs the application gets to read: one line for each thing, and never the key.
//!
//! Lines are written by threads of this crate's own, so they reach the subscriber of the whole process; hence one
//! test in a program of its own.

mod common;

use common::log::Log;
use common::{config, eventually, server, KEY, LONG};
use opentelemetry_langsmith::testing::Fault;
use opentelemetry_langsmith::{Client, Config, Run, RunType};
use std::time::Duration;

/// Waits for a line with this word in it, and gives back all lines.
fn wait_for(log: &Log, word: &str) -> Vec<String> {
    let mut lines = Vec::new();
    eventually(&format!("a line with {word:?} in it"), || {
        lines.extend(log.take());
        lines.iter().any(|line| line.contains(word))
    });
    lines
}

fn submit(client: &Client) {
    for _ in 0..3 {
        let run = Run::builder("run", RunType::Chain).outputs(&"x".repeat(1000)).end_now().build().unwrap();
        let _ = client.submit(run);
    }
}

/// Three times three runs against a server that answers so.
fn trouble(log: &Log, fault: Fault, change: impl FnOnce(Config) -> Config, word: &str) -> Vec<String> {
    let server = server();
    server.respond(fault.forever());
    let client = Client::new(change(config(&server))).unwrap();
    for _ in 0..3 {
        submit(&client);
        client.flush(LONG).unwrap_err();
    }
    let mut lines = wait_for(log, word);
    client.shutdown(LONG).unwrap_err();
    lines.extend(wait_for(log, "not all of 9 runs"));
    assert_eq!(lines.iter().filter(|line| line.contains(word)).count(), 1, "told once: {lines:#?}");
    lines
}

#[test]
fn what_is_logged() {
    // Everything of everybody, what is not meant for people included.
    let log = Log::start("trace");
    let mut all = Vec::new();

    // Nothing is said when all is well.
    let well = server();
    let client = Client::new(config(&well)).unwrap();
    submit(&client);
    client.shutdown(LONG).unwrap();
    all.extend(log.take());
    assert!(!all.iter().any(|line| line.contains("opentelemetry_langsmith")), "{all:#?}");

    let lines = trouble(&log, Fault::status(401).body(format!("bad key {KEY}")), |config| config, "LANGSMITH_API_KEY");
    let line = lines.iter().find(|line| line.contains("LANGSMITH_API_KEY")).unwrap();
    assert!(line.contains("WARN") && line.contains("401") && line.contains("LANGSMITH_ENDPOINT"), "{line}");
    all.extend(lines);

    let workspace = Fault::status(403).body(r#"{"error":"org_scoped_key_requires_workspace"}"#);
    let lines = trouble(&log, workspace, |config| config, "LANGSMITH_WORKSPACE_ID");
    assert!(lines.iter().any(|line| line.contains("with_workspace_id")), "{lines:#?}");
    all.extend(lines);

    let lines = trouble(&log, Fault::status(422).body("no such run type"), |config| config, "refused run");
    assert!(lines.iter().any(|line| line.contains("no such run type")), "{lines:#?}");
    all.extend(lines);

    let short = |config: Config| config.with_retry_deadline(Duration::from_millis(100));
    all.extend(trouble(&log, Fault::status(503), short, "runs are being dropped"));

    // A full queue.
    let slow = server();
    slow.latency(2 * LONG);
    let client = Client::new(config(&slow).with_queue_bytes(65_536).with_concurrency(1)).unwrap();
    for _ in 0..200 {
        submit(&client);
    }
    let lines = wait_for(&log, "queue full");
    assert_eq!(lines.iter().filter(|line| line.contains("queue full")).count(), 1, "{lines:#?}");
    all.extend(lines);
    let _ = client.shutdown(Duration::ZERO);
    all.extend(log.take());

    for line in all {
        assert!(!line.contains("must_not_show"), "{line}");
        assert!(line.len() < 2000, "{line}");
    }
}

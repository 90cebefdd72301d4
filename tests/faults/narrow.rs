//! A link that bears few requests at once.

use crate::common::link::Link;
use crate::common::raw::{read_body, Raw, NOT_FOUND, TAKEN};
use crate::common::{assert_adds_up, eventually, in_time, KEY, LONG};
use opentelemetry_langsmith::{Client, Config, Run, RunType};
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Default)]
struct Seen {
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
    bodies: Mutex<Vec<u64>>,
    broken: AtomicUsize,
}

/// A server behind such a link.
fn behind(bytes_per_second: f64) -> (Raw, Arc<Seen>) {
    let link = Link::new(bytes_per_second);
    let seen = Arc::new(Seen::default());
    let see = Arc::clone(&seen);
    let server = Raw::start(move |head, connection| {
        if !head.is_ingest {
            read_body(head, connection)?;
            return connection.get_mut().write_all(NOT_FOUND);
        }
        let at_once = see.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        see.most_at_once.fetch_max(at_once, Ordering::SeqCst);
        let result = link.read(head.length, connection).and_then(|_| connection.get_mut().write_all(TAKEN));
        see.at_once.fetch_sub(1, Ordering::SeqCst);
        match &result {
            Ok(()) => see.bodies.lock().unwrap().push(head.length),
            Err(_) => drop(see.broken.fetch_add(1, Ordering::SeqCst)),
        }
        result
    });
    (server, seen)
}

fn config(server: &Raw) -> Config {
    Config::default()
        .with_api_key(KEY)
        .with_endpoint(server.endpoint())
        .with_flush_interval(Duration::from_millis(10))
        .with_retry_waits(Duration::from_millis(10), Duration::from_millis(50))
        .with_request_timeout(Duration::from_secs(1))
        .with_retry_deadline(Duration::from_secs(5))
        .without_compression()
}

fn large(bytes: usize) -> Run {
    Run::builder("large", RunType::Chain).outputs(&"x".repeat(bytes)).end_now().build().unwrap()
}

/// Each request alone takes a twentieth of a second. All 64 at once take three times as long as each of them may.
#[test]
fn requests_are_as_many_as_the_link_bears() {
    in_time(|| {
        const RUNS: usize = 160;
        const BYTES: usize = 128 << 10;
        let (server, seen) = behind(3e6);
        let client = Client::new(config(&server).with_batch_runs(1)).unwrap();
        for _ in 0..RUNS {
            client.submit(large(BYTES)).unwrap();
        }
        let flushed = client.flush(LONG);
        let stats = client.stats();
        let (most, broken) = (seen.most_at_once.load(Ordering::SeqCst), seen.broken.load(Ordering::SeqCst));
        eprintln!("{stats}; {most} at once, {broken} broken off");
        flushed.unwrap();
        assert_adds_up(&stats);
        assert_eq!(stats.sent, RUNS as u64, "{stats}");
        client.shutdown(LONG).unwrap();
    });
}

/// One body takes three times as long as a request may stand still.
#[test]
fn what_makes_progress_is_not_cut() {
    in_time(|| {
        const BYTES: usize = 16 << 20;
        let (server, seen) = behind(2.8e6);
        let client = Client::new(config(&server).with_request_timeout(Duration::from_secs(2))).unwrap();
        client.submit(large(BYTES)).unwrap();
        let flushed = client.flush(LONG);
        // The link notes a body when its answer has gone on.
        eventually("a whole body", || !seen.bodies.lock().unwrap().is_empty());
        let bodies = seen.bodies.lock().unwrap().clone();
        eprintln!("{}; bodies {bodies:?}, {} broken off", client.stats(), seen.broken.load(Ordering::SeqCst));
        flushed.unwrap();
        assert_eq!(bodies.len(), 1, "{bodies:?}");
        assert!(bodies[0] > BYTES as u64, "its length is told: {bodies:?}");
        assert_eq!(seen.broken.load(Ordering::SeqCst), 0);
        client.shutdown(LONG).unwrap();
    });
}

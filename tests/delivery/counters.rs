//! Each run is counted in exactly one place, at every moment.

use crate::common::{assert_adds_up, assert_flawless, config, in_time, server, span, with, LONG};
use crate::{patient, run, submit};
use opentelemetry_langsmith::testing::Fault;
use opentelemetry_langsmith::{Client, DropReason, LangSmithExporter, Stats, SubmitError};
use opentelemetry_sdk::trace::SpanExporter;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Looks at the counters all the time while `work` goes on.
fn watched(client: &Client, work: impl FnOnce()) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut looks = 0_u64;
            let mut before = Stats::default();
            while !done.load(Ordering::Relaxed) {
                let now = client.stats();
                assert_adds_up(&now);
                assert!(now.submitted >= before.submitted && now.sent >= before.sent, "{before:?} then {now:?}");
                assert!(now.dropped_total() >= before.dropped_total(), "{before:?} then {now:?}");
                before = now;
                looks += 1;
            }
            looks
        });
        work();
        done.store(true, Ordering::Relaxed);
        assert!(watch.join().expect("the counters add up") > 0);
    });
}

#[test]
fn they_add_up_under_load_and_trouble() {
    in_time(|| {
        let server = server();
        let trouble = (0..40).flat_map(|number| {
            let status = [503, 400, 413, 409, 422, 500][number % 6];
            [Fault::status(status), Fault::ok(), Fault::close_after_storing(), Fault::ok()]
        });
        server.respond(trouble);
        let config = config(&server).with_batch_runs(20).with_concurrency(3).with_queue_bytes(65_536);
        let client = Client::new(config).unwrap();
        watched(&client, || {
            std::thread::scope(|scope| {
                for thread in 0..3 {
                    let client = &client;
                    scope.spawn(move || {
                        for number in 0..700 {
                            // A full queue is part of the test.
                            let _ = client.submit(run(format!("{thread} {number}"), 300));
                        }
                    });
                }
            });
            let _ = client.flush(LONG);
            let _ = client.shutdown(LONG);
        });
        let stats = client.stats();
        assert_eq!((stats.submitted, stats.queued, stats.in_flight), (2100, 0, 0), "{stats:?}");
        assert!(stats.sent > 0, "{stats:?}");
    });
}

#[test]
fn they_add_up_behind_the_exporter() {
    in_time(|| {
        let server = server();
        let exporter = LangSmithExporter::new(config(&server).with_held_bytes(50_000)).unwrap();
        let client = exporter.client();
        watched(&client, || {
            for trace in 1..60_u64 {
                let spans = (1..40).rev().map(|id| with(span(trace.into(), id, id - 1), "x", "y".repeat(100)));
                crate::common::export(&exporter, spans.collect()).unwrap();
            }
            exporter.shutdown_with_timeout(LONG).unwrap();
        });
        assert_eq!(client.stats().sent, 59 * 39);
        assert_flawless(&server, 59 * 39);
    });
}

#[test]
fn a_full_queue_drops_the_newest() {
    in_time(|| {
        let server = server();
        server.latency(2 * LONG);
        let config = patient(&server).with_queue_bytes(65_536).with_batch_runs(1).with_concurrency(1);
        let client = Client::new(config).unwrap();
        let mut taken = Vec::new();
        for number in 0..1000 {
            match client.submit(run(number.to_string(), 1000)) {
                Ok(()) => taken.push(number),
                Err(SubmitError::QueueFull) => {}
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(taken.first(), Some(&0));
        let stats = client.stats();
        assert_adds_up(&stats);
        assert_eq!(stats.submitted, 1000);
        assert_eq!(stats.dropped(DropReason::QueueFull), 1000 - taken.len() as u64);
        assert!((1..900).contains(&taken.len()), "{} were taken", taken.len());
        // What was taken is not lost: it goes when the server has come back.
        server.latency(Duration::ZERO);
        let _ = client.shutdown(Duration::ZERO);
    });
}

#[test]
fn a_queue_that_was_full_takes_again() {
    in_time(|| {
        let server = server();
        server.respond(Fault::status(503).times(3));
        let config = config(&server).with_queue_bytes(65_536).with_batch_runs(10).with_concurrency(1);
        let client = Client::new(config).unwrap();
        for number in 0..500 {
            let _ = client.submit(run(number.to_string(), 1000));
        }
        let _ = client.flush(LONG);
        let sent = client.stats().sent;
        assert_eq!(sent + client.stats().dropped(DropReason::QueueFull), 500);
        submit(&client, 20);
        client.flush(LONG).unwrap();
        let _ = client.shutdown(LONG);
        assert_eq!(server.received(), sent + 20, "{:?}", client.stats());
        assert_eq!(server.violations(), Vec::<String>::new());
    });
}

#[test]
fn what_comes_after_the_shutdown_is_counted() {
    let server = server();
    let client = Client::new(config(&server)).unwrap();
    submit(&client, 2);
    client.shutdown(LONG).unwrap();
    assert_eq!(client.submit(run("late".into(), 1)), Err(SubmitError::ShutDown));
    let stats = client.stats();
    assert_eq!((stats.submitted, stats.sent, stats.dropped(DropReason::ShutDown)), (3, 2, 1), "{stats:?}");
    assert_flawless(&server, 2);
}

/// Whoever pushes while it shuts down: each run is delivered or counted.
#[test]
fn a_shutdown_in_the_middle_of_everything() {
    in_time(|| {
        for _ in 0..20 {
            let server = server();
            let client = Client::new(config(&server)).unwrap();
            std::thread::scope(|scope| {
                for thread in 0..3 {
                    let client = &client;
                    scope.spawn(move || {
                        for number in 0..200 {
                            let _ = client.submit(run(format!("{thread} {number}"), 10));
                        }
                    });
                }
                scope.spawn(|| client.shutdown(LONG));
                scope.spawn(|| client.flush(LONG));
            });
            let stats = client.stats();
            assert_adds_up(&stats);
            assert_eq!(stats.submitted, 600, "{stats:?}");
            assert_eq!((stats.queued, stats.in_flight), (0, 0), "{stats:?}");
            assert_eq!(server.received(), stats.sent, "{stats:?}");
            assert_eq!(server.violations(), Vec::<String>::new());
        }
    });
}

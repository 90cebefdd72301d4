//! Every state that a shutdown may find the sender in.

use crate::common::{
    assert_adds_up, assert_flawless, eventually, in_time, patient, posts, run, server, submit, threads_named, LONG,
};
use opentelemetry_langsmith::testing::{Fault, LocalLangSmith};
use opentelemetry_langsmith::{Client, Config, DropReason, FlushError};
use std::time::{Duration, Instant};

/// What is promised, and as much again and more for a machine that does other things too.
pub(crate) const LATE: Duration = Duration::from_millis(100 + 400);
/// The time that a shutdown is given.
const TIMEOUTS: [Duration; 2] = [Duration::ZERO, Duration::from_millis(300)];

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum State {
    Backoff,
    Hold,
    OpenCircuit,
    NoQuota,
    Stalled,
    FullQueue,
    NobodyListens,
    /// A span waits for its batch to fill up, and the server does not answer then.
    Gathering,
}

pub(crate) const STATES: [State; 8] = [
    State::Backoff,
    State::Hold,
    State::OpenCircuit,
    State::NoQuota,
    State::Stalled,
    State::FullQueue,
    State::NobodyListens,
    State::Gathering,
];

/// Waits of an hour wherever there can be one.
pub(crate) fn endless(server: &LocalLangSmith) -> Config {
    let hour = Duration::from_secs(3600);
    patient(server)
        .with_retry_waits(hour, hour)
        .with_retry_deadline(hour)
        .with_probe_interval(hour)
        .with_request_timeout(hour)
}

impl State {
    pub(crate) fn trouble(self, server: &LocalLangSmith) {
        server.respond(match self {
            Self::Backoff => Fault::status(503).forever(),
            Self::Hold => Fault::status(429).header("retry-after", "3600").forever(),
            Self::OpenCircuit => Fault::status(401).forever(),
            Self::NoQuota => Fault::status(429).body("monthly quota").forever(),
            Self::Stalled | Self::FullQueue | Self::Gathering => Fault::ok().delay(2 * LONG).forever(),
            Self::NobodyListens => Fault::close_before_answer().forever(),
        });
    }

    /// A client in this state, and a server to keep.
    pub(crate) fn reach(self) -> (Option<LocalLangSmith>, Client) {
        let server = server();
        self.trouble(&server);
        let mut config = endless(&server);
        if self == Self::FullQueue {
            config = config.with_queue_bytes(65_536).with_concurrency(1);
        }
        let config = config.with_batch_runs(if self == Self::Gathering { 100 } else { 2 });
        let server = if self == Self::NobodyListens {
            server.stop();
            None
        } else {
            Some(server)
        };
        let client = Client::new(config).unwrap();
        if self == Self::FullQueue {
            while client.submit(run("one of many".into(), 1000)).is_ok() {}
        } else {
            submit(&client, 10);
        }
        if let Some(server) = server.as_ref().filter(|_| self != Self::Gathering) {
            eventually("a request is under way", || !posts(server).is_empty());
        }
        if matches!(self, Self::OpenCircuit | Self::NoQuota) {
            // Answered when the circuit is open.
            assert!(matches!(client.flush(LONG), Err(FlushError::Delayed { .. })));
        }
        (server, client)
    }
}

/// All are lost or sent, and the error counts those that are lost.
pub(crate) fn assert_counted(client: &Client, error: &FlushError, what: &str) {
    eventually("all runs are counted", || {
        let stats = client.stats();
        assert_adds_up(&stats);
        stats.queued + stats.in_flight == 0
    });
    let stats = client.stats();
    let counted = match error {
        FlushError::Dropped { dropped, .. } => *dropped,
        FlushError::Timeout { undelivered, .. } => *undelivered + stats.dropped(DropReason::QueueFull),
        other => panic!("{what}: {other:?}"),
    };
    assert_eq!(counted, stats.dropped_total(), "{what}: {error:?}, {stats:?}");
    assert_eq!(stats.submitted, stats.dropped_total(), "{what}: {stats:?}");
}

#[test]
fn a_shutdown_ends_in_time() {
    in_time(|| {
        for state in STATES {
            for timeout in TIMEOUTS {
                let (_server, client) = state.reach();
                let start = Instant::now();
                let error = client.shutdown(timeout).unwrap_err();
                let taken = start.elapsed();
                assert!(taken < timeout + LATE, "{state:?}, {timeout:?}: {taken:?}");
                assert_counted(&client, &error, &format!("{state:?}, {timeout:?}"));
            }
        }
    });
}

#[test]
fn a_flush_ends_in_time() {
    in_time(|| {
        for state in STATES {
            for timeout in TIMEOUTS {
                let (_server, client) = state.reach();
                let start = Instant::now();
                let error = client.flush(timeout).unwrap_err();
                let taken = start.elapsed();
                assert!(taken < timeout + LATE, "{state:?}, {timeout:?}: {taken:?}");
                // A full queue has lost some already; that is told by a flush that comes to its end.
                let expected =
                    matches!(error, FlushError::Timeout { undelivered: 1.., .. } | FlushError::Delayed { .. });
                assert!(expected, "{state:?}, {timeout:?}: {error:?}");
                client.shutdown(Duration::ZERO).unwrap_err();
            }
        }
    });
}

/// The last clone is dropped where nobody called `shutdown`: it waits, but not for ever.
#[test]
fn a_drop_ends_in_time() {
    in_time(|| {
        std::thread::scope(|scope| {
            for state in STATES {
                scope.spawn(move || {
                    let (_server, client) = state.reach();
                    let start = Instant::now();
                    drop(client);
                    let taken = start.elapsed();
                    assert!(taken < Duration::from_secs(5) + LATE, "{state:?}: {taken:?}");
                });
            }
        });
    });
}

/// It does not take the time that it is given when there is nothing to wait for.
#[test]
fn nobody_waits_for_a_circuit() {
    in_time(|| {
        for state in [State::OpenCircuit, State::NoQuota] {
            let (_server, client) = state.reach();
            let start = Instant::now();
            let error = client.shutdown(LONG).unwrap_err();
            assert!(start.elapsed() < LONG / 2, "{state:?}: {:?}", start.elapsed());
            assert_counted(&client, &error, &format!("{state:?}"));
        }
    });
}

/// One client is given up in the middle of its trouble and the next one made, over and over.
#[test]
fn a_client_after_another() {
    in_time(|| {
        for state in STATES {
            let (_server, client) = state.reach();
            client.shutdown(Duration::ZERO).unwrap_err();
            let well = server();
            let next = Client::new(patient(&well)).unwrap();
            submit(&next, 3);
            next.shutdown(LONG).unwrap();
            assert_flawless(&well, 3);
        }
    });
}

/// The sender's thread is gone soon after the shutdown, whatever it was at.
#[test]
fn no_thread_stays_behind() {
    // In a process of its own: other tests have such threads too.
    let output = crate::child::helper("threads").output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

pub(crate) fn threads_end() {
    for state in STATES {
        let (_server, client) = state.reach();
        let _ = client.shutdown(Duration::ZERO);
        eventually(&format!("no thread of the sender's is left, {state:?}"), || threads_named("langsmith") == 0);
    }
}

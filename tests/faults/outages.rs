//! What a person is told of outages, and how often an endpoint is asked meanwhile.

use crate::common::log::Log;
use crate::common::{assert_adds_up, config, eventually, in_time, patient, posts, run, server, submit, LONG};
use opentelemetry_langsmith::testing::Fault;
use opentelemetry_langsmith::{Client, DropReason};
use std::time::Duration;

/// What is dropped in a second outage is told again, and so is that it is over.
#[test]
fn each_outage_is_told() {
    in_time(|| {
        let log = Log::start("info");
        let server = server();
        let client = Client::new(patient(&server).with_retry_deadline(Duration::from_millis(200))).unwrap();
        for outage in 1..=3 {
            server.respond(Fault::status(503).forever());
            submit(&client, 1);
            client.flush(LONG).unwrap_err();
            server.respond([]);
            submit(&client, 1);
            client.flush(LONG).unwrap();
            for words in ["does not take runs", "runs are being dropped", "takes runs again"] {
                let told = || log.with(&server.endpoint()).iter().filter(|line| line.contains(words)).count();
                eventually(&format!("{words}, {outage}: {:#?}", log.with(&server.endpoint())), || told() == outage);
            }
        }
        let _ = client.shutdown(LONG);
    });
}

/// An endpoint that fails now and then does not fill the log.
#[test]
fn an_endpoint_that_comes_and_goes_is_told_a_few_times() {
    in_time(|| {
        let log = Log::start("info");
        let server = server();
        server.respond((0..80).map(|number| if number % 2 == 0 { Fault::status(503) } else { Fault::ok() }));
        let client = Client::new(patient(&server)).unwrap();
        for _ in 0..40 {
            submit(&client, 1);
            client.flush(LONG).unwrap();
        }
        client.shutdown(LONG).unwrap();
        assert_eq!(posts(&server).len(), 80);
        let lines = log.with(&server.endpoint());
        assert!((2..=11).contains(&lines.len()), "{lines:#?}");
    });
}

#[test]
fn a_full_queue_is_told_each_time() {
    in_time(|| {
        let log = Log::start("info");
        let server = server();
        let client = Client::new(config(&server).with_queue_bytes(65_536).with_batch_runs(1)).unwrap();
        let told = || log.with("queue full").len();
        let before = told();
        for time in 1..=3 {
            let dropped = client.stats().dropped(DropReason::QueueFull);
            // Other tests may fill their queues too: at least one line is this one's.
            while client.stats().dropped(DropReason::QueueFull) == dropped {
                let _ = client.submit(run("large".into(), 40_000));
            }
            eventually("a line", || told() >= before + time);
            let _ = client.flush(LONG);
            // The sender looks whether more has come before it rests.
            eventually("all is sent", || client.stats().in_flight + client.stats().queued == 0);
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_adds_up(&client.stats());
        let _ = client.shutdown(LONG);
    });
}

/// What a server says of the time to wait does not make the client ask without end.
#[test]
fn no_wait_is_shorter_than_the_backoff() {
    in_time(|| {
        const WAIT: Duration = Duration::from_millis(100);
        const TIME: Duration = Duration::from_secs(2);
        for status in [429, 503] {
            for after in ["0", "Fri, 31 Dec 1999 23:59:59 GMT", "-5", "0.0", ""] {
                let server = server();
                server.respond(Fault::status(status).header("retry-after", after).forever());
                let config = patient(&server).with_retry_waits(WAIT, WAIT).with_retry_deadline(TIME);
                let client = Client::new(config.with_batch_runs(1)).unwrap();
                submit(&client, 1);
                let _ = client.flush(LONG);
                let tries = posts(&server).len();
                // No wait is shorter than half of the backoff.
                assert!(tries <= 1 + 2 * 20 + 2, "{status} {after:?}: {tries} tries");
                let _ = client.shutdown(LONG);
            }
        }
    });
}

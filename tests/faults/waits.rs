//! Waits between tries, and who cuts them short.

use crate::common::{assert_adds_up, assert_flawless, config, in_time, patient, posts, server, submit, LONG};
use opentelemetry_langsmith::testing::Fault;
use opentelemetry_langsmith::{Client, DropReason, FlushError};
use std::time::{Duration, Instant};

#[test]
fn retry_after_is_honoured() {
    let date = (chrono::Utc::now() + chrono::TimeDelta::seconds(60)).format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    for (status, after) in [(429, "1"), (503, "1"), (429, &date), (503, &date)] {
        let server = server();
        server.respond(Fault::status(status).header("retry-after", after));
        // The date is a minute away: the longest wait caps it.
        let config = config(&server).with_retry_waits(Duration::from_millis(1), Duration::from_millis(1500));
        let client = Client::new(config).unwrap();
        submit(&client, 1);
        assert!(server.wait_for_runs(1, LONG));
        let posts = posts(&server);
        let waited = posts[1].at - posts[0].at;
        assert!(waited >= Duration::from_millis(990), "{status}, {after}: {waited:?}");
        client.shutdown(LONG).unwrap();
    }
}

#[test]
fn retry_after_is_capped() {
    assert_waits_little(["99999", "18446744073709551615", "Fri, 31 Dec 2999 23:59:59 GMT"]);
}

#[test]
fn retry_after_that_makes_no_sense() {
    assert_waits_little(["", "soon", "-1", "1.5", "0", "99999999999999999999999", "Fri, 31 Dec 1999 23:59:59 GMT"]);
}

fn assert_waits_little<const WAITS: usize>(waits: [&str; WAITS]) {
    for after in waits {
        let server = server();
        server.respond(Fault::status(503).header("retry-after", after).times(2));
        let client = Client::new(config(&server)).unwrap();
        submit(&client, 1);
        assert!(server.wait_for_runs(1, LONG), "{after}");
        client.shutdown(LONG).unwrap();
    }
}

/// The default wait after a 429 is 10 s; nobody waits longer than the longest wait.
#[test]
fn too_many_requests_that_do_not_say_how_long() {
    let server = server();
    server.respond(Fault::status(429).times(3));
    let client = Client::new(config(&server)).unwrap();
    submit(&client, 1);
    assert!(server.wait_for_runs(1, LONG));
    client.shutdown(LONG).unwrap();
    assert_flawless(&server, 1);
}

/// Somebody waits for the flush: the next try comes at once.
#[test]
fn a_flush_cuts_a_wait_short() {
    in_time(|| {
        let server = server();
        server.respond(Fault::status(503).header("retry-after", "3600"));
        let config = config(&server).with_retry_waits(Duration::from_secs(1800), Duration::from_secs(3600));
        let client = Client::new(config.with_retry_deadline(Duration::from_secs(7200))).unwrap();
        submit(&client, 1);
        crate::common::eventually("the first try", || posts(&server).iter().any(|post| post.status.is_some()));
        client.flush(LONG).unwrap();
        client.shutdown(LONG).unwrap();
        assert_flawless(&server, 1);
    });
}

#[test]
fn a_batch_is_given_up_at_its_deadline() {
    in_time(|| {
        let server = server();
        server.respond(Fault::status(503).forever());
        let client = Client::new(patient(&server).with_retry_deadline(Duration::from_millis(300))).unwrap();
        submit(&client, 4);
        let error = client.flush(LONG).unwrap_err();
        assert!(matches!(error, FlushError::Dropped { dropped: 4, .. }), "{error:?}");
        assert!(error.to_string().contains("unreachable"), "{error}");
        assert_eq!(client.stats().dropped(DropReason::Unreachable), 4);
        assert!(posts(&server).len() > 1);
        // It is over with that batch only.
        server.respond([]);
        submit(&client, 4);
        client.flush(LONG).unwrap();
        let total = client.shutdown(LONG).unwrap_err();
        assert!(matches!(total, FlushError::Dropped { dropped: 4, .. }), "the shutdown tells the total: {total:?}");
        assert_flawless(&server, 4);
    });
}

#[test]
fn an_answer_that_takes_too_long_is_tried_again() {
    in_time(|| {
        let server = server();
        server.respond(Fault::ok().delay(2 * LONG));
        let client = Client::new(patient(&server).with_request_timeout(Duration::from_millis(500))).unwrap();
        submit(&client, 3);
        client.flush(LONG).unwrap();
        assert_eq!(client.stats().sent, 3);
        assert_eq!(server.violations(), Vec::<String>::new());
        client.shutdown(LONG).unwrap();
    });
}

#[test]
fn a_flush_has_a_deadline() {
    in_time(|| {
        let server = server();
        server.latency(2 * LONG);
        let client = Client::new(patient(&server)).unwrap();
        submit(&client, 3);
        let start = Instant::now();
        let error = client.flush(Duration::from_millis(100)).unwrap_err();
        assert!(start.elapsed() < LONG / 2, "{:?}", start.elapsed());
        assert!(matches!(error, FlushError::Timeout { undelivered: 3, .. }), "{error:?}");
        assert_adds_up(&client.stats());
        let _ = client.shutdown(Duration::ZERO);
    });
}

/// The last tries are tries like any other: a server that wants to be left alone is not flooded.
#[test]
fn a_shutdown_does_not_flood_a_server_that_has_had_enough() {
    in_time(|| {
        let server = server();
        server.respond(Fault::status(429).forever());
        let client = Client::new(patient(&server)).unwrap();
        submit(&client, 3);
        let _ = client.shutdown(Duration::from_secs(1));
        // One wait is 50 ms.
        let tries = posts(&server).len();
        assert!((1..=60).contains(&tries), "{tries} requests in a second");
    });
}

#[test]
fn many_requests_are_under_way_at_once() {
    in_time(|| {
        let server = server();
        server.latency(Duration::from_millis(400));
        let client = Client::new(patient(&server).with_batch_runs(1).with_concurrency(20)).unwrap();
        submit(&client, 40);
        client.flush(LONG).unwrap();
        let posts = posts(&server);
        let mut starts: Vec<_> = posts.iter().map(|post| post.at).collect();
        starts.sort_unstable();
        // The second twenty wait for the first: nothing else of it depends on how fast this machine is.
        assert_eq!(starts.len(), 40);
        assert!(starts[20] - starts[0] >= Duration::from_millis(350), "{:?}", starts[20] - starts[0]);
        let together = starts.iter().filter(|start| **start - starts[0] < Duration::from_millis(350)).count();
        assert!((2..=20).contains(&together), "{together} at once");
        assert_flawless(&server, 40);
        client.shutdown(LONG).unwrap();
    });
}

#[test]
fn one_at_a_time() {
    in_time(|| {
        let server = server();
        server.latency(Duration::from_millis(30));
        let client = Client::new(patient(&server).with_batch_runs(1).with_concurrency(1)).unwrap();
        submit(&client, 5);
        client.flush(LONG).unwrap();
        let mut starts: Vec<_> = posts(&server).iter().map(|post| post.at).collect();
        starts.sort_unstable();
        for pair in starts.windows(2) {
            assert!(pair[1] - pair[0] >= Duration::from_millis(28), "{:?}", pair[1] - pair[0]);
        }
        client.shutdown(LONG).unwrap();
    });
}

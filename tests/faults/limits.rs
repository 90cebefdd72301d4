//! Endpoints that want to be left alone, keys that are refused, quotas that are used up.

use crate::common::log::Log;
use crate::common::{
    assert_adds_up, assert_flawless, config, eventually, export, in_time, patient, posts, run, server, span, submit,
    LONG,
};
use opentelemetry_langsmith::testing::{Fault, LocalLangSmith};
use opentelemetry_langsmith::{Client, Config, DropReason, FlushError, LangSmithExporter};
use opentelemetry_sdk::trace::SpanExporter;
use std::time::{Duration, Instant};

/// Much less than a probe's interval, on slow machines too.
const PROMPT: Duration = Duration::from_secs(20);

/// A batch for each run; nobody asks again by himself.
fn one_by_one(server: &LocalLangSmith) -> Config {
    patient(server).with_batch_runs(1).with_probe_interval(Duration::from_secs(3600))
}

fn assert_delayed(result: Result<(), FlushError>, word: &str) {
    let error = result.unwrap_err();
    assert!(matches!(error, FlushError::Delayed { .. }), "{error:?}");
    assert!(error.to_string().contains(word), "{error}");
}

/// A 429 speaks for the whole endpoint: all wait, one finds out, the others wait for its answer.
#[test]
fn one_request_finds_out_after_a_429() {
    in_time(|| {
        const WAIT: Duration = Duration::from_millis(300);
        const SLOW: Duration = Duration::from_millis(200);
        let server = server();
        // The first eight are under way before the first answer.
        server.respond([
            Fault::status(429).header("retry-after", "9").delay(SLOW).times(8),
            Fault::status(429).header("retry-after", "9").delay(SLOW),
            Fault::ok().delay(SLOW),
        ]);
        let config = one_by_one(&server).with_concurrency(8).with_retry_waits(Duration::from_millis(1), WAIT);
        let client = Client::new(config).unwrap();
        submit(&client, 12);
        assert!(server.wait_for_runs(12, LONG));
        let mut starts: Vec<_> = posts(&server).iter().map(|post| post.at).collect();
        starts.sort_unstable();
        assert_eq!(starts.len(), 8 + 1 + 12);
        let apart = |first: usize, second: usize| starts[second] - starts[first];
        assert!(apart(0, 8) >= WAIT, "the hold: {:?}", apart(0, 8));
        assert!(apart(8, 9) >= WAIT, "one probe, and another hold: {:?}", apart(8, 9));
        assert!(apart(9, 10) >= SLOW, "the others wait for the answer: {:?}", apart(9, 10));
        client.shutdown(LONG).unwrap();
        assert_flawless(&server, 12);
    });
}

/// What the probe hears that is neither yes nor no leaves the others waiting.
#[test]
fn a_probe_that_fails_in_another_way() {
    in_time(|| {
        let server = server();
        server.respond([Fault::status(429), Fault::close_before_answer(), Fault::status(503), Fault::status(429)]);
        let client = Client::new(one_by_one(&server).with_concurrency(1)).unwrap();
        submit(&client, 5);
        assert!(server.wait_for_runs(5, LONG));
        assert_eq!(posts(&server).len(), 9);
        client.shutdown(LONG).unwrap();
        assert_flawless(&server, 5);
    });
}

#[test]
fn a_refused_key_is_not_tried_over_and_over() {
    in_time(|| {
        let server = server();
        server.respond(Fault::status(401).forever());
        let client = Client::new(one_by_one(&server).with_concurrency(4)).unwrap();
        for number in 0..5 {
            submit(&client, 10);
            let start = Instant::now();
            assert_delayed(client.flush(LONG), "LANGSMITH_API_KEY");
            assert!(start.elapsed() < PROMPT, "{number}: {:?}", start.elapsed());
        }
        let tries = posts(&server).len();
        assert!((1..=4).contains(&tries), "what was under way at once: {tries}");
        let stats = client.stats();
        assert_eq!((stats.submitted, stats.sent, stats.dropped_total()), (50, 0, 0), "they are kept: {stats:?}");
        // The last ones ask once more, and nobody waits for the next time.
        let start = Instant::now();
        let error = client.shutdown(LONG).unwrap_err();
        assert!(matches!(error, FlushError::Dropped { dropped: 50, .. }), "{error:?}");
        assert!(start.elapsed() < PROMPT, "{:?}", start.elapsed());
        assert_eq!(client.stats().dropped(DropReason::Unauthorized), 50);
        assert_eq!(posts(&server).len(), tries + 1);
    });
}

#[test]
fn a_key_that_begins_to_work() {
    in_time(|| {
        let log = Log::start("info");
        let server = server();
        server.respond(Fault::status(403).forever());
        let interval = Duration::from_millis(100);
        let client = Client::new(one_by_one(&server).with_probe_interval(interval).with_concurrency(4)).unwrap();
        submit(&client, 20);
        assert_delayed(client.flush(LONG), "403");
        eventually("some probes", || posts(&server).len() >= 8);
        let mut starts: Vec<_> = posts(&server).iter().map(|post| post.at).collect();
        starts.sort_unstable();
        for pair in starts[4..].windows(2) {
            assert!(pair[1] - pair[0] >= interval, "one at a time: {:?}", pair[1] - pair[0]);
        }
        server.respond([]);
        // Nobody asks for it.
        assert!(server.wait_for_runs(20, LONG));
        client.flush(LONG).unwrap();
        client.shutdown(LONG).unwrap();
        assert_flawless(&server, 20);
        let lines = log.with(&server.endpoint());
        assert_eq!(lines.len(), 2, "{lines:#?}");
        assert!(lines[0].contains("WARN") && lines[0].contains("LANGSMITH_API_KEY"), "{lines:#?}");
        assert!(lines[1].contains("INFO") && lines[1].contains("takes runs again"), "{lines:#?}");
    });
}

#[test]
fn a_key_that_begins_to_work_just_before_the_end() {
    in_time(|| {
        let server = server();
        server.respond(Fault::status(401).times(4));
        let client = Client::new(one_by_one(&server).with_concurrency(4)).unwrap();
        submit(&client, 20);
        assert_delayed(client.flush(LONG), "401");
        eventually("no more are under way", || posts(&server).iter().filter(|post| post.status.is_some()).count() == 4);
        client.shutdown(LONG).unwrap();
        assert_flawless(&server, 20);
    });
}

/// No answer at all says nothing about the key.
#[test]
fn the_last_chance_is_no_broken_connection() {
    in_time(|| {
        let server = server();
        let refused = Fault::status(401).times(4);
        server.respond([refused, Fault::close_before_answer().times(2), Fault::status(503)]);
        let client = Client::new(one_by_one(&server).with_concurrency(4)).unwrap();
        submit(&client, 20);
        assert_delayed(client.flush(LONG), "401");
        eventually("no more are under way", || posts(&server).iter().filter(|post| post.status.is_some()).count() == 4);
        client.shutdown(LONG).unwrap();
        assert_flawless(&server, 20);
    });
}

/// One server of many does not know the key yet: a shutdown does not lose everything for that.
#[test]
fn a_key_that_has_worked_is_refused_while_it_ends() {
    in_time(|| {
        let server = server();
        server.respond([Fault::ok(), Fault::status(401).times(2)]);
        let client = Client::new(one_by_one(&server).with_concurrency(1)).unwrap();
        submit(&client, 20);
        client.shutdown(LONG).unwrap();
        assert_flawless(&server, 20);
        // For ever is for ever.
        server.clear();
        server.respond([Fault::ok(), Fault::status(401).forever()]);
        let client = Client::new(one_by_one(&server).with_concurrency(1)).unwrap();
        submit(&client, 20);
        client.shutdown(LONG).unwrap_err();
        assert_eq!(client.stats().dropped(DropReason::Unauthorized), 19);
        assert_eq!(posts(&server).len(), 1 + 3);
    });
}

/// What piles up grows old in the queue too: it is not only those whose turn it is.
#[test]
fn what_waits_too_long_for_a_key_is_given_up() {
    in_time(|| {
        let server = server();
        server.respond(Fault::status(401).forever());
        let deadline = Duration::from_secs(1);
        let client = Client::new(one_by_one(&server).with_concurrency(1).with_retry_deadline(deadline)).unwrap();
        let start = Instant::now();
        submit(&client, 60);
        eventually("all are given up", || client.stats().dropped(DropReason::Unauthorized) == 60);
        assert!(start.elapsed() < PROMPT, "one after the other would take a minute: {:?}", start.elapsed());
        assert_eq!(posts(&server).len(), 1);
        let _ = client.shutdown(LONG);
    });
}

#[test]
fn a_quota_that_is_used_up() {
    in_time(|| {
        let log = Log::start("info");
        let server = server();
        let body = r#"{"detail":"Monthly unique traces usage limit exceeded"}"#;
        server.respond(Fault::status(429).body(body).forever());
        let client = Client::new(one_by_one(&server).with_concurrency(1)).unwrap();
        submit(&client, 5);
        assert_delayed(client.flush(LONG), "quota");
        submit(&client, 5);
        assert_delayed(client.flush(LONG), "usage limit exceeded");
        assert_eq!(posts(&server).len(), 1);
        client.shutdown(LONG).unwrap_err();
        assert_eq!(client.stats().dropped(DropReason::RateLimited), 10);
        eventually("a line", || !log.with(&server.endpoint()).is_empty());
        assert_eq!(log.with(&server.endpoint()).iter().filter(|line| line.contains("quota")).count(), 1);
    });
}

/// The same words about a rate, with a time to wait, are no quota.
#[test]
fn a_rate_limit_that_speaks_of_a_quota() {
    in_time(|| {
        let server = server();
        server.respond(Fault::status(429).header("retry-after", "1").body("quota of requests per second").times(3));
        let client = Client::new(one_by_one(&server).with_concurrency(1)).unwrap();
        submit(&client, 5);
        assert!(server.wait_for_runs(5, LONG));
        client.shutdown(LONG).unwrap();
        assert_flawless(&server, 5);
    });
}

#[test]
fn a_rate_limit_that_does_not_end() {
    in_time(|| {
        let log = Log::start("info");
        let server = server();
        server.respond(Fault::status(429).forever());
        let config = one_by_one(&server).with_concurrency(2).with_retry_deadline(Duration::from_millis(400));
        let client = Client::new(config).unwrap();
        let mut submitted = 0;
        eventually("the circuit opens", || {
            submit(&client, 1);
            submitted += 1;
            log.with(&server.endpoint()).iter().any(|line| line.contains("for too long"))
        });
        let tries = posts(&server).len();
        assert!(tries > 2, "{tries}");
        submit(&client, 10);
        assert_delayed(client.flush(LONG), "rate limit");
        eventually("all are given up", || client.stats().dropped(DropReason::RateLimited) == submitted + 10);
        assert_eq!(posts(&server).len(), tries);
        assert_adds_up(&client.stats());
        let _ = client.shutdown(LONG);
    });
}

/// A processor's thread waits in there.
#[test]
fn an_export_is_told_at_once() {
    in_time(|| {
        let server = server();
        server.respond(Fault::status(401).forever());
        let exporter = LangSmithExporter::new(config(&server).with_probe_interval(Duration::from_secs(3600))).unwrap();
        for id in 1..5_u64 {
            let start = Instant::now();
            let error = export(&exporter, vec![span(id.into(), id, 0)]).unwrap_err().to_string();
            assert!(error.contains("LANGSMITH_API_KEY"), "{error}");
            assert!(start.elapsed() < PROMPT, "{:?}", start.elapsed());
        }
        assert_eq!(posts(&server).len(), 1);
        exporter.shutdown_with_timeout(LONG).unwrap_err();
        assert_eq!(exporter.client().stats().dropped(DropReason::Unauthorized), 4);
    });
}

/// What is kept is bounded, and the newest do not fit.
#[test]
fn a_refused_key_does_not_fill_the_memory() {
    in_time(|| {
        let server = server();
        server.respond(Fault::status(401).forever());
        let config = one_by_one(&server).with_concurrency(1).with_queue_bytes(65_536);
        let client = Client::new(config).unwrap();
        let mut taken = 0;
        for number in 0..2000 {
            taken += u64::from(client.submit(run(number.to_string(), 1000)).is_ok());
            if number % 100 == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        let stats = client.stats();
        assert_adds_up(&stats);
        assert_eq!(stats.dropped(DropReason::QueueFull), 2000 - taken, "{stats:?}");
        assert!(taken < 1000, "{stats:?}");
        let _ = client.shutdown(LONG);
    });
}

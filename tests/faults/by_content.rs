//! One run that a server, or a firewall in front of it, does not take for what it says: the others go on.

use crate::common::judge::{status, taken, Judge, Seen, Verdict};
use crate::common::log::Log;
use crate::common::{assert_adds_up, eventually, in_time, run, KEY, LONG};
use opentelemetry_langsmith::{Client, Config, DropReason, FlushError};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

const BAD: &str = "DROP TABLE users";

fn firewall(answer: u16) -> Judge {
    Judge::ruled(move |seen| if seen.plain.contains(BAD) { status(answer, "Forbidden") } else { taken() })
}

fn patient(judge: &Judge) -> Config {
    Config::default()
        .with_api_key(KEY)
        .with_endpoint(judge.endpoint())
        .with_flush_interval(Duration::from_secs(3600))
        .with_retry_waits(Duration::from_millis(5), Duration::from_millis(50))
        .with_probe_interval(Duration::from_secs(3600))
}

/// So many runs, with the bad ones among them.
fn submit(client: &Client, from: usize, to: usize, bad: &[usize]) {
    for number in from..to {
        let name = if bad.contains(&number) { format!("{number} {BAD}") } else { number.to_string() };
        client.submit(run(name, 10)).unwrap();
    }
}

#[test]
fn one_forbidden_run_of_many() {
    in_time(|| {
        for answer in [403, 406, 418, 451] {
            let judge = firewall(answer);
            let client = Client::new(patient(&judge)).unwrap();
            // Something else was accepted before, and the batch is one of several.
            submit(&client, 0, 1, &[]);
            client.flush(LONG).unwrap();
            submit(&client, 1, 401, &[150]);
            let _ = client.flush(LONG / 4);
            // More comes, and is accepted.
            submit(&client, 401, 402, &[]);
            let error = client.shutdown(LONG).unwrap_err();
            let stats = client.stats();
            assert_adds_up(&stats);
            assert_eq!((stats.sent, stats.dropped_total()), (401, 1), "{answer}: {stats:?} {error}");
            assert_eq!(judge.accepted().len(), 401, "{answer}");
        }
    });
}

/// Nothing is known of the key yet, all is in one batch, and nothing else is sent.
#[test]
fn one_forbidden_run_in_the_first_batch() {
    in_time(|| {
        for bad in [0, 37, 99] {
            let judge = firewall(403);
            let client = Client::new(patient(&judge)).unwrap();
            submit(&client, 0, 100, &[bad]);
            client.flush(LONG).unwrap_err();
            assert_eq!(judge.accepted().len(), 99, "{bad}: {:?}", client.stats());
            assert_eq!(client.stats().sent, 99);
            // If it was the last, it waits as for an outage, until another one is accepted after it.
            submit(&client, 100, 101, &[]);
            let _ = client.flush(LONG);
            eventually("it is given up", || client.stats().dropped(DropReason::Refused) == 1);
            assert_eq!(judge.accepted().len(), 100);
            client.shutdown(LONG).unwrap_err();
        }
    });
}

/// Even where one request at a time is all that goes out.
#[test]
fn forbidden_runs_do_not_take_all_places() {
    in_time(|| {
        for concurrency in [1, 2] {
            let judge = firewall(403);
            let client = Client::new(patient(&judge).with_batch_runs(1).with_concurrency(concurrency)).unwrap();
            submit(&client, 0, 40, &[0, 7, 8, 20, 39]);
            eventually("the others are sent", || judge.accepted().len() == 35);
            submit(&client, 40, 41, &[]);
            let _ = client.flush(LONG / 4);
            let _ = client.shutdown(LONG);
            let stats = client.stats();
            assert_adds_up(&stats);
            assert_eq!((stats.sent, stats.dropped_total()), (36, 5), "{concurrency}: {stats:?}");
        }
    });
}

/// A run that makes the server fail costs itself.
#[test]
fn one_run_that_the_server_breaks_at() {
    in_time(|| {
        let judge = firewall(500);
        let client =
            Client::new(patient(&judge).with_batch_runs(20).with_retry_deadline(Duration::from_secs(10))).unwrap();
        submit(&client, 0, 100, &[50]);
        // The others keep coming.
        let mut next = 100;
        while judge.accepted().len() < next - 1 {
            assert!(next < 2000, "the rest of its batch never comes: {:?}", client.stats());
            submit(&client, next, next + 20, &[]);
            next += 20;
            eventually("another batch", || judge.accepted().len() >= next - 20);
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = client.shutdown(Duration::from_secs(12));
        let stats = client.stats();
        assert_adds_up(&stats);
        assert_eq!((stats.sent, stats.dropped_total()), (next as u64 - 1, 1), "{stats:?}");
    });
}

/// A wrong key is told after a few requests, in one line, and is no reason to drop anything before its time.
#[test]
fn a_wrong_key_is_still_a_wrong_key() {
    in_time(|| {
        let log = Log::start("info");
        let judge = Judge::ruled(|_| status(403, "{\"error\":\"Forbidden\"}\n"));
        let client = Client::new(patient(&judge)).unwrap();
        submit(&client, 0, 100, &[]);
        let error = client.flush(LONG).unwrap_err();
        assert!(
            matches!(error, FlushError::Delayed { .. }) && error.to_string().contains("LANGSMITH_API_KEY"),
            "{error}"
        );
        assert!(judge.seen().len() <= 4, "{}", judge.seen().len());
        eventually("a line", || !log.with(&judge.endpoint()).is_empty());
        assert_eq!(log.with(&judge.endpoint()).len(), 1);
        assert_eq!(client.stats().dropped_total(), 0);
        client.shutdown(LONG).unwrap_err();
        assert_eq!(client.stats().dropped(DropReason::Unauthorized), 100, "{:?}", client.stats());
    });
}

/// For some time every request is refused at random: nobody is to blame.
#[test]
fn an_incident_costs_nothing() {
    in_time(|| {
        let (count, judged) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&count);
        let judge = Judge::ruled(move |_: &Seen| -> Verdict {
            judged.fetch_add(1, Ordering::SeqCst);
            // The first eight in a row, and then every other one for a while.
            let number = counted.fetch_add(1, Ordering::SeqCst);
            if number < 8 || (number < 24 && number % 2 == 0) {
                status(403, "{\"error\":\"Forbidden\"}\n")
            } else {
                taken()
            }
        });
        let client =
            Client::new(patient(&judge).with_batch_runs(10).with_probe_interval(Duration::from_millis(20))).unwrap();
        submit(&client, 0, 400, &[]);
        let mut waited = 0;
        while client.flush(LONG).is_err() && waited < 1000 {
            waited += 1;
            std::thread::sleep(Duration::from_millis(5));
        }
        client.shutdown(LONG).unwrap();
        assert_eq!(judge.accepted().len(), 400);
        assert!(count.load(Ordering::SeqCst) > 24);
    });
}

/// A run in each batch is bad, and nothing is left in the end but the good ones.
#[test]
fn bad_runs_in_every_batch() {
    in_time(|| {
        let bad: Vec<usize> = (0..1000).filter(|number| number % 10 == 3).collect();
        for answer in [403, 406, 500] {
            for (concurrency, warm) in [(64, true), (1, true), (64, false)] {
                let judge = firewall(answer);
                let config = patient(&judge).with_concurrency(concurrency).with_retry_deadline(LONG);
                let client = Client::new(config).unwrap();
                if warm {
                    submit(&client, 1000, 1001, &[]);
                    client.flush(LONG).unwrap();
                }
                submit(&client, 0, 1000, &bad);
                let all = 900 + usize::from(warm);
                let start = std::time::Instant::now();
                while judge.accepted().len() < all {
                    std::thread::sleep(Duration::from_millis(10));
                    assert!(
                        start.elapsed() < LONG,
                        "{answer} {concurrency} {warm}: {} of {all} after {} requests: {:?}",
                        judge.accepted().len(),
                        judge.seen().len(),
                        client.stats()
                    );
                }
                let _ = client.shutdown(Duration::from_secs(5));
                let stats = client.stats();
                assert_adds_up(&stats);
                assert_eq!(stats.dropped_total(), 100, "{answer} {concurrency} {warm}: {stats:?}");
            }
        }
    });
}

/// Nothing was accepted before, and the answer seems to be about the endpoint.
#[test]
fn one_bad_run_in_the_first_batch_whatever_the_status() {
    in_time(|| {
        for answer in [300, 402, 403, 405, 406, 410, 418, 451, 500, 502] {
            let judge = firewall(answer);
            let client = Client::new(patient(&judge)).unwrap();
            submit(&client, 0, 100, &[37]);
            let _ = client.flush(Duration::from_millis(1));
            eventually("the others", || judge.accepted().len() == 99);
            submit(&client, 100, 101, &[]);
            let _ = client.shutdown(Duration::from_secs(5));
            let stats = client.stats();
            assert_eq!((stats.sent, stats.dropped_total()), (100, 1), "{answer}: {stats:?}");
        }
    });
}

/// What fails again and again does not keep the only place.
#[test]
fn a_batch_that_fails_lets_others_go() {
    in_time(|| {
        let judge = firewall(500);
        let waits = patient(&judge).with_retry_waits(Duration::from_secs(3600), Duration::from_secs(3600));
        let client = Client::new(waits.with_retry_deadline(Duration::from_secs(36_000)).with_concurrency(1)).unwrap();
        submit(&client, 0, 400, &[50]);
        eventually("the other batches", || judge.accepted().len() == 300);
        let _ = client.shutdown(Duration::ZERO);
    });
}

/// A proxy's limit that does not say so.
#[test]
fn large_bodies_are_refused_in_other_words() {
    in_time(|| {
        for answer in [400, 403, 406, 500] {
            let too_much = move |seen: &Seen| seen.plain.len() > 300_000;
            let judge = Judge::ruled(move |seen| if too_much(seen) { status(answer, "no") } else { taken() });
            let client = Client::new(patient(&judge)).unwrap();
            for number in 0..300 {
                client.submit(run(number.to_string(), 10_000)).unwrap();
            }
            let _ = client.flush(Duration::from_millis(1));
            eventually("all are sent", || judge.accepted().len() == 300);
            client.shutdown(LONG).unwrap();
        }
    });
}

/// One of two servers does not know the key, or the address, yet.
#[test]
fn every_other_answer_is_about_something_else() {
    in_time(|| {
        for answer in [401, 404] {
            let count = AtomicUsize::new(0);
            let judge = Judge::ruled(move |_| match count.fetch_add(1, Ordering::SeqCst) % 2 {
                1 => status(answer, "no"),
                _ => taken(),
            });
            let config = patient(&judge).with_batch_runs(10).with_probe_interval(Duration::from_millis(10));
            let client = Client::new(config).unwrap();
            submit(&client, 0, 300, &[]);
            let _ = client.flush(Duration::from_millis(1));
            eventually("all are sent", || judge.accepted().len() == 300);
            client.shutdown(LONG).unwrap();
            assert_eq!(client.stats().sent, 300, "{answer}");
        }
    });
}

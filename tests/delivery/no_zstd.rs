//! Servers that read no zstd, and say so in their own ways.

use crate::common::judge::{status, taken, Judge, Seen, Verdict};
use crate::common::{assert_adds_up, eventually, in_time, run, KEY, LONG};
use opentelemetry_langsmith::{Client, Config, DropReason};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

fn reads_no_zstd(answer: u16) -> impl Fn(&Seen) -> Verdict {
    move |seen| if seen.compressed { status(answer, r#"{"detail":"Invalid request"}"#) } else { taken() }
}

fn config(judge: &Judge) -> Config {
    Config::default()
        .with_api_key(KEY)
        .with_endpoint(judge.endpoint())
        .with_flush_interval(Duration::from_secs(3600))
        .with_retry_waits(Duration::from_millis(5), Duration::from_millis(50))
}

fn sends(client: &Client, runs: usize) {
    for number in 0..runs {
        client.submit(run(number.to_string(), 10)).unwrap();
    }
    client.flush(LONG).unwrap();
    assert_adds_up(&client.stats());
}

#[test]
fn no_run_is_lost_whatever_the_answer_is() {
    in_time(|| {
        let info = r#"{"instance_flags":{"zstd_compression_enabled":false}}"#;
        for answer in [400, 406, 415, 422, 500] {
            for info in [None, Some("<html>".to_owned()), Some("{}".to_owned()), Some(info.to_owned())] {
                let judge = Judge::start(move || info.clone(), reads_no_zstd(answer));
                let client = Client::new(config(&judge).with_batch_runs(30)).unwrap();
                sends(&client, 300);
                sends(&client, 300);
                assert_eq!((judge.accepted().len(), client.stats().sent), (600, 600), "{answer}");
                assert!(!judge.seen().last().unwrap().compressed, "it is known by now");
                client.shutdown(LONG).unwrap();
            }
        }
    });
}

/// It did until it was replaced.
#[test]
fn a_server_that_no_longer_reads_zstd() {
    in_time(|| {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let judge = Judge::ruled(move |seen| match counted.fetch_add(1, Ordering::SeqCst) {
            0 => taken(),
            _ => reads_no_zstd(400)(seen),
        });
        let client = Client::new(config(&judge)).unwrap();
        for runs in [10, 100, 10] {
            sends(&client, runs);
        }
        assert_eq!((judge.accepted().len(), client.stats().sent), (120, 120));
        assert!(!judge.seen().last().unwrap().compressed);
        client.shutdown(LONG).unwrap();
    });
}

/// One run is tried again meanwhile, and others that were sent as it is were accepted.
#[test]
fn a_server_that_is_replaced_between_two_tries() {
    in_time(|| {
        let judge = Judge::ruled(move |seen| {
            static WAS_ANOTHER_TAKEN: AtomicBool = AtomicBool::new(false);
            if !seen.plain.contains("tried again") {
                WAS_ANOTHER_TAKEN.store(true, Ordering::SeqCst);
                taken()
            } else if WAS_ANOTHER_TAKEN.load(Ordering::SeqCst) {
                reads_no_zstd(400)(seen)
            } else {
                status(503, "not now")
            }
        });
        let client = Client::new(config(&judge).with_batch_runs(1)).unwrap();
        client.submit(run("tried again".into(), 10)).unwrap();
        eventually("it is tried", || !judge.seen().is_empty());
        sends(&client, 1);
        assert_eq!((judge.accepted().len(), client.stats().sent), (2, 2), "{:?}", client.stats());
        client.shutdown(LONG).unwrap();
    });
}

/// A bad run is no reason to go without compression.
#[test]
fn a_refused_run_is_not_about_zstd() {
    in_time(|| {
        let judge = Judge::ruled(|seen| if seen.plain.contains("BAD") { status(400, "no") } else { taken() });
        let client = Client::new(config(&judge)).unwrap();
        for number in 0..100 {
            client.submit(run(if number == 60 { "BAD".into() } else { number.to_string() }, 10)).unwrap();
        }
        client.flush(LONG).unwrap_err();
        assert_eq!(client.stats().dropped(DropReason::Refused), 1, "{:?}", client.stats());
        for number in 0..100 {
            client.submit(run(number.to_string(), 10)).unwrap();
        }
        client.flush(LONG).unwrap();
        assert_eq!((judge.accepted().len(), client.stats().sent), (199, 199));
        assert!(judge.seen().last().unwrap().compressed);
        let _ = client.shutdown(LONG);
    });
}

/// What cannot be asked at first is asked again, and what was said is asked again after a while.
#[test]
fn info_is_asked_until_there_is_an_answer() {
    in_time(|| {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let info = move || {
            let number = counted.fetch_add(1, Ordering::SeqCst);
            (number >= 3).then(|| r#"{"batch_ingest_config":{"size_limit":10}}"#.to_owned())
        };
        let judge = Judge::start(info, |_| taken());
        let client = Client::new(config(&judge)).unwrap();
        let most = || judge.seen().last().map_or(usize::MAX, |seen| seen.posts().len());
        eventually("the limit is known", || {
            sends(&client, 20);
            most() <= 10
        });
        assert_eq!(asked.load(Ordering::SeqCst), 4, "and then it is known");
        client.shutdown(LONG).unwrap();
    });
}

/// Both are tried again after a while: the server may have been replaced.
#[test]
fn what_was_missing_comes_back() {
    in_time(|| {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let judge = Judge::ruled(move |seen| {
            let is_old = counted.fetch_add(1, Ordering::SeqCst) < 4;
            match (is_old, seen.path.as_str()) {
                (true, "/runs/multipart") => status(404, "page not found"),
                _ => taken(),
            }
        });
        // Sixty times as long, something is believed to be missing.
        let client = Client::new(config(&judge).with_probe_interval(Duration::from_millis(5))).unwrap();
        sends(&client, 1);
        assert_eq!(judge.seen().last().unwrap().path, "/runs/batch");
        eventually("multipart again", || {
            sends(&client, 1);
            judge.seen().last().unwrap().path == "/runs/multipart"
        });
        client.shutdown(LONG).unwrap();
        assert_eq!(judge.accepted().len() as u64, client.stats().sent);
    });
}

/// A gateway puts an id of its own into its answers.
#[test]
fn an_id_that_is_no_runs() {
    in_time(|| {
        let words = r#"{"error":"request 6fa459ea-ee8a-3ca4-894e-db77e160355e: cannot decode"}"#;
        let judge = Judge::ruled(move |seen| if seen.compressed { status(400, words) } else { taken() });
        let client = Client::new(config(&judge)).unwrap();
        sends(&client, 300);
        assert_eq!(judge.accepted().len(), 300);
        client.shutdown(LONG).unwrap();
    });
}

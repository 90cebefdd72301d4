//! What goes to disk, and what does not.

use crate::common::{self, assert_adds_up, assert_flawless, eventually, in_time, KEY, LONG};
use crate::{config, down, name, run, submit, Directory};
use opentelemetry_langsmith::testing::Fault;
use opentelemetry_langsmith::{Client, DropReason, Run, RunType, Stats, SubmitError};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[test]
fn an_outage_is_written_down_and_made_up_for() {
    in_time(|| {
        let (server, directory) = (down(), Directory::new());
        let client = Client::new(config(&server, &directory)).unwrap();
        submit(&client, 250);
        client.flush(LONG).expect("nothing is lost");
        let stats = client.stats();
        assert_adds_up(&stats);
        assert_eq!((stats.spooled, stats.sent, stats.dropped_total()), (250, 0, 0), "{stats:?}");

        server.respond([]);
        eventually("all is delivered", || client.stats().sent == 250);
        let (stats, spool) = (client.stats(), client.spool());
        assert_adds_up(&stats);
        assert_eq!((stats.submitted, stats.spooled, stats.dropped_total()), (250, 0, 0), "{stats:?}");
        assert_eq!((spool.waiting, spool.delivered_runs, spool.rejected), (0, 250, 0), "{spool:?}");
        assert!(spool.delivered >= 3, "{spool:?}");
        assert!(directory.waiting().is_empty());
        assert_flawless(&server, 250);
        client.shutdown(LONG).unwrap();
    });
}

/// The names, the fields and the bytes that LangSmith's SDK for Python writes.
#[test]
fn files_have_the_common_format() {
    in_time(|| {
        let (server, directory) = (down(), Directory::new());
        for config in [config(&server, &directory), config(&server, &directory).without_compression()] {
            let client = Client::new(config).unwrap();
            submit(&client, 2);
            client.shutdown(LONG).unwrap();
        }
        let files = directory.waiting();
        assert_eq!(files.len(), 2);
        for (file, compressed) in files.iter().zip([true, false]) {
            let name = name(file);
            let (seconds, rest) = name.strip_prefix("trace_").and_then(|rest| rest.split_once('.')).unwrap();
            let (micros, hex) = rest.strip_suffix(".json").and_then(|rest| rest.split_once('_')).unwrap();
            assert!(seconds.len() == 10 && seconds.parse::<u64>().is_ok(), "{name}");
            assert!(micros.len() == 6 && micros.parse::<u32>().is_ok(), "{name}");
            assert!(hex.len() == 8 && u32::from_str_radix(hex, 16).is_ok(), "{name}");

            let mut content: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
            let body = content["body_base64"].take();
            let body = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, body.as_str().unwrap()).unwrap();
            // Beside what the SDK writes stands where it is meant for, which readers of the format pass over.
            let destination = content.as_object_mut().unwrap().remove("destination").unwrap();
            assert_eq!(destination["url"], server.endpoint());
            assert_eq!(destination.as_object().unwrap().len(), 3, "{destination}");
            let content_type = content["headers"]["Content-Type"].take();
            assert!(content_type.as_str().unwrap().starts_with("multipart/form-data; boundary="));
            let mut expected = serde_json::json!({
                "version": 1, "endpoint": "runs/multipart", "headers": {"Content-Type": null}, "body_base64": null,
            });
            if compressed {
                expected["headers"]["Content-Encoding"] = "zstd".into();
            }
            assert_eq!(content, expected);
            // The body is the one that was sent.
            assert!(server.requests().iter().any(|request| *request.body == *body));
        }
    });
}

#[test]
fn a_key_that_is_not_accepted_may_be_mended() {
    for status in [401, 403] {
        in_time(move || {
            let (server, directory) = (common::server(), Directory::new());
            server.respond(Fault::status(status).forever());
            let client = Client::new(config(&server, &directory)).unwrap();
            submit(&client, 10);
            client.shutdown(LONG).unwrap();
            assert_eq!(client.stats().spooled, 10, "{:?}", client.stats());
            server.respond([]);
            let next = Client::new(config(&server, &directory)).unwrap();
            assert!(server.wait_for_runs(10, LONG));
            eventually("the files are gone", || next.spool().waiting == 0);
            assert_flawless(&server, 10);
        });
    }
}

#[test]
fn a_quota_that_is_used_up() {
    in_time(|| {
        let (server, directory) = (common::server(), Directory::new());
        server.respond(Fault::status(429).forever());
        let config = config(&server, &directory).with_retry_deadline(Duration::from_millis(100));
        let client = Client::new(config).unwrap();
        submit(&client, 10);
        client.flush(LONG).unwrap();
        assert_eq!(client.stats().spooled, 10, "{:?}", client.stats());
        server.respond([]);
        eventually("all is delivered", || client.stats().sent == 10);
        assert_flawless(&server, 10);
    });
}

/// Nothing waits for a key to be mended, and a flush need not either: what it waits for is on disk.
#[test]
fn a_flush_while_the_key_is_not_accepted() {
    in_time(|| {
        let (server, directory) = (common::server(), Directory::new());
        server.respond(Fault::status(401).forever());
        let hour = Duration::from_secs(3600);
        let config = config(&server, &directory).with_retry_deadline(hour).with_probe_interval(hour);
        let client = Client::new(config.with_batch_runs(5)).unwrap();
        for round in 1..=3 {
            submit(&client, 50);
            client.flush(LONG).expect("nothing is lost");
            assert_eq!(client.stats().spooled, round * 50, "{:?}", client.stats());
        }
    });
}

/// What LangSmith will never take is not kept for it.
#[test]
fn a_refused_run_is_not_kept() {
    for status in [400, 422, 413] {
        in_time(move || {
            let (server, directory) = (common::server(), Directory::new());
            server.respond(Fault::status(status).forever());
            let client = Client::new(config(&server, &directory)).unwrap();
            submit(&client, 3);
            client.shutdown(LONG).unwrap_err();
            let stats = client.stats();
            assert_eq!((stats.spooled, stats.dropped(DropReason::Refused)), (0, 3), "{stats:?}");
            assert!(directory.waiting().is_empty());
        });
    }
}

#[test]
fn the_oldest_are_kept() {
    in_time(|| {
        let (server, directory) = (down(), Directory::new());
        let config = config(&server, &directory).with_spool_bytes(65_536).with_batch_runs(1).with_concurrency(1);
        let client = Client::new(config.clone()).unwrap();
        for number in 0..10 {
            client.submit(run(number, 9_000)).unwrap();
            let _ = client.flush(LONG);
        }
        let stats = client.stats();
        let kept = stats.spooled;
        assert!((3..=9).contains(&kept), "{stats:?}");
        assert_eq!(stats.dropped(DropReason::SpoolFull), 10 - kept, "{stats:?}");
        let bytes: u64 = directory.waiting().iter().map(|file| file.metadata().unwrap().len()).sum();
        assert!(bytes <= 65_536, "{bytes}");
        client.shutdown(LONG).unwrap_err();

        // What others wrote counts as well.
        let late = Client::new(config).unwrap();
        late.submit(run("late", 9_000)).unwrap();
        assert!(late.shutdown(LONG).unwrap_err().to_string().contains("1 spool full"));

        server.respond([]);
        let next = Client::new(crate::config(&server, &directory)).unwrap();
        assert!(server.wait_for_runs(usize::try_from(kept).unwrap(), LONG));
        eventually("the files are gone", || next.spool().waiting == 0);
        let names: Vec<_> = server.runs().into_iter().map(|run| run.name).collect();
        assert_eq!(names, (0..kept).map(|number| number.to_string()).collect::<Vec<_>>(), "oldest first");
        assert_flawless(&server, names.len());
    });
}

/// A long outage fills the disk and not the memory: nothing is dropped although the queue is small and no batch has
/// been given up.
#[test]
fn full_memory_goes_to_disk() {
    in_time(|| {
        let (server, directory) = (down(), Directory::new());
        let config = config(&server, &directory)
            .with_retry_deadline(Duration::from_secs(3600))
            .with_retry_waits(Duration::from_secs(1), Duration::from_secs(1))
            .with_queue_bytes(65_536)
            .with_batch_runs(10)
            .with_concurrency(2);
        let client = Client::new(config).unwrap();
        let mut sent = 0;
        while sent < 500 {
            match client.submit(run(sent, 1_000)) {
                Ok(()) => sent += 1,
                Err(SubmitError::QueueFull) => std::thread::sleep(Duration::from_millis(1)),
                Err(other) => panic!("{other}"),
            }
        }
        eventually("much is on disk", || client.stats().spooled > 300);
        assert_eq!(client.stats().dropped(DropReason::Unreachable), 0);
        server.respond([]);
        eventually("all is delivered", || client.stats().sent == 500);
        assert_flawless(&server, 500);
    });
}

/// A small queue and an outage that does not end: nothing is lost before the disk is full.
#[test]
fn nothing_is_lost_before_the_disk_is_full() {
    in_time(|| {
        const BUDGET: usize = 600_000;
        let (server, directory) = (down(), Directory::new());
        let hour = Duration::from_secs(3600);
        let config = config(&server, &directory)
            .with_retry_deadline(hour)
            .with_retry_waits(Duration::from_millis(50), Duration::from_millis(50))
            .with_queue_bytes(65_536)
            .with_spool_bytes(BUDGET)
            .with_batch_runs(10)
            .with_concurrency(2);
        let client = Client::new(config).unwrap();
        let bytes = || {
            let files = directory.waiting().into_iter().filter_map(|file| std::fs::read(file).ok());
            files.map(|file| file.len()).sum::<usize>()
        };
        // The last file that fits leaves less room than the next one would take.
        let is_full = || bytes() > BUDGET - 15_000;
        let mut submitted = 0;
        while !is_full() {
            for _ in 0..5 {
                client.submit(run(submitted, 1_000)).unwrap();
                submitted += 1;
            }
            eventually("there is room", || client.stats().queued < 10 || is_full());
            let stats = client.stats();
            assert_adds_up(&stats);
            assert_eq!((stats.dropped_total(), stats.submitted), (0, submitted), "{stats:?}");
        }
        assert!(client.stats().spooled > 5 * client.stats().queued, "{:?}", client.stats());

        // What comes now fills the memory, and is then refused.
        let mut refused = 0;
        while refused < 20 {
            match client.submit(run(submitted, 1_000)) {
                Ok(()) => {}
                Err(SubmitError::QueueFull) => refused += 1,
                Err(other) => panic!("{other}"),
            }
            submitted += 1;
        }
        let stats = client.stats();
        assert_adds_up(&stats);
        assert_eq!((stats.submitted, stats.dropped(DropReason::QueueFull)), (submitted, refused), "{stats:?}");
        assert_eq!(stats.dropped_total(), refused, "{stats:?}");
        assert!(bytes() <= BUDGET);

        server.respond([]);
        eventually("all is delivered", || client.stats().sent == submitted - refused);
        assert_eq!(client.stats().spooled + client.stats().queued + client.stats().in_flight, 0);
        assert_flawless(&server, usize::try_from(submitted - refused).unwrap());
    });
}

/// The end of a run whose start is on disk waits behind it, also when LangSmith is back by then.
#[test]
fn an_update_does_not_overtake_what_is_on_disk() {
    in_time(|| {
        let (server, directory) = (down(), Directory::new());
        let hour = Duration::from_secs(3600);
        // Nobody looks at the disk before a batch was delivered.
        let client = Client::new(config(&server, &directory).with_retry_waits(hour, hour)).unwrap();
        let started = Run::builder("long", RunType::Chain).inputs("?").build().unwrap();
        client.submit(started.clone()).unwrap();
        client.flush(LONG).unwrap();
        assert_eq!(client.stats().spooled, 1);

        server.respond([]);
        client.update(started.edit().outputs("!").end_now().build().unwrap()).unwrap();
        client.flush(LONG).unwrap();
        assert_eq!((server.received(), client.stats().spooled), (0, 2), "{:?}", client.stats());

        submit(&client, 1);
        eventually("all is delivered", || client.stats().sent == 3);
        assert_eq!(server.violations(), Vec::<String>::new());
        let run = server.run("long").unwrap();
        assert_eq!((run.posts, run.patches), (1, 1));

        // The disk is empty, so the next update goes the straight way.
        let started = Run::builder("later", RunType::Chain).build().unwrap();
        client.submit(started.clone()).unwrap();
        client.flush(LONG).unwrap();
        client.update(started.edit().end_now().build().unwrap()).unwrap();
        client.flush(LONG).unwrap();
        assert_eq!(client.stats().sent, 5, "{:?}", client.stats());
        assert_eq!(server.violations(), Vec::<String>::new());
    });
}

#[test]
fn the_counters_add_up_while_it_happens() {
    in_time(|| {
        let (server, directory) = (down(), Directory::new());
        let config = config(&server, &directory).with_batch_runs(7).with_concurrency(3);
        let config = config.with_probe_interval(Duration::from_millis(20));
        let client = Client::new(config).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut before = Stats::default();
                while !done.load(Ordering::Relaxed) {
                    let now = client.stats();
                    assert_adds_up(&now);
                    assert!(now.sent >= before.sent && now.dropped_total() >= before.dropped_total());
                    assert!(now.in_flight < 1 << 40 && now.spooled <= now.submitted, "{now:?}");
                    before = now;
                }
            });
            for round in 0..40 {
                server.respond(match round % 4 {
                    0 => vec![Fault::status(503).forever()],
                    1 => vec![Fault::status(400), Fault::ok(), Fault::close_before_answer(), Fault::ok().forever()],
                    2 => vec![Fault::status(413), Fault::close_after_storing(), Fault::status(401).forever()],
                    _ => vec![],
                });
                submit(&client, 40);
                let _ = client.flush(LONG);
            }
            server.respond([]);
            submit(&client, 1);
            let _ = client.flush(LONG);
            eventually("all is off the disk", || client.stats().spooled == 0 && client.spool().waiting == 0);
            done.store(true, Ordering::Relaxed);
        });
        let stats = client.stats();
        assert_eq!((stats.submitted, stats.queued, stats.in_flight), (1601, 0, 0), "{stats:?}");
        assert_eq!(stats.sent + stats.dropped(DropReason::Refused), 1601, "{stats:?}");
        assert_eq!(server.received(), stats.sent, "{stats:?}");
        assert_eq!(server.violations(), Vec::<String>::new());
    });
}

#[test]
fn no_key_gets_into_a_file() {
    in_time(|| {
        let (server, directory) = (down(), Directory::new());
        server.respond(Fault::status(403).body(format!("{KEY} is not welcome")).forever());
        let config = config(&server, &directory).with_workspace_id("workspace-4711").without_compression();
        let client = Client::new(config).unwrap();
        submit(&client, 3);
        client.shutdown(LONG).unwrap();
        let files = directory.waiting();
        assert!(!files.is_empty());
        for file in files {
            let content = std::fs::read_to_string(file).unwrap();
            let envelope: serde_json::Value = serde_json::from_str(&content).unwrap();
            let body = envelope["body_base64"].as_str().unwrap();
            let body = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, body).unwrap();
            for text in [content, String::from_utf8(body).unwrap()] {
                assert!(!text.contains(KEY) && !text.contains("workspace-4711"), "{text}");
            }
        }
    });
}

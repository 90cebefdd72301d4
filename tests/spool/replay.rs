//! Sending what is on disk: by whom, in which order, and what becomes of what is refused.

use crate::common::{self, assert_flawless, eventually, in_time, posts, LONG};
use crate::{config, down, fill, listed, name, run, submit, Directory};
use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
use opentelemetry::KeyValue;
use opentelemetry_langsmith::testing::Fault;
use opentelemetry_langsmith::{Client, DropReason, LangSmithSpanProcessor, Stats};
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::fs::{self, File};
use std::time::Duration;

/// Nobody has to trace anything for it.
#[test]
fn the_next_client_delivers() {
    in_time(|| {
        let (server, directory) = (common::server(), Directory::new());
        fill(&server, &directory, 12);
        let client = Client::new(config(&server, &directory)).unwrap();
        assert!(server.wait_for_runs(12, LONG));
        eventually("the files are gone", || client.spool().waiting == 0);
        assert_flawless(&server, 12);
        assert_eq!((client.spool().delivered, client.spool().delivered_runs), (12, 12));
        // They are none of this client's runs.
        assert_eq!(client.stats(), Stats::default());
        let requests = server.requests();
        for request in requests.iter().filter(|request| request.method == "POST") {
            assert_eq!(request.header("x-api-key"), Some(common::KEY));
        }
        let names: Vec<_> = server.runs().into_iter().map(|run| run.name).collect();
        assert_eq!(names, (0..12).map(|number| number.to_string()).collect::<Vec<_>>(), "oldest first");
    });
}

/// What comes while the replay goes on does not wait for it.
#[test]
fn one_file_at_a_time_beside_what_is_sent_now() {
    in_time(|| {
        let (server, directory) = (common::server(), Directory::new());
        fill(&server, &directory, 30);
        server.latency(Duration::from_millis(30));
        let client = Client::new(config(&server, &directory)).unwrap();
        client.submit(run("now", 32)).unwrap();
        client.flush(LONG).unwrap();
        assert!(client.spool().waiting > 0, "the flush waits for its own only");
        eventually("the files are gone", || client.spool().waiting == 0);
        let mut starts: Vec<_> = server
            .requests()
            .into_iter()
            .filter(|request| request.method == "POST" && request.run_ids != [server.run("now").unwrap().id])
            .map(|request| request.at)
            .collect();
        starts.sort_unstable();
        assert_eq!(starts.len(), 30);
        for pair in starts.windows(2) {
            // It rests for as long as a file takes.
            assert!(pair[1] - pair[0] >= Duration::from_millis(55), "{:?}", pair[1] - pair[0]);
        }
        assert_flawless(&server, 31);
    });
}

#[test]
fn two_clients_never_send_a_file_twice() {
    in_time(|| {
        let (server, directory) = (common::server(), Directory::new());
        fill(&server, &directory, 60);
        server.latency(Duration::from_millis(2));
        let clients: Vec<_> = (0..4).map(|_| Client::new(config(&server, &directory)).unwrap()).collect();
        eventually("the files are gone", || clients[0].spool().waiting == 0);
        assert_flawless(&server, 60);
        let posts = server.requests().into_iter().filter(|request| request.method == "POST").count();
        assert_eq!(posts, 60, "one request a file");
        let delivered = || clients.iter().map(|client| client.spool().delivered).collect::<Vec<_>>();
        // A client counts a file when it is gone.
        eventually("all are counted", || delivered().iter().sum::<u64>() == 60);
        let delivered = delivered();
        assert!(delivered.iter().filter(|files| **files > 0).count() > 1, "{delivered:?}");
    });
}

#[test]
fn a_process_that_died_leaves_its_files_to_the_next() {
    in_time(|| {
        let (server, directory) = (common::server(), Directory::new());
        fill(&server, &directory, 3);
        let take = |number: usize| {
            let home = &directory.waiting()[number];
            let away = home.with_file_name(format!("{}.taken", name(home)));
            fs::rename(home, &away).unwrap();
            away
        };
        take(0);
        // This one is being sent by somebody who lives.
        let file = File::open(take(0)).unwrap();
        file.lock().unwrap();
        let client = Client::new(config(&server, &directory)).unwrap();
        assert!(server.wait_for_runs(2, LONG));
        eventually("two files are gone", || client.spool().waiting == 1);
        assert!(server.run("1").is_none());
        drop(file);
        assert!(server.wait_for_runs(3, LONG));
        eventually("the files are gone", || client.spool().waiting == 0);
        assert_flawless(&server, 3);
    });
}

/// One bad run does not spoil its file.
#[test]
fn a_refused_run_is_set_aside_alone() {
    in_time(|| {
        let (server, directory) = (down(), Directory::new());
        let client = Client::new(config(&server, &directory)).unwrap();
        submit(&client, 4);
        client.flush(LONG).unwrap();
        assert_eq!(client.spool().waiting, 1);
        let [refused, fine] = [|| Fault::status(400), || Fault::ok()];
        // The whole, and that without compression; the first half; the second half, and that one by one.
        server.respond([refused(), refused(), fine(), refused(), fine(), refused()]);
        eventually("the file is gone", || client.spool().waiting == 0);
        let stats = client.stats();
        assert_eq!((stats.sent, stats.dropped(DropReason::Refused), stats.spooled), (3, 1, 0), "{stats:?}");
        assert_eq!(client.spool().rejected, 1);
        assert_eq!(directory.aside().len(), 1);
        assert!(server.run("3").is_none());
        assert_flawless(&server, 3);
        // It can be tried again by hand.
        directory.put(&name(&directory.aside()[0]), fs::read(&directory.aside()[0]).unwrap());
        let next = Client::new(config(&server, &directory)).unwrap();
        assert!(server.wait_for_runs(4, LONG));
        eventually("the file is gone", || next.spool().waiting == 0);
        assert_flawless(&server, 4);
    });
}

/// What was delivered of a file is not sent again when the rest of it is.
#[test]
fn an_outage_in_the_middle_of_a_file() {
    in_time(|| {
        let (server, directory) = (down(), Directory::new());
        let client = Client::new(config(&server, &directory)).unwrap();
        submit(&client, 8);
        client.flush(LONG).unwrap();
        let steps = [Fault::status(413), Fault::ok(), Fault::status(422), Fault::ok(), Fault::status(503).forever()];
        server.respond(steps);
        eventually("a part is delivered", || client.stats().sent == 6);
        assert_eq!((client.stats().spooled, client.stats().dropped_total()), (2, 0), "{:?}", client.stats());
        assert_eq!(client.spool().waiting, 1);
        server.respond([]);
        eventually("all is delivered", || client.stats().sent == 8);
        assert_flawless(&server, 8);
        let spool = client.spool();
        assert_eq!((spool.delivered, spool.delivered_runs, spool.waiting), (1, 8, 0), "{spool:?}");
    });
}

/// Feedback is kept with its runs, and is none of them.
#[test]
fn feedback_waits_on_disk_too() {
    in_time(|| {
        let (server, directory) = (down(), Directory::new());
        let processor = LangSmithSpanProcessor::new(config(&server, &directory).with_feedback(true)).unwrap();
        let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
        for name in ["first", "second"] {
            let mut span = provider.tracer("spool").start(name);
            span.add_event("langsmith.feedback", vec![KeyValue::new("key", name), KeyValue::new("score", 1)]);
        }
        let _ = provider.shutdown();
        assert!(!directory.waiting().is_empty());
        server.respond([]);
        let client = Client::new(config(&server, &directory)).unwrap();
        assert!(server.wait_for_runs(2, LONG));
        eventually("the files are gone", || client.spool().waiting == 0);
        assert_eq!(client.spool().delivered_runs, 2);
        assert_flawless(&server, 2);
        for run in server.runs() {
            assert_eq!((run.feedback.len(), &run.feedback[0]["key"]), (1, &serde_json::json!(run.name)));
        }
    });
}

#[test]
fn an_old_server() {
    in_time(|| {
        let (server, directory) = (common::server(), Directory::new());
        fill(&server, &directory, 2);
        server.respond(Fault::status(404));
        let client = Client::new(config(&server, &directory)).unwrap();
        assert!(server.wait_for_runs(2, LONG));
        eventually("the files are gone", || client.spool().waiting == 0);
        let paths: Vec<_> = server.requests().into_iter().map(|request| request.path).collect();
        assert_eq!(paths, ["/runs/multipart", "/runs/batch", "/runs/batch"]);
        assert_flawless(&server, 2);
    });
}

/// A file that the server always fails on does not hold up the others for ever.
#[test]
fn a_file_that_always_fails_lets_the_others_go_first() {
    in_time(|| {
        let (server, directory) = (common::server(), Directory::new());
        fill(&server, &directory, 3);
        server.respond([Fault::status(500).times(5), Fault::ok().times(2), Fault::status(500).forever()]);
        let client = Client::new(config(&server, &directory)).unwrap();
        assert!(server.wait_for_runs(2, LONG));
        eventually("one is left", || client.spool().waiting == 1);
        assert!(server.run("0").is_none());
        server.respond([]);
        eventually("the files are gone", || client.spool().waiting == 0);
        assert_flawless(&server, 3);
    });
}

/// A refused key is no matter of this file: all that is sent waits for one request that is taken.
#[test]
fn a_refused_key_is_tried_now_and_then() {
    for status in [401, 403] {
        in_time(move || {
            let (server, directory) = (common::server(), Directory::new());
            fill(&server, &directory, 3);
            server.respond(Fault::status(status).times(3));
            let config = config(&server, &directory);
            let client = Client::new(config.with_probe_interval(Duration::from_millis(150))).unwrap();
            eventually("the files are gone", || client.spool().waiting == 0);
            let times: Vec<_> = posts(&server).iter().map(|request| request.at).collect();
            assert_eq!(times.len(), 6);
            for pair in times[..4].windows(2) {
                assert!(pair[1] - pair[0] >= Duration::from_millis(145), "{:?}", pair[1] - pair[0]);
            }
            assert_flawless(&server, 3);
        });
    }
}

/// What the replay hears holds back everybody: that the key is refused, and that there are too many requests.
#[test]
fn others_hear_of_what_the_replay_is_told() {
    for fault in [Fault::status(401), Fault::status(429).body("your quota is used up"), Fault::status(429)] {
        in_time(move || {
            let (server, directory) = (common::server(), Directory::new());
            fill(&server, &directory, 3);
            server.respond(fault.forever());
            let hour = Duration::from_secs(3600);
            let config = config(&server, &directory).with_retry_waits(Duration::from_millis(5), hour);
            let client = Client::new(config.with_probe_interval(hour)).unwrap();
            eventually("the replay was told", || posts(&server).len() == 1);
            eventually("the file waits again", || directory.waiting().len() == 3);
            submit(&client, 5);
            eventually("they are on disk", || client.stats().spooled == 5);
            assert_eq!(posts(&server).len(), 1, "nobody has asked again");
            assert_eq!(client.stats().dropped_total(), 0);
        });
    }
}

/// An empty directory costs nothing: no request, and no thread for files.
#[test]
fn nothing_to_replay() {
    let (server, directory) = (common::server(), Directory::new());
    let client = Client::new(config(&server, &directory)).unwrap();
    assert_eq!(client.spool(), opentelemetry_langsmith::SpoolStats::default());
    client.shutdown(LONG).unwrap();
    assert_eq!(server.requests().len(), 0);
    assert!(listed(&directory.spool()).is_empty());
}

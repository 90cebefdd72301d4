//! A shutdown writes to disk what it has no time to deliver.

use crate::common::{self, assert_adds_up, assert_flawless, eventually, in_time, LONG};
use crate::{config, down, submit, Directory};
use opentelemetry_langsmith::{Client, Run, RunType};
use std::time::{Duration, Instant};

/// A deadline, and what any machine may take beyond it.
const TIMES: [(Duration, Duration); 3] = [
    (Duration::ZERO, Duration::from_millis(500)),
    (Duration::from_millis(300), Duration::from_millis(800)),
    (Duration::from_secs(1), Duration::from_millis(1500)),
];

#[test]
fn a_stalled_server() {
    for (timeout, longest) in TIMES {
        in_time(move || {
            let (server, directory) = (common::server(), Directory::new());
            server.latency(2 * LONG);
            let config = config(&server, &directory).with_batch_runs(10).with_concurrency(2);
            let client = Client::new(config.with_retry_deadline(LONG)).unwrap();
            submit(&client, 300);
            // One that the server has, and one whose update waits for that.
            let open = Run::builder("open", RunType::Chain).build().unwrap();
            client.submit(open.clone()).unwrap();
            eventually("it is on its way", || client.stats().queued == 0);
            client.update(open.edit().end_now().build().unwrap()).unwrap();

            let start = Instant::now();
            let result = client.shutdown(timeout);
            let took = start.elapsed();
            assert!(took < longest, "{timeout:?} took {took:?}");
            if !timeout.is_zero() {
                result.expect("nothing is lost");
            }
            eventually("all is on disk", || client.stats().spooled == client.stats().submitted);
            let stats = client.stats();
            assert_adds_up(&stats);
            assert_eq!((stats.submitted, stats.dropped_total()), (302, 0), "{stats:?}");

            server.latency(Duration::ZERO);
            server.clear();
            let next = Client::new(crate::config(&server, &directory)).unwrap();
            eventually("the files are gone", || next.spool().waiting == 0);
            assert_eq!(next.spool().delivered_runs, 302);
            assert_flawless(&server, 301);
            assert_eq!(server.run("open").map(|run| (run.posts, run.patches)), Some((1, 1)));
        });
    }
}

#[test]
fn nothing_listens_there() {
    in_time(|| {
        let (server, directory) = (common::server(), Directory::new());
        let config = config(&server, &directory).with_retry_deadline(LONG);
        server.stop();
        let client = Client::new(config).unwrap();
        submit(&client, 20);
        client.shutdown(Duration::from_secs(1)).unwrap();
        assert_eq!(client.stats().spooled, 20);
    });
}

/// A client that is merely dropped keeps what it has, too.
#[test]
fn a_dropped_client() {
    in_time(|| {
        let (server, directory) = (down(), Directory::new());
        let client = Client::new(config(&server, &directory)).unwrap();
        submit(&client, 20);
        drop(client);
        let next = Client::new(config(&server, &directory)).unwrap();
        server.respond([]);
        eventually("the files are gone", || next.spool().waiting == 0);
        assert_flawless(&server, 20);
        assert_eq!(next.stats().submitted, 0);
    });
}

/// A shutdown in the middle of a replay waits for no file, and loses none.
#[test]
fn during_a_replay() {
    in_time(|| {
        let (server, directory) = (common::server(), Directory::new());
        crate::fill(&server, &directory, 10);
        server.latency(2 * LONG);
        let client = Client::new(config(&server, &directory)).unwrap();
        assert!(server.wait_for_runs(1, LONG), "the replay has begun");
        let start = Instant::now();
        client.shutdown(Duration::from_secs(30)).unwrap();
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        assert_eq!(directory.waiting().len(), 10);
        server.latency(Duration::ZERO);
        server.clear();
        let next = Client::new(config(&server, &directory)).unwrap();
        eventually("the files are gone", || next.spool().waiting == 0);
        assert_flawless(&server, 10);
    });
}

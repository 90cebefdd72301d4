//! What runs are sent without is counted, and told by run and size.

use crate::common::log::Log;
use crate::common::{assert_flawless, eventually, in_time, patient, posts, server, LONG};
use crate::run;
use opentelemetry_langsmith::testing::Fault;
use opentelemetry_langsmith::{Client, Run};

/// Cut because it is larger than a request may be, before it is sent.
#[test]
fn a_run_that_is_cut_to_fit() {
    in_time(|| {
        let log = Log::start("info");
        let server = server();
        let client = Client::new(patient(&server).with_batch_bytes(20_000)).unwrap();
        let large = run("large".into(), 50_000);
        client.submit(large.clone()).unwrap();
        client.submit(run("small".into(), 10)).unwrap();
        client.flush(LONG).unwrap();
        assert_flawless(&server, 2);
        let stats = client.stats();
        assert_eq!((stats.sent, stats.left_out), (2, 1), "{stats:?}");
        assert!(stats.to_string().ends_with("1 fields and files left out"), "{stats}");
        let told = || log.with(&large.id().to_string());
        eventually("a line", || !told().is_empty());
        assert!(told()[0].contains("outputs (5") && told()[0].contains("WARN"), "{:?}", told());
        client.shutdown(LONG).unwrap();
    });
}

/// Cut because the server says so; and a flood of them is a few lines.
#[test]
fn runs_that_the_server_finds_too_large() {
    in_time(|| {
        let log = Log::start("info");
        let server = server();
        server.respond((0..60).map(|number| if number % 2 == 0 { Fault::status(413) } else { Fault::ok() }));
        let client = Client::new(patient(&server)).unwrap();
        let runs: Vec<Run> = (0..30).map(|number| run(number.to_string(), 5000)).collect();
        for run in &runs {
            client.submit(run.clone()).unwrap();
            client.flush(LONG).unwrap();
        }
        assert_eq!((posts(&server).len(), client.stats().left_out), (60, 30));
        let told = || runs.iter().filter(|run| log.with(&run.id().to_string()).len() == 1).count();
        eventually("twenty lines", || told() == 20);
        client.shutdown(LONG).unwrap();
        assert_eq!(told(), 20);
    });
}

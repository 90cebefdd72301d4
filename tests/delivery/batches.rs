//! Batches by count, by bytes and by age.

use crate::common::{assert_flawless, config, eventually, server, LONG};
use crate::{patient, posts, run, submit};
use opentelemetry_langsmith::Client;
use std::time::Duration;

#[test]
fn a_batch_has_as_many_runs_as_it_may() {
    let server = server();
    let client = Client::new(patient(&server).with_batch_runs(7)).unwrap();
    submit(&client, 20);
    client.flush(LONG).unwrap();
    let mut sizes: Vec<_> = posts(&server).iter().map(|request| request.run_ids.len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [6, 7, 7]);
    assert_flawless(&server, 20);
    client.shutdown(LONG).unwrap();
}

#[test]
fn a_full_batch_does_not_wait_until_it_is_due() {
    let server = server();
    let config = patient(&server).with_batch_runs(7).with_flush_interval(Duration::from_secs(3600));
    let client = Client::new(config).unwrap();
    submit(&client, 20);
    assert!(server.wait_for_runs(14, LONG));
    client.shutdown(LONG).unwrap();
    assert_flawless(&server, 20);
}

#[test]
fn a_batch_has_as_many_bytes_as_it_may() {
    let server = server();
    let client = Client::new(patient(&server).with_batch_bytes(10_000)).unwrap();
    for number in 0..10 {
        client.submit(run(number.to_string(), 3000)).unwrap();
    }
    client.flush(LONG).unwrap();
    let posts = posts(&server);
    assert!(posts.len() >= 4, "{} requests", posts.len());
    for request in &posts {
        assert!(request.plain.len() <= 10_000, "{} bytes", request.plain.len());
        assert!(request.run_ids.len() > 1, "as many runs as fit");
    }
    assert_flawless(&server, 10);
    client.shutdown(LONG).unwrap();
}

#[test]
fn a_batch_goes_when_it_is_old_enough() {
    let server = server();
    let client = Client::new(config(&server).with_flush_interval(Duration::from_millis(50))).unwrap();
    for number in 1..4 {
        submit(&client, 1);
        assert!(server.wait_for_runs(number, LONG));
    }
    assert_eq!(posts(&server).len(), 3);
    eventually("all are counted as sent", || client.stats().sent == 3);
    client.shutdown(LONG).unwrap();
}

#[test]
fn a_batch_does_not_go_before_it_is_old_enough() {
    let server = server();
    let client = Client::new(patient(&server)).unwrap();
    submit(&client, 5);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(server.requests().len(), 0);
    client.shutdown(LONG).unwrap();
    assert_eq!(posts(&server).len(), 1);
    assert_flawless(&server, 5);
}

/// Every time that a `Duration` can hold is a time; the longest ones mean never.
#[test]
fn times_without_end() {
    let server = server();
    let config = config(&server)
        .with_flush_interval(Duration::MAX)
        .with_held_time(Duration::MAX)
        .with_retry_deadline(Duration::MAX)
        .with_request_timeout(Duration::MAX)
        .with_retry_waits(Duration::from_millis(1), Duration::MAX);
    server.respond(opentelemetry_langsmith::testing::Fault::status(503).times(2));
    let client = Client::new(config).unwrap();
    submit(&client, 3);
    client.flush(Duration::MAX).unwrap();
    submit(&client, 3);
    client.shutdown(Duration::MAX).unwrap();
    assert_flawless(&server, 6);
}

#[test]
fn no_time_at_all() {
    let server = server();
    let client = Client::new(config(&server).with_flush_interval(Duration::ZERO)).unwrap();
    submit(&client, 3);
    assert!(server.wait_for_runs(3, LONG));
    client.shutdown(LONG).unwrap();
    assert_flawless(&server, 3);
}

#[test]
fn bodies_are_compressed_and_headers_tell_the_truth() {
    let server = server();
    let client = Client::new(config(&server).with_workspace_id("workspace-1")).unwrap();
    client.submit(run("large".into(), 100_000)).unwrap();
    client.shutdown(LONG).unwrap();
    let request = &posts(&server)[0];
    assert!(request.body.len() < 10_000 && request.plain.len() > 100_000);
    assert_eq!(request.path, "/runs/multipart");
    assert_eq!(request.header("content-encoding"), Some("zstd"));
    assert_eq!(request.header("x-tenant-id"), Some("workspace-1"));
    assert_eq!(request.header("x-api-key"), Some(crate::common::KEY));
    assert!(request.header("user-agent").unwrap().starts_with("opentelemetry-langsmith/"));
    assert_flawless(&server, 1);
}

#[test]
fn without_compression() {
    let server = server();
    let client = Client::new(config(&server).without_compression()).unwrap();
    submit(&client, 3);
    client.shutdown(LONG).unwrap();
    let request = &posts(&server)[0];
    assert_eq!(request.header("content-encoding"), None);
    assert_eq!(request.body, request.plain);
    assert_flawless(&server, 3);
}

#[test]
fn an_endpoint_below_a_path() {
    let server = server();
    for slash in ["", "/", "//"] {
        let client =
            Client::new(config(&server).with_endpoint(format!("{}/api/v1{slash}", server.endpoint()))).unwrap();
        submit(&client, 1);
        client.shutdown(LONG).unwrap();
    }
    assert_flawless(&server, 3);
    assert!(posts(&server).iter().all(|request| request.path == "/api/v1/runs/multipart"));
}

//! What the server says of itself in `/info`.

use crate::common::{assert_flawless, config, eventually, in_time, server, LONG};
use crate::{patient, posts, submit};
use opentelemetry_langsmith::testing::{Fault, LocalLangSmith};
use opentelemetry_langsmith::Client;
use std::time::Duration;

fn asked(server: &LocalLangSmith) -> usize {
    server.requests().iter().filter(|request| request.path == "/info").count()
}

/// A client that has sent one run and knows what the server says.
fn informed(server: &LocalLangSmith, info: &str) -> Client {
    server.respond_info(Fault::status(200).body(info).forever());
    let client = Client::new(patient(server)).unwrap();
    submit(&client, 1);
    client.flush(LONG).unwrap();
    eventually("the server is asked", || {
        server.requests().iter().any(|request| request.path == "/info" && request.status.is_some())
    });
    // Until the answer is read. Anything sent meanwhile goes by the defaults.
    std::thread::sleep(Duration::from_millis(300));
    server.clear();
    client
}

#[test]
fn nobody_is_asked_before_there_is_something_to_send() {
    let server = server();
    let client = Client::new(config(&server)).unwrap();
    client.flush(LONG).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(server.requests().len(), 0);
    submit(&client, 1);
    client.flush(LONG).unwrap();
    eventually("the server is asked", || asked(&server) == 1);
    submit(&client, 1);
    client.shutdown(LONG).unwrap();
    assert_eq!(asked(&server), 1, "once");
}

#[test]
fn fewer_runs() {
    let server = server();
    let client = informed(&server, r#"{"batch_ingest_config":{"size_limit":10}}"#);
    submit(&client, 25);
    client.flush(LONG).unwrap();
    let mut sizes: Vec<_> = posts(&server).iter().map(|request| request.run_ids.len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [5, 10, 10]);
    assert_flawless(&server, 25);
    client.shutdown(LONG).unwrap();
}

#[test]
fn more_runs_than_configured_are_not_sent() {
    let server = server();
    server.respond_info(Fault::status(200).body(r#"{"batch_ingest_config":{"size_limit":10000}}"#).forever());
    let client = Client::new(patient(&server).with_batch_runs(10)).unwrap();
    for _ in 0..2 {
        submit(&client, 25);
        client.flush(LONG).unwrap();
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(posts(&server).iter().all(|request| request.run_ids.len() <= 10));
    client.shutdown(LONG).unwrap();
}

#[test]
fn fewer_bytes() {
    let server = server();
    let client = informed(&server, r#"{"batch_ingest_config":{"size_limit_bytes":10000}}"#);
    for number in 0..10 {
        client.submit(crate::run(number.to_string(), 3000)).unwrap();
    }
    client.flush(LONG).unwrap();
    for request in posts(&server) {
        assert!(request.plain.len() <= 10_000, "{} bytes", request.plain.len());
    }
    assert_flawless(&server, 10);
    client.shutdown(LONG).unwrap();
}

#[test]
fn no_multipart_and_no_compression() {
    let server = server();
    let client = informed(&server, r#"{"batch_ingest_config":{"use_multipart_endpoint":false}}"#);
    submit(&client, 3);
    client.flush(LONG).unwrap();
    assert_eq!(posts(&server)[0].path, "/runs/batch");
    assert_flawless(&server, 3);
    client.shutdown(LONG).unwrap();

    let client = informed(&server, r#"{"instance_flags":{"zstd_compression_enabled":false}}"#);
    submit(&client, 3);
    client.flush(LONG).unwrap();
    assert_eq!(posts(&server)[0].header("content-encoding"), None);
    assert_flawless(&server, 3);
    client.shutdown(LONG).unwrap();
}

#[test]
fn odd_answers_change_nothing() {
    for info in [
        "",
        "null",
        "[]",
        "{",
        "{}",
        "\u{0}",
        r#"{"batch_ingest_config":null,"instance_flags":null}"#,
        r#"{"batch_ingest_config":{"size_limit":0,"size_limit_bytes":0}}"#,
        r#"{"batch_ingest_config":{"size_limit":-1,"size_limit_bytes":-1}}"#,
        r#"{"batch_ingest_config":{"size_limit":"many","size_limit_bytes":1e99}}"#,
        r#"{"batch_ingest_config":{"size_limit":99999999999999999999}}"#,
        r#"{"batch_ingest_config":[],"instance_flags":{"zstd_compression_enabled":"perhaps"}}"#,
    ] {
        let server = server();
        let client = informed(&server, info);
        submit(&client, 25);
        client.flush(LONG).unwrap();
        assert_eq!(posts(&server).len(), 1, "{info}");
        assert_flawless(&server, 25);
        client.shutdown(LONG).unwrap();
    }
}

#[test]
fn no_answer_delays_nothing() {
    for fault in
        [Fault::ok().delay(2 * LONG), Fault::status(500), Fault::close_before_answer(), Fault::reset_before_body()]
    {
        in_time(move || {
            let server = server();
            server.respond_info(fault.forever());
            let client = Client::new(patient(&server)).unwrap();
            for number in 1..4 {
                submit(&client, 10);
                client.flush(LONG / 2).unwrap();
                assert_eq!(server.received(), 10 * number);
            }
            let start = std::time::Instant::now();
            client.shutdown(LONG).unwrap();
            assert!(start.elapsed() < Duration::from_secs(4), "{:?}: nobody waits for it", start.elapsed());
            assert_flawless(&server, 30);
        });
    }
}

//! Files that look like the end of their part and the beginning of another run. Whoever writes them knows all bodies that
//! were sent before, and none helps to write into the next one.

use crate::common::{self, assert_flawless, config, patient, posts, rfc2046, server, span, with, LONG};
use base64::prelude::{Engine, BASE64_STANDARD};
use opentelemetry_langsmith::testing::{run_of, Fault, LocalLangSmith};
use opentelemetry_langsmith::{Client, Config};
use opentelemetry_sdk::trace::SpanData;
use serde_json::json;

/// The boundary of all bodies in earlier versions.
const OF_OLD: &str = "langsmith-5f1d3a9c7e";
const ATTACKER: &str = "01a1fdfb-e3c9-79f7-a69d-8d6a1406ab33";

/// A file with a run of somebody else's in it, for each boundary that he knows.
fn forged(boundaries: &[String]) -> Vec<u8> {
    let run = json!({
        "id": ATTACKER, "trace_id": ATTACKER, "dotted_order": format!("20261121T120145929650Z{ATTACKER}"),
        "name": "forged", "run_type": "chain", "start_time": "2026-11-21T12:01:45.929650Z",
        "end_time": "2026-11-21T12:01:45.929650Z", "session_name": "the attacker's", "status": "success",
    });
    let run = run.to_string();
    let each = boundaries.iter().map(|boundary| {
        format!(
            "\r\n--{boundary}\r\nContent-Disposition: form-data; name=\"post.{ATTACKER}\"\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{run}\r\n--{boundary}--\r\n",
            run.len()
        )
    });
    std::iter::once("harmless".to_owned()).chain(each).collect::<String>().into_bytes()
}

fn with_file(id: u64, content: &[u8]) -> SpanData {
    let file = json!([{"name": "file", "mime_type": "text/plain", "content": BASE64_STANDARD.encode(content)}]);
    with(span(id.into(), id, 0), "langsmith.attachments", file.to_string())
}

/// The boundaries of all bodies that came.
fn known(server: &LocalLangSmith) -> Vec<String> {
    let requests = posts(server);
    let types = requests.iter().filter_map(|request| request.header("content-type"));
    let boundaries = types.filter(|content_type| content_type.starts_with("multipart/")).map(rfc2046::boundary);
    boundaries.map(str::to_owned).chain([OF_OLD.to_owned()]).collect()
}

/// Sends so many runs, one after the other, each with a file that knows all bodies before it.
fn attack(client: &Client, server: &LocalLangSmith, runs: u64, flush: impl Fn(&Client)) {
    for id in 1..=runs {
        client.submit(run_of(&with_file(id, &forged(&known(server))))).unwrap();
        flush(client);
    }
}

/// All runs came with their files whole, and none besides.
fn assert_harmless(server: &LocalLangSmith, runs: usize) {
    assert_flawless(server, runs);
    assert!(server.run("forged").is_none());
    for run in server.runs() {
        assert!(run.attachments["file"].bytes.starts_with(b"harmless"), "{run:?}");
    }
}

fn flush(client: &Client) {
    client.flush(LONG).unwrap();
}

#[test]
fn a_file_is_no_run() {
    for change in [Config::without_compression, |config| config] {
        let server = server();
        let client = Client::new(change(patient(&server))).unwrap();
        attack(&client, &server, 4, flush);
        client.shutdown(LONG).unwrap();
        assert_harmless(&server, 4);
    }
}

/// A run that did not fit the batch before it goes into a body of its own.
#[test]
fn nor_where_batches_are_full() {
    let server = server();
    let client = Client::new(patient(&server).with_batch_bytes(65_536)).unwrap();
    let large = [&b"x".repeat(40_000)[..], &forged(&[OF_OLD.to_owned()])].concat();
    for id in 1..=5 {
        client.submit(run_of(&with_file(id, &large))).unwrap();
    }
    client.shutdown(LONG).unwrap();
    assert_flawless(&server, 5);
    assert_eq!(posts(&server).len(), 5);
}

/// What is split, cut, sent without compression, or to `/runs/batch`, is written anew.
#[test]
fn nor_where_the_server_is_difficult() {
    for status in [400, 404, 413, 415] {
        let server = server();
        server.respond(Fault::status(status));
        let client = Client::new(patient(&server)).unwrap();
        for id in 1..=2 {
            client.submit(run_of(&with_file(id, &forged(&known(&server))))).unwrap();
        }
        client.shutdown(LONG).unwrap();
        assert_flawless(&server, 2);
    }
}

fn spool() -> std::path::PathBuf {
    std::env::temp_dir().join(format!("forged-{}", uuid::Uuid::new_v4().simple()))
}

/// Whoever can read the files that were kept has no use of it either.
#[test]
fn nor_by_way_of_the_disk() {
    let directory = spool();
    let server = server();
    server.respond(Fault::status(503).forever());
    let waits = |config: Config| config.with_spool_dir(&directory).with_retry_deadline(std::time::Duration::ZERO);
    let client = Client::new(waits(config(&server))).unwrap();
    attack(&client, &server, 3, flush);
    client.shutdown(LONG).unwrap();
    assert_eq!(client.stats().spooled, 3);
    server.respond([]);
    let client = Client::new(waits(config(&server))).unwrap();
    common::eventually("the files are gone", || client.spool().waiting == 0);
    client.shutdown(LONG).unwrap();
    std::fs::remove_dir_all(directory).unwrap();
    assert_harmless(&server, 3);
}

/// As an earlier version wrote it: with the one boundary of all bodies, and whatever is in the file.
fn of_old(compressed: bool, content: &[u8]) -> (String, Vec<u8>) {
    let id = "01a1fdfb-e3c9-79f7-a69d-8d6a1406ab34";
    let run = json!({
        "id": id, "trace_id": id, "dotted_order": format!("20261121T120145929650Z{id}"), "name": "old",
        "run_type": "chain", "start_time": "2026-11-21T12:01:45.929650Z", "session_name": "default",
        "end_time": "2026-11-21T12:01:45.929650Z", "status": "success",
    });
    let mut body = Vec::new();
    for (name, content_type, content) in [
        (format!("post.{id}"), "application/json", run.to_string().as_bytes()),
        (format!("attachment.{id}.file"), "text/plain", content),
    ] {
        let head = format!(
            "--{OF_OLD}\r\nContent-Disposition: form-data; name=\"{name}\"\r\nContent-Type: {content_type}\r\n\
             Content-Length: {}\r\n\r\n",
            content.len()
        );
        body.extend_from_slice(&[head.as_bytes(), content, b"\r\n"].concat());
    }
    body.extend_from_slice(format!("--{OF_OLD}--\r\n").as_bytes());
    let mut headers = json!({"Content-Type": format!("multipart/form-data; boundary={OF_OLD}")});
    if compressed {
        headers["Content-Encoding"] = "zstd".into();
        body = zstd::encode_all(&body[..], 1).unwrap();
    }
    let base64 = BASE64_STANDARD.encode(&body);
    let file = json!({"version": 1, "endpoint": "runs/multipart", "headers": headers, "body_base64": base64});
    (file.to_string(), body)
}

#[test]
fn files_of_earlier_versions_are_delivered_and_forge_nothing() {
    for (compressed, content) in [true, false].into_iter().flat_map(|compressed| {
        [b"harmless".to_vec(), forged(&[OF_OLD.to_owned()])].map(|content| (compressed, content))
    }) {
        let (server, directory) = (server(), spool());
        std::fs::create_dir(&directory).unwrap();
        let (file, body) = of_old(compressed, &content);
        std::fs::write(directory.join("trace_1795262509.010235_661579c4.json"), file).unwrap();
        let client = Client::new(config(&server).with_spool_dir(&directory)).unwrap();
        common::eventually("the file is gone", || client.spool().waiting == 0);
        client.shutdown(LONG).unwrap();
        assert_eq!((client.spool().delivered_runs, client.spool().rejected), (1, 0));
        std::fs::remove_dir_all(directory).unwrap();
        assert_harmless(&server, 1);
        assert_eq!(*server.runs()[0].attachments["file"].bytes, *content);
        // It is written anew only where it would be misread.
        assert_eq!(*posts(&server)[0].body == *body, content == b"harmless");
    }
}

/// A part's head is one line after the other, whatever a file is called and of whatever type it is.
#[test]
fn names_and_types_of_files_stay_within_their_header() {
    let odd = [
        "\"; name=\"post.1",
        "a\r\nX: y",
        "a\\",
        "\\\"",
        "a;b",
        "a\"\r\n\r\n",
        "é",
        "名前",
        "\u{85}\u{2028}",
        "\0\u{7f}",
        "%22",
        "=?utf-8?q?a?=",
        "a.b.c",
        "text/plain\r\nContent-Length: 1",
        "text/plain; length=1",
        "text/plain;LENGTH=1",
        "multipart/mixed; boundary=x",
        "text/plain; charset=\"a",
        "text/pl\\ain",
    ];
    let server = server();
    let client = Client::new(config(&server)).unwrap();
    for (id, odd) in (1..).zip(odd) {
        let file = json!([{"name": odd, "mime_type": odd, "content": "aGFybWxlc3M="}]);
        let span = with(span(id.into(), id, 0), "langsmith.attachments", file.to_string());
        client.submit(run_of(&span)).unwrap();
    }
    client.shutdown(LONG).unwrap();
    assert_flawless(&server, odd.len());
    for run in server.runs() {
        assert!(run.attachments.values().all(|file| *file.bytes == *b"harmless"), "{run:?}");
        assert!(run.attachments.values().all(|file| !file.content_type.contains("ength")), "{run:?}");
    }
}

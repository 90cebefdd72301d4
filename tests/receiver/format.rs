//! What is wrong with bodies rather than with runs.

use opentelemetry_langsmith::testing::LocalLangSmith;
use serde_json::json;

use crate::client::{content_type, post, root, run_id, send, send_json, send_parts, Parts, BOUNDARY};

fn multipart(local: &LocalLangSmith, headers: &[(&str, &str)], body: &[u8]) -> u16 {
    let content_type = content_type();
    let mut all = vec![("Content-Type", &content_type[..])];
    all.extend(headers);
    send(local, "POST", "/runs/multipart", &all, body).unwrap().0
}

#[track_caller]
fn assert_told(local: &LocalLangSmith, words: &str) {
    let violations = local.violations();
    assert!(violations.iter().any(|said| said.contains(words)), "{words}: {violations:?}");
}

#[test]
fn an_uncompressed_body_is_as_good() {
    let local = LocalLangSmith::start().unwrap();
    assert_eq!(multipart(&local, &[], &post(&root(0)).finish()), 202);
    assert_eq!(local.violations(), Vec::<String>::new());
    let request = &local.requests()[0];
    assert_eq!(request.body, request.plain);
}

/// Headers, body, and words of the complaint.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a [u8], &'a str);

#[test]
fn bodies_that_cannot_be_read_are_refused() {
    let good = post(&root(0)).finish();
    let cases: [Case; 5] = [
        (&[("Content-Encoding", "zstd")], &good, "not valid zstd"),
        (&[("Content-Encoding", "br")], &good, "\"br\" is not understood"),
        (&[], &good[..good.len() - 30], "not valid multipart"),
        (&[], b"", "not valid multipart"),
        (&[], b"--5f0c3e1b2a\r\nno header\r\n\r\n", "not valid multipart"),
    ];
    for (headers, body, words) in cases {
        let local = LocalLangSmith::start().unwrap();
        assert_eq!(multipart(&local, headers, body), 400, "{words}");
        assert_told(&local, words);
        assert_eq!(local.received(), 0);
        assert_eq!(local.requests()[0].status, Some(400));
    }
}

#[test]
fn parts_that_cannot_be_read_are_refused() {
    let id = run_id(0);
    let cases = [
        (format!("post.{id}"), "{\"id\":", "not valid JSON"),
        (format!("post.{id}"), "[]", "not a JSON object"),
        (format!("post.{id}.inputs"), "{\"x\":NaN}", "not valid JSON"),
        ("post.7".to_owned(), "{}", "says nothing"),
        (format!("put.{id}"), "{}", "says nothing"),
    ];
    for (name, body, words) in cases {
        let local = LocalLangSmith::start().unwrap();
        let parts = Parts::default().part(&name, "application/json", body.as_bytes());
        assert_eq!(send_parts(&local, parts).unwrap(), 400, "{words}");
        assert_told(&local, words);
        assert_told(&local, &name);
    }
}

#[test]
fn content_type_without_a_boundary() {
    let local = LocalLangSmith::start().unwrap();
    let headers = [("Content-Type", "multipart/form-data")];
    let body = post(&root(0)).finish();
    let (status, answer) = send(&local, "POST", "/runs/multipart", &headers, &body).unwrap();
    assert_eq!(status, 400);
    assert!(answer.contains("will not do"), "{answer}");
    assert_told(&local, "will not do");
}

#[test]
fn part_headers_are_checked() {
    let json = "Content-Type: application/json\r\n";
    let cases = [
        (format!("{json}Content-Length: 9\r\n"), "claims a length of 9 but has 7 bytes"),
        (json.to_owned(), "does not tell its length"),
        ("Content-Length: 7\r\n".to_owned(), "has no Content-Type"),
        ("Content-Type: text/plain\r\nContent-Length: 7\r\n".to_owned(), "not application/json"),
        ("Content-Type: application/json; length=8\r\n".to_owned(), "claims a length of 8"),
    ];
    for (headers, words) in cases {
        let local = LocalLangSmith::start().unwrap();
        let mut run = root(0);
        run.as_object_mut().unwrap().remove("inputs");
        let name = format!("post.{}.inputs", run_id(0));
        let parts = post(&run).raw(&name, &headers, br#"{"a":1}"#);
        assert_eq!(send_parts(&local, parts).unwrap(), 202);
        assert_told(&local, words);
        assert_told(&local, &name);
        assert_eq!(local.violations().len(), 1, "{local:?}");
    }
}

/// As any server's reader does. Where a length says otherwise, that is told.
#[test]
fn the_boundary_ends_a_part_and_its_length_does_not() {
    let forged = post(&root(1)).finish();
    for (content, runs, words) in [
        ([&b"text\r\n"[..], &forged].concat(), 2, "claims a length of"),
        (format!("text\r\n--{BOUNDARY}--\r\n").into_bytes(), 1, "claims a length of"),
        (format!("text--{BOUNDARY}--").into_bytes(), 1, ""),
    ] {
        let local = LocalLangSmith::start().unwrap();
        let headers = format!("Content-Type: text/plain\r\nContent-Length: {}\r\n", content.len());
        let name = format!("attachment.{}.file", run_id(0));
        let _ = send_parts(&local, post(&root(0)).raw(&name, &headers, &content));
        assert_eq!(local.received(), runs, "{local:?}");
        if words.is_empty() {
            assert_eq!(local.violations(), Vec::<String>::new());
        } else {
            assert_told(&local, words);
        }
    }
}

#[test]
fn a_length_in_the_content_type_will_do() {
    let local = LocalLangSmith::start().unwrap();
    let name = format!("post.{}.extra", run_id(0));
    let headers = "Content-Type: application/json; length=2\r\n";
    send_parts(&local, post(&root(0)).raw(&name, headers, b"{}")).unwrap();
    assert_eq!(local.violations(), Vec::<String>::new());
}

#[test]
fn sizes_in_the_headers_are_checked() {
    for header in ["X-Pre-Compressed-Size", "X-Post-Compressed-Size"] {
        let local = LocalLangSmith::start().unwrap();
        multipart(&local, &[(header, "5")], &post(&root(0)).finish());
        assert_told(&local, &format!("{} says 5", header.to_lowercase()));
    }
}

#[test]
fn the_size_may_count_what_is_in_the_parts_alone() {
    let mut run = root(0);
    run["inputs"] = json!({});
    run.as_object_mut().unwrap().remove("outputs");
    let mut main = run.clone();
    main.as_object_mut().unwrap().remove("inputs");
    let size = (main.to_string().len() + "{}".len()).to_string();
    let local = LocalLangSmith::start().unwrap();
    multipart(&local, &[("X-Pre-Compressed-Size", &size)], &post(&run).finish());
    assert_eq!(local.violations(), Vec::<String>::new());
}

#[test]
fn order_and_choice_of_parts() {
    let id = run_id(0);
    let main = |parts: Parts| parts.json(&format!("post.{id}"), &bare());
    let none = Parts::default;
    let cases = [
        (main(none().json(&format!("post.{id}.inputs"), &json!({}))), "no main part before it"),
        (main(none().part(&format!("attachment.{id}.a"), "text/plain", b"")), "no main part before"),
        (main(none()).json(&format!("post.{id}.inputs"), &json!(null)), "null instead of absent"),
        (main(none()).json(&format!("post.{id}.tags"), &json!([])), "a field that has no part"),
        (main(main(none())), "comes twice"),
        (none().json(&format!("post.{id}"), &root(0)), "goes in a part of its own"),
    ];
    for (parts, words) in cases {
        let local = LocalLangSmith::start().unwrap();
        assert_eq!(send_parts(&local, parts).unwrap() / 100 % 2, 0);
        assert_told(&local, words);
    }
}

fn bare() -> serde_json::Value {
    let mut run = root(0);
    let fields = run.as_object_mut().unwrap();
    fields.remove("inputs");
    fields.remove("outputs");
    run
}

#[test]
fn the_frame_of_the_body() {
    let good = post(&root(0)).finish();
    let local = LocalLangSmith::start().unwrap();
    multipart(&local, &[], &good[..good.len() - 2]);
    assert_told(&local, "does not end with");
    let local = LocalLangSmith::start().unwrap();
    multipart(&local, &[], &[b"hello\r\n", &good[..]].concat());
    assert_told(&local, "does not begin with");
}

#[test]
fn attachments_keep_their_bytes_and_have_no_dot() {
    let local = LocalLangSmith::start().unwrap();
    let id = run_id(0);
    let bytes = [0, 1, 13, 10, 255, b'-', b'-'];
    let parts = post(&root(0)).part(&format!("attachment.{id}.cat %22x%22"), "image/png", &bytes);
    send_parts(&local, parts).unwrap();
    assert_eq!(local.violations(), Vec::<String>::new());
    let run = local.run("run 0").unwrap();
    let attachment = &run.attachments["cat \"x\""];
    assert_eq!(attachment.content_type, "image/png");
    assert_eq!(attachment.bytes[..], bytes);

    let local = LocalLangSmith::start().unwrap();
    let parts = post(&root(0)).part(&format!("attachment.{id}.cat.png"), "image/png", &bytes);
    send_parts(&local, parts).unwrap();
    assert_told(&local, "\"cat.png\" has a '.' in it");
}

#[test]
fn bad_batches_are_refused() {
    for (body, words) in [
        (json!([]), "not a JSON object"),
        (json!({"post": 1}), "not an array of runs"),
        (json!({"post": [1]}), "not a JSON object"),
        (json!({"post": [{"name": "x"}]}), "no UUID for an id"),
    ] {
        let local = LocalLangSmith::start().unwrap();
        let status = send_json(&local, "POST", "/runs/batch", &body).unwrap();
        assert_eq!(status, 400, "{words}");
        assert_told(&local, words);
    }
    let local = LocalLangSmith::start().unwrap();
    send_json(&local, "POST", "/runs/batch", &json!({"posts": []})).unwrap();
    assert_told(&local, "beside post and patch");
}

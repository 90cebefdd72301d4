//! The steps of a span's road that can be gone one by one come to what the whole road comes to.

mod common;

use common::{assert_flawless, config, run_of as received_run_of, server, span, wait_for, with, LONG};
use opentelemetry_langsmith::testing::{body_of, run_of};
use opentelemetry_langsmith::{Client, Run, RunType};
use opentelemetry_sdk::trace::SpanData;
use serde_json::Value;

fn chat(id: u64, parent: u64) -> SpanData {
    let span = with(span(0x7ace, id, parent), "gen_ai.operation.name", "chat");
    let span = with(span, "gen_ai.request.model", "gpt-4o-mini");
    let span = with(span, "gen_ai.usage.input_tokens", 12);
    with(
        span,
        "gen_ai.input.messages",
        r#"[{"role":"user","parts":[{"type":"text","content":"Where to?"}]},{"role":"user","parts":[]}]"#,
    )
}

fn json(text: &opentelemetry_langsmith::Json) -> Value {
    serde_json::from_str(text.as_str()).expect("it is JSON")
}

#[test]
fn the_run_is_what_the_exporter_sends() {
    // The parent never comes, so that it stands alone there too.
    let span = chat(2, 1);
    let received = received_run_of(span.clone());
    for _ in 0..2 {
        let run = run_of(&span);
        assert_eq!(run.run_type(), RunType::Llm);
        assert_eq!(run.dotted_order().as_str(), received.dotted_order);
        assert_eq!((run.name(), run.parent_id()), (&*received.name, None));
        assert_eq!(run.inputs().map(json), received.inputs);
        assert_eq!(run.outputs().map(json), received.outputs);
        for name in ["ls_model_name", "usage_metadata", "OTEL_PARENT_SPAN_ID"] {
            let value = run.metadata(name).map(|text| serde_json::from_str(text).expect("it is JSON"));
            assert!(value.is_some(), "{name} is missing");
            assert_eq!(value.as_ref(), received.metadata(name), "{name}");
        }
    }
}

#[test]
fn the_body_is_what_the_client_sends() {
    let runs: Vec<Run> = (1..=3).map(|id| run_of(&chat(id, 0))).collect();
    let by_client = server();
    let client = Client::new(config(&by_client)).unwrap();
    for run in &runs {
        client.submit(run.clone()).unwrap();
    }
    client.shutdown(LONG).unwrap();

    let by_hand = server();
    // The memory of one call is used in the next one, and nothing but the memory.
    for _ in 0..2 {
        let body = body_of(&runs);
        let raw = zstd::decode_all(&body[..]).expect("it is zstd");
        let first_line = raw.split(|byte| *byte == b'\r').next().expect("there is one");
        let boundary = std::str::from_utf8(first_line).unwrap().strip_prefix("--").expect("two dashes");
        by_hand.clear();
        let request = reqwest::Client::new()
            .post(format!("{}/runs/multipart", by_hand.endpoint()))
            .header("x-api-key", common::KEY)
            .header("content-type", format!("multipart/form-data; boundary={boundary}"))
            .header("content-encoding", "zstd")
            .body(body);
        let status = wait_for(async { request.send().await.map(|response| response.status().as_u16()) });
        assert_eq!(status.unwrap(), 202);
        assert_flawless(&by_hand, 3);
        assert_eq!(by_hand.runs(), by_client.runs());
    }
}

#[test]
fn a_run_that_is_too_large_is_cut_in_the_body_as_well() {
    let span = with(span(1, 1, 0), "input.value", "x".repeat(21 << 20));
    let raw = zstd::decode_all(&body_of(&[run_of(&span)])[..]).expect("it is zstd");
    assert!(raw.len() < 20 << 20, "{} bytes", raw.len());
}

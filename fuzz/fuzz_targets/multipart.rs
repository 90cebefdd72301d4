//! Runs of any content, and files that look like parts of a body: whoever reads the body by its boundary finds what was
//! written, and nothing else.
#![no_main]

#[path = "../../tests/common/rfc2046.rs"]
#[allow(dead_code)]
mod rfc2046;

use base64::prelude::{Engine, BASE64_STANDARD};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_langsmith::testing::{body_of, run_of};
use opentelemetry_langsmith::Run;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use std::cell::RefCell;
use std::time::{Duration, UNIX_EPOCH};

#[derive(Arbitrary, Debug)]
struct AnyRun {
    name: String,
    input: String,
    error: Option<String>,
    files: Vec<(String, String, Vec<Piece>)>,
}

/// Of what files consist.
#[derive(Arbitrary, Debug)]
enum Piece {
    Bytes(Vec<u8>),
    /// The boundary of the body before this one, as it stands between two parts.
    Boundary,
    End,
    Head(String),
    LineEnd,
}

thread_local! {
    static BEFORE: RefCell<String> = RefCell::new("langsmith-5f1d3a9c7e".into());
}

fn content(pieces: &[Piece]) -> Vec<u8> {
    let before = BEFORE.with_borrow(String::clone);
    let bytes = |piece: &Piece| match piece {
        Piece::Bytes(bytes) => bytes.clone(),
        Piece::Boundary => format!("\r\n--{before}\r\n").into_bytes(),
        Piece::End => format!("\r\n--{before}--\r\n").into_bytes(),
        Piece::Head(name) => format!("Content-Disposition: form-data; name=\"{name}\"\r\n\r\n").into_bytes(),
        Piece::LineEnd => b"\r\n".to_vec(),
    };
    pieces.iter().flat_map(bytes).collect()
}

fn run(number: u64, any: &AnyRun) -> Run {
    let files = any.files.iter().map(|(name, mime_type, pieces)| {
        let content = BASE64_STANDARD.encode(content(pieces));
        serde_json::json!({"name": name, "mime_type": mime_type, "content": content})
    });
    let files = serde_json::to_string(&files.collect::<Vec<_>>()).expect("it can be written");
    run_of(&SpanData {
        span_context: SpanContext::new(
            TraceId::from(u128::from(number)), SpanId::from(number), TraceFlags::SAMPLED, false, TraceState::NONE,
        ),
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: any.name.clone().into(),
        start_time: UNIX_EPOCH + Duration::from_secs(1_795_000_000),
        end_time: UNIX_EPOCH + Duration::from_secs(1_795_000_001),
        attributes: vec![KeyValue::new("input.value", any.input.clone()), KeyValue::new("langsmith.attachments", files)],
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: any.error.clone().map_or(Status::Unset, Status::error),
        instrumentation_scope: InstrumentationScope::builder("fuzz").build(),
    })
}

fuzz_target!(|any: Vec<AnyRun>| {
    if any.is_empty() {
        return;
    }
    let runs: Vec<Run> = (1..).zip(&any).map(|(number, any)| run(number, any)).collect();
    let files: usize = runs.iter().map(|run| run.attachments().count()).sum();
    let raw = zstd::decode_all(&body_of(&runs)[..]).expect("it is zstd");
    let line_end = raw.windows(2).position(|bytes| bytes == b"\r\n").expect("it has lines");
    let boundary = std::str::from_utf8(&raw[2..line_end]).expect("a boundary is text");
    let parts = rfc2046::parts(&format!("multipart/form-data; boundary={boundary}"), &raw);

    let mut mains = Vec::new();
    let mut attachments = Vec::new();
    for part in &parts {
        assert_eq!(part.header("content-length"), Some(&*part.content.len().to_string()), "{}", part.name());
        assert_eq!(part.headers.len(), 3, "{:?}", part.headers);
        match part.name().splitn(3, '.').collect::<Vec<_>>()[..] {
            ["post", id] => mains.push(id),
            ["post", id, "inputs" | "outputs" | "events" | "extra" | "error"] => assert_eq!(mains.last(), Some(&id)),
            ["attachment", id, _] => {
                assert_eq!(mains.last(), Some(&id));
                attachments.push(part.content);
            }
            _ => panic!("a part is called {}", part.name()),
        }
        if part.header("content-type") == Some("application/json") && !part.name().starts_with("attachment.") {
            serde_json::from_slice::<serde_json::Value>(part.content).expect("it is JSON");
        }
    }
    let ids: Vec<String> = runs.iter().map(|run| run.id().to_string()).collect();
    assert_eq!(mains, ids);
    let expected: Vec<Vec<u8>> = any.iter().flat_map(|run| run.files.iter().map(|file| content(&file.2))).collect();
    assert_eq!(attachments.len(), files);
    if files == expected.len() {
        assert_eq!(attachments, expected);
    }
    BEFORE.with_borrow_mut(|before| boundary.clone_into(before));
});

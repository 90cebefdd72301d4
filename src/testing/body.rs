//! From a request's bytes to operations.

use axum::body::Bytes;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::multipart;
use super::operation::{Feedback, Operation, Route, Verb};

/// Where an ingest request went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Multipart,
    Batch,
    CreateRun,
    UpdateRun(Uuid),
}

/// What a body says.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    pub(super) operations: Vec<Operation>,
    pub(super) feedback: Vec<Feedback>,
    /// What is wrong with the body although it could be read; each the end of a sentence about it.
    pub(super) complaints: Vec<String>,
    /// The bytes inside the parts; of a JSON body all its bytes.
    pub(super) content_bytes: usize,
}

/// Undoes the `Content-Encoding`; the error is a sentence's end.
pub(super) fn decompress(headers: &HeaderMap, body: &Bytes) -> Result<Bytes, String> {
    let encoding = headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes);
    match encoding {
        None | Some(b"" | b"identity") => Ok(body.clone()),
        Some(b"zstd") => zstd::stream::decode_all(&body[..])
            .map(Bytes::from)
            .map_err(|fault| format!("the body is not valid zstd: {fault}")),
        Some(other) => Err(format!("Content-Encoding {:?} is not understood here", String::from_utf8_lossy(other))),
    }
}

/// Reads the operations out of an uncompressed body; the error is a sentence's end.
pub(super) async fn decode(
    target: Target,
    headers: &HeaderMap,
    body: &Bytes,
    plain: &Bytes,
) -> Result<Decoded, String> {
    let mut decoded = match target {
        Target::Multipart => {
            let content_type = text_header(headers, CONTENT_TYPE.as_str()).unwrap_or_default();
            multipart::decode(content_type, plain).await?
        }
        Target::Batch => batch(plain)?,
        Target::CreateRun => {
            let run = object(json(plain)?, "the body")?;
            single(run_of(Verb::Post, Route::Single, run)?)
        }
        Target::UpdateRun(id) => {
            let run = object(json(plain)?, "the body")?;
            single(Operation::new(Verb::Patch, Route::Single, id, run))
        }
    };
    // Both official SDKs count what stands in the parts and leave out their headers and boundaries,
    // so either way of counting will do as long as it is exact.
    for (header, sizes) in [
        ("x-pre-compressed-size", &[plain.len(), decoded.content_bytes][..]),
        ("x-post-compressed-size", &[body.len()]),
    ] {
        let Some(claimed) = text_header(headers, header) else { continue };
        if !sizes.iter().any(|size| size.to_string() == claimed) {
            decoded.complaints.push(format!("{header} says {claimed}, but it is {} bytes", sizes[0]));
        }
    }
    Ok(decoded)
}

fn text_header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn batch(plain: &[u8]) -> Result<Decoded, String> {
    let mut body = object(json(plain)?, "the body")?;
    let mut operations = Vec::new();
    for (key, verb) in [("post", Verb::Post), ("patch", Verb::Patch)] {
        match body.remove(key) {
            None | Some(Value::Null) => {}
            Some(Value::Array(runs)) => {
                for run in runs {
                    let run = object(run, key)?;
                    operations.push(run_of(verb, Route::Batch, run)?);
                }
            }
            Some(_) => return Err(format!("{key} is not an array of runs")),
        }
    }
    let complaints = body.keys().map(|key| format!("{key:?} stands beside post and patch")).collect();
    Ok(Decoded { operations, complaints, content_bytes: plain.len(), ..Decoded::default() })
}

fn single(operation: Operation) -> Decoded {
    Decoded { operations: vec![operation], ..Decoded::default() }
}

fn run_of(verb: Verb, route: Route, run: Map<String, Value>) -> Result<Operation, String> {
    let id = run
        .get("id")
        .and_then(Value::as_str)
        .and_then(|id| Uuid::try_parse(id).ok())
        .ok_or_else(|| format!("a run in it has no UUID for an id: {:?}", run.get("id")))?;
    Ok(Operation::new(verb, route, id, run))
}

fn json(bytes: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(bytes).map_err(|fault| format!("the body is not valid JSON: {fault}"))
}

fn object(value: Value, what: &str) -> Result<Map<String, Value>, String> {
    match value {
        Value::Object(map) => Ok(map),
        _ => Err(format!("{what} is not or holds something that is not a JSON object")),
    }
}

//! A client of a few lines that sends exactly the bytes it is told, right or wrong.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::TcpStream;

use chrono::{DateTime, TimeDelta, Utc};
use opentelemetry_langsmith::testing::LocalLangSmith;
use serde_json::{json, Value};
use uuid::Uuid;

pub(crate) const BOUNDARY: &str = "5f0c3e1b2a";

/// The fields that have parts of their own, in the order they are sent.
const PART_FIELDS: [&str; 6] = ["inputs", "outputs", "events", "extra", "error", "serialized"];

/// Sends one request and gives back the status; an error if the connection ended without an answer.
pub(crate) fn send(
    local: &LocalLangSmith,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<(u16, String)> {
    let address = local.endpoint().replace("http://", "");
    let mut stream = TcpStream::connect(&address)?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    write!(head, "Content-Length: {}\r\n", body.len()).map_err(io::Error::other)?;
    for (name, value) in headers {
        write!(head, "{name}: {value}\r\n").map_err(io::Error::other)?;
    }
    head += "\r\n";
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok((status, answer))
}

/// Posts a multipart body, compressed and with its sizes told.
pub(crate) fn send_parts(local: &LocalLangSmith, parts: Parts) -> io::Result<u16> {
    let plain = parts.finish();
    let body = zstd::encode_all(&plain[..], 1)?;
    let headers = [
        ("Content-Type", content_type()),
        ("Content-Encoding", "zstd".to_owned()),
        ("X-Pre-Compressed-Size", plain.len().to_string()),
        ("X-Post-Compressed-Size", body.len().to_string()),
    ];
    let headers = headers.each_ref().map(|(name, value)| (*name, &value[..]));
    let (status, _) = send(local, "POST", "/runs/multipart", &headers, &body)?;
    Ok(status)
}

pub(crate) fn send_json(local: &LocalLangSmith, method: &str, path: &str, body: &Value) -> io::Result<u16> {
    let headers = [("Content-Type", "application/json")];
    let (status, _) = send(local, method, path, &headers, body.to_string().as_bytes())?;
    Ok(status)
}

pub(crate) fn content_type() -> String {
    format!("multipart/form-data; boundary={BOUNDARY}")
}

/// A multipart body in the making.
#[derive(Default)]
pub(crate) struct Parts(Vec<u8>);

impl Parts {
    /// A run, split into its parts.
    pub(crate) fn run(mut self, verb: &str, run: &Value) -> Self {
        let id = run["id"].as_str().unwrap_or_default().to_owned();
        let mut main = run.as_object().cloned().unwrap_or_default();
        let own: Vec<_> = PART_FIELDS.iter().filter_map(|field| Some((field, main.remove(*field)?))).collect();
        self = self.json(&format!("{verb}.{id}"), &Value::Object(main));
        for (field, value) in own {
            self = self.json(&format!("{verb}.{id}.{field}"), &value);
        }
        self
    }

    pub(crate) fn json(self, name: &str, value: &Value) -> Self {
        self.part(name, "application/json", value.to_string().as_bytes())
    }

    pub(crate) fn part(self, name: &str, content_type: &str, bytes: &[u8]) -> Self {
        let headers = format!("Content-Type: {content_type}\r\nContent-Length: {}\r\n", bytes.len());
        self.raw(name, &headers, bytes)
    }

    pub(crate) fn raw(mut self, name: &str, headers: &str, bytes: &[u8]) -> Self {
        let head = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n{headers}\r\n");
        self.0.extend(head.as_bytes());
        self.0.extend(bytes);
        self.0.extend(b"\r\n");
        self
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.0.extend(format!("--{BOUNDARY}--\r\n").as_bytes());
        self.0
    }
}

pub(crate) fn post(run: &Value) -> Parts {
    Parts::default().run("post", run)
}

/// A faultless ended root that started `nth` milliseconds after a fixed time.
pub(crate) fn root(nth: u16) -> Value {
    let id = run_id(nth);
    json!({
        "id": id, "trace_id": id, "dotted_order": segment(nth, &id),
        "name": format!("run {nth}"), "run_type": "chain", "status": "success",
        "start_time": rfc3339(nth), "end_time": rfc3339(nth + 40),
        "session_name": "default", "inputs": {"q": "why"}, "outputs": {"a": "because"},
    })
}

/// A faultless ended llm run below another.
pub(crate) fn child(parent: &Value, nth: u16) -> Value {
    let mut run = root(nth);
    let above = parent["dotted_order"].as_str().unwrap_or_default();
    let own = segment(nth, run["id"].as_str().unwrap_or_default());
    run["dotted_order"] = format!("{above}.{own}").into();
    run["trace_id"] = parent["trace_id"].clone();
    run["parent_run_id"] = parent["id"].clone();
    run["run_type"] = "llm".into();
    run["end_time"] = rfc3339(nth + 10).into();
    run
}

pub(crate) fn segment(nth: u16, id: &str) -> String {
    format!("{}{id}", start(nth).format("%Y%m%dT%H%M%S%6fZ"))
}

pub(crate) fn rfc3339(nth: u16) -> String {
    start(nth).format("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string()
}

/// A version 7 UUID of that run's start.
pub(crate) fn run_id(nth: u16) -> String {
    let millis = u64::try_from(start(nth).timestamp_millis()).unwrap_or_default();
    let mut bytes = [7; 16];
    bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    bytes[14..].copy_from_slice(&nth.to_be_bytes());
    uuid::Builder::from_bytes(bytes)
        .with_version(uuid::Version::SortRand)
        .with_variant(uuid::Variant::RFC4122)
        .into_uuid()
        .to_string()
}

/// Any other id, of no time.
pub(crate) fn other_id() -> String {
    Uuid::from_u128(0x1234_5678_9abc_4def_8123_4567_89ab_cdef).to_string()
}

fn start(nth: u16) -> DateTime<Utc> {
    let base = DateTime::from_timestamp_micros(1_795_203_037_016_758).unwrap_or_default();
    base + TimeDelta::milliseconds(i64::from(nth))
}

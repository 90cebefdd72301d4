//! A run as parts of a multipart body, byte for byte as WIRE has them.

use super::boundary::Boundary;
use super::multipart::{begin_json, end_json, json_head, push_json, push_part, Head};
use crate::json::scan::plain_length;
use crate::json::{is_short_and_plain, write_string, Object};
use crate::run::{Feedback, Project, Run, RunType};
use std::fmt::Write;

/// What every run of this sender shares.
#[derive(Debug)]
pub(crate) struct Shared {
    /// `","run_type":"…","session_name":"…"`, with the name of the configured project, for each type of run.
    types: [String; RunType::ALL.len()],
    /// `"runtime":{"sdk":…,"language":"rust",…}}`: the end of `extra`, written once a process.
    runtime: String,
}

impl Shared {
    pub(crate) fn new(project: &str) -> Self {
        let mut runtime = Object::default();
        for (name, text) in [
            ("sdk", env!("CARGO_PKG_NAME")),
            ("sdk_version", env!("CARGO_PKG_VERSION")),
            ("library", env!("CARGO_PKG_NAME")),
            ("runtime", "rust"),
            ("language", "rust"),
        ] {
            runtime.insert_str(name, text);
        }
        let platform = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH);
        runtime.insert_str("platform", &platform);
        let types = RunType::ALL.map(|run_type| {
            let mut text = format!("\",\"run_type\":\"{run_type}\",\"session_name\":");
            write_string(&mut text, project);
            text
        });
        Self { types, runtime: format!("\"runtime\":{{{}}}}}", runtime.members()) }
    }
}

/// Appends the parts of `run` to `body`.
pub(crate) fn encode(run: &Run, head: Head<'_>, shared: &Shared, body: &mut Vec<u8>) {
    let id = run.dotted_order.id_text();
    push_main(run, head, shared, body);
    if let Some(inputs) = &run.inputs {
        push_json(body, head, id, json_head!(".inputs"), inputs.as_str());
    }
    if let Some(outputs) = &run.outputs {
        push_json(body, head, id, json_head!(".outputs"), outputs.as_str());
    }
    if let Some(events) = &run.events {
        push_json(body, head, id, json_head!(".events"), events.as_str());
    }
    push_extra(run, head, shared, body);
    if let Some(error) = &run.error {
        let begin = begin_json(body, head, id, json_head!(".error", "\""));
        push_escaped(body, error);
        push(body, "\"");
        end_json(body, begin);
    }
    if !(run.attachments.is_empty() && run.feedback.is_empty()) {
        push_further(run, head.boundary(), body);
    }
}

/// The parts that few runs have.
fn push_further(run: &Run, boundary: &Boundary, body: &mut Vec<u8>) {
    let (id, trace_id) = (run.id().to_string(), run.trace_id().to_string());
    for attachment in &run.attachments {
        let name = ["attachment.", &id, ".", &escape(&attachment.name)];
        push_part(body, boundary, &name, header_value(&attachment.mime_type), &attachment.content);
    }
    for (position, feedback) in run.feedback.iter().enumerate() {
        let feedback_id = Feedback::id(run.id(), position).to_string();
        let mut row = String::new();
        feedback.write_to(&mut row, &feedback_id, &id, &trace_id);
        push_part(body, boundary, &["feedback.", &feedback_id], "application/json", row.as_bytes());
    }
}

/// The run without its large fields. What is like in the part of the run before stands in a row, as far
/// as it can: the body compresses better and faster so.
fn push_main(run: &Run, head: Head<'_>, shared: &Shared, body: &mut Vec<u8>) {
    let order = &run.dotted_order;
    let begin = begin_json(body, head, order.id_text(), json_head!("", "{\"trace_id\":\""));
    body.extend_from_slice(order.trace_id_text());
    push(body, "\",\"dotted_order\":\"");
    body.extend_from_slice(order.as_bytes());
    if let Some(parent) = order.parent_id_text() {
        push(body, "\",\"parent_run_id\":\"");
        body.extend_from_slice(parent);
    }
    push(body, "\",\"id\":\"");
    body.extend_from_slice(order.id_text());
    push(body, "\",\"start_time\":\"");
    body.extend_from_slice(&run.start.rfc3339());
    if let Some(end) = run.end {
        push(body, "\",\"end_time\":\"");
        body.extend_from_slice(&end.rfc3339());
    }
    push(body, "\",\"name\":\"");
    push_escaped(body, &run.name);
    match &run.project {
        None => push(body, &shared.types[run.run_type as usize]),
        Some(project) => push_project(body, run.run_type, project),
    }
    if let Some(example) = run.reference_example_id {
        push(body, ",\"reference_example_id\":\"");
        body.extend_from_slice(&example.text());
        push(body, "\"");
    }
    if !run.tags.is_empty() {
        for (position, tag) in run.tags.iter().enumerate() {
            push(body, if position == 0 { ",\"tags\":[\"" } else { "\",\"" });
            push_escaped(body, tag);
        }
        push(body, "\"]");
    }
    match run.end {
        Some(_) if run.error.is_none() => push(body, ",\"status\":\"success\"}"),
        Some(_) => push(body, ",\"status\":\"error\"}"),
        None => push(body, "}"),
    }
    end_json(body, begin);
}

/// Appends the type and a project that is not the configured one.
fn push_project(body: &mut Vec<u8>, run_type: RunType, project: &Project) {
    push(body, "\",\"run_type\":\"");
    push(body, run_type.as_str());
    match project {
        Project::Id(id) => {
            push(body, "\",\"session_id\":\"");
            body.extend_from_slice(&id.text());
        }
        Project::Name(name) => {
            push(body, "\",\"session_name\":\"");
            push_escaped(body, name);
        }
    }
    push(body, "\"");
}

fn push_extra(run: &Run, head: Head<'_>, shared: &Shared, body: &mut Vec<u8>) {
    let extra = &run.extra;
    let begin = begin_json(body, head, run.dotted_order.id_text(), json_head!(".extra", "{"));
    push_object(body, "\"metadata\":{", &extra.metadata);
    push_object(body, "\"invocation_params\":{", &extra.invocation_params);
    push_object(body, "\"otel\":{", &extra.otel);
    push(body, &shared.runtime);
    if !extra.runtime.is_empty() {
        body.truncate(body.len() - "}}".len());
        push(body, ",");
        push(body, extra.runtime.members());
        push(body, "}}");
    }
    end_json(body, begin);
}

/// Appends an object, if it has any members, and a comma.
#[inline]
fn push_object(body: &mut Vec<u8>, name: &'static str, object: &Object) {
    if !object.is_empty() {
        push(body, name);
        push(body, object.members());
        push(body, "},");
    }
}

#[inline]
fn push(body: &mut Vec<u8>, text: &str) {
    body.extend_from_slice(text.as_bytes());
}

/// Appends what stands between the quotes of a JSON string.
fn push_escaped(body: &mut Vec<u8>, text: &str) {
    if is_short_and_plain(text) || plain_length(text.as_bytes()) == text.len() {
        push(body, text);
    } else {
        let mut escaped = String::new();
        write_string(&mut escaped, text);
        push(body, &escaped[1..escaped.len() - 1]);
    }
}

/// A type as a header can hold it. A length in it would be taken for that of the content.
fn header_value(mime_type: &str) -> &str {
    let fits = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    let tells_length = |parameter: &str| {
        let name = parameter.split('=').next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case("length")
    };
    if mime_type.trim().is_empty() || !mime_type.bytes().all(fits) || mime_type.split(';').any(tells_length) {
        "application/octet-stream"
    } else {
        mime_type
    }
}

/// What could end the name early, or the header, is percent-escaped.
fn escape(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for character in name.chars() {
        match character {
            '"' | '\\' | '\0'..='\x1f' | '\x7f' => {
                let _ = write!(escaped, "%{:02X}", u32::from(character));
            }
            _ => escaped.push(character),
        }
    }
    escaped
}

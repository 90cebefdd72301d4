//! A run as parts of a multipart body, byte for byte as WIRE has them.

use super::multipart::{begin_json, end_json, push_part};
use crate::json::scan::plain_length;
use crate::json::{write_string, Object};
use crate::run::{Feedback, Project, Run};

/// What every run of this sender shares.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The configured project's name, as a JSON string.
    project: String,
    /// `"sdk":…,"language":"rust",…`: members of `extra.runtime`, written once a process.
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
        let mut name = String::new();
        write_string(&mut name, project);
        Self { project: name, runtime: runtime.members().to_owned() }
    }
}

/// Whether a run is new or adds to one that was posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Post,
    Patch,
}

impl Operation {
    fn prefix(self) -> &'static str {
        match self {
            Self::Post => "post.",
            Self::Patch => "patch.",
        }
    }
}

/// Appends the parts of `run` to `body`.
pub(crate) fn encode(run: &Run, operation: Operation, shared: &Shared, body: &mut Vec<u8>) {
    let id = run.dotted_order.id_text();
    let prefix = operation.prefix();

    let begin = begin_json(body, prefix, id, "");
    write_main(run, shared, body);
    end_json(body, begin);
    for (field, json) in [(".inputs", &run.inputs), (".outputs", &run.outputs), (".events", &run.events)] {
        if let Some(json) = json {
            push_part(body, &[prefix, id, field], "application/json", json.as_str().as_bytes());
        }
    }
    let begin = begin_json(body, prefix, id, ".extra");
    write_extra(run, shared, body);
    end_json(body, begin);
    if let Some(error) = &run.error {
        let begin = begin_json(body, prefix, id, ".error");
        push_string(body, error);
        end_json(body, begin);
    }
    for attachment in &run.attachments {
        let name = ["attachment.", id, ".", &escape(&attachment.name)];
        push_part(body, &name, header_value(&attachment.mime_type), &attachment.content);
    }
    for (position, feedback) in run.feedback.iter().enumerate() {
        let feedback_id = Feedback::id(run.id(), position).to_string();
        let mut row = String::new();
        feedback.write_to(&mut row, &feedback_id, id, run.dotted_order.trace_id_text());
        push_part(body, &["feedback.", &feedback_id], "application/json", row.as_bytes());
    }
}

/// The run without its large fields. What is like in the part of the run before stands in a row, as far
/// as it can: the body compresses better and faster so.
fn write_main(run: &Run, shared: &Shared, body: &mut Vec<u8>) {
    let order = &run.dotted_order;
    push(body, "{\"trace_id\":\"");
    push(body, order.trace_id_text());
    push(body, "\",\"dotted_order\":\"");
    push(body, order.as_str());
    if let Some(parent) = order.parent_id_text() {
        push(body, "\",\"parent_run_id\":\"");
        push(body, parent);
    }
    push(body, "\",\"id\":\"");
    push(body, order.id_text());
    push(body, "\",\"start_time\":\"");
    body.extend_from_slice(&run.start.rfc3339());
    if let Some(end) = run.end {
        push(body, "\",\"end_time\":\"");
        body.extend_from_slice(&end.rfc3339());
    }
    push(body, "\",\"name\":");
    push_string(body, &run.name);
    push(body, ",\"run_type\":\"");
    push(body, run.run_type.as_str());
    match &run.project {
        Some(Project::Id(id)) => {
            push(body, "\",\"session_id\":\"");
            body.extend_from_slice(&id.text());
            push(body, "\"");
        }
        Some(Project::Name(name)) => {
            push(body, "\",\"session_name\":");
            push_string(body, name);
        }
        None => {
            push(body, "\",\"session_name\":");
            push(body, &shared.project);
        }
    }
    if run.end.is_some() {
        push(body, if run.error.is_some() { ",\"status\":\"error\"" } else { ",\"status\":\"success\"" });
    }
    if let Some(example) = run.reference_example_id {
        push(body, ",\"reference_example_id\":\"");
        body.extend_from_slice(&example.text());
        push(body, "\"");
    }
    if !run.tags.is_empty() {
        push(body, ",\"tags\":");
        for (position, tag) in run.tags.iter().enumerate() {
            push(body, if position == 0 { "[" } else { "," });
            push_string(body, tag);
        }
        push(body, "]");
    }
    push(body, "}");
}

fn write_extra(run: &Run, shared: &Shared, body: &mut Vec<u8>) {
    let extra = &run.extra;
    push(body, "{");
    for (name, object) in [
        ("\"metadata\":{", &extra.metadata),
        ("\"invocation_params\":{", &extra.invocation_params),
        ("\"otel\":{", &extra.otel),
    ] {
        if !object.is_empty() {
            push(body, name);
            push(body, object.members());
            push(body, "},");
        }
    }
    push(body, "\"runtime\":{");
    push(body, &shared.runtime);
    if !extra.runtime.is_empty() {
        push(body, ",");
        push(body, extra.runtime.members());
    }
    push(body, "}}");
}

#[inline]
fn push(body: &mut Vec<u8>, text: &str) {
    body.extend_from_slice(text.as_bytes());
}

/// Appends `text` as a JSON string.
fn push_string(body: &mut Vec<u8>, text: &str) {
    if plain_length(text.as_bytes()) == text.len() {
        push(body, "\"");
        push(body, text);
        push(body, "\"");
    } else {
        let mut escaped = String::new();
        write_string(&mut escaped, text);
        push(body, &escaped);
    }
}

/// A type as a header can hold it.
fn header_value(mime_type: &str) -> &str {
    let fits = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    if !mime_type.trim().is_empty() && mime_type.bytes().all(fits) {
        mime_type
    } else {
        "application/octet-stream"
    }
}

/// What would end the name early is percent-escaped.
fn escape(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

//! A run as parts of a multipart body, byte for byte as WIRE has them.

use super::multipart::push_part;
use crate::json::{write_string, Object};
use crate::run::{Feedback, Project, Run};

/// What every run of this sender shares.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The configured project.
    pub(crate) project: String,
    /// `"sdk":…,"language":"rust",…`: members of `extra.runtime`, written once a process.
    pub(crate) runtime: String,
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
        Self { project: project.to_owned(), runtime: runtime.members().to_owned() }
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

/// Appends the parts of `run` to `body`. `scratch` is memory to reuse.
pub(crate) fn encode(run: &Run, operation: Operation, shared: &Shared, body: &mut Vec<u8>, scratch: &mut String) {
    let id = run.dotted_order.id_text();
    let prefix = operation.prefix();
    let mut part =
        |suffix: &str, json: &str| push_part(body, &[prefix, id, suffix], "application/json", json.as_bytes());

    scratch.clear();
    write_main(run, shared, scratch);
    part("", scratch);
    if let Some(inputs) = &run.inputs {
        part(".inputs", inputs.as_str());
    }
    if let Some(outputs) = &run.outputs {
        part(".outputs", outputs.as_str());
    }
    if let Some(events) = &run.events {
        part(".events", events.as_str());
    }
    scratch.clear();
    write_extra(run, shared, scratch);
    part(".extra", scratch);
    if let Some(error) = &run.error {
        scratch.clear();
        write_string(scratch, error);
        part(".error", scratch);
    }
    for attachment in &run.attachments {
        let name = ["attachment.", id, ".", &escape(&attachment.name)];
        push_part(body, &name, header_value(&attachment.mime_type), &attachment.content);
    }
    for (position, feedback) in run.feedback.iter().enumerate() {
        let feedback_id = Feedback::id(run.id(), position).to_string();
        scratch.clear();
        feedback.write_to(scratch, &feedback_id, id, run.dotted_order.trace_id_text());
        push_part(body, &["feedback.", &feedback_id], "application/json", scratch.as_bytes());
    }
}

/// The run without its large fields.
fn write_main(run: &Run, shared: &Shared, out: &mut String) {
    let order = &run.dotted_order;
    let member = |out: &mut String, name: &str, text: &str| {
        out.push_str(name);
        write_string(out, text);
    };
    out.push_str("{\"id\":\"");
    out.push_str(order.id_text());
    out.push_str("\",\"trace_id\":\"");
    out.push_str(order.trace_id_text());
    if let Some(parent) = order.parent_id_text() {
        out.push_str("\",\"parent_run_id\":\"");
        out.push_str(parent);
    }
    out.push_str("\",\"dotted_order\":\"");
    out.push_str(order.as_str());
    out.push_str("\",\"start_time\":\"");
    run.start.push_rfc3339(out);
    if let Some(end) = run.end {
        out.push_str("\",\"end_time\":\"");
        end.push_rfc3339(out);
        out.push_str(if run.error.is_some() { "\",\"status\":\"error" } else { "\",\"status\":\"success" });
    }
    out.push_str("\",\"run_type\":\"");
    out.push_str(run.run_type.as_str());
    member(out, "\",\"name\":", &run.name);
    match &run.project {
        None => member(out, ",\"session_name\":", &shared.project),
        Some(Project::Name(name)) => member(out, ",\"session_name\":", name),
        Some(Project::Id(id)) => member(out, ",\"session_id\":", &id.to_string()),
    }
    if let Some(example) = run.reference_example_id {
        out.push_str(",\"reference_example_id\":\"");
        example.push_to(out);
        out.push('"');
    }
    if !run.tags.is_empty() {
        out.push_str(",\"tags\":");
        crate::json::write_array(out, &run.tags, |out, tag| write_string(out, tag));
    }
    out.push('}');
}

fn write_extra(run: &Run, shared: &Shared, out: &mut String) {
    let extra = &run.extra;
    let object = |out: &mut String, name: &str, object: &Object| {
        if !object.is_empty() {
            out.push_str(name);
            object.write_to(out);
            out.push(',');
        }
    };
    out.push('{');
    object(out, "\"metadata\":", &extra.metadata);
    object(out, "\"invocation_params\":", &extra.invocation_params);
    object(out, "\"otel\":", &extra.otel);
    out.push_str("\"runtime\":{");
    out.push_str(&shared.runtime);
    if !extra.runtime.is_empty() {
        out.push(',');
        out.push_str(extra.runtime.members());
    }
    out.push_str("}}");
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

//! What a test gets to see of a run and of a request.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::dotted;

/// A file that came with a run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attachment {
    /// The part's `Content-Type` as it was sent.
    pub content_type: String,
    /// The file itself.
    pub bytes: Arc<[u8]>,
}

/// A run as the receiver knows it: its post and all its patches merged, later values first.
///
/// Times and ids are kept as they were sent, but times that came as milliseconds are text here, too.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ReceivedRun {
    /// The run id, a UUID.
    pub id: String,
    /// The id of the trace's root run.
    pub trace_id: String,
    /// The id of the run above; a root has none.
    pub parent_run_id: Option<String>,
    /// Start time and id of each ancestor and of the run itself, from the root down.
    pub dotted_order: String,
    /// The run's name; empty when none was sent.
    pub name: String,
    /// `chain`, `llm`, `tool` and so on; empty when none was sent.
    pub run_type: String,
    /// RFC 3339; empty when none was sent.
    pub start_time: String,
    /// RFC 3339; a run without it is pending.
    pub end_time: Option<String>,
    /// The project's name.
    pub session_name: Option<String>,
    /// The project's id, where it was given that way.
    pub session_id: Option<String>,
    /// Tags in the order they were sent.
    pub tags: Vec<String>,
    /// `success` or `error` on a run that ended.
    pub status: Option<String>,
    /// The error text.
    pub error: Option<String>,
    /// The inputs.
    pub inputs: Option<Value>,
    /// The outputs.
    pub outputs: Option<Value>,
    /// The events; empty when none were sent.
    pub events: Vec<Value>,
    /// Metadata, invocation parameters and runtime; null when none was sent.
    pub extra: Value,
    /// The serialized model or prompt.
    pub serialized: Option<Value>,
    /// The dataset example that the run answers.
    pub reference_example_id: Option<String>,
    /// The attachments by name.
    pub attachments: BTreeMap<String, Attachment>,
    /// The rows of its feedback as they were sent, each once, in the order of arrival.
    pub feedback: Vec<Value>,
    /// What came beside the fields above.
    pub other: Map<String, Value>,
    /// How often the run was posted, resends included.
    pub posts: u32,
    /// How often the run was patched.
    pub patches: u32,
}

impl ReceivedRun {
    /// One value of `extra.metadata`.
    pub fn metadata(&self, key: &str) -> Option<&Value> {
        self.extra.get("metadata")?.get(key)
    }

    /// The token usage: `extra.metadata.usage_metadata`, or else `outputs.usage_metadata`.
    pub fn usage(&self) -> Option<&Value> {
        self.metadata("usage_metadata").or_else(|| self.outputs.as_ref()?.get("usage_metadata"))
    }

    /// How long the run took; nothing while it is pending or where a time cannot be read.
    pub fn duration(&self) -> Option<Duration> {
        let (start, _) = dotted::rfc3339_micros(&self.start_time)?;
        let (end, _) = dotted::rfc3339_micros(self.end_time.as_deref()?)?;
        u64::try_from(end - start).ok().map(Duration::from_micros)
    }

    /// Whether the run has no end yet.
    pub fn is_pending(&self) -> bool {
        self.end_time.is_none()
    }

    /// Takes the known fields out of what was merged and leaves the rest in `other`.
    pub(super) fn from_fields(
        id: String,
        mut fields: Map<String, Value>,
        attachments: BTreeMap<String, Attachment>,
    ) -> Self {
        fields.remove("id");
        let mut text = |key: &str| match fields.remove(key) {
            Some(Value::String(text)) => Some(text),
            Some(odd) => {
                fields.insert(key.to_owned(), odd);
                None
            }
            None => None,
        };
        let mut run = Self {
            trace_id: text("trace_id").unwrap_or_else(|| id.clone()),
            parent_run_id: text("parent_run_id"),
            dotted_order: text("dotted_order").unwrap_or_default(),
            name: text("name").unwrap_or_default(),
            run_type: text("run_type").unwrap_or_default(),
            start_time: text("start_time").unwrap_or_default(),
            end_time: text("end_time"),
            session_name: text("session_name"),
            session_id: text("session_id"),
            status: text("status"),
            error: text("error"),
            reference_example_id: text("reference_example_id"),
            inputs: fields.remove("inputs"),
            outputs: fields.remove("outputs"),
            extra: fields.remove("extra").unwrap_or_default(),
            serialized: fields.remove("serialized"),
            tags: Vec::new(),
            events: Vec::new(),
            other: Map::new(),
            id,
            attachments,
            feedback: Vec::new(),
            posts: 0,
            patches: 0,
        };
        if let Some(Value::Array(tags)) = fields.remove("tags") {
            run.tags = tags.iter().filter_map(|tag| tag.as_str().map(str::to_owned)).collect();
        }
        if let Some(Value::Array(events)) = fields.remove("events") {
            run.events = events;
        }
        run.other = fields;
        run
    }
}

/// A request as it came in, and what it was answered.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReceivedRequest {
    /// When its headers had arrived.
    pub at: Instant,
    /// `GET`, `POST` or `PATCH`.
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// Names in lower case with their values, in the order they came; a value that is not ASCII is shown lossily.
    pub headers: Vec<(String, String)>,
    /// The status it was answered; nothing while it waits, and where no answer got out.
    pub status: Option<u16>,
    /// The body as it came, compressed if it was.
    pub body: Arc<[u8]>,
    /// The body uncompressed; empty where it could not be.
    pub plain: Arc<[u8]>,
    /// The runs that it posts or patches, each once, in order.
    pub run_ids: Vec<String>,
}

impl ReceivedRequest {
    /// The first value of a header; the name is compared in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let name = name.to_ascii_lowercase();
        self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

//! What the runs below a span take over from it: whose conversation it belongs to, whose it is, its
//! tags and its metadata. LangSmith filters runs and adds up costs by these, so they have to stand
//! on every run.

use super::node::Shared;
use crate::json::Object;
use crate::run::RunId;
use opentelemetry::{Array, KeyValue, Value};

/// What one attribute says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind<'a> {
    /// A thread's id, and how strong the source is: 0 beats 1.
    Thread(u8),
    User,
    Tags,
    Tag(&'a str),
    Metadata(&'a str),
    /// A JSON object of metadata.
    Object,
}

/// Metadata that tells of one run alone. What begins with `ls_` does too.
const OF_ONE_RUN: [&str; 9] = [
    "usage_metadata",
    "stop_reason",
    "finish_reason",
    "service_tier",
    "inference_geo",
    "speed",
    "request_count",
    "successful_count",
    "failed_count",
];

fn kind(name: &str) -> Option<Kind<'_>> {
    match name.as_bytes().first()? {
        b's' if name == "session.id" => Some(Kind::Thread(5)),
        b'u' if name == "user.id" => Some(Kind::User),
        b'e' if name == "enduser.id" => Some(Kind::User),
        b'm' if name == "metadata" => Some(Kind::Object),
        b'g' => match name {
            "gen_ai.conversation.id" => Some(Kind::Thread(4)),
            "gen_ai.user" => Some(Kind::User),
            _ => None,
        },
        b't' if name == "tag.tags" => Some(Kind::Tags),
        b't' => name.strip_prefix("traceloop.association.properties.").and_then(|name| associated(name, 9)),
        b'a' => name.strip_prefix("ai.telemetry.metadata.").and_then(|name| associated(name, 8)),
        b'l' => match name.split_once('.')? {
            ("langsmith", rest) => of_langsmith(rest),
            ("langfuse", rest) => of_langfuse(rest),
            ("llm", "user") => Some(Kind::User),
            _ => None,
        },
        _ => None,
    }
}

fn of_langsmith(name: &str) -> Option<Kind<'_>> {
    match name {
        "metadata.thread_id" => Some(Kind::Thread(0)),
        "metadata.session_id" => Some(Kind::Thread(1)),
        "metadata.conversation_id" => Some(Kind::Thread(2)),
        "trace.session_id" => Some(Kind::Thread(3)),
        "span.tags" => Some(Kind::Tags),
        _ => match name.strip_prefix("metadata.") {
            Some(name) => metadata(name),
            None => name.strip_prefix("span.tags.").map(Kind::Tag),
        },
    }
}

fn of_langfuse(name: &str) -> Option<Kind<'_>> {
    match name {
        "session.id" => Some(Kind::Thread(7)),
        "user.id" => Some(Kind::User),
        "trace.tags" => Some(Kind::Tags),
        "trace.metadata" => Some(Kind::Object),
        _ => name.strip_prefix("trace.metadata.").and_then(metadata),
    }
}

fn associated(name: &str, rank: u8) -> Option<Kind<'_>> {
    match name {
        "session_id" | "thread_id" | "conversation_id" | "sessionId" | "threadId" => Some(Kind::Thread(rank)),
        "user_id" | "userId" => Some(Kind::User),
        _ => metadata(name),
    }
}

fn metadata(name: &str) -> Option<Kind<'_>> {
    let is_own = name.is_empty()
        || name.starts_with("ls_")
        || name.starts_with("server_tool_use.")
        || OF_ONE_RUN.contains(&name);
    (!is_own).then_some(Kind::Metadata(name))
}

/// Whether there is anything in an attribute for the runs below. Asked of every attribute of every span
/// that starts, on the application's thread: the first byte and the length tell most names apart.
pub(super) fn is_inherited(name: &str) -> bool {
    let length = name.len();
    let may_be = match name.as_bytes().first() {
        Some(b's' | b'e') => length == 10,
        Some(b'u') => length == 7,
        Some(b'm') => length == 8,
        Some(b'g') => matches!(length, 11 | 22),
        Some(b't') => length == 8 || length > 32,
        Some(b'a') => length > 22,
        Some(b'l') => length == 8 || name.starts_with("lang"),
        _ => false,
    };
    may_be && kind(name).is_some()
}

/// Whether an attribute says that the span is an agent at work: what it calls are its subagents.
pub(super) fn is_agent(name: &str, value: &Value) -> bool {
    let word = match name.len() {
        // gen_ai.operation.name
        21 if name == "gen_ai.operation.name" => "invoke_agent",
        19 if matches!(name, "langsmith.span.kind" | "traceloop.span.kind") => "agent",
        23 if name == "openinference.span.kind" => "agent",
        _ => return false,
    };
    matches!(value, Value::String(text) if text.as_str().eq_ignore_ascii_case(word))
}

/// Reads what the runs below take over. The last value under a name wins.
pub(super) fn read(attributes: &[KeyValue]) -> Shared {
    let mut shared = Shared::default();
    let mut thread: Option<(u8, &Value)> = None;
    for KeyValue { key, value, .. } in attributes.iter().rev() {
        match kind(key.as_str()) {
            Some(Kind::Thread(rank)) if says_thread(key.as_str(), value) => {
                if thread.is_none_or(|(best, _)| rank < best) {
                    thread = Some((rank, value));
                }
            }
            Some(Kind::User) if !is_blank(value) => drop(shared.metadata.insert_str("user_id", &value.as_str())),
            Some(Kind::Metadata(name)) => drop(shared.metadata.insert(name, value)),
            Some(Kind::Tag(tag)) => shared.tags.insert(0, tag.to_owned()),
            Some(Kind::Tags) => drop(shared.tags.splice(0..0, tags(value))),
            // A function may have an argument of that name.
            Some(Kind::Object) if key.as_str() == "metadata" && is_function(attributes) => {}
            Some(Kind::Object) => {
                let mut members = Object::default();
                if matches!(value, Value::String(json) if members.insert_members(json.as_str())) {
                    shared.metadata.append_where(&members, |name| metadata(name).is_some());
                }
            }
            Some(Kind::Thread(_) | Kind::User) | None => {}
        }
    }
    if let Some((_, thread)) = thread {
        shared.metadata.insert_str("thread_id", &thread.as_str());
    }
    shared
}

/// Whether `#[tracing::instrument]` made the span, and not an instrumentation of `OpenInference`'s.
fn is_function(attributes: &[KeyValue]) -> bool {
    let has = |name: &str| attributes.iter().any(|attribute| attribute.key.as_str() == name);
    ["code.module.name", "code.namespace", "target", "level"].into_iter().any(has) && !has("openinference.span.kind")
}

/// A UUID there names a project.
fn says_thread(name: &str, value: &Value) -> bool {
    !is_blank(value) && (name != "langsmith.trace.session_id" || value.as_str().trim().parse::<RunId>().is_err())
}

fn is_blank(value: &Value) -> bool {
    matches!(value, Value::String(text) if text.as_str().trim().is_empty())
}

/// Tags that came as a list, as a JSON list, or separated by commas.
pub(crate) fn tags(value: &Value) -> Vec<String> {
    match value {
        Value::Array(Array::String(tags)) => tags.iter().map(|tag| tag.as_str().to_owned()).collect(),
        Value::String(text) => serde_json::from_str::<Vec<String>>(text.as_str())
            .unwrap_or_else(|_| text.as_str().split(',').map(str::to_owned).collect()),
        other => vec![other.to_string()],
    }
}

//! LangSmith's own attributes, `langsmith.*`. They win over everything else.

use super::draft::{flag, NameSource, TypeRank};
use super::frame::{attributes, Convention, View};
use super::Draft;
use crate::json::{scan, Object};
use crate::run::{Attachment, RunId, RunType};
use opentelemetry::Value;
use std::borrow::Cow;

pub(super) const CONVENTION: Convention =
    Convention { keys: KEYS, families: &["langsmith.metadata.", "langsmith.span.tags."], convert };

const METADATA: u8 = 0;
const TAGS: u8 = 1;

attributes! {
    TraceName = "langsmith.trace.name",
    SpanKind = "langsmith.span.kind",
    TraceId = "langsmith.trace.id",
    SpanId = "langsmith.span.id",
    ParentId = "langsmith.span.parent_id",
    DottedOrder = "langsmith.span.dotted_order",
    SessionName = "langsmith.trace.session_name",
    SessionId = "langsmith.trace.session_id",
    Tags = "langsmith.span.tags",
    Usage = "langsmith.usage_metadata",
    ReferenceExample = "langsmith.reference_example_id",
    Attachments = "langsmith.attachments",
    IsRoot = "langsmith.is_root",
    RootSpan = "langsmith.root_span",
    Traceable = "langsmith.traceable",
    TraceableParent = "langsmith.traceable_parent_otel_span_id",
    Runtime = "langsmith.span.runtime",
    Streaming = "langsmith.request.streaming",
    Inputs = "langsmith.inputs",
    Outputs = "langsmith.outputs",
    Interrupted = "langsmith.interrupted",
    RunName = "ls_run_name",
    MetadataRunName = "langsmith.metadata.ls_run_name",
    /// Hides a run by being there at all, even when it is false.
    ViewExclude = "langsmith.metadata.ls_message_view_exclude",
    MetadataUsage = "langsmith.metadata.usage_metadata",
    MetadataParameters = "langsmith.metadata.ls_invocation_params",
    /// Details of the usage as Python shows a dictionary.
    InputDetails = "gen_ai.usage.input_token_details",
    OutputDetails = "gen_ai.usage.output_token_details",
    ServiceTier = "gen_ai.response.service_tier",
    Fingerprint = "gen_ai.response.system_fingerprint",
}

fn convert(view: &mut View<'_, '_>, draft: &mut Draft) {
    for key in [Key::TraceName, Key::RunName, Key::MetadataRunName] {
        if let Some(name) = view.take_text(key) {
            draft.set_name(NameSource::Explicit, name);
        }
    }
    view.take_if(Key::SpanKind, |kind| match run_type(&kind.as_str()) {
        Some((run_type, is_agent)) => {
            draft.set_run_type(TypeRank::Explicit, run_type);
            if is_agent {
                draft.set_agent();
            }
            true
        }
        None => false,
    });
    view.take_if(Key::Inputs, |value| draft.set_inputs(value));
    view.take_if(Key::Outputs, |value| draft.set_outputs(value));
    for key in [Key::Usage, Key::MetadataUsage] {
        view.take_if(key, |value| matches!(value, Value::String(json) if draft.usage.whole(json.as_str())));
    }
    for key in [Key::InputDetails, Key::OutputDetails] {
        view.take_if(key, |_| draft.usage.is_whole());
    }
    if let Some(tags) = view.take(Key::Tags) {
        draft.tags(tags);
    }
    view.take_family(TAGS, |tag, _| {
        draft.tag(tag);
        true
    });
    view.take_if(Key::ReferenceExample, |value| {
        draft.reference_example_id = value.as_str().trim().parse().ok();
        draft.reference_example_id.is_some()
    });
    view.take_if(Key::Attachments, |value| attachments(&value.as_str(), draft.attachments));
    view.take_if(Key::Runtime, |value| runtime(&value.as_str(), &mut draft.extra.runtime));
    view.take_if(Key::Streaming, |value| {
        flag(value).is_some_and(|stream| draft.extra.invocation_params.insert_bool("stream", stream))
    });
    draft.interrupted |= view.take(Key::Interrupted).and_then(flag).unwrap_or(false);
    view.take_if(Key::ViewExclude, |value| {
        if flag(value) != Some(false) {
            draft.extra.metadata.insert("ls_message_view_exclude", value);
        }
        true
    });
    view.take_if(Key::MetadataParameters, |value| {
        super::draft::insert_any(&mut draft.extra.metadata, "ls_invocation_params", value)
    });
    view.rename(Key::ServiceTier, &mut draft.extra.metadata, "service_tier");
    view.rename(Key::Fingerprint, &mut draft.extra.metadata, "system_fingerprint");
    // Lineage has taken a project's id; any other text groups traces into threads.
    let metadata = &mut draft.extra.metadata;
    view.take_family(METADATA, |name, value| !name.is_empty() && metadata.insert(name, value));
    view.take_if(Key::SessionId, |value| {
        let text = value.as_str();
        text.trim().parse::<RunId>().is_ok() || metadata.insert_str("session_id", &text)
    });
    // LangSmith takes a thread from any of these, and shows its turns by the first.
    if !metadata.contains("thread_id") {
        let thread = ["session_id", "conversation_id"].iter().find_map(|name| metadata.get(name)).map(str::to_owned);
        thread.map(|thread| metadata.insert_raw("thread_id", &thread));
    }

    // Lineage has read these; what it could not use stays to be seen.
    for key in [Key::IsRoot, Key::RootSpan, Key::Traceable, Key::SessionName] {
        view.take(key);
    }
    for key in [Key::TraceId, Key::SpanId, Key::ParentId, Key::DottedOrder, Key::TraceableParent] {
        if let (Some(value), name) = (view.take(key), KEYS[usize::from(key)]) {
            draft.placement.push((name, value.as_str().into_owned()));
        }
    }
}

/// LangSmith's seven words, and a few that others use. The second value says: an agent.
fn run_type(kind: &str) -> Option<(RunType, bool)> {
    kind.trim().parse().map(|run_type| (run_type, false)).ok().or_else(|| {
        match kind.trim().to_ascii_lowercase().as_str() {
            "chat" => Some((RunType::Llm, false)),
            "agent" => Some((RunType::Chain, true)),
            "workflow" => Some((RunType::Chain, false)),
            _ => None,
        }
    })
}

/// `[{"name","content" (base64),"mime_type"}]`
fn attachments(json: &str, attachments: &mut Vec<Attachment>) -> bool {
    #[derive(serde::Deserialize)]
    struct Item<'a> {
        name: String,
        #[serde(borrow)]
        content: Cow<'a, str>,
        #[serde(default = "octets")]
        mime_type: String,
    }
    fn octets() -> String {
        "application/octet-stream".into()
    }
    let Ok(items) = serde_json::from_str::<Vec<Item<'_>>>(json) else { return false };
    let contents = items.iter().map(|item| super::attachment::decode(&item.content));
    let Some(contents) = contents.collect::<Option<Vec<_>>>() else { return false };
    for (Item { name, mime_type, .. }, content) in items.iter().zip(contents) {
        super::attachment::add(attachments, name, mime_type, content);
    }
    true
}

/// Members of a JSON object become members of `runtime`.
fn runtime(json: &str, runtime: &mut Object) -> bool {
    let Some(json) = scan::object(json) else { return false };
    let Ok(members) =
        serde_json::from_str::<std::collections::BTreeMap<Cow<'_, str>, &serde_json::value::RawValue>>(json)
    else {
        return false;
    };
    for (name, value) in members {
        runtime.insert_raw(&name, value.get());
    }
    true
}

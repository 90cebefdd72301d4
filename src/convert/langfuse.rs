//! langfuse, for applications that come from there.

use super::chat::set_whole;
use super::draft::TypeRank;
use super::frame::{attributes, Convention, View};
use super::messages::Side;
use super::sessions::set_associated;
use super::tracing_fields::unquote;
use super::usage::Count;
use super::{model, Draft};
use crate::json::{scan, walk};
use crate::run::{RunType, Timestamp};
use opentelemetry::Value;

pub(super) const CONVENTION: Convention =
    Convention { keys: KEYS, families: &["langfuse.observation.metadata.", "langfuse.trace.metadata."], convert };

attributes! {
    Type = "langfuse.observation.type",
    Input = "langfuse.observation.input",
    Output = "langfuse.observation.output",
    Model = "langfuse.observation.model.name",
    Parameters = "langfuse.observation.model.parameters",
    Usage = "langfuse.observation.usage_details",
    Cost = "langfuse.observation.cost_details",
    FirstToken = "langfuse.observation.completion_start_time",
    PromptName = "langfuse.observation.prompt.name",
    PromptVersion = "langfuse.observation.prompt.version",
    Level = "langfuse.observation.level",
    StatusMessage = "langfuse.observation.status_message",
    Metadata = "langfuse.observation.metadata",
    TraceInput = "langfuse.trace.input",
    TraceOutput = "langfuse.trace.output",
    TraceMetadata = "langfuse.trace.metadata",
    TraceTags = "langfuse.trace.tags",
    Session = "langfuse.session.id",
    User = "langfuse.user.id",
}

const OBSERVATION_METADATA: u8 = 0;
const TRACE_METADATA: u8 = 1;

fn convert(view: &mut View<'_, '_>, draft: &mut Draft<'_>) {
    view.take_if(Key::Type, |value| {
        let kind = value.as_str();
        let run_type = match &*kind {
            "generation" => RunType::Llm,
            "embedding" => RunType::Embedding,
            "retriever" => RunType::Retriever,
            "tool" => RunType::Tool,
            "span" | "chain" | "agent" => RunType::Chain,
            _ => return false,
        };
        // Any span is a `span`, so that says nothing against what else is known.
        if kind != "span" {
            draft.set_run_type(TypeRank::Kind, run_type);
        }
        if kind == "agent" {
            draft.set_agent();
        }
        true
    });
    view.take_if(Key::Model, |value| model::set_model(draft, value));
    view.take_if(Key::Parameters, |value| model::set_parameters(draft, value));
    for (side, key, of_trace) in
        [(Side::Inputs, Key::Input, Key::TraceInput), (Side::Outputs, Key::Output, Key::TraceOutput)]
    {
        // A trace mostly says what its root says.
        let is_same = view.peek(key) == view.peek(of_trace);
        view.take_if(key, |value| set_whole(draft, side, value));
        view.take_if(of_trace, |value| set_whole(draft, side, value) || (is_same && draft.has(side)));
    }
    view.take_if(Key::Usage, |value| details(value, |name, value| set_count(draft, name, value)));
    view.take_if(Key::Cost, |value| details(value, |name, value| set_cost(draft, name, value)));
    view.take_if(Key::FirstToken, |value| {
        let text = value.as_str();
        let time = chrono::DateTime::parse_from_rfc3339(unquote(&text).trim());
        time.is_ok_and(|time| {
            draft.first_token.get_or_insert(Timestamp::from_datetime(time.to_utc()));
            true
        })
    });
    if view.peek_text(Key::Level) == Some("ERROR") {
        let message = view.peek_text(Key::StatusMessage).unwrap_or("error");
        draft.failed.get_or_insert_with(|| message.to_owned());
    }
    described(view, draft);
}

fn described(view: &mut View<'_, '_>, draft: &mut Draft<'_>) {
    if let Some(tags) = view.take(Key::TraceTags) {
        draft.tags(tags);
    }
    if let Some(session) = view.peek(Key::Session) {
        draft.set_thread(session);
    }
    for family in [OBSERVATION_METADATA, TRACE_METADATA] {
        view.take_family(family, |name, value| set_associated(draft, name, value));
    }
    if let Some(user) = view.peek(Key::User) {
        draft.set_user(user);
    }
    let metadata = &mut draft.extra.metadata;
    view.take_if(Key::PromptName, |value| model::set_prompt_name(metadata, value));
    view.rename(Key::PromptVersion, metadata, "prompt_version");
    for key in [Key::Metadata, Key::TraceMetadata] {
        view.take_if(key, |value| matches!(value, Value::String(json) if metadata.insert_members(json.as_str())));
    }
}

/// Goes through a JSON object of numbers. Says whether all of them were understood.
fn details(value: &Value, mut set: impl FnMut(&str, &Value) -> bool) -> bool {
    let Value::String(text) = value else { return false };
    let Some(json) = scan::object(text.as_str()) else { return false };
    let mut all = true;
    let read = walk::members(json, |name, number| all &= set(name.trim_matches('"'), &number.to_owned().into()));
    read.is_some() && all
}

fn set_count(draft: &mut Draft<'_>, name: &str, value: &Value) -> bool {
    let count = match name {
        "input" | "input_tokens" | "prompt_tokens" => Count::InputTokens,
        "output" | "output_tokens" | "completion_tokens" => Count::OutputTokens,
        "total" | "total_tokens" => Count::TotalTokens,
        "input_cached_tokens" | "input_cache_read" | "cache_read_input_tokens" => Count::CacheRead,
        "input_cache_creation" | "cache_creation_input_tokens" => Count::CacheCreation,
        "input_audio_tokens" => Count::InputAudio,
        "output_reasoning_tokens" | "reasoning_tokens" => Count::Reasoning,
        "output_audio_tokens" => Count::OutputAudio,
        _ => return false,
    };
    draft.usage.set(count, value)
}

fn set_cost(draft: &mut Draft<'_>, name: &str, value: &Value) -> bool {
    let count = match name {
        "input" => Count::InputCost,
        "output" => Count::OutputCost,
        "total" => Count::TotalCost,
        "input_cached_tokens" | "input_cache_read" | "cache_read_input_tokens" => Count::CacheReadCost,
        "input_cache_creation" | "cache_creation_input_tokens" => Count::CacheCreationCost,
        "output_reasoning_tokens" => Count::ReasoningCost,
        _ => return false,
    };
    draft.usage.set(count, value)
}

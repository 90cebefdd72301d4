//! langfuse, for applications that come from there.

use super::chat::{self, set_whole};
use super::draft::TypeRank;
use super::frame::{attributes, Convention, View};
use super::messages::{write_documents, Answer, Members, Messages, Side};
use super::sessions::set_associated;
use super::tracing_fields::unquote;
use super::usage::Count;
use super::{model, Draft};
use crate::json::scan;
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
    /// Langfuse's note to itself.
    IsRoot = "langfuse.internal.is_app_root",
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
        view.take_if(key, |value| set_observed(draft, side, value));
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
    view.take(Key::IsRoot);
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
        view.take_family(family, |name, value| match value {
            // Texts are JSON as everything else is.
            Value::String(text) => set_associated(draft, name, &unquote(text.as_str()).into_owned().into()),
            _ => set_associated(draft, name, value),
        });
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

/// What was observed going in or coming out: what a model answers is a message, alone or as the text
/// that answers messages, and what a retriever finds are documents.
fn set_observed(draft: &mut Draft<'_>, side: Side, value: &Value) -> bool {
    let Value::String(text) = value else { return set_whole(draft, side, value) };
    let text = text.as_str();
    let json = scan::document(text);
    let mut messages = Messages::on(side);
    match (side, draft.run_type()) {
        (Side::Outputs, RunType::Llm) => {
            let is_message = json.and_then(Members::read).is_some_and(|json| json.get("role").is_some());
            let read = if is_message {
                messages.push_parts(text)
            } else {
                json.is_none()
                    && draft.has_messages
                    && messages.push_answer(Answer { text: Some(text), ..Answer::default() })
            };
            (read && chat::set(draft, side, &mut messages, &[])) || set_whole(draft, side, value)
        }
        (Side::Outputs, RunType::Retriever) => {
            let mut documents = String::from("{\"documents\":");
            let read = json.is_some_and(|json| json.starts_with('[')) && write_documents(text, &mut documents);
            documents.push('}');
            if read {
                draft.outputs_with(|out| {
                    out.push_str(&documents);
                    true
                })
            } else {
                set_whole(draft, side, value)
            }
        }
        (Side::Inputs, RunType::Llm) => {
            let written = set_whole(draft, side, value);
            // Messages with tools beside them stay as they are.
            draft.has_messages |= json.and_then(Members::read).is_some_and(|json| json.get("messages").is_some());
            written
        }
        _ => set_whole(draft, side, value),
    }
}

/// Goes through a JSON object of numbers. Says whether all of them were understood.
fn details(value: &Value, mut set: impl FnMut(&str, &Value) -> bool) -> bool {
    let Value::String(text) = value else { return false };
    let Some(members) = scan::object(text.as_str()).and_then(Members::read) else { return false };
    let mut all = true;
    for (name, number) in members.rest(&[]) {
        // OpenAI's counts as they came, with a list of details for each.
        let Some(kind) = name.strip_suffix("_details") else {
            all &= set(name, &number.to_owned().into());
            continue;
        };
        let side = match kind {
            "prompt_tokens" | "input_tokens" => "input",
            "completion_tokens" | "output_tokens" => "output",
            _ => "",
        };
        let Some(inner) = Members::read(number).filter(|_| !side.is_empty()) else {
            all = false;
            continue;
        };
        for (name, number) in inner.rest(&[]) {
            // Of what there is no place for, a zero is no loss.
            all &= set(&format!("{side}_{name}"), &number.to_owned().into()) || number == "0";
        }
    }
    all
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

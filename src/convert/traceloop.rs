//! OpenLLMetry, `traceloop.*` and the `llm.*` that its instrumentations add to the GenAI attributes.

use super::chat::set_whole;
use super::draft::{flag, NameSource, TypeRank};
use super::frame::{attributes, is_empty, Convention, View};
use super::messages::{split_number, write_tools, Side};
use super::tracing_fields::unquote;
use super::usage::Count;
use super::{model, sessions, Draft};
use crate::json::{scan, walk, write_array, Object};
use crate::run::RunType;
use opentelemetry::Value;
use std::collections::BTreeMap;

pub(super) const CONVENTION: Convention =
    Convention { keys: KEYS, families: &["traceloop.association.properties.", "llm.request.functions."], convert };

const ASSOCIATED: u8 = 0;
const FUNCTIONS: u8 = 1;

attributes! {
    Kind = "traceloop.span.kind",
    Name = "traceloop.entity.name",
    Input = "traceloop.entity.input",
    Output = "traceloop.entity.output",
    ManagedPrompt = "traceloop.prompt.key",
    PromptVersion = "traceloop.prompt.version",
    PromptHash = "traceloop.prompt.version_hash",
    RequestType = "llm.request.type",
    OwnRequestType = "traceloop.llm.request.type",
    TopK = "llm.top_k",
    FrequencyPenalty = "llm.frequency_penalty",
    PresencePenalty = "llm.presence_penalty",
    RepetitionPenalty = "llm.request.repetition_penalty",
    Stop = "llm.chat.stop_sequences",
    Streaming = "llm.is_streaming",
    User = "llm.user",
    FinishReason = "llm.response.finish_reason",
    StopReason = "llm.response.stop_reason",
    PromptTokens = "llm.usage.prompt_tokens",
    CompletionTokens = "llm.usage.completion_tokens",
    TotalTokens = "llm.usage.total_tokens",
    ReasoningTokens = "llm.usage.reasoning_tokens",
    ApiType = "gen_ai.openai.api_type",
    Fingerprint = "gen_ai.openai.system_fingerprint",
    IsStreaming = "gen_ai.is_streaming",
    Headers = "llm.headers",
    ReasoningEffort = "llm.request.reasoning_effort",
    ReasoningSummary = "gen_ai.request.reasoning_summary",
    UsedEffort = "gen_ai.response.reasoning_effort",
}

fn convert(view: &mut View<'_, '_>, draft: &mut Draft<'_>) {
    kind(view, draft);
    for (side, key) in [(Side::Inputs, Key::Input), (Side::Outputs, Key::Output)] {
        view.take_if(key, |value| match value {
            Value::String(text) if side == Side::Inputs => match keywords(text.as_str()) {
                Some(keywords) => draft.set_inputs(&keywords.to_owned().into()),
                None => set_whole(draft, side, value),
            },
            // A text is JSON as everything is, so it comes in quotes.
            Value::String(text) if text.as_str().starts_with('"') => {
                set_whole(draft, side, &unquote(text.as_str()).into_owned().into())
            }
            _ => set_whole(draft, side, value),
        });
    }
    parameters(view, draft);
    for (key, count) in [
        (Key::PromptTokens, Count::InputTokens),
        (Key::CompletionTokens, Count::OutputTokens),
        (Key::TotalTokens, Count::TotalTokens),
        (Key::ReasoningTokens, Count::Reasoning),
    ] {
        view.take_if(key, |value| draft.usage.set(count, value));
    }
    for key in [Key::FinishReason, Key::StopReason] {
        if let Some(reason) = view.take_text(key) {
            draft.finish_reason.get_or_insert_with(|| reason.to_owned());
        }
    }
    view.take_if(Key::User, |value| draft.set_user(value));
    view.take_family(ASSOCIATED, |name, value| sessions::set_associated(draft, name, value));
    let metadata = &mut draft.extra.metadata;
    view.take_if(Key::ManagedPrompt, |value| model::set_prompt_name(metadata, value));
    for (key, name) in [
        (Key::PromptVersion, "prompt_version"),
        (Key::PromptHash, "prompt_version_hash"),
        (Key::ApiType, "api_type"),
        (Key::Fingerprint, "system_fingerprint"),
    ] {
        view.rename(key, metadata, name);
    }
}

/// What kind of work it is, and its name.
fn kind(view: &mut View<'_, '_>, draft: &mut Draft<'_>) {
    view.take_if(Key::Kind, |value| {
        let (run_type, is_agent) = match &*value.as_str() {
            "tool" => (RunType::Tool, false),
            "workflow" | "task" => (RunType::Chain, false),
            "agent" => (RunType::Chain, true),
            _ => return false,
        };
        draft.set_run_type(TypeRank::Kind, run_type);
        if is_agent {
            draft.set_agent();
        }
        true
    });
    for key in [Key::RequestType, Key::OwnRequestType] {
        view.take_if(key, |value| {
            let kind = value.as_str();
            let run_type = match &*kind {
                "chat" | "completion" => RunType::Llm,
                "embedding" => RunType::Embedding,
                "rerank" => RunType::Retriever,
                _ => return false,
            };
            draft.is_text_completion |= kind == "completion" && !draft.has_messages;
            draft.set_run_type(TypeRank::Kind, run_type);
            true
        });
    }
    if let Some(name) = view.take_text(Key::Name) {
        draft.set_name(NameSource::Entity, name);
    }
}

fn parameters(view: &mut View<'_, '_>, draft: &mut Draft<'_>) {
    // Python's `None`, and lists that stand for it.
    for key in [Key::Headers, Key::ReasoningEffort, Key::ReasoningSummary, Key::UsedEffort] {
        view.take_if(key, |value| is_empty(value) || value.as_str() == "None");
    }
    for (key, name) in [
        (Key::TopK, "top_k"),
        (Key::FrequencyPenalty, "frequency_penalty"),
        (Key::PresencePenalty, "presence_penalty"),
        (Key::RepetitionPenalty, "repetition_penalty"),
        (Key::Stop, "stop"),
        (Key::ReasoningEffort, "reasoning_effort"),
        (Key::ReasoningSummary, "reasoning_summary"),
    ] {
        view.take_if(key, |value| model::set_parameter(draft, name, value));
    }
    for key in [Key::Streaming, Key::IsStreaming] {
        view.take_if(key, |value| {
            flag(value).is_some_and(|stream| {
                draft.extra.invocation_params.insert_bool("stream", stream);
                true
            })
        });
    }
    if let Some(tools) = functions(view) {
        draft.add_tools(&tools);
        draft.extra.invocation_params.insert_raw("tools", &tools);
        view.take_family(FUNCTIONS, |_, _| true);
    }
}

/// The arguments of a function that took none but named ones.
fn keywords(json: &str) -> Option<&str> {
    let json = scan::object(json)?;
    let (mut arguments, mut keywords, mut is_call) = (None, None, true);
    walk::members(json, |name, value| match name {
        "\"args\"" => arguments = Some(value),
        "\"kwargs\"" => keywords = Some(value),
        _ => is_call = false,
    })?;
    let are_named = arguments? == "[]" && keywords?.starts_with('{') && keywords? != "{}";
    keywords.filter(|_| is_call && are_named)
}

/// `llm.request.functions.0.name`, …
fn functions(view: &View<'_, '_>) -> Option<String> {
    let mut functions = BTreeMap::<u64, Object>::new();
    for (key, value) in view.family(FUNCTIONS) {
        let Some((number, name)) = split_number(key) else { continue };
        let function = functions.entry(number).or_default();
        match value {
            Value::String(text) if matches!(name, "parameters" | "arguments" | "input_schema") => {
                function.insert_with("parameters", |out| super::draft::write_any(out, &text.clone().into()))
            }
            _ => function.insert(name, value),
        };
    }
    let mut list = String::new();
    write_array(&mut list, functions.values(), |out, function| function.write_to(out));
    let mut tools = String::new();
    write_tools(&list, &mut tools).then_some(tools)
}

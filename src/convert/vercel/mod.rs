//! Vercel's AI SDK, `ai.*`. A call is two spans: `ai.generateText` counts everything, and each
//! `ai.generateText.doGenerate` below it is one call of the model.

mod counts;
mod settings;

use super::draft::{insert_once, NameSource, TypeRank};
use super::frame::{attributes, is_empty, Convention, View};
use super::messages::{write_tools, Answer, Members, Messages, Side};
use super::{chat, encoded, provider, Draft};
use crate::json::{scan, write_array, write_attribute, write_string};
use crate::run::RunType;
use base64::prelude::{Engine, BASE64_STANDARD as STANDARD};
use opentelemetry::{Array, Value};
use std::borrow::Cow;

pub(super) const CONVENTION: Convention = Convention {
    keys: KEYS,
    families: &["ai.usage.", "ai.settings.", "ai.telemetry.metadata.", "ai.request.headers."],
    convert,
};

const USAGE: u8 = 0;
const SETTINGS: u8 = 1;
const METADATA: u8 = 2;
const HEADERS: u8 = 3;

attributes! {
    Operation = "ai.operationId",
    OperationName = "operation.name",
    ResourceName = "resource.name",
    FunctionId = "ai.telemetry.functionId",
    Model = "ai.model.id",
    Provider = "ai.model.provider",
    Prompt = "ai.prompt",
    Messages = "ai.prompt.messages",
    Tools = "ai.prompt.tools",
    ToolChoice = "ai.prompt.toolChoice",
    Schema = "ai.schema",
    Text = "ai.response.text",
    OldText = "ai.result.text",
    Object = "ai.response.object",
    OldObject = "ai.result.object",
    ToolCalls = "ai.response.toolCalls",
    OldToolCalls = "ai.result.toolCalls",
    Reasoning = "ai.response.reasoning",
    FinishReason = "ai.response.finishReason",
    OldFinishReason = "ai.finishReason",
    ResponseId = "ai.response.id",
    ResponseModel = "ai.response.model",
    ProviderMetadata = "ai.response.providerMetadata",
    FirstChunk = "ai.response.msToFirstChunk",
    FirstToken = "ai.response.msToFirstToken",
    OldFirstChunk = "ai.stream.msToFirstChunk",
    ToolName = "ai.toolCall.name",
    ToolId = "ai.toolCall.id",
    ToolArguments = "ai.toolCall.args",
    ToolInput = "ai.toolCall.input",
    ToolResult = "ai.toolCall.result",
    ToolOutput = "ai.toolCall.output",
    Value = "ai.value",
    Values = "ai.values",
    Vector = "ai.embedding",
    Vectors = "ai.embeddings",
}

fn convert(view: &mut View<'_, '_>, draft: &mut Draft) {
    operation(view, draft);
    settings::telemetry(view, draft);
    model(view, draft);
    tool(view, draft);
    prompt(view, draft);
    answer(view, draft);
    embedding(view, draft);
    counts::convert(view, draft);
    settings::convert(view, draft);
    response(view, draft);
    // Headers of the request: whatever else they hold, they hold keys.
    view.take_family(HEADERS, |name, _| super::is_credential(name));
}

fn operation(view: &mut View<'_, '_>, draft: &mut Draft) {
    let Some(operation) = view.peek_text(Key::Operation) else { return };
    draft.set_run_type(TypeRank::Kind, run_type(operation));
    draft.extra.metadata.insert_str("ai.operationId", operation);
    // The same, with the application's own name for it.
    for key in [Key::Operation, Key::OperationName, Key::ResourceName] {
        view.take(key);
    }
    let is_whole_call = operation.matches('.').count() == 1 && operation != "ai.toolCall";
    if let Some(name) = view.peek_text(Key::FunctionId).filter(|_| is_whole_call) {
        draft.set_name(NameSource::Function, name);
    }
    view.rename(Key::FunctionId, &mut draft.extra.metadata, "function_id");
}

fn run_type(operation: &str) -> RunType {
    match operation.rsplit('.').next().unwrap_or_default() {
        "doGenerate" | "doStream" => RunType::Llm,
        "doEmbed" => RunType::Embedding,
        "doRerank" => RunType::Retriever,
        "toolCall" => RunType::Tool,
        _ => RunType::Chain,
    }
}

fn model(view: &mut View<'_, '_>, draft: &mut Draft) {
    if let Some(raw) = view.take_text(Key::Provider) {
        draft.is_text_completion |= raw.ends_with(".completion");
        // `openai.chat`: what follows is a kind of model, unless the whole is a name that is known.
        let name = if provider::name(raw) == raw { raw.split('.').next().unwrap_or_default() } else { raw };
        provider::set(draft, name);
        draft.extra.metadata.insert_str("gen_ai_provider_name", raw);
    }
    let extra = &mut *draft.extra;
    view.take_if(Key::Model, |value| {
        !is_empty(value) && {
            extra.invocation_params.insert("model", value);
            extra.metadata.insert("ls_model_name", value) || extra.metadata.get("ls_model_name") == Some(&json(value))
        }
    });
}

fn tool(view: &mut View<'_, '_>, draft: &mut Draft) {
    if let Some(name) = view.peek_text(Key::ToolName) {
        draft.set_name(NameSource::Tool, name);
    }
    for key in [Key::ToolArguments, Key::ToolInput] {
        view.take_if(key, |value| draft.set_inputs(value));
    }
    for key in [Key::ToolResult, Key::ToolOutput] {
        view.take_if(key, |value| draft.outputs_with(|out| encoded::write_object(out, "output", value)));
    }
    view.rename(Key::ToolName, &mut draft.extra.metadata, "tool_name");
    view.rename(Key::ToolId, &mut draft.extra.metadata, "tool_call_id");
}

fn prompt(view: &mut View<'_, '_>, draft: &mut Draft) {
    let mut tools = String::new();
    let has_tools = view.peek(Key::Tools).is_some_and(|value| write_tools(&json(value), &mut tools));
    let beside = has_tools.then_some(("tools", &*tools));
    for key in [Key::Messages, Key::Prompt] {
        view.take_if(key, |value| {
            let Some(text) = encoded::text(value) else { return false };
            let text = with_base64(&text);
            let mut messages = Messages::inputs();
            if messages.push_model_messages(&text) || push_prompt(&mut messages, &text) {
                chat::set(draft, Side::Inputs, &mut messages, beside.as_slice())
            } else {
                draft.inputs_with(|out| encoded::write_object(out, "input", value))
            }
        });
    }
    let parameters = &mut draft.extra.invocation_params;
    view.take_if(Key::Tools, |_| {
        has_tools && {
            parameters.insert_raw("tools", &tools);
            true
        }
    });
    for (key, name) in [(Key::ToolChoice, "tool_choice"), (Key::Schema, "structured_output_schema")] {
        view.take_if(key, |value| super::draft::insert_any(parameters, name, value));
    }
}

/// Node writes bytes as `{"type":"Buffer","data":[137,80,…]}`. Here they are base64, as elsewhere.
fn with_base64(json: &str) -> Cow<'_, str> {
    const BUFFER: &str = "{\"type\":\"Buffer\",\"data\":[";
    let mut written = String::new();
    let mut rest = json;
    while let Some((before, after)) = rest.split_once(BUFFER) {
        let bytes = after.split_once("]}").and_then(|(list, after)| {
            let bytes: Result<Vec<u8>, _> = list.split_terminator(',').map(str::parse).collect();
            Some((bytes.ok()?, after))
        });
        written.push_str(before);
        if let Some((bytes, after)) = bytes {
            written.push('"');
            STANDARD.encode_string(bytes, &mut written);
            written.push('"');
            rest = after;
        } else {
            written.push_str(BUFFER);
            rest = after;
        }
    }
    if written.is_empty() {
        return Cow::Borrowed(json);
    }
    written.push_str(rest);
    Cow::Owned(written)
}

/// `{"system","prompt"}` or `{"system","messages"}`, as the application gave it.
fn push_prompt(messages: &mut Messages, json: &str) -> bool {
    let Some(prompt) = scan::object(json).and_then(Members::read) else { return false };
    let known = |name: &str| matches!(name, "system" | "prompt" | "messages");
    if prompt.iter().any(|(name, value)| !known(name) && value != "null") {
        return false;
    }
    let read = match (prompt.get("messages"), prompt.get("prompt")) {
        (Some(list), _) => messages.push_model_messages(list),
        (None, Some(prompt)) => {
            messages.push_model_messages(prompt) || {
                let text = encoded::decode(prompt);
                !text.is_empty() && {
                    messages.push_question(&text);
                    true
                }
            }
        }
        (None, None) => false,
    };
    if let Some(system) = prompt.get_text("system").filter(|_| read) {
        messages.push_system(&system);
    }
    read
}

fn answer(view: &mut View<'_, '_>, draft: &mut Draft) {
    let text = first(view, [Key::Text, Key::OldText]);
    let reasoning = view.peek_text(Key::Reasoning);
    let calls = [Key::ToolCalls, Key::OldToolCalls].into_iter().find_map(|key| view.peek(key));
    let calls = calls.and_then(encoded::text);
    // A call that makes objects has no text; the model wrote the object.
    let object = first(view, [Key::Object, Key::OldObject]);
    let text = text.or(object.filter(|_| draft.run_type() == RunType::Llm));
    let mut messages = Messages::outputs();
    let read = messages.push_answer(Answer { text, reasoning, tool_calls: calls.as_deref() });
    if read && chat::set(draft, Side::Outputs, &mut messages, &[]) {
        for key in [Key::Text, Key::OldText, Key::Reasoning, Key::ToolCalls, Key::OldToolCalls] {
            view.take(key);
        }
        if text == object {
            view.take(Key::Object);
            view.take(Key::OldObject);
        }
    }
    for key in [Key::Object, Key::OldObject] {
        view.take_if(key, |value| draft.set_outputs(value));
    }
}

fn first<'a>(view: &View<'_, 'a>, keys: [Key; 2]) -> Option<&'a str> {
    keys.into_iter().find_map(|key| view.peek_text(key))
}

/// Texts go in as JSON; of the vectors only their number and length are told.
fn embedding(view: &mut View<'_, '_>, draft: &mut Draft) {
    view.take_if(Key::Value, |value| draft.inputs_with(|out| encoded::write_object(out, "input", value)));
    view.take_if(Key::Values, |value| {
        let Value::Array(Array::String(values)) = value else { return draft.set_inputs(value) };
        draft.inputs_with(|out| {
            out.push_str("{\"input\":");
            write_array(out, values, |out, text| write_string(out, &encoded::decode(text.as_str())));
            out.push('}');
            !values.is_empty()
        })
    });
    for key in [Key::Vector, Key::Vectors] {
        let Some(value) = view.take(key) else { continue };
        draft.outputs_with(|out| {
            match value {
                Value::Array(Array::String(lists)) => {
                    encoded::write_vectors(out, lists.iter().map(opentelemetry::StringValue::as_str));
                }
                other => encoded::write_vectors(out, [&*json(other)]),
            }
            true
        });
    }
}

fn response(view: &mut View<'_, '_>, draft: &mut Draft) {
    for key in [Key::FinishReason, Key::OldFinishReason] {
        if let Some(reason) = view.take_text(key) {
            draft.finish_reason.get_or_insert_with(|| reason.to_owned());
        }
    }
    for key in [Key::FirstChunk, Key::FirstToken, Key::OldFirstChunk] {
        view.take_if(key, |value| {
            super::draft::float(value).is_some_and(|milliseconds| draft.first_token_after(milliseconds / 1000.0))
        });
    }
    let metadata = &mut draft.extra.metadata;
    for (key, name) in [(Key::ResponseId, "response_id"), (Key::ResponseModel, "response_model")] {
        view.take_if(key, |value| insert_once(metadata, name, value));
    }
    view.take_if(Key::ProviderMetadata, |value| super::draft::insert_any(metadata, "provider_metadata", value));
}

/// The value as JSON; a text that is JSON as that.
fn json(value: &Value) -> String {
    let mut json = String::new();
    match value {
        Value::String(text) => match scan::document(text.as_str()) {
            Some(document) => json.push_str(document),
            None => write_string(&mut json, text.as_str()),
        },
        other => write_attribute(&mut json, other),
    }
    json
}

#[cfg(test)]
mod tests {
    use super::with_base64;

    #[test]
    fn makes_base64_of_buffers() {
        for (json, written) in [
            (r#"[{"image":{"type":"Buffer","data":[0,1,255]}}]"#, r#"[{"image":"AAH/"}]"#),
            (r#"[{"type":"Buffer","data":[]},{"type":"Buffer","data":[0]}]"#, r#"["","AA=="]"#),
            (r#"[{"type":"Buffer","data":[256]}]"#, r#"[{"type":"Buffer","data":[256]}]"#),
            (r#"{"a":1}"#, r#"{"a":1}"#),
        ] {
            assert_eq!(with_base64(json), written);
        }
    }
}

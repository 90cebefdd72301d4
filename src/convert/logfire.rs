//! Pydantic's Logfire, and pydantic-ai in all versions of its instrumentation: lists of events
//! first (1), then the conventions for generative AI with a few attributes of its own.

use super::draft::{insert_any, number, write_any, write_member, NameSource, Number, TypeRank};
use super::encoded;
use super::frame::{attributes, is_empty, Convention, View};
use super::genai::counts;
use super::messages::{split_conversation, write_tools, Answer, Members, Messages, Side};
use super::usage::Count;
use super::{chat, Draft, FunctionArgs};
use crate::json::{scan, walk, Object};
use crate::run::RunType;
use opentelemetry::Value;

pub(super) const CONVENTION: Convention = Convention { keys: KEYS, families: &["gen_ai.aggregated_usage."], convert };

const SUM: u8 = 0;

attributes! {
    Message = "logfire.msg",
    Tags = "logfire.tags",
    Schema = "logfire.json_schema",
    Template = "logfire.msg_template",
    SpanType = "logfire.span_type",
    PendingParent = "logfire.pending_parent_id",
    Cost = "operation.cost",
    Metrics = "logfire.metrics",
    RawUsage = "gen_ai.usage.raw",
    AllMessages = "pydantic_ai.all_messages",
    NewMessages = "pydantic_ai.new_message_index",
    // Names from here on may be anybody's.
    ModelParameters = "model_request_parameters",
    AllEvents = "all_messages_events",
    FinalResult = "final_result",
    ToolArguments = "tool_arguments",
    ToolResponse = "tool_response",
    Request = "request_data",
    Response = "response_data",
    Events = "events",
    Prompt = "prompt",
    Tools = "tools",
    EmbeddingInputs = "inputs",
    Embeddings = "embeddings",
    Returned = "return",
    AgentName = "agent_name",
    ModelName = "model_name",
}

fn convert(view: &mut View<'_, '_>, draft: &mut Draft) {
    if draft.is_tracing {
        // There they are the fields and arguments of somebody's own spans.
        for key in usize::from(Key::ModelParameters)..KEYS.len() {
            view.disown(key);
        }
    }
    let is_marked = (0..=usize::from(Key::ModelParameters)).any(|key| view.peek(key).is_some());
    agent(view, draft);
    if is_marked {
        events(view, draft);
        view.take_if(Key::Prompt, |value| draft.set_inputs(value));
        view.take_if(Key::Tools, |value| {
            draft.inputs_with(|out| !is_empty(value) && write_member(out, "tools", value))
        });
        if draft.run_type() == RunType::Embedding {
            embedding(view, draft);
        }
        view.take_if(Key::Returned, |value| draft.set_outputs(value));
    } else if !draft.hide.inputs {
        view.disown(Key::Tools);
    }
    request(view, draft);
    view.take_if(Key::ToolArguments, |value| draft.set_inputs(value));
    view.take_if(Key::ToolResponse, |value| draft.set_outputs(value));
    if let Some(parameters) = view.peek_text(Key::ModelParameters) {
        if merge_parameters(parameters, draft) {
            view.take(Key::ModelParameters);
        }
    }

    view.take_if(Key::Cost, |value| draft.usage.set(Count::TotalCost, value));
    for preferred in [true, false] {
        view.take_family(SUM, |name, value| match count(name) {
            Some((count, first)) if first == preferred => draft.usage.set(count, value),
            _ => false,
        });
    }

    if let Some(usage) = view.peek_text(Key::RawUsage) {
        encoded::details(draft, usage);
    }
    name(view, draft);
    if is_marked {
        arguments(view, draft);
    }
    let metadata = &mut draft.extra.metadata;
    for (key, name) in [(Key::Metrics, "logfire.metrics"), (Key::RawUsage, "gen_ai.usage.raw")] {
        view.take_if(key, |value| insert_any(metadata, name, value));
    }
    if draft.hide.inputs && view.peek_text(Key::Template).is_none_or(|template| template.contains('{')) {
        // The arguments stand in it.
        view.take(Key::Message);
    }
    view.rename(Key::Message, metadata, "message");
    if let Some(tags) = view.take(Key::Tags) {
        draft.tags(tags);
    }
    for key in [Key::Schema, Key::Template, Key::SpanType, Key::PendingParent] {
        view.take(key);
    }
}

/// Logfire's instrumentations of model clients name their spans by a template,
/// `Chat Completion with {request_data[model]!r}`; they get the name that all others give.
fn name(view: &View<'_, '_>, draft: &mut Draft) {
    if view.peek_text(Key::Template).is_some_and(|template| template.contains('{')) {
        let text = |name| draft.extra.metadata.get(name).and_then(|json| serde_json::from_str::<String>(json).ok());
        if let (Some(operation), Some(model)) = (text("gen_ai.operation.name"), text("ls_model_name")) {
            draft.set_name(NameSource::Function, &format!("{operation} {model}"));
        }
    }
}

/// What the application gave a span of its own when it began: the arguments of a function, most of all.
fn arguments(view: &mut View<'_, '_>, draft: &mut Draft) {
    let is_own = draft.inputs.is_none() && !draft.extra.metadata.contains("gen_ai.operation.name");
    let schema = view.peek_text(Key::Schema).and_then(scan::object).and_then(Members::read);
    let properties = schema.and_then(|schema| schema.get("properties")).and_then(Members::read);
    if let (true, Some(properties)) = (draft.hide.inputs, &properties) {
        let is_hidden = |name: &str| properties.get(name).is_some() && !name.contains('.');
        view.take_unknown(Some(Key::SpanType.into()), |name, _| is_hidden(name));
    }
    let (true, Some(properties)) = (is_own && draft.options.function_args == FunctionArgs::Inputs, properties) else {
        return;
    };
    let mut arguments = Object::default();
    // Logfire sets its own attributes after those that the application gives.
    view.take_unknown(Some(Key::SpanType.into()), |name, value| {
        properties.get(name).is_some() && !name.contains('.') && insert_any(&mut arguments, name, value)
    });
    // What it set later is as much its own, and may be an object too.
    let metadata = &mut draft.extra.metadata;
    view.take_unknown(None, |name, value| properties.get(name).is_some() && insert_any(metadata, name, value));
    if !arguments.is_empty() {
        draft.inputs_with(|out| {
            arguments.write_to(out);
            true
        });
    }
}

/// Texts go in as a JSON list; of the vectors only their number and length are told.
fn embedding(view: &mut View<'_, '_>, draft: &mut Draft) {
    view.take_if(Key::EmbeddingInputs, |value| draft.set_inputs(value));
    view.take_if(Key::Embeddings, |value| {
        let Value::String(json) = value else { return false };
        let mut vectors = Vec::new();
        walk::elements(json.as_str().trim(), |vector| vectors.push(vector)).is_some()
            && draft.outputs_with(|out| {
                encoded::write_vectors(out, vectors);
                true
            })
    });
}

/// As behind `gen_ai.usage.`
fn count(name: &str) -> Option<(Count, bool)> {
    match name.strip_prefix("details.") {
        Some(detail) => Some((counts::detail(detail)?, false)),
        None => counts::count(name),
    }
}

/// A whole run of an agent, with all that was said in it. Its counts sum up those of the calls below.
fn agent(view: &mut View<'_, '_>, draft: &mut Draft) {
    let named = view.peek(Key::AgentName).is_some() && view.peek(Key::ModelName).is_some();
    let says_all = [Key::AllMessages, Key::AllEvents, Key::FinalResult].iter().any(|key| view.peek(*key).is_some());
    if !named && !says_all {
        return;
    }
    draft.set_run_type(TypeRank::Kind, RunType::Chain);
    draft.is_agent = true;
    if let Some(name) = view.peek_text(Key::AgentName) {
        draft.set_name(NameSource::Agent, name);
    }
    let first_new = match view.peek(Key::NewMessages).and_then(number) {
        Some(Number::Integer(index)) => usize::try_from(index).ok(),
        _ => None,
    };
    let mut used = false;
    for key in [Key::AllMessages, Key::AllEvents] {
        let conversation = view.peek_text(key).and_then(|json| split_conversation(json, first_new));
        let Some((mut given, mut made)) = conversation else { continue };
        let is_input = chat::set(draft, Side::Inputs, &mut given, &[]);
        let is_output = answer(view, draft, &mut made);
        if is_input || is_output {
            used = true;
            view.take(key);
        }
    }
    if used {
        view.take(Key::NewMessages);
    }
    view.take_if(Key::FinalResult, |value| draft.set_outputs(value));
}

/// What an agent made, and its result where that is more than the text of its last message.
fn answer(view: &mut View<'_, '_>, draft: &mut Draft, made: &mut Messages) -> bool {
    let result = view.peek(Key::FinalResult).filter(|value| !is_empty(value)).map(|value| {
        let mut json = String::new();
        write_any(&mut json, value);
        json
    });
    let result = result.filter(|json| !(json.starts_with('"') && made.contains(json)));
    let beside = result.as_deref().map(|json| ("output", json));
    let written = chat::set(draft, Side::Outputs, made, beside.as_slice());
    if written {
        view.take(Key::FinalResult);
    }
    written
}

/// Version 1 puts the messages of a call into a list of events.
fn events(view: &mut View<'_, '_>, draft: &mut Draft) {
    let Some(json) = view.peek_text(Key::Events) else { return };
    let (mut inputs, mut outputs) = (Messages::inputs(), Messages::outputs());
    if inputs.push_event_list(json, &mut outputs) {
        let is_input = chat::set(draft, Side::Inputs, &mut inputs, &[]);
        let is_output = chat::set(draft, Side::Outputs, &mut outputs, &[]);
        if is_input || is_output {
            view.take(Key::Events);
        }
    }
}

/// Logfire's own instrumentation of model clients keeps the bodies of request and answer.
fn request(view: &mut View<'_, '_>, draft: &mut Draft) {
    let request = view.peek_text(Key::Request).and_then(scan::object).and_then(Members::read);
    let has = |name: &str| request.as_ref().is_some_and(|request| request.get(name).is_some());
    draft.has_messages |= has("messages");
    // Newer versions have the messages elsewhere, and leave the parameters here.
    let has_content = ["messages", "input", "prompt", "contents"].into_iter().any(has);
    if request.is_some() && !has_content && view.peek_text(Key::Schema).is_some() {
        view.take_if(Key::Request, |value| merge_parameters(&value.as_str(), draft));
    }
    view.take_if(Key::Request, |value| draft.set_inputs(value));
    let response = view.peek_text(Key::Response).and_then(scan::object).and_then(Members::read);
    if let Some(response) = response {
        let mut messages = Messages::outputs();
        let text = response.get_text("combined_chunk_content");
        let read = match response.get("message") {
            Some(message) => messages.push_parts(message),
            None => messages.push_answer(Answer { text: text.as_deref(), ..Answer::default() }),
        };
        if read && chat::set(draft, Side::Outputs, &mut messages, &[]) {
            view.take(Key::Response);
        }
    }
    view.take_if(Key::Response, |value| draft.set_outputs(value));
}

/// Members of the object become parameters; the functions among them are tools.
fn merge_parameters(json: &str, draft: &mut Draft) -> bool {
    let json = encoded::decode(json);
    let Some(members) = scan::object(&json).and_then(Members::read) else { return false };
    for (name, value) in members.iter().filter(|(_, value)| !matches!(*value, "null" | "[]" | "{}")) {
        let mut tools = String::new();
        if name != "function_tools" {
            draft.extra.invocation_params.insert_raw(name, value);
        } else if write_tools(value, &mut tools) {
            draft.extra.invocation_params.insert_raw("tools", &tools);
        }
    }
    // Version 1 has the messages without them.
    if let Some(tools) = draft.extra.invocation_params.get("tools").map(str::to_owned) {
        draft.add_tools(&tools);
    }
    true
}

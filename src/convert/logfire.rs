//! Pydantic's Logfire, and pydantic-ai in all versions of its instrumentation: lists of events
//! first (1), then the conventions for generative AI with a few attributes of its own.

use super::draft::{number, write_any, write_member, NameSource, Number, TypeRank};
use super::encoded;
use super::frame::{attributes, is_empty, Convention, View};
use super::genai::counts;
use super::messages::{split_conversation, write_tools, Answer, Members, Messages, Side};
use super::usage::Count;
use super::{chat, Draft};
use crate::json::scan;
use crate::run::RunType;

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

    view.rename(Key::Message, &mut draft.extra.metadata, "message");
    if let Some(tags) = view.take(Key::Tags) {
        draft.tags(tags);
    }
    for key in [Key::Schema, Key::Template, Key::SpanType, Key::PendingParent] {
        view.take(key);
    }
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
    let is_chat = |json: &str| Members::read(json).is_some_and(|request| request.get("messages").is_some());
    if let Some(Some(request)) = view.peek_text(Key::Request).map(scan::object) {
        draft.has_messages |= is_chat(request);
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
    let parameters = &mut draft.extra.invocation_params;
    for (name, value) in members.iter() {
        let mut tools = String::new();
        if name != "function_tools" {
            parameters.insert_raw(name, value);
        } else if !parameters.contains("tools") && write_tools(value, &mut tools) {
            parameters.insert_raw("tools", &tools);
        }
    }
    true
}

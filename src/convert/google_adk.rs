//! Google's Agent Development Kit, beside the conventions for generative AI that it follows too.

use super::frame::{attributes, is_empty, Convention, View};
use super::messages::{write_tools, Members, Messages, Side};
use super::usage::Count;
use super::{chat, encoded, Draft};
use crate::json::{scan, walk};
use opentelemetry::Value;

pub(super) const CONVENTION: Convention = Convention { keys: KEYS, families: &[], convert };

attributes! {
    Request = "gcp.vertex.agent.llm_request",
    Response = "gcp.vertex.agent.llm_response",
    ToolArguments = "gcp.vertex.agent.tool_call_args",
    ToolResponse = "gcp.vertex.agent.tool_response",
    Data = "gcp.vertex.agent.data",
    Session = "gcp.vertex.agent.session_id",
    Invocation = "gcp.vertex.agent.invocation_id",
    Event = "gcp.vertex.agent.event_id",
}

fn convert(view: &mut View<'_, '_>, draft: &mut Draft) {
    view.take_if(Key::Request, |value| request(value, draft));
    view.take_if(Key::Response, |value| response(value, draft));
    view.take_if(Key::Data, |value| {
        let mut messages = Messages::inputs();
        let read = encoded::text(value).is_some_and(|json| messages.push_contents(&json));
        read && chat::set(draft, Side::Inputs, &mut messages, &[])
    });
    view.take_if(Key::ToolArguments, |value| draft.inputs_with(|out| encoded::write_object(out, "input", value)));
    view.take_if(Key::ToolResponse, |value| draft.outputs_with(|out| encoded::write_object(out, "output", value)));
    // Spans of tools have an empty request and answer for the kit's own web page.
    for key in [Key::Request, Key::Response, Key::ToolArguments, Key::ToolResponse, Key::Data] {
        view.take_if(key, is_empty);
    }
    for (key, name) in [(Key::Session, "thread_id"), (Key::Invocation, "invocation_id"), (Key::Event, "event_id")] {
        view.rename(key, &mut draft.extra.metadata, name);
    }
}

/// `{"model","config":{"system_instruction","tools",…},"contents":[…]}`
fn request(value: &Value, draft: &mut Draft) -> bool {
    let Some(text) = encoded::text(value) else { return false };
    let Some(request) = scan::object(&text).and_then(Members::read) else { return draft.set_inputs(value) };
    let config = request.get("config").and_then(Members::read).unwrap_or_default();
    let mut messages = Messages::inputs();
    if let Some(system) = config.get("system_instruction") {
        messages.push_system_content(&encoded::decode(system));
    }
    if !request.get("contents").is_some_and(|contents| messages.push_contents(contents)) && messages.is_empty() {
        return draft.set_inputs(value);
    }
    let tools = config.get("tools").and_then(tools);
    let beside = tools.as_deref().map(|tools| ("tools", tools));
    let written = chat::set(draft, Side::Inputs, &mut messages, beside.as_slice());
    if written {
        parameters(&config, tools.as_deref(), draft);
    }
    written
}

fn parameters(config: &Members<'_>, tools: Option<&str>, draft: &mut Draft) {
    let extra = &mut *draft.extra;
    if let Some(tools) = tools {
        extra.invocation_params.insert_raw("tools", tools);
    }
    for (name, json) in config.iter() {
        match name {
            "system_instruction" | "http_options" | "labels" => {}
            "tools" if tools.is_some() => {}
            "max_output_tokens" | "temperature" | "stop_sequences" => {
                let (name, metadata) = match name {
                    "temperature" => ("temperature", "ls_temperature"),
                    "stop_sequences" => ("stop", "ls_stop"),
                    _ => ("max_tokens", "ls_max_tokens"),
                };
                extra.invocation_params.insert_raw(name, json);
                extra.metadata.insert_raw(metadata, json);
            }
            name => drop(extra.invocation_params.insert_raw(name, json)),
        }
    }
}

/// `[{"function_declarations":[{…}]}]`; tools that are no functions stay as they are.
fn tools(json: &str) -> Option<String> {
    let mut declarations = String::from("[");
    let mut add = |json: &str| {
        if declarations.len() > 1 {
            declarations.push(',');
        }
        declarations.push_str(json);
    };
    walk::elements(json, |tool| {
        let functions =
            Members::read(tool).and_then(|tool| tool.get("function_declarations").or(tool.get("functionDeclarations")));
        if functions.and_then(|functions| walk::elements(functions, &mut add)).is_none() {
            add(tool);
        }
    })?;
    declarations.push(']');
    let mut tools = String::new();
    write_tools(&declarations, &mut tools).then_some(tools)
}

/// `{"content":{"role","parts"},"usage_metadata":{…},"finish_reason",…}`
fn response(value: &Value, draft: &mut Draft) -> bool {
    let Some(text) = encoded::text(value) else { return false };
    let Some(response) = scan::object(&text).and_then(Members::read) else { return draft.set_outputs(value) };
    if let Some(usage) = response.get("usage_metadata") {
        counts(usage, draft);
    }
    if let Some(reason) = response.get_text("finish_reason") {
        draft.finish_reason.get_or_insert_with(|| reason.to_ascii_lowercase());
    }
    let mut messages = Messages::outputs();
    if !response.get("content").is_some_and(|content| messages.push_contents(content)) {
        return draft.set_outputs(value);
    }
    if let Some(model) = response.get_text("model_version") {
        super::model::set_response_model(draft, &Value::from(model.into_owned()));
    }
    let mut names = Vec::new();
    for (name, _) in response.rest(&["content", "usage_metadata", "finish_reason", "messages", "model_version"]) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let members: Vec<_> = names.into_iter().filter_map(|name| Some((name, response.get(name)?))).collect();
    chat::set(draft, Side::Outputs, &mut messages, &members)
}

/// Google counts a model's thoughts beside its answer; LangSmith counts them in.
fn counts(usage: &str, draft: &mut Draft) {
    let thoughts_were_known = draft.usage.tokens(Count::Reasoning);
    let answer = draft.usage.tokens(Count::OutputTokens);
    encoded::counts(draft, usage, |name| {
        Some(match name {
            "prompt_token_count" => Count::InputTokens,
            "candidates_token_count" => Count::OutputTokens,
            "total_token_count" => Count::TotalTokens,
            "cached_content_token_count" => Count::CacheRead,
            "thoughts_token_count" => Count::Reasoning,
            _ => return None,
        })
    });
    let is_answer_alone = |members: &Members<'_>| {
        let count = |name| members.get(name).and_then(|count| count.parse::<i64>().ok());
        answer.is_none_or(|answer| count("candidates_token_count") == Some(answer))
    };
    let thoughts = draft.usage.tokens(Count::Reasoning).filter(|_| thoughts_were_known.is_none());
    if let Some(thoughts) = thoughts.filter(|_| Members::read(usage).is_some_and(|members| is_answer_alone(&members))) {
        draft.usage.add(Count::OutputTokens, thoughts);
    }
}

//! The agents of `LiveKit`, `lk.*`. What belongs to a user has been `lk.pii.*` since 2026.

use super::draft::{flag, float, insert_any, insert_once, NameSource, TypeRank};
use super::frame::{is_empty, Convention, View};
use super::messages::{other_items, write_tools, Answer, Messages, Side};
use super::{chat, Draft};
use crate::json::{scan, walk, write_array};
use crate::run::RunType;
use opentelemetry::{Array, Value};

pub(super) const CONVENTION: Convention = Convention { keys: &[], families: &["lk."], convert };

fn convert(view: &mut View<'_, '_>, draft: &mut Draft) {
    chat(view, draft);
    tool(view, draft);
    for name in ["input_text", "user_input"] {
        take_if(view, name, |value| draft.set_inputs(value));
    }
    take_if(view, "user_transcript", |value| draft.set_outputs(value));
    take_if(view, "response.ttft", |value| float(value).is_some_and(|seconds| draft.first_token_after(seconds)));
    let metadata = &mut draft.extra.metadata;
    for name in ["session_id", "room_sid"] {
        take_if(view, name, |value| !is_empty(value) && metadata.insert("thread_id", value));
    }
    take_if(view, "llm_metrics", |value| insert_any(metadata, "lk.llm_metrics", value));
    view.take_family(0, |_, value| is_empty(value));
}

/// A node of the pipeline that asks a model. The call itself is a span below, with the counts.
fn chat(view: &mut View<'_, '_>, draft: &mut Draft) {
    let tools = peek(view, "function_tools").and_then(|value| {
        let mut tools = String::new();
        write_tools(&named_tools(value), &mut tools).then_some(tools)
    });
    let instructions = peek(view, "instructions").map(Value::as_str);
    let mut used_tools = false;
    let used = take_if(view, "chat_ctx", |value| {
        let mut messages = Messages::inputs();
        if !messages.push_items(&value.as_str()) {
            return draft.set_inputs(value);
        }
        if let Some(instructions) = instructions.as_deref().filter(|_| draft.instructions.is_none()) {
            messages.push_system(instructions);
        }
        used_tools = tools.is_some();
        let others = other_items(&value.as_str());
        let members = [("tools", &tools), ("items", &others)];
        let beside: Vec<_> = members.into_iter().filter_map(|(name, json)| Some((name, json.as_deref()?))).collect();
        chat::set(draft, Side::Inputs, &mut messages, &beside)
    });
    if used {
        take_if(view, "instructions", |_| true);
        take_if(view, "function_tools", |_| used_tools);
    }

    let text = peek(view, "response.text").map(Value::as_str);
    let calls = peek(view, "response.function_calls").map(json_list);
    let mut messages = Messages::outputs();
    let text = text.as_deref().filter(|text| !text.trim().is_empty());
    let answer = Answer { text, tool_calls: calls.as_deref(), ..Answer::default() };
    if messages.push_answer(answer) && chat::set(draft, Side::Outputs, &mut messages, &[]) {
        for name in ["response.text", "response.function_calls"] {
            take_if(view, name, |_| true);
        }
    }
}

fn tool(view: &mut View<'_, '_>, draft: &mut Draft) {
    let Some(name) = peek(view, "function_tool.name").map(Value::as_str) else { return };
    draft.set_run_type(TypeRank::Kind, RunType::Tool);
    draft.set_name(NameSource::Tool, &name);
    // The conventions for generative AI have the same, where they are followed as well.
    take_if(view, "function_tool.arguments", |value| draft.has(Side::Inputs) || draft.set_inputs(value));
    let failed = peek(view, "function_tool.is_error").and_then(flag);
    take_if(view, "function_tool.is_error", |_| failed.is_some());
    take_if(view, "function_tool.output", |value| {
        if failed == Some(true) && draft.hide.outputs {
            draft.failed.get_or_insert_with(|| "error".into());
        } else if failed == Some(true) {
            let text = value.as_str().into_owned();
            match &mut draft.error_type {
                // The text says more than the `tool_error` that every error of a tool is.
                Some(kind) => drop(draft.extra.metadata.insert_str("error_type", &std::mem::replace(kind, text))),
                None => drop(draft.failed.get_or_insert(text)),
            }
        }
        draft.has(Side::Outputs) || draft.set_outputs(value)
    });
    let metadata = &mut draft.extra.metadata;
    for (from, to) in [("function_tool.name", "tool_name"), ("function_tool.id", "tool_call_id")] {
        take_if(view, from, |value| insert_once(metadata, to, value));
    }
}

fn is(name: &str, wanted: &str) -> bool {
    name.strip_prefix("pii.").unwrap_or(name) == wanted
}

fn peek<'a>(view: &View<'_, 'a>, wanted: &str) -> Option<&'a Value> {
    let mut members = view.family(0);
    members.find(|(name, value)| is(name, wanted) && !is_empty(value)).map(|(_, value)| value)
}

fn take_if<'a>(view: &mut View<'_, 'a>, wanted: &str, mut accept: impl FnMut(&'a Value) -> bool) -> bool {
    let mut taken = false;
    view.take_family(0, |name, value| {
        let takes = is(name, wanted) && accept(value);
        taken |= takes;
        takes
    });
    taken
}

/// The tools; where only their names are told, they are those of functions.
fn named_tools(value: &Value) -> String {
    let mut tools = String::new();
    let mut list = Vec::new();
    let json = json_list(value);
    if walk::elements(&json, |tool| list.push(tool)).is_none() {
        return json;
    }
    write_array(&mut tools, list, |out, tool| {
        if tool.starts_with('"') {
            out.push_str("{\"name\":");
            out.push_str(tool);
            out.push('}');
        } else {
            out.push_str(tool);
        }
    });
    tools
}

/// A list of JSON texts as one JSON list.
fn json_list(value: &Value) -> String {
    let mut list = String::new();
    let element = |out: &mut String, text: &str| match scan::document(text) {
        Some(json) => out.push_str(json),
        None => crate::json::write_string(out, text),
    };
    match value {
        Value::Array(Array::String(items)) => {
            write_array(&mut list, items, |out, text| element(out, text.as_str()));
        }
        other => {
            let text = other.as_str();
            let mut texts = Vec::new();
            let is_list = scan::document(&text).and_then(|json| walk::elements(json, |element| texts.push(element)));
            match is_list {
                Some(()) => write_array(&mut list, texts, |out, json| {
                    let text = super::encoded::decode(json);
                    element(out, &text);
                }),
                None => list.push_str(&text),
            }
        }
    }
    list
}

//! The same conventions before 1.37: indexed attributes, JSON in one attribute, message events.

use super::chat;
use super::frame::{attributes, find, is_empty, Convention, View};
use super::messages::{is_indexed, Messages, Side};
use super::Draft;
use crate::json::scan;
use opentelemetry::{trace::Event, Value};

pub(super) const CONVENTION: Convention =
    Convention { keys: KEYS, families: &["gen_ai.prompt.", "gen_ai.completion."], convert };

const PROMPT: u8 = 0;
const COMPLETION: u8 = 1;

attributes! {
    Prompt = "gen_ai.prompt",
    Completion = "gen_ai.completion",
    /// Not a member of a message, though its name begins like one.
    PromptName = "gen_ai.prompt.name",
    PromptVersion = "gen_ai.prompt.version",
}

fn convert(view: &mut View<'_, '_>, draft: &mut Draft) {
    view.rename(Key::PromptName, &mut draft.extra.metadata, "prompt_name");
    view.rename(Key::PromptVersion, &mut draft.extra.metadata, "prompt_version");
    if draft.inputs.is_none() && indexed(view, PROMPT, draft, true) {
        view.take_family(PROMPT, |name, _| is_indexed(name));
    }
    if draft.outputs.is_none() && indexed(view, COMPLETION, draft, false) {
        view.take_family(COMPLETION, |name, _| is_indexed(name));
    }
    view.take_if(Key::Prompt, |value| whole(draft, value, true));
    view.take_if(Key::Completion, |value| whole(draft, value, false));
}

/// `gen_ai.prompt.0.role`, …
fn indexed(view: &View<'_, '_>, family: u8, draft: &mut Draft, is_input: bool) -> bool {
    let mut messages = if is_input { Messages::inputs() } else { Messages::outputs() };
    let read = messages.push_indexed(view.family(family).filter(|(name, _)| is_indexed(name)));
    read && set(draft, &mut messages, is_input)
}

/// A list of messages, any other JSON, or plain text (rig's agents write that).
fn whole(draft: &mut Draft, value: &Value, is_input: bool) -> bool {
    if is_empty(value) {
        return false;
    }
    if let Value::String(text) = value {
        let mut messages = if is_input { Messages::inputs() } else { Messages::outputs() };
        let is_list = scan::document(text.as_str()).is_some_and(|json| json.starts_with('['));
        if is_list && messages.push_parts(text.as_str()) {
            return set(draft, &mut messages, is_input);
        }
    }
    if is_input {
        draft.set_inputs(value)
    } else {
        draft.set_outputs(value)
    }
}

fn set(draft: &mut Draft, messages: &mut Messages, is_input: bool) -> bool {
    let side = if is_input { Side::Inputs } else { Side::Outputs };
    chat::set(draft, side, messages, &[])
}

/// Whether an event is one of this convention's messages.
pub(super) fn is_message(name: &str) -> bool {
    matches!(
        name,
        "gen_ai.system.message"
            | "gen_ai.user.message"
            | "gen_ai.assistant.message"
            | "gen_ai.tool.message"
            | "gen_ai.choice"
            | "gen_ai.content.prompt"
            | "gen_ai.content.completion"
    )
}

/// Message events: what the model was told, earlier answers among it, is input; choices are output.
pub(super) fn events(events: &[Event], draft: &mut Draft) {
    let (mut input, mut output) = (Messages::inputs(), Messages::outputs());
    for event in events.iter().filter(|event| is_message(&event.name)) {
        match &*event.name {
            "gen_ai.content.prompt" => {
                if let Some(value) = find(&event.attributes, "gen_ai.prompt") {
                    whole(draft, value, true);
                }
            }
            "gen_ai.content.completion" => {
                if let Some(value) = find(&event.attributes, "gen_ai.completion") {
                    whole(draft, value, false);
                }
            }
            // All of them together, below: they may have ended in any order.
            "gen_ai.choice" => {}
            name => drop(input.push_event(name, &event.attributes)),
        }
    }
    let choices = events.iter().filter(|event| event.name == "gen_ai.choice");
    output.push_choices(choices.map(|event| &event.attributes[..]));
    for (mut messages, is_input) in [(input, true), (output, false)] {
        if !messages.is_empty() {
            set(draft, &mut messages, is_input);
        }
    }
}

//! The same conventions before 1.37: indexed attributes, JSON in one attribute, message events.

use super::chat::{self, set_whole};
use super::frame::{attributes, find, Convention, View};
use super::messages::{is_indexed, joined_text, Messages, Side};
use super::Draft;
use crate::run::RunType;
use opentelemetry::trace::Event;
use opentelemetry::Value;

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
    let metadata = &mut draft.extra.metadata;
    view.take_if(Key::PromptName, |value| super::model::set_prompt_name(metadata, value));
    view.rename(Key::PromptVersion, &mut draft.extra.metadata, "prompt_version");
    // OpenLLMetry's word for the prompt of a model that completes text.
    draft.is_text_completion |= view.family(PROMPT).any(|(name, _)| name == "0.user");
    for (side, family, key) in [(Side::Inputs, PROMPT, Key::Prompt), (Side::Outputs, COMPLETION, Key::Completion)] {
        if !draft.has(side) && indexed(view, family, draft, side) {
            view.take_family(family, |name, _| is_indexed(name));
        }
        view.take_if(key, |value| set_whole(draft, side, value));
    }
}

/// `gen_ai.prompt.0.role`, …
fn indexed(view: &View<'_, '_>, family: u8, draft: &mut Draft<'_>, side: Side) -> bool {
    let mut messages = Messages::on(side);
    let read = messages.push_indexed(view.family(family).filter(|(name, _)| is_indexed(name)));
    read && chat::set(draft, side, &mut messages, &[])
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
    if draft.run_type() == RunType::Tool {
        tool(events, draft);
    }
    let (mut input, mut output) = (Messages::inputs(), Messages::outputs());
    for event in events.iter().filter(|event| is_message(&event.name)) {
        match &*event.name {
            "gen_ai.content.prompt" => {
                if let Some(value) = find(&event.attributes, "gen_ai.prompt") {
                    set_whole(draft, Side::Inputs, value);
                }
            }
            "gen_ai.content.completion" => {
                if let Some(value) = find(&event.attributes, "gen_ai.completion") {
                    set_whole(draft, Side::Outputs, value);
                }
            }
            // All of them together, below: they may have ended in any order.
            "gen_ai.choice" => {}
            name => drop(input.push_event(name, &event.attributes)),
        }
    }
    let choices = events.iter().filter(|event| event.name == "gen_ai.choice");
    output.push_choices(choices.map(|event| &event.attributes[..]));
    for (mut messages, side) in [(input, Side::Inputs), (output, Side::Outputs)] {
        if !messages.is_empty() {
            chat::set(draft, side, &mut messages, &[]);
        }
    }
}

/// On the span of a tool the same events are what it was given and what it answered.
fn tool(events: &[Event], draft: &mut Draft) {
    let said = |event: &str, attribute: &str| {
        let event = events.iter().rev().find(|other| other.name == event)?;
        find(&event.attributes, attribute)
    };
    if let Some(arguments) = said("gen_ai.tool.message", "content") {
        draft.set_inputs(arguments);
    }
    if let Some(answer) = said("gen_ai.choice", "message") {
        let text = joined_text(&answer.as_str()).and_then(|json| serde_json::from_str::<String>(&json).ok());
        draft.set_outputs(&text.map_or_else(|| answer.clone(), Value::from));
    }
}

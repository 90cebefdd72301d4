//! A conversation as a run's inputs or outputs.

use super::frame::is_empty;
use super::messages::{joined_text, Messages, Side};
use super::Draft;
use crate::json::{scan, write_array, write_string, Json};
use opentelemetry::Value;

/// Writes messages as the inputs or the outputs, if there are none yet, with JSON members `beside`
/// them. Instructions that came alone go before the inputs.
pub(super) fn set(draft: &mut Draft, side: Side, messages: &mut Messages, beside: &[(&str, &str)]) -> bool {
    let is_input = side == Side::Inputs;
    if draft.has(side) || messages.is_empty() {
        return false;
    }
    if let Some(instructions) = draft.instructions.take_if(|_| is_input) {
        messages.push_system(&instructions);
    }
    let mut object = messages.take_object();
    for (name, json) in beside {
        object.push(',');
        write_string(&mut object, name);
        object.push(':');
        object.push_str(json);
    }
    object.push('}');
    *draft.side(side) = Some(Json::from_trusted(object));
    draft.outputs_are_ours |= !is_input && beside.is_empty();
    note(draft, messages);
    true
}

/// Nobody had messages for the instructions: they are all that the model is known to have been told,
/// or else describe the run.
pub(super) fn settle_instructions(draft: &mut Draft) {
    let Some(instructions) = &draft.instructions else { return };
    if draft.inputs.is_some() {
        if draft.hide.inputs {
            return;
        }
        let metadata = &mut draft.extra.metadata;
        match joined_text(instructions) {
            Some(text) => metadata.insert_raw("gen_ai.system_instructions", &text),
            None => metadata.insert_str("gen_ai.system_instructions", instructions),
        };
        return;
    }
    let instructions = draft.instructions.take().unwrap_or_default();
    let mut messages = Messages::inputs();
    messages.push_system(&instructions);
    set(draft, Side::Inputs, &mut messages, &[]);
}

/// Writes what an attribute holds as a whole: a list of messages, any other JSON, or plain text.
pub(super) fn set_whole(draft: &mut Draft<'_>, side: Side, value: &Value) -> bool {
    if is_empty(value) {
        return false;
    }
    if let Value::String(text) = value {
        let mut messages = Messages::on(side);
        let is_list = scan::document(text.as_str()).is_some_and(|json| json.starts_with('['));
        if is_list && messages.push_parts(text.as_str()) {
            return set(draft, side, &mut messages, &[]);
        }
    }
    match side {
        Side::Inputs => draft.set_inputs(value),
        Side::Outputs => draft.set_outputs(value),
    }
}

/// Keeps what messages say besides their content.
pub(super) fn note(draft: &mut Draft<'_>, messages: &mut Messages) {
    draft.has_messages |= !messages.is_empty();
    if let (Some(reason), None) = (messages.finish_reason(), &draft.finish_reason) {
        let mut text = std::mem::take(&mut draft.memory.finish_reason);
        reason.clone_into(&mut text);
        draft.finish_reason = Some(text);
    }
    if let reasons @ [_, _, ..] = messages.finish_reasons() {
        draft.extra.metadata.insert_with("finish_reasons", |out| {
            write_array(out, reasons, |out, reason| write_string(out, reason));
        });
    }
    if messages.is_compacted() {
        draft.extra.metadata.insert_bool("conversation_compacted", true);
    }
    for attachment in messages.take_attachments() {
        crate::run::attachment::add_referred(draft.attachments, attachment);
    }
}

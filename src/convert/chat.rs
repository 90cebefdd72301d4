//! Messages as a run's inputs and outputs.

use super::frame::is_empty;
use super::messages::{Messages, Side};
use super::Draft;
use crate::json::{scan, write_array, write_string};
use opentelemetry::Value;

/// Writes messages, and the tools that the model was offered, if nobody has written that side of the
/// run.
pub(super) fn set_messages(draft: &mut Draft<'_>, side: Side, messages: &mut Messages, tools: Option<&str>) -> bool {
    let write = |out: &mut String| {
        out.push_str("{\"messages\":");
        messages.write_to(out);
        if let Some(tools) = tools {
            out.push_str(",\"tools\":");
            out.push_str(tools);
        }
        out.push('}');
        !messages.is_empty()
    };
    let written = draft.set_with(side, write);
    draft.outputs_are_ours |= written && side == Side::Outputs;
    if written {
        note(draft, messages);
    }
    written
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
            return set_messages(draft, side, &mut messages, None);
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
    if let Some(reason) = messages.finish_reason() {
        draft.finish_reason.get_or_insert_with(|| reason.to_owned());
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
        super::attachment::add_referred(&mut draft.attachments, attachment);
    }
}

//! A conversation as a run's inputs or outputs.

use super::genai::note;
use super::messages::{Messages, Side};
use super::Draft;
use crate::json::write_string;

/// Writes messages as the inputs or the outputs, if there are none yet, with JSON members `beside`
/// them. Instructions that came alone go before the inputs.
pub(super) fn set(draft: &mut Draft, side: Side, messages: &mut Messages, beside: &[(&str, &str)]) -> bool {
    let is_input = side == Side::Inputs;
    let field = if is_input { &draft.inputs } else { &draft.outputs };
    if field.is_some() || messages.is_empty() {
        return false;
    }
    if let Some(instructions) = draft.instructions.take_if(|_| is_input) {
        messages.push_system(&instructions);
    }
    let write = |out: &mut String| {
        out.push_str("{\"messages\":");
        messages.write_to(out);
        for (name, json) in beside {
            out.push(',');
            write_string(out, name);
            out.push(':');
            out.push_str(json);
        }
        out.push('}');
        true
    };
    let written = if is_input { draft.inputs_with(write) } else { draft.outputs_with(write) };
    draft.outputs_are_ours |= written && !is_input && beside.is_empty();
    note(draft, messages);
    written
}

/// Nobody had messages for the instructions: they are all that the model is known to have been told,
/// or else describe the run.
pub(super) fn settle_instructions(draft: &mut Draft) {
    let Some(instructions) = &draft.instructions else { return };
    if draft.inputs.is_some() {
        draft.extra.metadata.insert_str("gen_ai.system_instructions", instructions);
        return;
    }
    let instructions = draft.instructions.take().unwrap_or_default();
    let mut messages = Messages::inputs();
    messages.push_system(&instructions);
    set(draft, Side::Inputs, &mut messages, &[]);
}

//! `OpenInference`: for now what a span took in and gave out as a whole.

use super::draft::{write_object, write_raw_object};
use super::frame::{attributes, is_empty, Convention, View};
use super::Draft;
use crate::json::scan;
use opentelemetry::Value;

pub(super) const CONVENTION: Convention = Convention { keys: KEYS, families: &[], convert };

attributes! {
    Input = "input.value",
    InputType = "input.mime_type",
    Output = "output.value",
    OutputType = "output.mime_type",
}

fn convert(view: &mut View<'_, '_>, draft: &mut Draft) {
    let is_json = |mime_type: Option<&Value>| mime_type.is_some_and(|value| value.as_str() == "application/json");
    let input_is_json = is_json(view.peek(Key::InputType));
    if view.take_if(Key::Input, |value| draft.inputs_with(|out| write_whole(out, "input", value, input_is_json))) {
        view.take(Key::InputType);
    }
    let output_is_json = is_json(view.peek(Key::OutputType));
    if view.take_if(Key::Output, |value| draft.outputs_with(|out| write_whole(out, "output", value, output_is_json))) {
        view.take(Key::OutputType);
    }
}

/// A text that says it is JSON is taken at its word, a number or a string too.
fn write_whole(out: &mut String, name: &str, value: &Value, is_json: bool) -> bool {
    match value {
        Value::String(text) if is_json && !is_empty(value) && scan::value(text.as_str()) => {
            write_raw_object(out, name, text.as_str().trim());
            true
        }
        _ => write_object(out, name, value),
    }
}

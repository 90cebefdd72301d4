//! `OpenInference`: for now what a span took in and gave out as a whole.

use super::frame::{attributes, Convention, View};
use super::Draft;

pub(super) const CONVENTION: Convention = Convention { keys: KEYS, families: &[], convert };

attributes! {
    Input = "input.value",
    InputType = "input.mime_type",
    Output = "output.value",
    OutputType = "output.mime_type",
}

fn convert(view: &mut View<'_, '_>, draft: &mut Draft) {
    if view.take_if(Key::Input, |value| draft.set_inputs(value)) {
        view.take(Key::InputType);
    }
    if view.take_if(Key::Output, |value| draft.set_outputs(value)) {
        view.take(Key::OutputType);
    }
}

//! What the model was asked to do, and how.

use super::super::draft::{flag, insert_any, insert_number};
use super::super::frame::{is_empty, View};
use super::super::messages::write_tools;
use super::super::Draft;
use super::Key;
use crate::json::name;

/// Moves the parameters into `invocation_params`, and those that LangSmith filters by into the metadata.
pub(super) fn convert(view: &mut View<'_, '_>, draft: &mut Draft) {
    let extra = &mut *draft.extra;
    for (key, name, metadata) in [
        (Key::Temperature, name!("temperature"), Some(name!("ls_temperature"))),
        (Key::MaxTokens, name!("max_tokens"), Some(name!("ls_max_tokens"))),
        (Key::TopP, name!("top_p"), None),
        (Key::TopK, name!("top_k"), None),
        (Key::FrequencyPenalty, name!("frequency_penalty"), None),
        (Key::PresencePenalty, name!("presence_penalty"), None),
        (Key::Seed, name!("seed"), None),
        (Key::ChoiceCount, name!("n"), None),
        (Key::Choices, name!("n"), None),
        (Key::MaxCompletionTokens, name!("max_completion_tokens"), None),
        (Key::Dimensions, name!("dimensions"), None),
        (Key::RetrievalTopK, name!("top_k"), None),
    ] {
        view.take_if(key, |value| {
            let new = !is_empty(value) && insert_number(&mut extra.invocation_params, name, value);
            if let (true, Some(metadata)) = (new, metadata) {
                extra.metadata.insert_raw(metadata, extra.invocation_params.last());
            }
            new
        });
    }
    for (key, name) in [
        (Key::StopSequences, "stop"),
        (Key::EncodingFormats, "encoding_formats"),
        (Key::ReasoningLevel, "reasoning_level"),
        (Key::ReasoningEffort, "reasoning_effort"),
        (Key::PreviousResponse, "previous_response_id"),
        (Key::OutputSchema, "structured_output_schema"),
        (Key::OutputType, "response_format"),
    ] {
        view.take_if(key, |value| {
            let new = !is_empty(value) && insert_any(&mut extra.invocation_params, name, value);
            if new && name == "stop" {
                insert_any(&mut extra.metadata, "ls_stop", value);
            }
            new
        });
    }
    view.take_if(Key::Stream, |value| {
        flag(value).is_some_and(|stream| extra.invocation_params.insert_bool("stream", stream))
    });
    // Tools that the inputs did not take, because there are no inputs.
    if let Some(tools) = view.peek_text(Key::ToolDefinitions) {
        let mut list = String::new();
        if write_tools(tools, &mut list) && extra.invocation_params.insert_raw("tools", &list) {
            view.take(Key::ToolDefinitions);
        }
    }
}

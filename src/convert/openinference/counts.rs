//! Token counts and costs.

use super::super::frame::View;
use super::super::usage::Count;
use super::super::Draft;
use super::{COSTS, TOKENS};

pub(super) fn convert(view: &mut View<'_, '_>, draft: &mut Draft<'_>) {
    view.take_family(TOKENS, |name, value| tokens(name).is_some_and(|count| draft.usage.set(count, value)));
    view.take_family(COSTS, |name, value| cost(name).is_some_and(|count| draft.usage.set(count, value)));
}

/// The counts by their names behind `llm.token_count.`
fn tokens(name: &str) -> Option<Count> {
    Some(match name {
        "prompt" => Count::InputTokens,
        "completion" => Count::OutputTokens,
        "total" => Count::TotalTokens,
        "prompt_details.cache_read" | "prompt_details.cache_input" => Count::CacheRead,
        "prompt_details.cache_write" => Count::CacheCreation,
        "prompt_details.audio" => Count::InputAudio,
        "completion_details.reasoning" => Count::Reasoning,
        "completion_details.audio" => Count::OutputAudio,
        _ => return None,
    })
}

/// The same behind `llm.cost.`, in US dollars.
fn cost(name: &str) -> Option<Count> {
    Some(match name {
        "prompt" => Count::InputCost,
        "completion" => Count::OutputCost,
        "total" => Count::TotalCost,
        "prompt_details.input" => Count::InputTextCost,
        "prompt_details.cache_read" | "prompt_details.cache_input" => Count::CacheReadCost,
        "prompt_details.cache_write" => Count::CacheCreationCost,
        "prompt_details.audio" => Count::InputAudioCost,
        "completion_details.output" => Count::OutputTextCost,
        "completion_details.reasoning" => Count::ReasoningCost,
        "completion_details.audio" => Count::OutputAudioCost,
        _ => return None,
    })
}

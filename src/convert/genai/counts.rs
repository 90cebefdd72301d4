//! Token counts and costs by their names in the conventions, old and new.

use super::super::frame::View;
use super::super::usage::Count;
use super::super::Draft;
use super::{Key, USAGE, USAGE_DETAILS};

/// `gen_ai.usage.*`: a family, so that counts nobody knows yet are kept as metadata.
pub(super) fn convert(view: &mut View<'_, '_>, draft: &mut Draft) {
    if draft.is_rig {
        // Releases from 0.44 on, which count cached tokens as input, set one of these.
        let newer = view.peek(Key::Stream).is_some() || view.peek(Key::ProviderRequestId).is_some();
        draft.exclusive_input = !newer;
    }
    if !view.has_families() {
        return;
    }
    // Several spellings of one count may stand on a span. The preferred one wins, in any order.
    let mut has_others = false;
    view.take_family(USAGE, |name, value| match count(name) {
        Some((count, true)) => draft.usage.set(count, value),
        other => {
            has_others |= other.is_some();
            false
        }
    });
    if has_others {
        view.take_family(USAGE, |name, value| match count(name) {
            Some((count, false)) => draft.usage.set(count, value),
            _ => false,
        });
    }
    view.take_family(USAGE_DETAILS, |name, value| detail(name).is_some_and(|count| draft.usage.set(count, value)));
}

/// The counts by their names behind `gen_ai.usage.`; `true` marks the preferred spelling.
pub(in crate::convert) fn count(name: &str) -> Option<(Count, bool)> {
    Some(match name {
        "input_tokens" => (Count::InputTokens, true),
        "prompt_tokens" => (Count::InputTokens, false),
        "output_tokens" => (Count::OutputTokens, true),
        "completion_tokens" => (Count::OutputTokens, false),
        "total_tokens" => (Count::TotalTokens, true),
        "cache_read.input_tokens" => (Count::CacheRead, true),
        // LiveKit has the second one beside the preferred one.
        "cache_read_input_tokens" | "input_cached_tokens" => (Count::CacheRead, false),
        "cache_write.input_tokens" => (Count::CacheCreation, true),
        "cache_creation.input_tokens" | "cache_creation_input_tokens" | "cache_write_input_tokens" => {
            (Count::CacheCreation, false)
        }
        "reasoning.output_tokens" => (Count::Reasoning, true),
        "reasoning_tokens" => (Count::Reasoning, false),
        "audio.input_tokens" => (Count::InputAudio, true),
        "text.input_tokens" => (Count::InputText, true),
        "image.input_tokens" => (Count::InputImage, true),
        "audio.output_tokens" => (Count::OutputAudio, true),
        "text.output_tokens" => (Count::OutputText, true),
        "image.output_tokens" => (Count::OutputImage, true),
        "cost" => (Count::TotalCost, true),
        "total_cost" => (Count::TotalCost, false),
        "input_cost" => (Count::InputCost, true),
        "output_cost" => (Count::OutputCost, true),
        _ => return None,
    })
}

/// The same behind `gen_ai.usage.details.`.
pub(in crate::convert) fn detail(name: &str) -> Option<Count> {
    Some(match name {
        "cache_read_tokens" | "cached_tokens" | "cache_read_input_tokens" => Count::CacheRead,
        "cache_write_tokens" | "cache_creation_input_tokens" => Count::CacheCreation,
        "reasoning_tokens" => Count::Reasoning,
        "input_audio_tokens" => Count::InputAudio,
        "output_audio_tokens" => Count::OutputAudio,
        "ephemeral_5m_input_tokens" => Count::CacheCreation5m,
        "ephemeral_1h_input_tokens" => Count::CacheCreation1h,
        _ => return None,
    })
}

//! Token counts.

use super::super::frame::View;
use super::super::usage::Count;
use super::super::{encoded, Draft};
use super::{Key, USAGE};
use serde::Deserialize;

pub(super) fn convert(view: &mut View<'_, '_>, draft: &mut Draft) {
    let mut has_details = false;
    // The newer spelling of a count wins.
    for preferred in [true, false] {
        view.take_family(USAGE, |name, value| match count(name) {
            Some((count, first)) if first == preferred => {
                has_details |= name.starts_with("inputTokenDetails.");
                draft.usage.set(count, value)
            }
            _ => false,
        });
    }
    // The rest of the input tokens, when those from the cache are known.
    view.take_family(USAGE, |name, _| name == "inputTokenDetails.noCacheTokens");
    if let Some(json) = view.peek(Key::ProviderMetadata).and_then(encoded::text) {
        provider(&json, has_details, draft);
    }
}

fn count(name: &str) -> Option<(Count, bool)> {
    Some(match name {
        "inputTokens" => (Count::InputTokens, true),
        "promptTokens" | "tokens" => (Count::InputTokens, false),
        "outputTokens" => (Count::OutputTokens, true),
        "completionTokens" => (Count::OutputTokens, false),
        "totalTokens" => (Count::TotalTokens, true),
        "inputTokenDetails.cacheReadTokens" => (Count::CacheRead, true),
        "cachedInputTokens" => (Count::CacheRead, false),
        "inputTokenDetails.cacheWriteTokens" => (Count::CacheCreation, true),
        "cacheCreationInputTokens" => (Count::CacheCreation, false),
        "outputTokenDetails.reasoningTokens" => (Count::Reasoning, true),
        "reasoningTokens" => (Count::Reasoning, false),
        "outputTokenDetails.textTokens" => (Count::OutputText, true),
        _ => return None,
    })
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    anthropic: Anthropic,
    bedrock: Bedrock,
    openai: OpenAi,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Anthropic {
    cache_creation_input_tokens: Option<i64>,
    cache_read_input_tokens: Option<i64>,
    usage: Option<AnthropicUsage>,
}

/// As Anthropic's API has it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct AnthropicUsage {
    input_tokens: Option<i64>,
    cache_creation_input_tokens: Option<i64>,
    cache_read_input_tokens: Option<i64>,
    cache_creation: Option<CacheCreation>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CacheCreation {
    ephemeral_5m_input_tokens: Option<i64>,
    ephemeral_1h_input_tokens: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Bedrock {
    usage: Option<BedrockUsage>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct BedrockUsage {
    cache_read_input_tokens: Option<i64>,
    cache_write_input_tokens: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct OpenAi {
    cached_prompt_tokens: Option<i64>,
    reasoning_tokens: Option<i64>,
}

/// What only the provider's own words tell: tokens that were written to a cache, and whether the
/// input count leaves the cached ones out, as it did before version 6.
fn provider(json: &str, has_details: bool, draft: &mut Draft) {
    let Ok(Metadata { anthropic, bedrock, openai }) = serde_json::from_str(json) else { return };
    let usage = anthropic.usage.unwrap_or_default();
    let bedrock = bedrock.usage.unwrap_or_default();
    let timed = usage.cache_creation.unwrap_or_default();
    let told_alone = usage.input_tokens.is_some() && usage.input_tokens == draft.usage.tokens(Count::InputTokens);
    draft.exclusive_input |= told_alone && !has_details;
    for (count, tokens) in [
        (Count::CacheCreation, anthropic.cache_creation_input_tokens),
        (Count::CacheCreation, usage.cache_creation_input_tokens),
        (Count::CacheCreation, bedrock.cache_write_input_tokens),
        (Count::CacheCreation5m, timed.ephemeral_5m_input_tokens),
        (Count::CacheCreation1h, timed.ephemeral_1h_input_tokens),
        (Count::CacheRead, anthropic.cache_read_input_tokens),
        (Count::CacheRead, usage.cache_read_input_tokens),
        (Count::CacheRead, bedrock.cache_read_input_tokens),
        (Count::CacheRead, openai.cached_prompt_tokens),
        (Count::Reasoning, openai.reasoning_tokens),
    ] {
        if let Some(tokens) = tokens {
            draft.usage.set(count, &tokens.into());
        }
    }
}

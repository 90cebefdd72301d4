//! Token counts and costs of one model call, in the shape that LangSmith prices.
//!
//! LangSmith's `input_tokens` include what was read from and written to a cache, and the details
//! are parts of it. Some instrumentations report the two beside each other, as Anthropic's API
//! does; [`Usage::finish`] finds out which it is.

use super::options::InputTokens;
use crate::json::{scan, write_f64, write_i64};
use opentelemetry::Value;

/// What one attribute can say about usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    InputTokens,
    OutputTokens,
    TotalTokens,
    CacheRead,
    CacheCreation,
    CacheReadOver200k,
    /// Written to a cache for five minutes, or for an hour: the kinds that Anthropic prices apart.
    CacheCreation5m,
    CacheCreation1h,
    InputAudio,
    InputText,
    InputImage,
    Reasoning,
    OutputAudio,
    OutputText,
    OutputImage,
    // Costs, in US dollars, from here on.
    InputCost,
    OutputCost,
    TotalCost,
    CacheReadCost,
    CacheCreationCost,
    InputAudioCost,
    InputTextCost,
    InputImageCost,
    ReasoningCost,
    OutputAudioCost,
    OutputTextCost,
    OutputImageCost,
}

const TOKENS: usize = Count::InputCost as usize;
const COSTS: usize = Count::OutputImageCost as usize + 1 - TOKENS;
/// The bits of `Usage::known` that stand for tokens.
const TOKEN_BITS: u32 = (1 << TOKENS) - 1;
/// Those of the three counts that have no part of another one.
const WHOLE_BITS: u32 =
    1 << Count::InputTokens as u32 | 1 << Count::OutputTokens as u32 | 1 << Count::TotalTokens as u32;

const INPUT_COST_DETAILS: [(Count, &str); 5] = [
    (Count::CacheReadCost, "cache_read"),
    (Count::CacheCreationCost, "cache_creation"),
    (Count::InputAudioCost, "audio"),
    (Count::InputTextCost, "text"),
    (Count::InputImageCost, "image"),
];

const OUTPUT_COST_DETAILS: [(Count, &str); 4] = [
    (Count::ReasoningCost, "reasoning"),
    (Count::OutputAudioCost, "audio"),
    (Count::OutputTextCost, "text"),
    (Count::OutputImageCost, "image"),
];

/// What the counts alone do not say.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct UsageContext<'a> {
    /// As the span has it, or LangSmith's word for it.
    pub(crate) provider: Option<&'a str>,
    /// The instrumentation is known to record Anthropic's own counts unchanged.
    pub(crate) exclusive_input: bool,
    pub(crate) service_tier: Option<&'a str>,
    pub(crate) input_tokens: InputTokens,
}

/// The usage of one span. The first writer of each count wins.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    /// One bit a [`Count`].
    known: u32,
    tokens: [i64; TOKENS],
    costs: [f64; COSTS],
    whole: Option<String>,
}

impl Usage {
    /// The application gave the whole object itself.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole.is_some()
    }

    /// Knows nothing any more.
    pub(crate) fn clear(&mut self) {
        (self.known, self.whole) = (0, None);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.known == 0 && self.whole.is_none()
    }

    /// Whether there are counts that may be parts of others, such as cached tokens.
    pub(crate) fn has_parts(&self) -> bool {
        self.known & TOKEN_BITS & !WHOLE_BITS != 0
    }

    /// Takes a count from an attribute: a number, or a number as text, because `tracing` hands
    /// unsigned integers on as text. `false` when it is none; the caller then keeps the attribute.
    pub(crate) fn set(&mut self, count: Count, value: &Value) -> bool {
        let place = count as usize;
        let bit = 1 << place;
        let new = self.known & bit == 0;
        if place < TOKENS {
            let Some(tokens) = read_tokens(value) else { return false };
            if new {
                self.tokens[place] = tokens;
            }
        } else {
            let Some(cost) = read_cost(value) else { return false };
            if new {
                self.costs[place - TOKENS] = cost;
            }
        }
        self.known |= bit;
        true
    }

    /// Takes the whole object, which then stands for all single counts, as it is given.
    pub(crate) fn whole(&mut self, json: &str) -> bool {
        let Some(object) = scan::object(json) else { return false };
        if object[1..object.len() - 1].trim().is_empty() {
            return false;
        }
        if self.whole.is_none() {
            self.whole = Some(object.to_owned());
        }
        true
    }

    /// Writes the `usage_metadata` object. `false`, with nothing written, when nothing is known.
    pub(crate) fn finish(&self, context: &UsageContext<'_>, out: &mut String) -> bool {
        if let Some(whole) = &self.whole {
            out.push_str(whole);
            return true;
        }
        if self.known == 0 {
            return false;
        }
        let mut members = Members::open(out);
        if self.known & TOKEN_BITS != 0 {
            self.write_tokens(context, &mut members);
        }
        if self.known & !TOKEN_BITS != 0 {
            self.write_costs(&mut members);
        }
        members.close();
        true
    }

    fn write_costs(&self, members: &mut Members<'_>) {
        for (count, name) in
            [(Count::InputCost, "input_cost"), (Count::OutputCost, "output_cost"), (Count::TotalCost, "total_cost")]
        {
            members.cost(name, self.cost(count));
        }
        for (name, details) in
            [("input_cost_details", &INPUT_COST_DETAILS[..]), ("output_cost_details", &OUTPUT_COST_DETAILS)]
        {
            if details.iter().any(|&(count, _)| self.cost(count).is_some()) {
                let mut inner = members.object(name);
                for &(count, name) in details {
                    inner.cost(name, self.cost(count));
                }
                inner.close();
            }
        }
    }

    fn write_tokens(&self, context: &UsageContext<'_>, members: &mut Members<'_>) {
        const ONLY_TOTAL: u32 = 1 << Count::TotalTokens as u32;
        let total = self.tokens(Count::TotalTokens);
        if self.known & TOKEN_BITS == ONLY_TOTAL {
            // How it divides is not known, and nothing is made up.
            members.tokens("total_tokens", total);
            return;
        }
        let (input, output, total) = self.sums(context, total);
        for (name, tokens) in
            [("\"input_tokens\":", input), (",\"output_tokens\":", output), (",\"total_tokens\":", total)]
        {
            members.out.push_str(name);
            write_i64(members.out, tokens);
        }
        members.empty = false;

        let tier = match context.service_tier {
            Some("priority") => Some(["priority", "priority_cache_read", "priority_reasoning"]),
            Some("flex") => Some(["flex", "flex_cache_read", "flex_reasoning"]),
            _ if !self.has_parts() => return,
            _ => None,
        };
        let [tier_name, cache_read, reasoning] = tier.unwrap_or(["", "cache_read", "reasoning"]);
        let rest = |whole: i64, part: i64| tier.map(|_| whole.saturating_sub(part).max(0));
        members.details(
            "input_token_details",
            &[
                (cache_read, self.tokens(Count::CacheRead)),
                ("cache_creation", self.plain_cache_creation()),
                ("cache_read_over_200k", self.tokens(Count::CacheReadOver200k)),
                ("ephemeral_5m_input_tokens", self.tokens(Count::CacheCreation5m)),
                ("ephemeral_1h_input_tokens", self.tokens(Count::CacheCreation1h)),
                ("audio", self.tokens(Count::InputAudio)),
                ("text", self.tokens(Count::InputText)),
                ("image", self.tokens(Count::InputImage)),
                (tier_name, rest(input, self.cached())),
            ],
        );
        members.details(
            "output_token_details",
            &[
                (reasoning, self.tokens(Count::Reasoning)),
                ("audio", self.tokens(Count::OutputAudio)),
                ("text", self.tokens(Count::OutputText)),
                ("image", self.tokens(Count::OutputImage)),
                (tier_name, rest(output, self.tokens(Count::Reasoning).unwrap_or(0))),
            ],
        );
    }

    /// Input, output and total as LangSmith counts them. Where one is missing it follows from the
    /// other two, or is as small as the details allow.
    fn sums(&self, context: &UsageContext<'_>, total: Option<i64>) -> (i64, i64, i64) {
        let known_output = self.tokens(Count::OutputTokens);
        let input = match (self.tokens(Count::InputTokens), total, known_output) {
            (Some(input), ..) => self.with_cached(input, known_output.unwrap_or(0), context),
            (None, Some(total), Some(output)) => total.saturating_sub(output).max(self.cached()),
            (None, ..) => self.cached(),
        };
        let output = match (known_output, total) {
            (Some(output), _) => output,
            (None, Some(total)) => total.saturating_sub(input).max(0),
            (None, None) => self.tokens(Count::Reasoning).unwrap_or(0),
        };
        let sum = input.saturating_add(output);
        // A total that left the cached tokens out is no total.
        let total = total.filter(|&total| total >= sum || self.cached() == 0).unwrap_or(sum);
        (input, output, total)
    }

    /// Adds the cached tokens to an input count that leaves them out.
    fn with_cached(&self, input: i64, output: i64, context: &UsageContext<'_>) -> i64 {
        let cached = self.cached();
        if cached == 0 {
            return input;
        }
        let sum = input.saturating_add(cached);
        let anthropic = context.provider.is_some_and(is_anthropic);
        let exclusive = match context.input_tokens {
            InputTokens::Inclusive if anthropic => false,
            InputTokens::Exclusive if anthropic => true,
            _ => {
                cached > input
                    || self.tokens(Count::TotalTokens) == Some(sum.saturating_add(output))
                    || (context.exclusive_input && anthropic)
            }
        };
        if exclusive {
            sum
        } else {
            input
        }
    }

    /// Tokens read from or written to a cache.
    fn cached(&self) -> i64 {
        let read = self.tokens(Count::CacheRead).or(self.tokens(Count::CacheReadOver200k)).unwrap_or(0);
        let written = self.tokens(Count::CacheCreation).unwrap_or(0).max(self.timed_cache_creation());
        read.saturating_add(written)
    }

    fn timed_cache_creation(&self) -> i64 {
        let [short, long] = [Count::CacheCreation5m, Count::CacheCreation1h].map(|count| self.tokens(count));
        short.unwrap_or(0).saturating_add(long.unwrap_or(0))
    }

    /// Cache writes without those that are counted by how long they last: each is priced once.
    fn plain_cache_creation(&self) -> Option<i64> {
        let timed = self.timed_cache_creation();
        let plain = self.tokens(Count::CacheCreation)?.saturating_sub(timed).max(0);
        (timed == 0 || plain > 0).then_some(plain)
    }

    /// Counts tokens on top of those that are known.
    pub(crate) fn add(&mut self, count: Count, tokens: i64) {
        if self.known(count) {
            let sum = &mut self.tokens[count as usize];
            *sum = sum.saturating_add(tokens);
        }
    }

    pub(crate) fn tokens(&self, count: Count) -> Option<i64> {
        self.known(count).then(|| self.tokens[count as usize])
    }

    fn cost(&self, count: Count) -> Option<f64> {
        self.known(count).then(|| self.costs[count as usize - TOKENS])
    }

    fn known(&self, count: Count) -> bool {
        self.known & (1 << count as u32) != 0
    }
}

/// Who counts cached tokens beside the input tokens: Anthropic, and Bedrock, which passes it on.
fn is_anthropic(provider: &str) -> bool {
    ["anthropic", "aws.bedrock", "amazon_bedrock", "bedrock"].iter().any(|name| provider.eq_ignore_ascii_case(name))
}

fn read_tokens(value: &Value) -> Option<i64> {
    match value {
        Value::I64(number) => Some(*number),
        Value::F64(number) => integral(*number),
        Value::String(text) => {
            let text = text.as_str().trim();
            text.parse().ok().or_else(|| integral(text.parse().ok()?))
        }
        _ => None,
    }
    .filter(|&number| number >= 0)
}

fn read_cost(value: &Value) -> Option<f64> {
    match value {
        #[allow(clippy::cast_precision_loss, reason = "nobody pays 2^53 dollars")]
        Value::I64(number) => Some(*number as f64),
        Value::F64(number) => Some(*number),
        Value::String(text) => text.as_str().trim().parse().ok(),
        _ => None,
    }
    .filter(|cost| cost.is_finite() && *cost >= 0.0)
}

fn integral(number: f64) -> Option<i64> {
    const END: f64 = 9_223_372_036_854_775_808.0;
    #[allow(clippy::cast_possible_truncation, reason = "checked to be whole and in range")]
    (number.fract() == 0.0 && (0.0..END).contains(&number)).then_some(number as i64)
}

/// An object under construction whose names are all different, and plain.
struct Members<'a> {
    out: &'a mut String,
    empty: bool,
}

impl<'a> Members<'a> {
    fn open(out: &'a mut String) -> Self {
        out.push('{');
        Self { out, empty: true }
    }

    fn close(self) {
        self.out.push('}');
    }

    fn name(&mut self, name: &str) {
        if !self.empty {
            self.out.push(',');
        }
        self.empty = false;
        self.out.push('"');
        self.out.push_str(name);
        self.out.push_str("\":");
    }

    fn object(&mut self, name: &str) -> Members<'_> {
        self.name(name);
        Members::open(self.out)
    }

    fn tokens(&mut self, name: &str, tokens: Option<i64>) {
        if let Some(tokens) = tokens {
            self.name(name);
            write_i64(self.out, tokens);
        }
    }

    fn cost(&mut self, name: &str, cost: Option<f64>) {
        if let Some(cost) = cost {
            self.name(name);
            write_f64(self.out, cost);
        }
    }

    fn details(&mut self, name: &str, details: &[(&str, Option<i64>)]) {
        if details.iter().any(|(_, tokens)| tokens.is_some()) {
            let mut inner = self.object(name);
            for &(name, tokens) in details {
                inner.tokens(name, tokens);
            }
            inner.close();
        }
    }
}

#[cfg(test)]
#[path = "usage_tests.rs"]
mod tests;

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What a call of a model used, in the shape that LangSmith prices.
///
/// `input_tokens` includes cached tokens; the details are parts of it, not additions to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UsageMetadata {
    /// Tokens that went in, cached ones included.
    #[serde(default)]
    pub input_tokens: u64,
    /// Tokens that came out, reasoning included.
    #[serde(default)]
    pub output_tokens: u64,
    /// Both together.
    #[serde(default)]
    pub total_tokens: u64,
    /// Parts of the input: `cache_read`, `cache_creation`, `audio`, `text`, `image`, …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub input_token_details: BTreeMap<Cow<'static, str>, u64>,
    /// Parts of the output: `reasoning`, `audio`, …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub output_token_details: BTreeMap<Cow<'static, str>, u64>,
    /// What the input cost, in US dollars. Beats LangSmith's own price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_cost: Option<f64>,
    /// What the output cost, in US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_cost: Option<f64>,
    /// What both cost, in US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_cost: Option<f64>,
    /// Parts of the input's cost, by the names of the token details.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub input_cost_details: BTreeMap<Cow<'static, str>, f64>,
    /// Parts of the output's cost.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub output_cost_details: BTreeMap<Cow<'static, str>, f64>,
}

impl UsageMetadata {
    /// Plain input and output counts; the total is their sum.
    pub fn new(input_tokens: u64, output_tokens: u64) -> Self {
        Self {
            input_tokens,
            output_tokens,
            total_tokens: input_tokens.saturating_add(output_tokens),
            ..Self::default()
        }
    }

    /// Adds a part of the input, such as `cache_read`.
    pub fn with_input_detail(mut self, name: impl Into<Cow<'static, str>>, tokens: u64) -> Self {
        self.input_token_details.insert(name.into(), tokens);
        self
    }

    /// Adds a part of the output, such as `reasoning`.
    pub fn with_output_detail(mut self, name: impl Into<Cow<'static, str>>, tokens: u64) -> Self {
        self.output_token_details.insert(name.into(), tokens);
        self
    }

    /// Says what it cost, in US dollars. LangSmith takes that instead of its own price, which knows
    /// no discount for batches, for example.
    pub fn with_costs(mut self, input: f64, output: f64) -> Self {
        self.input_cost = Some(input);
        self.output_cost = Some(output);
        self.total_cost = Some(input + output);
        self
    }
}

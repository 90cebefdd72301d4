//! Usage as the providers' own answers have it.

use super::UsageMetadata;
use serde_json::Value;

impl UsageMetadata {
    /// Reads the `usage` object of an answer of OpenAI's, of the chat completions, the responses or
    /// the embeddings API. The whole answer is taken too. `None` when there are no counts in it.
    ///
    /// ```
    /// use opentelemetry_langsmith::UsageMetadata;
    ///
    /// let usage = UsageMetadata::from_openai(&serde_json::json!({
    ///     "prompt_tokens": 20, "completion_tokens": 7, "total_tokens": 27,
    ///     "prompt_tokens_details": {"cached_tokens": 16},
    ///     "completion_tokens_details": {"reasoning_tokens": 4},
    /// })).unwrap();
    /// assert_eq!((usage.input_tokens, usage.input_token_details["cache_read"]), (20, 16));
    /// ```
    pub fn from_openai(json: &Value) -> Option<Self> {
        let usage = json.get("usage").filter(|usage| usage.is_object()).unwrap_or(json);
        let input = first(usage, &["prompt_tokens", "input_tokens"]);
        let output = first(usage, &["completion_tokens", "output_tokens"]);
        let total = count(usage, "total_tokens");
        if input.is_none() && output.is_none() && total.is_none() {
            return None;
        }
        let mut read = Self::new(input.unwrap_or(0), output.unwrap_or(0));
        read.total_tokens = total.unwrap_or(read.total_tokens);
        for name in ["prompt_tokens_details", "input_tokens_details"] {
            let details = &usage[name];
            read.input_part("cache_read", count(details, "cached_tokens"));
            read.input_part("audio", count(details, "audio_tokens"));
            read.input_part("text", count(details, "text_tokens"));
            read.input_part("image", count(details, "image_tokens"));
        }
        for name in ["completion_tokens_details", "output_tokens_details"] {
            let details = &usage[name];
            read.output_part("reasoning", count(details, "reasoning_tokens"));
            read.output_part("audio", count(details, "audio_tokens"));
            read.output_part("image", count(details, "image_tokens"));
        }
        Some(read)
    }

    /// Reads the `usage` object of an answer of Anthropic's, or the whole answer. Anthropic counts
    /// what was read from and written to its cache beside the input; here the input includes both.
    /// `None` when there are no counts in it.
    ///
    /// ```
    /// use opentelemetry_langsmith::UsageMetadata;
    ///
    /// let usage = UsageMetadata::from_anthropic(&serde_json::json!({
    ///     "input_tokens": 3, "output_tokens": 5, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20,
    /// })).unwrap();
    /// assert_eq!((usage.input_tokens, usage.total_tokens), (123, 128));
    /// ```
    pub fn from_anthropic(json: &Value) -> Option<Self> {
        let usage = json.get("usage").filter(|usage| usage.is_object()).unwrap_or(json);
        let (input, output) = (count(usage, "input_tokens"), count(usage, "output_tokens"));
        if input.is_none() && output.is_none() {
            return None;
        }
        let read = count(usage, "cache_read_input_tokens");
        let parts = &usage["cache_creation"];
        let (minutes, hour) = (count(parts, "ephemeral_5m_input_tokens"), count(parts, "ephemeral_1h_input_tokens"));
        let written = count(usage, "cache_creation_input_tokens").or_else(|| sum([minutes, hour]));
        let mut whole = Self::new(sum([input, read, written]).unwrap_or(0), output.unwrap_or(0));
        whole.input_part("cache_read", read);
        // The kinds that are priced apart stand instead of their sum.
        if minutes.or(hour).is_some_and(|_| sum([minutes, hour]) == written) {
            whole.input_part("ephemeral_5m_input_tokens", minutes);
            whole.input_part("ephemeral_1h_input_tokens", hour);
        } else {
            whole.input_part("cache_creation", written);
        }
        Some(whole)
    }

    /// Reads the `usageMetadata` object of an answer of Gemini's, or the whole answer. Gemini counts
    /// thoughts and tool prompts beside output and input; here they are included. `None` when there
    /// are no counts in it.
    ///
    /// ```
    /// use opentelemetry_langsmith::UsageMetadata;
    ///
    /// let usage = UsageMetadata::from_gemini(&serde_json::json!({
    ///     "promptTokenCount": 10, "candidatesTokenCount": 4, "thoughtsTokenCount": 6, "totalTokenCount": 20,
    ///     "cachedContentTokenCount": 8,
    /// })).unwrap();
    /// assert_eq!((usage.output_tokens, usage.output_token_details["reasoning"]), (10, 6));
    /// ```
    pub fn from_gemini(json: &Value) -> Option<Self> {
        let usage = ["usageMetadata", "usage_metadata"].iter().find_map(|name| json.get(name)).unwrap_or(json);
        let either = |camel: &str, snake: &str| count(usage, camel).or_else(|| count(usage, snake));
        let prompt = either("promptTokenCount", "prompt_token_count");
        let tools = either("toolUsePromptTokenCount", "tool_use_prompt_token_count");
        let answer = either("candidatesTokenCount", "candidates_token_count");
        let thoughts = either("thoughtsTokenCount", "thoughts_token_count");
        let total = either("totalTokenCount", "total_token_count");
        if [prompt, answer, total].iter().all(Option::is_none) {
            return None;
        }
        let mut read = Self::new(sum([prompt, tools]).unwrap_or(0), sum([answer, thoughts]).unwrap_or(0));
        read.total_tokens = total.unwrap_or(read.total_tokens);
        read.input_part("cache_read", either("cachedContentTokenCount", "cached_content_token_count"));
        read.output_part("reasoning", thoughts);
        for (list, is_input) in [("promptTokensDetails", true), ("candidatesTokensDetails", false)] {
            for item in usage[list].as_array().into_iter().flatten() {
                let name = match item["modality"].as_str() {
                    Some("AUDIO") => "audio",
                    Some("IMAGE") => "image",
                    _ => continue,
                };
                let tokens = count(item, "tokenCount");
                if is_input {
                    read.input_part(name, tokens)
                } else {
                    read.output_part(name, tokens)
                }
            }
        }
        Some(read)
    }

    fn input_part(&mut self, name: &'static str, tokens: Option<u64>) {
        if let Some(tokens) = tokens.filter(|tokens| *tokens > 0) {
            self.input_token_details.insert(name.into(), tokens);
        }
    }

    fn output_part(&mut self, name: &'static str, tokens: Option<u64>) {
        if let Some(tokens) = tokens.filter(|tokens| *tokens > 0) {
            self.output_token_details.insert(name.into(), tokens);
        }
    }
}

/// A count, as a number or as text.
fn count(json: &Value, name: &str) -> Option<u64> {
    match json.get(name)? {
        Value::String(text) => text.parse().ok(),
        number => number.as_u64(),
    }
}

fn first(json: &Value, names: &[&str]) -> Option<u64> {
    names.iter().find_map(|name| count(json, name))
}

/// The sum of those that are there.
fn sum<const N: usize>(counts: [Option<u64>; N]) -> Option<u64> {
    counts.into_iter().flatten().reduce(u64::saturating_add)
}

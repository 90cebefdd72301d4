//! What the application decides about conversion.

use super::provider;
use std::borrow::Cow;

/// Whether spans count what came from a cache as input tokens, for models of Anthropic's: its API
/// counts it beside them, LangSmith and the semantic conventions count it among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum InputTokens {
    /// Told from the numbers and from what is known of the instrumentation.
    #[default]
    Auto,
    /// Input counts include cached tokens.
    Inclusive,
    /// Cached tokens come on top.
    Exclusive,
}

/// What a run is called whose attributes give it no name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum NamePolicy {
    /// As the span is.
    #[default]
    SpanName,
    /// As the span is; one that is called by its operation alone (`chat`) gets the model behind it
    /// (`chat gpt-4o`), as the semantic conventions have it.
    Enrich,
}

/// What becomes of the arguments that `#[tracing::instrument]` records, and of other fields of a
/// `tracing` span that no convention knows and whose names have no dots: the two cannot be told
/// apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FunctionArgs {
    /// They are the run's inputs, unless something else is; then they are metadata.
    #[default]
    Inputs,
    /// They are metadata.
    Metadata,
    /// They are left out.
    Off,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) input_tokens: InputTokens,
    pub(crate) name_policy: NamePolicy,
    pub(crate) function_args: FunctionArgs,
    /// Whether what evaluators say becomes feedback.
    pub(crate) feedback: bool,
    /// The spans' word for a provider, and LangSmith's. Later ones win.
    pub(crate) provider_aliases: Vec<(String, String)>,
}

impl Options {
    /// LangSmith's name for a provider that instrumentations call otherwise. Models are priced under
    /// it.
    pub(super) fn provider<'a>(&'a self, raw: &'a str) -> Cow<'a, str> {
        let own = |raw: &str| self.provider_aliases.iter().rev().find(|(name, _)| name.eq_ignore_ascii_case(raw));
        match own(raw.trim()).or_else(|| own(provider::without_kind(raw.trim()))) {
            Some((_, alias)) => Cow::Borrowed(alias),
            None => provider::name(raw),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_providers_as_langsmith_does() {
        let mut options = Options::default();
        for (raw, name) in [
            ("openai", "openai"),
            (" OpenAI ", "openai"),
            ("azure.ai.openai", "azure"),
            ("GCP.Gemini", "google_genai"),
            ("aws.bedrock", "amazon_bedrock"),
            ("My-Own", "my-own"),
        ] {
            assert_eq!(options.provider(raw), name);
        }
        options.provider_aliases = vec![
            ("aws.bedrock".into(), "first".into()),
            ("aws.bedrock".into(), "bedrock".into()),
            ("My-Own".into(), "Own".into()),
        ];
        for (raw, name) in [("AWS.Bedrock", "bedrock"), ("my-own", "Own"), ("x_ai", "xai")] {
            assert_eq!(options.provider(raw), name);
        }
    }
}

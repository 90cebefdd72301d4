//! How spans become runs.

use super::Config;
use crate::convert::{FunctionArgs, InputTokens, NamePolicy};

impl Config {
    /// How input counts of Anthropic's models are meant; told from the numbers by default.
    pub fn with_anthropic_input_tokens(mut self, meaning: InputTokens) -> Self {
        self.conversion.input_tokens = meaning;
        self
    }

    /// What runs are called whose attributes give them no name; as their spans are by default.
    pub fn with_name_policy(mut self, policy: NamePolicy) -> Self {
        self.conversion.name_policy = policy;
        self
    }

    /// LangSmith's name for a provider, `ls_provider`, under which its models are priced. Beats the
    /// built-in names, such as `amazon_bedrock` for `aws.bedrock`; may be called once for each.
    /// Upper and lower case are the same in what spans say.
    ///
    /// ```
    /// use opentelemetry_langsmith::Config;
    ///
    /// let config = Config::default().with_provider_alias("aws.bedrock", "bedrock");
    /// ```
    pub fn with_provider_alias(mut self, provider: impl Into<String>, name: impl Into<String>) -> Self {
        self.conversion.provider_aliases.push((provider.into(), name.into()));
        self
    }

    /// What becomes of the arguments of functions under `#[tracing::instrument]`; they are inputs by
    /// default.
    pub fn with_function_args(mut self, arguments: FunctionArgs) -> Self {
        self.conversion.function_args = arguments;
        self
    }

    /// Sends what evaluators say of a span as feedback of its run; off by default, when it stays among the run's
    /// events and metadata.
    ///
    /// Feedback comes from the span events `gen_ai.evaluation.result` (`gen_ai.evaluation.name`, `.score.value`,
    /// `.score.label` and `.explanation`) and `langsmith.feedback` (`key`, `score`, `value` and `comment`), whose other
    /// attributes are not sent then, and from the attributes `annotations.N.annotation.*` and
    /// `evaluations.N.evaluation.*` (`name`, `score`, `label` and `explanation`). What has no key, or says nothing
    /// else, stays where it was.
    ///
    /// Feedback makes LangSmith keep a trace for longer, which costs more, unless `extend_trace_retention` is false.
    /// That is what is sent, so your retention stays as it is.
    ///
    /// ```
    /// use opentelemetry_langsmith::Config;
    ///
    /// let config = Config::default().with_feedback(true);
    /// ```
    pub fn with_feedback(mut self, feedback: bool) -> Self {
        self.conversion.feedback = feedback;
        self
    }

    /// The most events of a span that go to its run; 64 by default, and 0 is none. Exceptions and the
    /// first token come on top. How many stayed behind is `omitted_events_count` in the run's `extra.otel`.
    pub fn with_max_events(mut self, events: usize) -> Self {
        self.events.count = events;
        self
    }

    /// Leaves out events of `tracing` that are more verbose than this; INFO by default.
    pub fn with_event_level(mut self, level: tracing::Level) -> Self {
        self.events.level = level;
        self
    }
}

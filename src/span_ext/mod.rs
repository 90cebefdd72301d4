//! Saying more about a run than its span says by itself.

mod interrupted;
mod macros;

pub use interrupted::{InterruptExt, InterruptGuard};

use crate::run::{RunType, UsageMetadata};
use opentelemetry::trace::{Status, TraceContextExt};
use opentelemetry::{Context, Key, KeyValue, Value};
use serde::Serialize;
use std::error::Error;
use std::fmt::{Display, Write};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Adds to the run of a `tracing::Span`, or of the span in an `opentelemetry::Context`.
///
/// All of it is attributes, events and the status of the span, so fields need not be declared, and
/// other backends see them too. Which ones is said at each method: `input.value` and `output.value`
/// are `OpenInference`'s names, `gen_ai.*` and `exception` OpenTelemetry's; `langsmith.*` is read by
/// LangSmith alone.
///
/// On a span that is not recorded nothing happens and nothing is serialized: one that a filter has
/// disabled, one whose subscriber has no OpenTelemetry layer, and, where the span is the current
/// one, one that was not sampled. (Whether another span is sampled cannot be asked without starting
/// it, after which its parent could not be set any more.)
///
/// ```
/// use opentelemetry_langsmith::{RunType, SpanExt, UsageMetadata};
///
/// #[tracing::instrument]
/// fn ask(question: &str) -> String {
///     let span = tracing::Span::current();
///     span.set_run_type(RunType::Llm);
///     span.record_inputs(&serde_json::json!({"messages": [{"role": "user", "content": question}]}));
///     let answer = "42".to_owned();
///     span.record_outputs(&serde_json::json!({"messages": [{"role": "assistant", "content": answer}]}));
///     span.record_usage(&UsageMetadata::new(12, 1));
///     answer
/// }
/// # ask("What is the answer?");
/// ```
pub trait SpanExt: private::Target {
    /// What went in: any value; a JSON object shows best. `input.value`
    fn record_inputs(&self, inputs: &(impl Serialize + ?Sized)) {
        self.set_json("input.value", "input.mime_type", inputs);
    }

    /// What came out. `output.value`
    fn record_outputs(&self, outputs: &(impl Serialize + ?Sized)) {
        self.set_json("output.value", "output.mime_type", outputs);
    }

    /// What a model used. `gen_ai.usage.input_tokens` and `.output_tokens`, with those read from
    /// and written to a cache and those spent on reasoning; all details in
    /// `langsmith.usage_metadata`
    fn record_usage(&self, usage: &UsageMetadata) {
        if self.is_recorded() {
            set_counts(self, usage);
            self.set_lazily("langsmith.usage_metadata", || json(usage));
        }
    }

    /// What the runs below this one used together, on a run of type chain: an agent's, a workflow's,
    /// a batch's. LangSmith adds up the counts of those runs itself, so here they are shown and not
    /// counted once more. `gen_ai.usage.*`
    fn record_aggregated_usage(&self, usage: &UsageMetadata) {
        if self.is_recorded() {
            set_counts(self, usage);
        }
    }

    /// One member of the metadata. `langsmith.metadata.<name>`
    ///
    /// Runs below take over what a span has when it starts, and a `tracing` span starts when it is
    /// entered first, or when another starts under it. So a `thread_id` for a whole trace is best
    /// recorded before that, or given to the span as a field.
    fn record_metadata(&self, name: &str, value: impl Into<Value>) {
        if self.is_recorded() {
            self.set(format!("langsmith.metadata.{name}"), value);
        }
    }

    /// Tags to filter by; those there are stay. `langsmith.span.tags.<tag>`
    fn add_tags<T: AsRef<str>>(&self, tags: impl IntoIterator<Item = T>) {
        if self.is_recorded() {
            for tag in tags {
                self.set(format!("langsmith.span.tags.{}", tag.as_ref()), true);
            }
        }
    }

    /// The kind of work. `langsmith.span.kind`
    fn set_run_type(&self, run_type: RunType) {
        if self.is_recorded() {
            self.set("langsmith.span.kind", run_type.as_str());
        }
    }

    /// The name that LangSmith shows. `langsmith.trace.name`
    fn set_run_name(&self, name: impl Into<String>) {
        if self.is_recorded() {
            self.set("langsmith.trace.name", name.into());
        }
    }

    /// The first token of a streamed answer has come, now. An event `new_token`, from which
    /// LangSmith reads the time to the first token
    fn record_first_token(&self) {
        if self.is_recorded() {
            self.add_named_event("new_token", Vec::new());
        }
    }

    /// The work failed. The span's status, with this text. (`{error:#}` of an `anyhow::Error` has
    /// its sources.)
    fn record_error(&self, error: impl Display) {
        if self.is_recorded() {
            self.set_failed(error.to_string());
        }
    }

    /// The work failed, for this reason and those below it: [`Error::source`] is followed down. An
    /// event `exception`, and the span's status
    ///
    /// `#[instrument(err)]` tells the error alone. A `tracing` event tells the sources too, if the
    /// error is given to it as one: `tracing::error!(error = &error as &dyn Error)`.
    fn record_error_chain(&self, error: &(dyn Error + 'static)) {
        if self.is_recorded() {
            let message = error.to_string();
            let mut attributes = vec![KeyValue::new("exception.message", message.clone())];
            let mut causes = String::new();
            let mut next = error.source();
            while let Some(cause) = next {
                let _ = write!(causes, "{}Caused by: {cause}", if causes.is_empty() { "" } else { "\n" });
                next = cause.source();
            }
            if !causes.is_empty() {
                attributes.push(KeyValue::new("exception.stacktrace", causes));
            }
            self.add_named_event("exception", attributes);
            self.set_failed(message);
        }
    }

    /// Shows the run as interrupted if the guard is dropped before its
    /// [`done`](InterruptGuard::done) is called. `langsmith.interrupted`
    ///
    /// A cancelled future is dropped where it waits, and nothing else tells that from one that
    /// returned; so a run is shown as interrupted only where this guard, or
    /// [`InterruptExt::or_interrupted`](crate::InterruptExt::or_interrupted), looks on.
    fn interrupted_unless_done(&self) -> InterruptGuard<Self>
    where
        Self: Clone,
    {
        InterruptGuard::new(self.clone())
    }

    /// The work was given up before it was done. `langsmith.interrupted`
    fn record_interrupted(&self) {
        if self.is_recorded() {
            self.set("langsmith.interrupted", true);
        }
    }
}

impl SpanExt for tracing::Span {}
impl SpanExt for Context {}

/// The counts that OpenTelemetry has names for.
fn set_counts(span: &impl SpanExt, usage: &UsageMetadata) {
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    span.set("gen_ai.usage.input_tokens", count(usage.input_tokens));
    span.set("gen_ai.usage.output_tokens", count(usage.output_tokens));
    for (details, part, name) in [
        (&usage.input_token_details, "cache_read", "gen_ai.usage.cache_read.input_tokens"),
        (&usage.input_token_details, "cache_creation", "gen_ai.usage.cache_creation.input_tokens"),
        (&usage.output_token_details, "reasoning", "gen_ai.usage.reasoning.output_tokens"),
    ] {
        if let Some(tokens) = details.get(part) {
            span.set(name, count(*tokens));
        }
    }
}

/// A value that cannot be serialized says so in its place.
fn json(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).unwrap_or_else(|reason| format!("cannot be written as JSON: {reason}"))
}

mod private {
    use opentelemetry::{Key, KeyValue, Value};
    use serde::Serialize;

    pub trait Target: Sized {
        /// `false` when it is sure that nothing would be recorded.
        fn is_recorded(&self) -> bool;
        fn set(&self, name: impl Into<Key>, value: impl Into<Value>);
        fn add_named_event(&self, name: &'static str, attributes: Vec<KeyValue>);
        fn set_failed(&self, description: String);

        /// Asks for the value only when it is recorded.
        fn set_lazily(&self, name: &'static str, value: impl FnOnce() -> String) {
            self.set(name, Lazy(value));
        }

        fn set_json(&self, name: &'static str, mime_type: &'static str, value: &(impl Serialize + ?Sized)) {
            if self.is_recorded() {
                self.set_lazily(name, || super::json(value));
                self.set(mime_type, "application/json");
            }
        }
    }

    struct Lazy<F>(F);

    impl<F: FnOnce() -> String> From<Lazy<F>> for Value {
        fn from(Lazy(value): Lazy<F>) -> Self {
            value().into()
        }
    }
}

impl private::Target for tracing::Span {
    fn is_recorded(&self) -> bool {
        // A span can be made although nobody listens on this thread, where somebody listens on another.
        let listens = self.with_subscriber(|(_, dispatch)| !dispatch.is::<tracing::subscriber::NoSubscriber>());
        if listens != Some(true) {
            return false;
        }
        // The current span has been started, so asking for its context changes nothing.
        let is_current = self.id().is_some() && tracing::Span::current().id() == self.id();
        !is_current || self.context().span().is_recording()
    }

    fn set(&self, name: impl Into<Key>, value: impl Into<Value>) {
        self.set_attribute(name, value);
    }

    fn add_named_event(&self, name: &'static str, attributes: Vec<KeyValue>) {
        self.add_event(name, attributes);
    }

    fn set_failed(&self, description: String) {
        self.set_status(Status::error(description));
    }
}

impl private::Target for Context {
    fn is_recorded(&self) -> bool {
        self.span().is_recording()
    }

    fn set(&self, name: impl Into<Key>, value: impl Into<Value>) {
        self.span().set_attribute(KeyValue::new(name, value));
    }

    fn add_named_event(&self, name: &'static str, attributes: Vec<KeyValue>) {
        self.span().add_event(name, attributes);
    }

    fn set_failed(&self, description: String) {
        self.span().set_status(Status::error(description));
    }
}

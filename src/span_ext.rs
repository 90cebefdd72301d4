//! Saying more about a run than its span says by itself.

use crate::run::{RunType, UsageMetadata};
use opentelemetry::trace::TraceContextExt;
use opentelemetry::{Context, Value};
use serde::Serialize;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Adds to the run of a `tracing::Span`, or of the span in an `opentelemetry::Context`.
///
/// All of it is attributes and events, so fields need not be declared, and other backends see them
/// too: inputs and outputs go into `input.value` and `output.value`, counts into
/// `gen_ai.usage.*`; the rest has names of LangSmith's own. On a span that is not recorded nothing
/// happens, and nothing is serialized.
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

    /// What a model used. `gen_ai.usage.*`, and all details in `langsmith.usage_metadata`
    fn record_usage(&self, usage: &UsageMetadata) {
        if self.is_recorded() {
            let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
            self.set("gen_ai.usage.input_tokens", count(usage.input_tokens));
            self.set("gen_ai.usage.output_tokens", count(usage.output_tokens));
            if let Ok(json) = serde_json::to_string(usage) {
                self.set("langsmith.usage_metadata", json);
            }
        }
    }

    /// One member of the metadata. `langsmith.metadata.<name>`
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

    /// The first token of a streamed answer has come, now. An event `new_token`
    fn record_first_token(&self) {
        if self.is_recorded() {
            self.add_named_event("new_token");
        }
    }

    /// The work failed. Sets the span's status.
    fn record_error(&self, error: impl std::fmt::Display) {
        if self.is_recorded() {
            self.set_failed(error.to_string());
        }
    }
}

impl SpanExt for tracing::Span {}
impl SpanExt for Context {}

mod private {
    use opentelemetry::{Key, Value};
    use serde::Serialize;

    pub trait Target {
        fn is_recorded(&self) -> bool;
        fn set(&self, name: impl Into<Key>, value: impl Into<Value>);
        fn add_named_event(&self, name: &'static str);
        fn set_failed(&self, description: String);

        /// A value that cannot be serialized says so in its place.
        fn set_json(&self, name: &'static str, mime_type: &'static str, value: &(impl Serialize + ?Sized)) {
            if self.is_recorded() {
                match serde_json::to_string(value) {
                    Ok(json) => {
                        self.set(name, json);
                        self.set(mime_type, "application/json");
                    }
                    Err(reason) => self.set(name, format!("cannot be written as JSON: {reason}")),
                }
            }
        }
    }
}

impl private::Target for tracing::Span {
    fn is_recorded(&self) -> bool {
        !self.is_disabled()
    }

    fn set(&self, name: impl Into<opentelemetry::Key>, value: impl Into<Value>) {
        self.set_attribute(name, value);
    }

    fn add_named_event(&self, name: &'static str) {
        self.add_event(name, Vec::new());
    }

    fn set_failed(&self, description: String) {
        self.set_status(opentelemetry::trace::Status::error(description));
    }
}

impl private::Target for Context {
    fn is_recorded(&self) -> bool {
        self.span().is_recording()
    }

    fn set(&self, name: impl Into<opentelemetry::Key>, value: impl Into<Value>) {
        self.span().set_attribute(opentelemetry::KeyValue::new(name, value));
    }

    fn add_named_event(&self, name: &'static str) {
        self.span().add_event(name, Vec::new());
    }

    fn set_failed(&self, description: String) {
        self.span().set_status(opentelemetry::trace::Status::error(description));
    }
}

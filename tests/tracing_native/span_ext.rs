//! `SpanExt`, on both kinds of spans.

use super::{Runs, Traced, Unanswered};
use opentelemetry::trace::{TraceContextExt, Tracer, TracerProvider};
use opentelemetry::Context;
use opentelemetry_langsmith::{RunType, SpanExt, UsageMetadata};
use opentelemetry_sdk::trace::Sampler;
use serde::{Serialize, Serializer};
use serde_json::json;
use tracing::{info_span, Span};
use tracing_subscriber::prelude::*;

fn say_all(span: &impl SpanExt) {
    span.record_inputs(&json!({"messages": [{"role": "user", "content": "Where?"}]}));
    span.record_outputs(&["here", "there"]);
    let usage = UsageMetadata::new(20, 7).with_input_detail("cache_read", 16).with_output_detail("reasoning", 4);
    span.record_usage(&usage);
    span.record_metadata("thread_id", "thread-7");
    span.record_metadata("attempt", 2);
    span.add_tags(["a", "b,c"]);
    span.add_tags(vec![String::from("a"), String::from("d")]);
    span.set_run_type(RunType::Llm);
    span.set_run_name("answer");
    span.record_first_token();
    span.record_error_chain(&Unanswered::new());
}

fn check_all(runs: &Runs) {
    let run = &runs["answer"];
    assert_eq!(run.run_type, "llm");
    assert_eq!(run.inputs.as_ref().unwrap()["messages"][0]["content"], json!("Where?"));
    assert_eq!(run.outputs.as_ref().unwrap()["output"], json!(["here", "there"]));
    let usage = json!({
        "input_tokens": 20, "output_tokens": 7, "total_tokens": 27,
        "input_token_details": {"cache_read": 16}, "output_token_details": {"reasoning": 4},
    });
    assert_eq!(run.metadata("usage_metadata"), Some(&usage));
    assert_eq!(run.outputs.as_ref().unwrap()["usage_metadata"], usage);
    assert_eq!(run.metadata("thread_id"), Some(&json!("thread-7")));
    assert_eq!(run.metadata("attempt"), Some(&json!(2)));
    assert_eq!(run.tags, ["a", "b,c", "d"]);
    assert!(run.events.iter().any(|event| event["name"] == "new_token"), "{:?}", run.events);
    assert_eq!(run.error.as_deref(), Some("the model did not answer\nCaused by: timed out after 3 s"));
    let left: Vec<_> =
        run.extra["metadata"].as_object().unwrap().keys().filter(|name| name.contains("usage.")).collect();
    assert!(left.is_empty(), "counts stand in one place: {left:?}");
}

#[test]
fn says_everything_on_a_span_of_tracing() {
    // Once while the span is current, once before it was ever entered.
    check_all(&Traced::start().runs(|| info_span!("plain").in_scope(|| say_all(&Span::current()))));
    check_all(&Traced::start().runs(|| say_all(&info_span!("plain"))));
}

#[test]
fn says_everything_on_a_context() {
    let traced = Traced::start();
    let context = Context::new().with_span(traced.provider.tracer("by hand").start("plain"));
    say_all(&context);
    context.span().end();
    check_all(&traced.finish());
}

#[test]
fn an_error_is_any_text() {
    let runs = Traced::start().runs(|| {
        let error = Unanswered::new();
        info_span!("borrowed").record_error(&error);
        drop(error);
        info_span!("text").record_error("no luck");
        info_span!("empty").record_error("");
    });
    assert_eq!(runs["borrowed"].error.as_deref(), Some("the model did not answer"));
    assert_eq!(runs["text"].error.as_deref(), Some("no luck"));
    assert_eq!(runs["empty"].error.as_deref(), Some("error"), "LangSmith shows success where there is no text");
}

struct Unwritable;

impl Serialize for Unwritable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("not today"))
    }
}

#[test]
fn a_value_that_cannot_be_written_says_so() {
    let runs = Traced::start().runs(|| info_span!("run").record_inputs(&Unwritable));
    let input = runs["run"].inputs.as_ref().unwrap()["input"].as_str().unwrap().to_owned();
    assert_eq!(input, "cannot be written as JSON: not today");
}

/// Fails the test when anybody asks for it.
struct Untouchable;

impl Serialize for Untouchable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("serialized for nobody");
    }
}

impl std::fmt::Display for Untouchable {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("printed for nobody");
    }
}

fn touch(span: &impl SpanExt) {
    span.record_inputs(&Untouchable);
    span.record_outputs(&Untouchable);
    span.record_error(Untouchable);
}

#[test]
fn nothing_is_serialized_for_spans_that_are_not_recorded() {
    // Disabled by nobody listening, by a filter, and none at all.
    touch(&info_span!("nobody listens"));
    touch(&Span::none());
    touch(&Context::new());
    let filtered = tracing_subscriber::registry().with(tracing_subscriber::filter::LevelFilter::OFF);
    tracing::subscriber::with_default(filtered, || touch(&info_span!("filtered")));
    // Recorded, but by a subscriber that knows nothing of OpenTelemetry.
    let other = tracing_subscriber::registry();
    tracing::subscriber::with_default(other, || {
        let span = info_span!("for another");
        span.record_inputs(&Untouchable);
        span.in_scope(|| touch(&Span::current()));
    });
    // Not sampled.
    let traced = Traced::sampled(Sampler::AlwaysOff);
    touch(&Context::new().with_span(traced.provider.tracer("by hand").start("unsampled")));
    let runs = traced.runs(|| info_span!("unsampled").in_scope(|| touch(&Span::current())));
    assert!(runs.0.is_empty());
}

#[test]
fn a_parent_can_be_set_after_something_was_recorded() {
    use tracing_opentelemetry::OpenTelemetrySpanExt;

    let traced = Traced::start();
    let parent = Context::new().with_span(traced.provider.tracer("by hand").start("parent"));
    let runs = traced.runs(|| {
        let span = info_span!("child");
        span.record_inputs("early");
        span.set_parent(parent.clone()).unwrap();
        drop(span);
        parent.span().end();
    });
    assert_eq!(runs.above("child"), Some("parent"));
}

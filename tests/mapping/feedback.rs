//! What evaluators say becomes feedback where that is wanted, and stays where it was otherwise.

use crate::common::{assert_flawless, config, server, LONG};
use crate::{attributes, run_with, traced};
use opentelemetry::trace::{Span as _, TraceContextExt, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_langsmith::testing::ReceivedRun;
use opentelemetry_langsmith::{Config, LangSmithSpanProcessor};
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde_json::{json, Value as Json};
use std::time::Duration;

type Attributes = Vec<(&'static str, Value)>;

fn run_with_events(configure: impl FnOnce(Config) -> Config, events: Vec<(&'static str, Attributes)>) -> ReceivedRun {
    let mut runs = traced(configure, |tracer| {
        let mut span = tracer.start("answer");
        for (name, attributes) in events {
            let attributes = attributes.into_iter().map(|(key, value)| KeyValue::new(key, value)).collect();
            span.add_event(name, attributes);
        }
    });
    assert_eq!(runs.len(), 1);
    runs.remove(0)
}

fn on(config: Config) -> Config {
    config.with_feedback(true)
}

/// The rows without their ids, which are checked here.
fn rows(run: &ReceivedRun) -> Vec<Json> {
    let mut ids = Vec::new();
    let rows = run.feedback.iter().map(|row| {
        let mut row = row.as_object().unwrap().clone();
        assert_eq!(row.remove("run_id"), Some(json!(run.id)));
        assert_eq!(row.remove("trace_id"), Some(json!(run.trace_id)));
        assert_eq!(row.remove("extend_trace_retention"), Some(json!(false)), "the trace stays as cheap as it was");
        ids.push(row.remove("id").unwrap());
        Json::from(row)
    });
    let rows = rows.collect();
    ids.dedup();
    assert_eq!(ids.len(), run.feedback.len());
    rows
}

fn evaluations() -> Vec<(&'static str, Attributes)> {
    let evaluation = attributes! {
        "gen_ai.evaluation.name" => "relevance",
        "gen_ai.evaluation.score.value" => 0.75,
        "gen_ai.evaluation.score.label" => "good",
        "gen_ai.evaluation.explanation" => "on topic",
    };
    let own = attributes! {"key" => "helpful", "score" => true, "value" => 3, "comment" => "thanks"};
    vec![
        ("before", Vec::new()),
        ("gen_ai.evaluation.result", evaluation.to_vec()),
        ("langsmith.feedback", own.to_vec()),
        ("after", Vec::new()),
    ]
}

fn annotations() -> Attributes {
    attributes! {
        "annotations.0.annotation.name" => "tone",
        "annotations.0.annotation.label" => "warm",
        "annotations.0.annotation.annotator_kind" => "HUMAN",
        "evaluations.1.evaluation.name" => "faithful",
        "evaluations.1.evaluation.score" => 1,
        "annotations.10.annotation.name" => "late",
        "annotations.10.annotation.score" => "0.5",
        "annotations.2.annotation.name" => "early",
        "annotations.2.annotation.explanation" => "because",
        "annotations.more" => "stays",
    }
    .to_vec()
}

#[test]
fn events_are_feedback_and_events_no_more() {
    let run = run_with_events(on, evaluations());
    assert_eq!(
        rows(&run),
        [
            json!({"key": "relevance", "score": 0.75, "value": "good", "comment": "on topic"}),
            json!({"key": "helpful", "score": true, "value": 3, "comment": "thanks"}),
        ]
    );
    let names: Vec<_> = run.events.iter().map(|event| event["name"].clone()).collect();
    assert_eq!(names, ["before", "after"]);
}

#[test]
fn annotations_are_feedback_and_metadata_no_more() {
    let run = run_with(on, "answer", annotations());
    assert_eq!(
        rows(&run),
        [
            json!({"key": "tone", "value": "warm"}),
            json!({"key": "early", "comment": "because"}),
            json!({"key": "late", "score": 0.5}),
            json!({"key": "faithful", "score": 1}),
        ]
    );
    let names = crate::metadata_names(&run);
    assert_eq!(names, ["annotations.0.annotation.annotator_kind", "annotations.more"], "nothing else is lost");
}

/// Feedback is not sent on by itself.
#[test]
fn nothing_is_feedback_unless_that_is_wanted() {
    for configure in [|config: Config| config, |config: Config| config.with_feedback(true).with_feedback(false)] {
        let run = run_with_events(configure, evaluations());
        assert_eq!((run.events.len(), run.feedback.len()), (4, 0));
        assert_eq!(run.events[1]["kwargs"]["gen_ai.evaluation.score.value"], 0.75);
        let run = run_with(configure, "answer", annotations());
        assert_eq!((crate::metadata_names(&run).len(), run.feedback.len()), (annotations().len(), 0));
    }
}

/// What LangSmith would refuse, or would tell nobody anything, is kept as what it was.
#[test]
fn what_makes_no_row_stays() {
    let odd = [
        attributes! {"score" => 1, "comment" => "no key"}.to_vec(),
        attributes! {"key" => " ", "score" => 1}.to_vec(),
        attributes! {"key" => "says nothing", "comment" => ""}.to_vec(),
        attributes! {"key" => "no number", "score" => f64::NAN}.to_vec(),
        attributes! {"key" => "two verdicts", "score" => "bad", "value" => "good"}.to_vec(),
    ];
    for odd in odd {
        let run = run_with_events(on, vec![("langsmith.feedback", odd.clone())]);
        assert_eq!((run.events.len(), rows(&run)), (1, vec![]), "{odd:?}");
    }
    let run = run_with(on, "answer", attributes! {"annotations.0.annotation.score" => 1});
    assert_eq!((crate::metadata_names(&run).len(), rows(&run)), (1, vec![]));
    // A verdict in the place of a number is one all the same.
    let verdict = attributes! {"key" => "verdict", "score" => "pass"}.to_vec();
    let run = run_with_events(on, vec![("langsmith.feedback", verdict)]);
    assert_eq!(rows(&run), [json!({"key": "verdict", "value": "pass"})]);
}

fn helpful() -> Vec<KeyValue> {
    vec![KeyValue::new("key", "helpful"), KeyValue::new("score", 1)]
}

/// Rows name their own run and the root of its trace.
#[test]
fn below_a_root() {
    let runs = traced(on, |tracer| {
        let root = Context::new().with_span(tracer.start_with_context("root", &Context::new()));
        tracer.start_with_context("child", &root).add_event("langsmith.feedback", helpful());
        root.span().end();
    });
    let child = runs.iter().find(|run| run.name == "child").unwrap();
    assert_ne!(child.id, child.trace_id);
    assert_eq!(rows(child), [json!({"key": "helpful", "score": 1})]);
    assert!(runs.iter().all(|run| run.name == "child" || run.feedback.is_empty()));
}

/// A run that is shown while it runs has its feedback when it ends, and not twice.
#[test]
fn feedback_goes_with_the_end() {
    let server = server();
    let config = on(config(&server)).with_pending_after(Duration::from_millis(50));
    let provider =
        SdkTracerProvider::builder().with_span_processor(LangSmithSpanProcessor::new(config).unwrap()).build();
    let tracer = provider.tracer("mapping");
    let names = ["annotations.0.annotation.name", "annotations.0.annotation.score"];
    let known = names.into_iter().zip(helpful()).map(|(name, row)| KeyValue::new(name, row.value));
    let mut span = tracer.build(tracer.span_builder("answer").with_attributes(known));
    assert!(server.wait_for_runs(1, LONG), "it is shown");
    assert!(server.runs()[0].is_pending() && server.runs()[0].feedback.is_empty());
    span.end();
    provider.shutdown_with_timeout(LONG).unwrap();
    assert_flawless(&server, 1);
    assert_eq!(rows(&server.runs()[0]), [json!({"key": "helpful", "score": 1})]);
}

//! Tokens are counted once in a trace, whoever counts them.

use crate::common::{assert_flawless, config, export_all, server, span, with};
use crate::{attributes, run_of, traced};
use opentelemetry::trace::{Span as _, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_langsmith::testing::ReceivedRun;
use opentelemetry_sdk::trace::{SpanData, Tracer};
use serde_json::json;

type Attributes = &'static [(&'static str, &'static str)];

/// One span a line, from the top down.
type Trace = &'static [(&'static str, Attributes)];

const FRAMEWORK: (&str, Attributes) = (
    "framework",
    &[("openinference.span.kind", "LLM"), ("llm.token_count.prompt", "10"), ("llm.token_count.completion", "3")],
);
const CLIENT: (&str, Attributes) = (
    "client",
    &[("gen_ai.operation.name", "chat"), ("gen_ai.usage.input_tokens", "10"), ("gen_ai.usage.output_tokens", "3")],
);
const SILENT: (&str, Attributes) = ("client", &[("gen_ai.operation.name", "chat")]);
const STEP: (&str, Attributes) = ("step", &[("traceloop.span.kind", "task")]);
const AGENT: (&str, Attributes) = ("agent", &[("openinference.span.kind", "AGENT"), ("llm.token_count.total", "13")]);
const EXPLICIT: (&str, Attributes) =
    ("job", &[("langsmith.usage_metadata", r#"{"input_tokens":10,"output_tokens":3,"total_tokens":13}"#)]);

/// The names of the runs whose tokens are counted, and of those whose tokens are shown.
fn counted(runs: &[ReceivedRun]) -> (Vec<&str>, Vec<&str>) {
    let names = |has: fn(&&ReceivedRun) -> bool| {
        let mut names: Vec<_> = runs.iter().filter(has).map(|run| &*run.name).collect();
        names.sort_unstable();
        names
    };
    (names(|run| run.usage().is_some()), names(|run| run.metadata("ls_aggregated_usage").is_some()))
}

fn live(trace: Trace) -> Vec<ReceivedRun> {
    fn nested(tracer: &Tracer, trace: Trace, context: &Context) {
        let Some(((name, attributes), below)) = trace.split_first() else { return };
        let mut span = tracer.start_with_context(*name, context);
        span.set_attributes(attributes.iter().map(|(key, value)| KeyValue::new(*key, *value)));
        nested(tracer, below, &Context::new().with_span(span));
    }
    traced(|config| config, |tracer| nested(tracer, trace, &Context::new()))
}

fn held(trace: Trace) -> Vec<ReceivedRun> {
    let server = server();
    let spans = (1_u64..).zip(trace).map(|(id, (name, attributes))| {
        let attributed = attributes.iter().fold(span(1, id, id - 1), |span, (key, value)| with(span, key, *value));
        SpanData { name: (*name).into(), ..attributed }
    });
    let mut spans: Vec<_> = spans.collect();
    spans.reverse();
    export_all(config(&server), vec![spans]);
    assert_flawless(&server, trace.len());
    server.runs()
}

#[test]
fn a_run_that_has_counted_runs_below_shows_its_own_count_only() {
    for (trace, count, show) in [
        (&[FRAMEWORK, CLIENT][..], &["client"][..], &["framework"][..]),
        (&[FRAMEWORK, STEP, CLIENT], &["client"], &["framework"]),
        (&[AGENT, FRAMEWORK, CLIENT], &["client"], &["agent", "framework"]),
        (&[EXPLICIT, FRAMEWORK, CLIENT], &["client"], &["framework", "job"]),
        // Nobody below has counted.
        (&[FRAMEWORK, SILENT], &["framework"], &[]),
        (&[EXPLICIT, STEP], &["job"], &[]),
        (&[AGENT, SILENT], &[], &["agent"]),
        (&[STEP, CLIENT], &["client"], &[]),
    ] {
        let expected = (count.to_vec(), show.to_vec());
        assert_eq!(counted(&live(trace)), expected, "live: {trace:?}");
        assert_eq!(counted(&held(trace)), expected, "held: {trace:?}");
    }
}

#[test]
fn counts_of_a_run_beside_another_are_both_counted() {
    let runs = traced(
        |config| config,
        |tracer| {
            let root = tracer.start("root");
            let context = Context::new().with_span(root);
            for _ in 0..2 {
                let mut span = tracer.start_with_context("call", &context);
                span.set_attributes(CLIENT.1.iter().map(|(key, value)| KeyValue::new(*key, *value)));
            }
        },
    );
    assert_eq!(counted(&runs).0, ["call", "call"]);
}

#[test]
fn the_tier_that_answered_is_priced() {
    for (key, tier) in [
        ("openai.response.service_tier", "priority"),
        ("gen_ai.openai.response.service_tier", "flex"),
        ("langsmith.metadata.service_tier", "flex"),
    ] {
        let run = run_of(attributes! {
            "openinference.span.kind" => "LLM", key => tier,
            "llm.token_count.prompt" => 10, "llm.token_count.completion" => 5,
            "llm.token_count.prompt_details.cache_read" => 4, "llm.token_count.completion_details.reasoning" => 2,
        });
        let usage = run.usage().unwrap();
        let details = |cached: &str, rest: i64, part: i64| json!({tier: rest, format!("{tier}_{cached}"): part});
        assert_eq!(usage["input_token_details"], details("cache_read", 6, 4));
        assert_eq!(usage["output_token_details"], details("reasoning", 3, 2));
    }
}

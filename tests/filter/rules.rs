//! What each filter keeps, by either way in.

use crate::common::server;
use crate::{Way, WAYS};
use opentelemetry::trace::{Span as _, SpanKind, Tracer, TracerProvider};
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use opentelemetry_langsmith::SpanFilter;
use opentelemetry_sdk::trace::SpanData;

/// A span of its own trace: its name, its scope, and its attributes.
type Example = (&'static str, &'static str, SpanKind, Vec<KeyValue>);

/// The names of those that are kept, in the order they were made.
fn kept_of(examples: &[Example], filter: &SpanFilter, way: Way) -> Vec<String> {
    let server = server();
    let (provider, _) = way.pipeline(&server, filter.clone());
    for (name, scope, kind, attributes) in examples {
        let tracer = provider.tracer_with_scope(InstrumentationScope::builder(*scope).build());
        let builder = tracer.span_builder(*name).with_kind(kind.clone()).with_attributes(attributes.clone());
        builder.start_with_context(&tracer, &Context::new()).end();
    }
    provider.shutdown().unwrap();
    let runs = server.runs();
    let was_kept = |name: &&str| runs.iter().any(|run| run.name == **name);
    examples.iter().map(|(name, ..)| *name).filter(|name| was_kept(name)).map(str::to_owned).collect()
}

fn keeps(examples: &[Example], filter: &SpanFilter, expected: &[&str]) {
    for way in WAYS {
        assert_eq!(kept_of(examples, filter, way), expected, "{filter:?}, {way:?}");
    }
}

fn with_target(name: &'static str, scope: &'static str, target: Option<&'static str>) -> Example {
    (name, scope, SpanKind::Internal, target.map(|target| KeyValue::new("target", target)).into_iter().collect())
}

#[test]
fn plumbing_is_left_out_by_default_and_nothing_that_only_sounds_like_it() {
    let examples = [
        with_target("agent", "app", Some("app::agent")),
        with_target("connect", "app", Some("hyper::client")),
        with_target("frame", "app", Some("h2")),
        with_target("stars", "app", Some("hyperion::stars")),
        with_target("request", "app", Some("tower_http::trace")),
        with_target("plain", "app", None),
        with_target("fetch", "reqwest", None),
        with_target("export", "opentelemetry-otlp", None),
        with_target("download", "reqwest", Some("app::download")),
    ];
    let expected = ["agent", "stars", "request", "plain", "download"];
    keeps(&examples, &SpanFilter::default(), &expected);
    keeps(&examples, &SpanFilter::without_plumbing(), &expected);
    keeps(&examples, &!SpanFilter::without_plumbing(), &["connect", "frame", "fetch", "export"]);
    keeps(&examples, &SpanFilter::from_fn(|span: &SpanData| span.name == "frame"), &["frame"]);
    assert_eq!(kept_of(&examples, &SpanFilter::all(), Way::Processor).len(), 9);
    keeps(&examples, &SpanFilter::target("app"), &["agent", "download"]);
    keeps(&examples, &SpanFilter::target("app::agent"), &["agent"]);
    keeps(&examples, &SpanFilter::scope("reqwest"), &["fetch", "download"]);
    keeps(&examples, &SpanFilter::scope("reqwest").and(SpanFilter::target("app")), &["download"]);
    keeps(&examples, &SpanFilter::scope("reqwest").or(SpanFilter::name("plain")), &["plain", "fetch", "download"]);
    keeps(&examples, &SpanFilter::all().and(!SpanFilter::scope("app")), &["fetch", "export", "download"]);
}

#[test]
fn a_span_is_told_by_its_kind_and_by_its_attributes() {
    let examples = [
        ("serve", "app", SpanKind::Server, vec![KeyValue::new("http.route", "/ask"), KeyValue::new("tries", 3)]),
        ("call", "app", SpanKind::Client, vec![KeyValue::new("tries", "3")]),
        ("again", "app", SpanKind::Client, vec![KeyValue::new("tries", 1), KeyValue::new("tries", 2)]),
    ];
    keeps(&examples, &SpanFilter::kind(SpanKind::Client), &["call", "again"]);
    keeps(&examples, &SpanFilter::attribute("http.route"), &["serve"]);
    keeps(&examples, &SpanFilter::attribute_value("tries", 3), &["serve", "call"]);
    // Of several with one name the last one counts, as it does in the run.
    keeps(&examples, &SpanFilter::attribute_value("tries", 1), &[]);
    keeps(&examples, &SpanFilter::attribute_value("tries", 2), &["again"]);
}

#[test]
fn generative_ai_is_told_by_its_conventions() {
    let named = |name: &'static str| (name, "app", SpanKind::Internal, vec![KeyValue::new(name, "x")]);
    let wanted = [
        "gen_ai.operation.name",
        "openinference.span.kind",
        "llm.model_name",
        "input.value",
        "traceloop.span.kind",
        "ai.operationId",
        "mlflow.spanType",
        "genkit:name",
        "langfuse.observation.type",
        "langsmith.span.kind",
        "ls_provider",
        "retrieval.documents.0.document.content",
    ];
    let others = ["http.route", "db.system.name", "messaging.system", "aim", "generic", "agent", "session.id"];
    let mut examples: Vec<Example> = wanted.iter().chain(&others).map(|name| named(name)).collect();
    examples.push(with_target("chat", "app", Some("rig::completions")));
    examples.push(with_target("rigging", "app", Some("rigging")));
    let expected: Vec<&str> = wanted.into_iter().chain(["chat"]).collect();
    keeps(&examples, &SpanFilter::gen_ai(), &expected);
}

#[test]
fn a_filter_that_panics_keeps_the_span() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let examples = [with_target("work", "app", None)];
    let kept = kept_of(&examples, &SpanFilter::from_fn(|_| panic!("on purpose")), Way::Processor);
    std::panic::set_hook(hook);
    assert_eq!(kept, ["work"]);
}

#[test]
fn a_filter_says_what_it_is() {
    let filter = SpanFilter::gen_ai().or(SpanFilter::target("app")).and(!SpanFilter::name("healthz"));
    assert_eq!(format!("{filter:?}"), r#"SpanFilter(((gen_ai or target app) and not name "healthz"))"#);
    assert_eq!(format!("{:?}", SpanFilter::default()), "SpanFilter(not plumbing)");
}

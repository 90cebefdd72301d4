//! Sampling by trace: whole traces, the same ones in every service, and errors kept where asked for.

#[path = "common/mod.rs"]
mod common;

use common::{assert_adds_up, assert_flawless, config, counted_provider, export, server, span, with, KEY, LONG};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{
    Span as _, SpanContext, Status, TraceContextExt, TraceFlags, TraceState, Tracer, TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_langsmith::testing::LocalLangSmith;
use opentelemetry_langsmith::{Client, Config, DropReason, Handle, LangSmithExporter, LangSmithSpanProcessor};
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanExporter};
use std::collections::{BTreeMap, BTreeSet, HashMap};

fn processor(config: Config) -> (SdkTracerProvider, Handle) {
    let processor = LangSmithSpanProcessor::new(config).unwrap();
    let handle = processor.handle();
    (SdkTracerProvider::builder().with_span_processor(processor).build(), handle)
}

fn start(tracer: &impl Tracer<Span: Send + Sync + 'static>, name: &'static str, parent: &Context) -> Context {
    parent.with_span(tracer.start_with_context(name, parent))
}

/// OpenTelemetry's ids of the traces that came, and how many runs each has.
fn traces(server: &LocalLangSmith) -> BTreeMap<String, usize> {
    let mut traces = BTreeMap::new();
    for run in server.runs() {
        *traces.entry(run.metadata("OTEL_TRACE_ID").unwrap().as_str().unwrap().to_owned()).or_insert(0) += 1;
    }
    traces
}

const TRACES: u64 = 400;

/// Traces of three spans each, with ids that count up.
fn by_processor(config: Config) -> Client {
    let (provider, handle) = counted_provider(config);
    let tracer = provider.tracer("test");
    for _ in 0..TRACES {
        let root = start(&tracer, "root", &Context::new());
        let child = start(&tracer, "child", &root);
        start(&tracer, "grandchild", &child).span().end();
        child.span().end();
        root.span().end();
    }
    provider.shutdown_with_timeout(LONG).unwrap();
    handle.client()
}

/// The same traces, as an exporter in another service sees them.
fn by_exporter(config: Config) -> Client {
    let exporter = LangSmithExporter::new(config).unwrap();
    for number in 0..TRACES {
        // Each trace there has used up four ids: that of its root, its own, and those of the other spans.
        let trace = 0x7ace_0001 + u128::from(number) * 4;
        let id = 4 * number + 1;
        export(&exporter, vec![span(trace, id + 2, id + 1), span(trace, id + 1, id), span(trace, id, 0)]).unwrap();
    }
    exporter.shutdown_with_timeout(LONG).unwrap();
    exporter.client()
}

#[test]
fn whole_traces_are_sent_and_every_service_sends_the_same() {
    let kept = |sends: fn(Config) -> Client, rate: f64| {
        let server = server();
        let client = sends(config(&server).with_sampling_rate(rate));
        let traces = traces(&server);
        assert!(traces.values().all(|runs| *runs == 3), "{traces:?}");
        assert_flawless(&server, 3 * traces.len());
        let stats = client.stats();
        assert_adds_up(&stats);
        assert_eq!(stats.submitted, 3 * traces.len() as u64);
        assert_eq!(stats.not_sampled, 3 * (TRACES - traces.len() as u64), "{stats:?}");
        traces.into_keys().collect::<BTreeSet<_>>()
    };
    let half = kept(by_processor, 0.5);
    assert!((150..250).contains(&half.len()), "{} of {TRACES}", half.len());
    assert_eq!(half, kept(by_exporter, 0.5));
    let few = kept(by_exporter, 0.1);
    assert!((20..70).contains(&few.len()), "{} of {TRACES}", few.len());
    assert!(few.is_subset(&half));
    assert_eq!(kept(by_processor, 0.0).len(), 0);
    assert_eq!(kept(by_processor, 1.0).len() as u64, TRACES);
}

/// The SDK's sampler decides by the same id; what it lets through is still sampled here at the full rate.
#[test]
fn the_sdks_sampler_has_no_influence() {
    let server = server();
    let processor = LangSmithSpanProcessor::new(config(&server).with_sampling_rate(0.5)).unwrap();
    let client = processor.handle().client();
    let sampler = Sampler::TraceIdRatioBased(0.1);
    let provider = SdkTracerProvider::builder().with_sampler(sampler).with_span_processor(processor).build();
    let tracer = provider.tracer("test");
    for _ in 0..8000 {
        tracer.start_with_context("root", &Context::new()).end();
    }
    provider.shutdown_with_timeout(LONG).unwrap();
    let stats = client.stats();
    assert!((500..1100).contains(&(stats.submitted + stats.not_sampled)), "{stats:?}");
    let (sent, left) = (stats.sent, stats.not_sampled);
    assert!(sent * 2 > left && left * 2 > sent, "about as many are sent as not: {stats:?}");
}

#[test]
fn a_trace_that_was_joined_is_sent_whatever_its_id_is() {
    let (caller, server) = (server(), server());
    let (calling, handle) = processor(config(&caller));
    let outer = start(&calling.tracer("caller"), "outer", &Context::new());
    let mut headers = HashMap::new();
    handle.propagator().inject_context(&outer, &mut headers);
    let outer_run = handle.run_ref(outer.span().span_context()).unwrap();

    let (serving, handle) = processor(config(&server).with_sampling_rate(0.0));
    let tracer = serving.tracer("service");
    // By the header.
    let inner = start(&tracer, "inner", &handle.propagator().extract_with_context(&Context::new(), &headers));
    start(&tracer, "below", &inner).span().end();
    // A child that was handed the ids alone is in the same trace.
    let spawned = Context::new().with_remote_span_context(inner.span().span_context().clone());
    start(&tracer, "spawned", &spawned).span().end();
    // By attributes.
    let linked = tracer.span_builder("linked").with_attributes([
        KeyValue::new("langsmith.trace.id", outer_run.trace_id.to_string()),
        KeyValue::new("langsmith.span.parent_id", outer_run.run_id.to_string()),
        KeyValue::new("langsmith.span.dotted_order", outer_run.dotted_order.to_string()),
    ]);
    let linked = Context::new().with_span(linked.start_with_context(&tracer, &Context::new()));
    start(&tracer, "below linked", &linked).span().end();
    // By nothing: not even once others have joined.
    let alone = start(&tracer, "alone", &Context::new());
    start(&tracer, "below alone", &alone).span().end();
    assert_eq!(handle.run_ref(alone.span().span_context()), None);
    for context in [&inner, &linked, &alone, &outer] {
        context.span().end();
    }
    calling.shutdown().unwrap();
    serving.shutdown().unwrap();

    let mut names: Vec<_> = server.runs().into_iter().map(|run| run.name).collect();
    names.sort();
    assert_eq!(names, ["below", "below linked", "inner", "linked", "spawned"]);
    let above = |name: &str| server.run(name).unwrap().parent_run_id.unwrap();
    assert_eq!((above("inner"), above("linked")), (outer_run.run_id.to_string(), outer_run.run_id.to_string()));
    assert_eq!(above("spawned"), server.run("inner").unwrap().id);
    let stats = handle.client().stats();
    assert_eq!((stats.submitted, stats.sent, stats.not_sampled), (5, 5, 2), "{stats:?}");
}

#[test]
fn a_trace_that_is_not_sent_is_not_passed_on() {
    let server = server();
    let (provider, handle) = processor(config(&server).with_sampling_rate(0.0));
    let propagator = handle.propagator();
    let root = start(&provider.tracer("test"), "root", &Context::new());
    let mut headers = HashMap::<String, String>::new();
    propagator.inject_context(&root, &mut headers);
    assert_eq!(headers, HashMap::new());
}

/// Two traces, of which the second one fails deep inside.
fn fails(tracer: &impl Tracer<Span: Send + Sync + 'static>) {
    for fails in [false, true] {
        let root = start(tracer, if fails { "bad root" } else { "good root" }, &Context::new());
        start(tracer, "before", &root).span().end();
        let step = start(tracer, "step", &root);
        let inner = start(tracer, "inner", &step);
        if fails {
            inner.span().set_status(Status::error("the model did not answer"));
        }
        inner.span().end();
        step.span().end();
        start(tracer, "after", &root).span().end();
        let late = start(tracer, "late", &root);
        root.span().end();
        late.span().end();
    }
}

#[test]
fn traces_with_an_error_are_sent_when_asked_for() {
    for live in [true, false] {
        let server = server();
        let config = config(&server).with_sampling_rate(0.0).with_keep_errors(true);
        let (provider, client) = if live {
            let (provider, handle) = processor(config);
            (provider, handle.client())
        } else {
            let exporter = LangSmithExporter::new(config).unwrap();
            let client = exporter.client();
            (SdkTracerProvider::builder().with_batch_exporter(exporter).build(), client)
        };
        fails(&provider.tracer("test"));
        provider.shutdown_with_timeout(LONG).unwrap();
        assert_flawless(&server, 6);
        let mut names: Vec<_> = server.runs().into_iter().map(|run| run.name).collect();
        names.sort();
        assert_eq!(names, ["after", "bad root", "before", "inner", "late", "step"], "live: {live}");
        let root = server.run("bad root").unwrap().id;
        assert_eq!(server.run("step").unwrap().parent_run_id.as_ref(), Some(&root));
        let stats = client.stats();
        assert_adds_up(&stats);
        assert_eq!((stats.submitted, stats.sent, stats.not_sampled), (6, 6, 6), "live: {live}, {stats:?}");
    }
}

#[test]
fn an_error_after_the_root_comes_too_late() {
    let server = server();
    let (provider, handle) = processor(config(&server).with_sampling_rate(0.0).with_keep_errors(true));
    let tracer = provider.tracer("test");
    let root = start(&tracer, "root", &Context::new());
    let late = start(&tracer, "late", &root);
    // Nobody knows yet whether there will be a run, so nobody else may stand under it.
    assert_eq!(handle.run_ref(root.span().span_context()), None);
    root.span().end();
    late.span().set_status(Status::error("too late"));
    late.span().end();
    let open = start(&tracer, "open at shutdown", &Context::new());
    start(&tracer, "its child", &open).span().end();
    provider.shutdown_with_timeout(LONG).unwrap();
    assert_eq!(server.received(), 0);
    let stats = handle.client().stats();
    assert_eq!((stats.submitted, stats.not_sampled), (0, 4), "{stats:?}");
}

/// Their traces might have got an error yet.
#[test]
fn undecided_spans_that_come_after_the_end_are_counted_as_dropped() {
    let server = server();
    let config = config(&server).with_sampling_rate(0.0).with_keep_errors(true);
    let (provider, handle) = processor(config.clone());
    let root = start(&provider.tracer("test"), "open at shutdown", &Context::new());
    handle.client().shutdown(LONG).unwrap();
    root.span().end();
    start(&provider.tracer("test"), "root", &Context::new()).span().end();
    let exporter = LangSmithExporter::new(config).unwrap();
    exporter.client().shutdown(LONG).unwrap();
    let late = export(&exporter, vec![span(7, 9, 0)]);
    assert!(late.is_err());
    // What was open then was not left to its end, and its trace had no error.
    for (client, not_sampled) in [(handle.client(), 1), (exporter.client(), 0)] {
        let stats = client.stats();
        assert_adds_up(&stats);
        assert_eq!((stats.submitted, stats.dropped(DropReason::ShutDown)), (1, 1), "{stats:?}");
        assert_eq!(stats.not_sampled, not_sampled, "{stats:?}");
    }
    assert_eq!(server.received(), 0);
}

#[test]
fn undecided_traces_take_no_more_memory_than_they_may() {
    let server = server();
    let config = config(&server).with_sampling_rate(0.0).with_keep_errors(true).with_held_bytes(100_000);
    let (provider, handle) = processor(config);
    let tracer = provider.tracer("test");
    let first = start(&tracer, "first", &Context::new());
    start(&tracer, "its child", &first).span().end();
    let second = start(&tracer, "second", &Context::new());
    for _ in 0..50 {
        let child = start(&tracer, "large", &second);
        child.span().set_attribute(KeyValue::new("text", "x".repeat(5000)));
        child.span().end();
    }
    provider.force_flush().unwrap();
    assert!(handle.client().stats().not_sampled > 1, "the oldest traces had to go");
    first.span().set_status(Status::error("its trace is gone"));
    first.span().end();
    provider.shutdown_with_timeout(LONG).unwrap();
    assert_eq!(server.received(), 0);
    assert_eq!(handle.client().stats().submitted, 0);
}

#[test]
fn a_rate_is_a_number_from_0_to_1() {
    for wrong in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        let error =
            LangSmithSpanProcessor::new(Config::default().with_api_key(KEY).with_sampling_rate(wrong)).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("with_sampling_rate") && text.contains("LANGSMITH_TRACING_SAMPLING_RATE"), "{text}");
    }
    for (value, wrong) in
        [("0.25", false), ("1", false), ("", false), ("half", true), ("2", true), ("-1", true), ("NaN", true)]
    {
        temp_env::with_var("LANGSMITH_TRACING_SAMPLING_RATE", Some(value), || {
            let config = Config::from_env();
            assert_eq!(config.is_err(), wrong, "{value:?}");
            if let Err(error) = config {
                let text = error.to_string();
                assert!(text.starts_with("LANGSMITH_TRACING_SAMPLING_RATE is"), "{text}");
                assert!(text.contains("a number from 0 to 1") && text.contains("with_sampling_rate"), "{text}");
            }
        });
    }
}

#[test]
fn the_variable_counts_and_code_beats_it() {
    let server = server();
    temp_env::with_var("LANGSMITH_TRACING_SAMPLING_RATE", Some("0"), || {
        for (rate, expected) in [(None, 0), (Some(1.0), TRACES)] {
            let config = Config::from_env().unwrap().with_api_key(KEY).with_endpoint(server.endpoint());
            let client = by_processor(rate.map_or(config.clone(), |rate| config.with_sampling_rate(rate)));
            assert_eq!(client.stats().submitted, 3 * expected);
        }
    });
}

/// A service that joins nothing and names a remote parent decides by the id as well.
#[test]
fn a_remote_parent_alone_joins_nothing() {
    let server = server();
    let (provider, handle) = processor(config(&server).with_sampling_rate(0.0));
    let remote = SpanContext::new(7_u128.into(), 9_u64.into(), TraceFlags::SAMPLED, true, TraceState::NONE);
    let parent = Context::new().with_remote_span_context(remote);
    start(&provider.tracer("test"), "request", &parent).span().end();
    provider.shutdown().unwrap();
    assert_eq!(server.received(), 0);
    assert_eq!(handle.client().stats().not_sampled, 1);
    // An exporter that only hears of the end agrees.
    let exporter = LangSmithExporter::new(config(&server).with_sampling_rate(0.0)).unwrap();
    export(&exporter, vec![with(span(7, 9, 1), "langsmith.is_root", true)]).unwrap();
    assert_eq!(exporter.client().stats().not_sampled, 1);
}

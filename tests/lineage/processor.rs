//! The processor: real spans that start and end in any order.

use crate::common::{assert_adds_up, assert_flawless, at, config, counted_provider, server, LONG};
use crate::forest::{forest, Forest, Parent};
use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer, TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_langsmith::testing::LocalLangSmith;
use opentelemetry_langsmith::{Config, LangSmithSpanProcessor, RunIds};
use opentelemetry_sdk::trace::SdkTracerProvider;
use proptest::prelude::*;

/// Lets the spans run as the forest has it, then shuts down.
fn play(forest: &Forest, config: Config) {
    let (provider, handle) = counted_provider(config);
    let tracer = provider.tracer("forest");
    let mut moments: Vec<(u32, usize, bool)> = Vec::new();
    for (number, shape) in forest.0.iter().enumerate() {
        moments.push((shape.starts_at, number, true));
        if !shape.never_ends {
            moments.push((shape.ends_at, number, false));
        }
    }
    moments.sort_unstable();
    let mut spans: Vec<Option<opentelemetry_sdk::trace::Span>> = forest.0.iter().map(|_| None).collect();
    for (_, number, starts) in moments {
        let shape = &forest.0[number];
        if !starts {
            spans[number].as_mut().expect("it has started").end_with_timestamp(at(shape.end));
            continue;
        }
        let elsewhere = |remote| {
            let (trace, id) = (TraceId::from(0x7ace_ffff), SpanId::from(0xe15e_0000 + number as u64));
            Some(SpanContext::new(trace, id, TraceFlags::SAMPLED, remote, TraceState::NONE))
        };
        let parent = match shape.parent {
            Parent::Nothing => None,
            Parent::Span(parent) => spans[parent].as_ref().map(|span| span.span_context().clone()),
            Parent::Remote => elsewhere(true),
            Parent::Lost => elsewhere(false),
        };
        let context = parent.map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent));
        let mut builder = tracer.span_builder(number.to_string()).with_start_time(at(shape.start));
        if shape.marked {
            builder = builder.with_attributes([KeyValue::new("langsmith.is_root", true)]);
        }
        spans[number] = Some(builder.start_with_context(&tracer, &context));
    }
    provider.shutdown_with_timeout(LONG).unwrap();
    assert_adds_up(&handle.client().stats());
}

fn check_unfinished(forest: &Forest, server: &LocalLangSmith) {
    for run in server.runs() {
        let number: usize = run.name.parse().unwrap();
        let unfinished = forest.0[number].never_ends;
        assert_eq!(run.error.as_deref(), unfinished.then_some("cancelled"), "{run:?}");
        assert_eq!(run.metadata("ls_is_error_interrupt").is_some(), unfinished, "{run:?}");
        assert!(run.end_time.is_some(), "{run:?}");
    }
}

fn some_cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(some_cases(80))]

    #[test]
    fn every_span_stands_under_its_parent(forest in forest(40), otel_ids in any::<bool>()) {
        let server = server();
        let run_ids = if otel_ids { RunIds::Otel } else { RunIds::V7 };
        play(&forest, config(&server).with_run_ids(run_ids));
        forest.check(&server, false);
        check_unfinished(&forest, &server);
    }

    #[test]
    fn few_remembered_spans_lose_none_of_those_that_end(forest in forest(40), limit in 0..8_usize) {
        let server = server();
        // What was not remembered at its start cannot be told at the shutdown.
        let forest = Forest(forest.0.into_iter().map(|mut shape| { shape.never_ends = false; shape }).collect());
        play(&forest, config(&server).with_open_spans(limit));
        forest.check(&server, true);
    }
}

#[test]
fn threads_that_share_a_trace_lose_nothing() {
    const THREADS: usize = 4;
    const SPANS: usize = 250;
    let server = server();
    let processor = LangSmithSpanProcessor::new(config(&server)).unwrap();
    let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
    let tracer = provider.tracer("threads");
    let root = Context::new().with_span(tracer.start("root"));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (root, tracer) = (root.clone(), &tracer);
            scope.spawn(move || {
                for _ in 0..SPANS {
                    let outer = tracer.start_with_context(format!("outer {thread}"), &root);
                    let outer = Context::new().with_span(outer);
                    tracer.start_with_context(format!("inner {thread}"), &outer).end();
                    outer.span().end();
                }
            });
        }
    });
    root.span().end();
    provider.shutdown_with_timeout(LONG).unwrap();
    assert_flawless(&server, 1 + 2 * THREADS * SPANS);
    let runs = server.runs();
    let name_of = |id: &str| runs.iter().find(|run| run.id == id).map(|run| run.name.as_str());
    for run in runs.iter().filter(|run| run.name != "root") {
        let parent = name_of(run.parent_run_id.as_deref().expect("a parent")).expect("the parent's run");
        match run.name.split_once(' ') {
            Some(("inner", thread)) => assert_eq!(parent, format!("outer {thread}")),
            _ => assert_eq!(parent, "root"),
        }
    }
}

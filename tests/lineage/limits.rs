//! Very deep chains, and more open spans than are remembered.

use crate::common::sink::Sink;
use crate::common::{
    assert_adds_up, assert_flawless, at, config, counted_provider, export, in_time, server, span, KEY, LONG,
};
use opentelemetry::trace::{Span as _, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::Context;
use opentelemetry_langsmith::testing::LocalLangSmith;
use opentelemetry_langsmith::{Config, LangSmithExporter, LangSmithSpanProcessor, Stats};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanExporter};

/// As a batch processor has them: the innermost ends first.
fn export_chain(depth: u64, config: Config) -> Stats {
    let exporter = LangSmithExporter::new(config).unwrap();
    let spans: Vec<_> = (1..=depth).rev().map(|id| span(1, id, id - 1)).collect();
    for batch in spans.chunks(512) {
        export(&exporter, batch.to_vec()).unwrap();
    }
    exporter.shutdown_with_timeout(2 * LONG).unwrap();
    exporter.client().stats()
}

fn live_chain(depth: u64, config: Config) -> Stats {
    let processor = LangSmithSpanProcessor::new(config).unwrap();
    let client = processor.handle().client();
    let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
    let tracer = provider.tracer("deep");
    let mut open = vec![Context::new()];
    for level in 0..depth {
        let builder = tracer.span_builder(format!("level {level}")).with_start_time(at(0));
        let span = builder.start_with_context(&tracer, &open[open.len() - 1]);
        open.push(Context::new().with_span(span));
    }
    for context in open.iter().skip(1).rev() {
        context.span().end();
    }
    provider.shutdown_with_timeout(2 * LONG).unwrap();
    client.stats()
}

/// A dotted order has a segment for each ancestor, so such chains make hundreds of megabytes of them: more
/// than the strict receiver checks in reasonable time.
#[test]
fn a_chain_of_5000_spans_is_delivered() {
    in_time(|| {
        for chain in [export_chain, live_chain] {
            let sink = Sink::start();
            let config = Config::default().with_api_key(KEY).with_endpoint(sink.endpoint());
            let stats = chain(5000, config);
            assert_eq!((stats.submitted, stats.sent), (5000, 5000), "{stats:?}");
        }
    });
}

/// LangSmith takes 2,000 levels; what stands below goes on in a trace of its own.
#[test]
fn a_chain_that_is_too_deep_goes_on_in_a_new_root() {
    in_time(|| {
        let server = LocalLangSmith::counting().unwrap();
        let stats = export_chain(2010, config(&server).with_request_timeout(2 * LONG));
        assert_eq!(stats.sent, 2010, "{stats:?}");
        assert_eq!(server.violations(), Vec::<String>::new());
        assert_eq!(server.received(), 2010);
    });
}

/// A trace that ends with each of its spans and goes on with the next, as detached tasks have it: it counts
/// as one of those that ended lately, however often it ends, and pushes no other out.
#[test]
fn a_trace_that_ends_again_and_again_keeps_its_spans_and_those_of_others() {
    const OTHERS: usize = 128;
    const LINKS: usize = 100;
    let server = server();
    let (provider, _) = counted_provider(config(&server));
    let tracer = provider.tracer("detached");
    let ended = |name: &'static str, parent: &Context| {
        let mut span = tracer.start_with_context(name, parent);
        span.end();
        Context::new().with_span(span)
    };
    let others: Vec<_> = (0..OTHERS).map(|_| ended("root", &Context::new())).collect();
    let mut last = ended("root", &Context::new());
    for _ in 0..LINKS {
        last = ended("child", &last);
    }
    for other in &others {
        ended("child", other);
    }
    provider.shutdown_with_timeout(LONG).unwrap();
    assert_flawless(&server, 2 * OTHERS + LINKS + 1);
    for run in server.runs() {
        assert_eq!(run.parent_run_id.is_some(), run.name == "child", "{}", server.tree());
    }
}

#[test]
fn spans_beyond_the_limit_still_arrive() {
    let server = server();
    let processor = LangSmithSpanProcessor::new(config(&server).with_open_spans(10)).unwrap();
    let handle = processor.handle();
    let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
    let tracer = provider.tracer("many");
    let roots: Vec<_> = (0..100).map(|_| Context::new().with_span(tracer.start("root"))).collect();
    let known = roots.iter().filter(|root| handle.run_ref(root.span().span_context()).is_some()).count();
    assert!((1..100).contains(&known), "{known} are known");
    for root in &roots {
        tracer.start_with_context("child", root).end();
        root.span().end();
    }
    provider.shutdown_with_timeout(LONG).unwrap();
    assert_flawless(&server, 200);
    assert_adds_up(&handle.client().stats());
}

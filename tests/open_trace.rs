//! What stays open for long costs no memory for all that comes and goes meanwhile.
//!
//! One test in a program of its own: what it looks at is the memory of the whole process. Where the system does
//! not tell how much that is, only the counts are checked.

mod common;

use common::sink::Sink;
use common::{assert_adds_up, export, span, KEY, LONG};
use opentelemetry::trace::{Span as _, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::Context;
use opentelemetry_langsmith::{Config, LangSmithExporter, LangSmithSpanProcessor};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanExporter};

/// Where the compiler does not optimise, more would take a minute.
const SPANS: u64 = if cfg!(debug_assertions) { 250_000 } else { 4_000_000 };
const BATCH: u64 = 10_000;
/// The first of them fill tables and memory that is kept.
const FIRST: u64 = 60_000;

/// Kilobytes in memory.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Makes spans, batch after batch, and fails if that takes `bytes` of each for good.
fn assert_flat(what: &str, bytes: u64, mut make: impl FnMut(u64)) {
    let mut before = None;
    for made in (0..SPANS / BATCH).map(|batch| batch * BATCH) {
        if made == FIRST {
            before = resident();
        }
        make(made);
    }
    if let (Some(before), Some(now)) = (before, resident()) {
        let limit = before + (SPANS - FIRST) * bytes / 1024;
        eprintln!("{what}: from {before} KB to {now} KB, {limit} KB are too much");
        assert!(now < limit, "{what}: from {before} KB to {now} KB");
    }
}

fn config(sink: &Sink) -> Config {
    Config::default().with_api_key(KEY).with_endpoint(sink.endpoint())
}

/// Nobody knows yet whether the first trace has an error in it.
fn an_undecided_trace() {
    let sink = Sink::start();
    let config = config(&sink).with_sampling_rate(0.0).with_keep_errors(true).with_open_spans(1000);
    let processor = LangSmithSpanProcessor::new(config).unwrap();
    let client = processor.handle().client();
    let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
    let tracer = provider.tracer("open");
    let open = Context::new().with_span(tracer.start_with_context("open", &Context::new()));
    tracer.start_with_context("inner", &open).end();
    assert_flat("traces beside an open one", 16, |_| {
        (0..BATCH).for_each(|_| tracer.start_with_context("short", &Context::new()).end());
        client.flush(LONG).unwrap();
    });
    open.span().end();
    provider.shutdown_with_timeout(LONG).unwrap();
    let stats = client.stats();
    assert_adds_up(&stats);
    assert_eq!(stats.not_sampled, SPANS + 2, "{stats:?}");
}

/// The exporter hears of the parent when it ends, and of its children all the time.
fn a_parent_that_has_not_ended() {
    let sink = Sink::start();
    let exporter = LangSmithExporter::new(config(&sink).with_held_bytes(1 << 20)).unwrap();
    assert_flat("children of an open span", 16, |made| {
        for part in 0..10 {
            let ids = (0..BATCH / 10).map(|number| made + part * BATCH / 10 + number + 2);
            export(&exporter, ids.map(|id| span(1, id, 1)).collect()).unwrap();
        }
    });
    exporter.shutdown_with_timeout(LONG).unwrap();
    assert_eq!(exporter.client().stats().sent, SPANS);
}

#[test]
fn memory() {
    an_undecided_trace();
    a_parent_that_has_not_ended();
}

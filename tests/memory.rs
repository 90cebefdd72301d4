//! Memory stays flat while the server answers, and bounded while it does not.
//!
//! One test in a program of its own: what it looks at is the memory of the whole process. Where the system does
//! not tell how much that is, only the counts are checked.

mod common;

use common::{assert_adds_up, config, span, with, LONG};
use opentelemetry::trace::{Span as _, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_langsmith::testing::LocalLangSmith;
use opentelemetry_langsmith::{Config, DropReason, LangSmithExporter, LangSmithSpanProcessor};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, SpanExporter, SpanProcessor};
use std::time::Duration;

/// A million where the compiler optimises; without that they would take a minute.
const SPANS: usize = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
/// So many are made before somebody waits for them: a receiver in the same process is slower than the sender.
const BATCH: usize = 10_000;

/// Megabytes in memory.
fn resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kilobytes: usize = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes / 1024)
}

fn assert_grown_less(what: &str, before: Option<usize>, megabytes: usize) {
    if let (Some(before), Some(now)) = (before, resident()) {
        eprintln!("{what}: from {before} MB to {now} MB");
        assert!(now < before + megabytes, "{what}: from {before} MB to {now} MB");
    }
}

/// As an agent makes them: a root, and nine below it with a few attributes.
fn make_traces(tracer: &SdkTracer, spans: usize) {
    for _ in 0..spans / 10 {
        let root = Context::new().with_span(tracer.start("root"));
        for number in 0..9 {
            let mut child = tracer.start_with_context("child", &root);
            child.set_attribute(KeyValue::new("gen_ai.operation.name", "chat"));
            child.set_attribute(KeyValue::new("gen_ai.usage.input_tokens", number));
            child.set_attribute(KeyValue::new("input.value", "{\"question\":\"how much memory does that take?\"}"));
            child.end();
        }
        root.span().end();
    }
}

fn a_receiver_that_answers() {
    let server = LocalLangSmith::counting().unwrap();
    let processor = LangSmithSpanProcessor::new(config(&server)).unwrap();
    let client = processor.handle().client();
    let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
    let tracer = provider.tracer("memory");
    let mut before = None;
    for made in (0..SPANS).step_by(BATCH) {
        if made >= SPANS / 5 && before.is_none() {
            before = resident();
        }
        make_traces(&tracer, BATCH);
        client.flush(LONG).unwrap();
    }
    // The receiver remembers up to 90 bytes of each run, in maps that double.
    assert_grown_less("spans that are delivered", before, 40 + SPANS / 5000);
    provider.shutdown_with_timeout(LONG).unwrap();
    assert_eq!(client.stats().sent, SPANS as u64);
    assert_eq!(server.received(), SPANS as u64);
    assert_eq!(server.violations(), Vec::<String>::new());
}

fn a_receiver_that_does_not_answer() {
    const QUEUE: usize = 8 << 20;
    const SPANS: u64 = 40_000;
    let server = LocalLangSmith::counting().unwrap();
    server.latency(10 * LONG);
    let before = resident();
    let processor = LangSmithSpanProcessor::new(config(&server).with_queue_bytes(QUEUE)).unwrap();
    let client = processor.handle().client();
    let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
    let tracer = provider.tracer("memory");
    let mut seed = 1_u64;
    for _ in 0..SPANS {
        // Texts that do not compress well: 4 KB each, 160 MB altogether.
        let text: String = std::iter::repeat_with(|| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            format!("{:016x}", seed ^ (seed >> 31))
        })
        .take(256)
        .collect();
        let mut span = tracer.start("span");
        span.set_attribute(KeyValue::new("output.value", text));
        span.end();
    }
    let stats = client.stats();
    assert_adds_up(&stats);
    assert_eq!(stats.submitted, SPANS);
    assert!(stats.dropped(DropReason::QueueFull) > SPANS / 2, "{stats:?}");
    // The queue, what is compressed and on its way, and as much again on the receiver's side.
    assert_grown_less("spans that nobody takes", before, 100);
    let _ = provider.shutdown_with_timeout(Duration::from_millis(10));
    let stats = client.stats();
    assert_adds_up(&stats);
    assert_eq!(stats.sent + stats.dropped_total() + stats.queued + stats.in_flight, SPANS);
}

/// Another provider makes them and lets go of them, so all that is left of each is what this crate remembers.
fn spans_that_never_end() {
    const SPANS: usize = 100_000;
    let server = LocalLangSmith::counting().unwrap();
    let processor = LangSmithSpanProcessor::new(config(&server).with_open_spans(1000)).unwrap();
    let tracer = SdkTracerProvider::builder().build().tracer("memory");
    let before = resident();
    for _ in 0..SPANS {
        let builder = tracer.span_builder("never").with_attributes([KeyValue::new("x", "y".repeat(1000))]);
        let mut span = builder.start_with_context(&tracer, &Context::new());
        assert!(span.is_recording());
        processor.on_start(&mut span, &Context::new());
    }
    assert_grown_less("spans that never end", before, 60);
    processor.shutdown_with_timeout(LONG).unwrap();
    assert!((1..=2000).contains(&server.received()), "{} came as interrupted", server.received());
    assert_eq!(server.violations(), Vec::<String>::new());
}

fn parents_that_never_come() {
    const ORPHANS: u64 = 30_000;
    let server = LocalLangSmith::counting().unwrap();
    let before = resident();
    let config: Config = config(&server).with_held_bytes(8 << 20);
    let exporter = LangSmithExporter::new(config).unwrap();
    for batch in 0..ORPHANS / 500 {
        let spans = (0..500).map(|number| {
            let id = batch * 500 + number + 1;
            with(span(u128::from(id) << 64, id, u64::MAX), "x", "y".repeat(4000))
        });
        common::export(&exporter, spans.collect()).unwrap();
    }
    // 120 MB of them have come by.
    assert_grown_less("spans whose parents never come", before, 80);
    exporter.shutdown_with_timeout(LONG).unwrap();
    assert_eq!(exporter.client().stats().sent, ORPHANS);
    assert_eq!(server.received(), ORPHANS);
    assert_eq!(server.violations(), Vec::<String>::new());
}

#[test]
fn memory() {
    a_receiver_that_answers();
    a_receiver_that_does_not_answer();
    parents_that_never_come();
    spans_that_never_end();
}

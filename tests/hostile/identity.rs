//! Ids that are missing, wrong, or used twice; spans that are not to be sent.

use crate::common::{assert_adds_up, assert_flawless, config, export, export_all, server, span, with, LONG};
use opentelemetry::trace::{Span as _, SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry::Context;
use opentelemetry_langsmith::{LangSmithExporter, LangSmithSpanProcessor, RunIds};
use opentelemetry_sdk::trace::{IdGenerator, Sampler, SdkTracerProvider, SpanData, SpanExporter};

fn flawless(spans: &[SpanData]) {
    for run_ids in [RunIds::V7, RunIds::Otel] {
        let server = server();
        let count = spans.len();
        let stats = export_all(config(&server).with_run_ids(run_ids), vec![spans.to_vec()]);
        assert_eq!(stats.sent, count as u64, "{stats:?}");
        assert_flawless(&server, count);
    }
}

#[test]
fn ids_of_zeros_and_ones() {
    flawless(&[span(0, 0, 0)]);
    flawless(&[span(0, 1, 0), span(0, 2, 1)]);
    flawless(&[span(u128::MAX, u64::MAX, 0), span(u128::MAX, 1, u64::MAX)]);
}

#[test]
fn a_span_that_is_its_own_parent() {
    flawless(&[span(1, 1, 1)]);
    flawless(&[span(1, 2, 1), span(1, 1, 1)]);
}

#[test]
fn spans_that_are_each_others_parents() {
    flawless(&[span(1, 1, 2), span(1, 2, 1)]);
    flawless(&[span(1, 4, 1), span(1, 1, 2), span(1, 2, 3), span(1, 3, 1), span(1, 5, 4)]);
    // A long circle, with a tail at every span of it.
    let circle = (1..=300).flat_map(|id| [span(1, id, id % 300 + 1), span(1, id + 10_000, id)]);
    flawless(&circle.collect::<Vec<_>>());
}

#[test]
fn two_spans_of_one_trace_without_a_parent() {
    flawless(&[span(1, 1, 0), span(1, 2, 0), span(1, 3, 1), span(1, 4, 2)]);
}

#[test]
fn the_same_span_exported_twice() {
    // In one batch, in two, as a child, and while its first copy still waits for a parent.
    flawless(&[span(1, 1, 0), span(1, 1, 0)]);
    flawless(&[span(1, 2, 1), span(1, 2, 1), span(1, 1, 0)]);
    flawless(&[span(1, 2, 1), span(1, 1, 0), span(1, 2, 1), span(1, 3, 2)]);
    flawless(&[span(1, 2, 9), span(1, 2, 9), span(1, 2, 9)]);
    let server = server();
    let exporter = LangSmithExporter::new(config(&server)).unwrap();
    for _ in 0..3 {
        export(&exporter, vec![span(1, 2, 1), span(1, 1, 0)]).unwrap();
    }
    exporter.shutdown_with_timeout(LONG).unwrap();
    assert_flawless(&server, 6);
}

#[derive(Debug)]
struct SameIds;

impl IdGenerator for SameIds {
    fn new_trace_id(&self) -> TraceId {
        TraceId::from(7)
    }

    fn new_span_id(&self) -> SpanId {
        SpanId::from(7)
    }
}

/// A generator that was seeded alike in two places, or never.
#[test]
fn real_spans_that_all_have_the_same_ids() {
    for run_ids in [RunIds::V7, RunIds::Otel] {
        let server = server();
        let processor = LangSmithSpanProcessor::new(config(&server).with_run_ids(run_ids)).unwrap();
        let client = processor.handle().client();
        let provider = SdkTracerProvider::builder().with_span_processor(processor).with_id_generator(SameIds).build();
        let tracer = provider.tracer("same");
        for _ in 0..3 {
            let outer = Context::new().with_span(tracer.start("outer"));
            tracer.start_with_context("inner", &outer).end();
            outer.span().end();
            tracer.start("alone").end();
        }
        provider.shutdown_with_timeout(LONG).unwrap();
        let stats = client.stats();
        assert_adds_up(&stats);
        assert_eq!((stats.submitted, stats.dropped_total()), (9, 0), "{stats:?}");
        assert_flawless(&server, 9);
    }
}

fn unsampled(mut span: SpanData) -> SpanData {
    let context = &span.span_context;
    span.span_context =
        SpanContext::new(context.trace_id(), context.span_id(), TraceFlags::NOT_SAMPLED, false, TraceState::NONE);
    span
}

/// Recorded but not sampled: other processors see them.
#[derive(Clone, Debug)]
struct RecordOnly;
impl opentelemetry_sdk::trace::ShouldSample for RecordOnly {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &opentelemetry::trace::SpanKind,
        attributes: &[opentelemetry::KeyValue],
        links: &[opentelemetry::trace::Link],
    ) -> opentelemetry_sdk::trace::SamplingResult {
        let mut result = Sampler::AlwaysOn.should_sample(parent, trace_id, name, kind, attributes, links);
        result.decision = opentelemetry_sdk::trace::SamplingDecision::RecordOnly;
        result
    }
}

#[test]
fn spans_that_are_not_sampled_are_not_sent() {
    let server = server();
    let spans = vec![unsampled(span(1, 1, 0)), span(2, 2, 0), unsampled(span(3, 3, 0)), span(3, 4, 3)];
    let stats = export_all(config(&server), vec![spans, vec![unsampled(span(5, 5, 0))], vec![]]);
    assert_eq!((stats.submitted, stats.sent), (2, 2), "{stats:?}");
    assert_flawless(&server, 2);

    server.clear();
    let processor = LangSmithSpanProcessor::new(config(&server)).unwrap();
    let client = processor.handle().client();
    let provider = SdkTracerProvider::builder().with_span_processor(processor).with_sampler(RecordOnly).build();
    let mut span = provider.tracer("recorded").start("recorded");
    assert!(span.is_recording());
    span.end();
    provider.shutdown_with_timeout(LONG).unwrap();
    assert_eq!(client.stats().submitted, 0);
    assert_eq!(server.received(), 0);
}

#[test]
fn attachments_with_hostile_names() {
    let names = ["", ".", "a.b.c", "\0", "a\"\r\nContent-Length: 0\r\n\r\n", "../../etc/passwd", "é👩‍👧", "same", "same"];
    let list: Vec<_> = names
        .iter()
        .map(|name| serde_json::json!({"name": name, "content": "aGk=", "mime_type": "text/plain\r\nX-Evil: 1\u{0}é"}))
        .chain([serde_json::json!({"name": "long".repeat(100_000), "content": "", "mime_type": ""})])
        .collect();
    let count = list.len();
    let span = with(span(1, 1, 0), "langsmith.attachments", serde_json::to_string(&list).unwrap());
    let run = crate::common::run_of(span);
    assert_eq!(run.attachments.len(), count, "{:?}", run.attachments.keys());
    let contents = run.attachments.values().filter(|attachment| &*attachment.bytes == b"hi").count();
    assert_eq!(contents, names.len());
}

#[test]
fn attachments_that_are_none() {
    for list in [
        "[{}]",
        "[{\"name\":1}]",
        "[{\"name\":\"a\",\"content\":\"no base64!\"}]",
        "{\"name\":\"a\"}",
        "[null]",
        "[[]]",
    ] {
        let run = crate::common::run_of(with(span(1, 1, 0), "langsmith.attachments", list));
        assert!(run.attachments.is_empty(), "{run:?}");
        assert!(run.metadata("langsmith.attachments").is_some(), "what cannot be used is kept: {run:?}");
    }
}

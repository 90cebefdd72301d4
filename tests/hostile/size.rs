//! Spans that are larger than anything should be.

use crate::common::{assert_adds_up, assert_flawless, config, export, in_time, run_of, server, span, with, LONG};
use opentelemetry::trace::{Span as _, Tracer, TracerProvider};
use opentelemetry::KeyValue;
use opentelemetry_langsmith::{DropReason, LangSmithExporter, LangSmithSpanProcessor};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanExporter, SpanLimits};

#[test]
fn ten_thousand_attributes() {
    let server = server();
    let processor = LangSmithSpanProcessor::new(config(&server)).unwrap();
    let limits = SpanLimits { max_attributes_per_span: 20_000, ..SpanLimits::default() };
    let provider = SdkTracerProvider::builder().with_span_processor(processor).with_span_limits(limits).build();
    let mut span = provider.tracer("many").start("many");
    for number in 0..10_000 {
        span.set_attribute(KeyValue::new(format!("x.{number}"), number));
    }
    span.end();
    provider.shutdown_with_timeout(LONG).unwrap();
    assert_flawless(&server, 1);
    let run = server.run("many").unwrap();
    for number in [0, 1234, 9999] {
        assert_eq!(run.metadata(&format!("x.{number}")), Some(&number.into()));
    }
}

/// 30 MB of text that does not compress to nothing.
fn thirty_megabytes() -> String {
    let mut state = 1_u64;
    let words = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        format!("{:016x}", state ^ (state >> 29))
    });
    words.take(30 * 65_536).collect()
}

#[test]
fn outputs_that_no_request_can_carry_are_replaced_by_a_marker() {
    in_time(|| {
        let text = thirty_megabytes();
        let span = with(with(span(1, 1, 0), "output.value", text), "input.value", "{\"question\":\"?\"}");
        let run = run_of(span);
        assert_eq!(run.inputs, Some(serde_json::json!({"question": "?"})), "what fits stays");
        let outputs = run.outputs.expect("a marker").to_string();
        assert!(outputs.len() < 1000 && outputs.contains("314572"), "the marker tells the size: {outputs:.1000}");
    });
}

#[test]
fn metadata_and_errors_that_no_request_can_carry() {
    in_time(|| {
        let huge = "x".repeat(30 << 20);
        let run = run_of(with(span(1, 1, 0), "x.huge", huge.clone()));
        assert!(run.extra.to_string().len() < 1000, "{:.1000}", run.extra);

        let mut failed = span(1, 1, 0);
        failed.status = opentelemetry::trace::Status::error(huge.clone());
        let run = run_of(failed);
        assert_eq!(run.status.as_deref(), Some("error"));
        assert!(run.error.expect("an error").len() < 1000);

        let mut noted = span(1, 1, 0);
        noted.events.events.push(opentelemetry::trace::Event::new(huge, crate::common::at(0), Vec::new(), 0));
        assert_eq!(run_of(noted).events.len(), 1);
    });
}

/// The main part cannot be cut, and no field of it may grow beyond a request.
#[test]
fn tags_and_projects_that_no_request_can_carry() {
    in_time(|| {
        let huge = "x".repeat(30 << 20);
        for key in ["langsmith.span.tags", "langsmith.trace.session_name", "langsmith.trace.name"] {
            let server = server();
            let exporter = LangSmithExporter::new(config(&server)).unwrap();
            let result = export(&exporter, vec![with(span(1, 1, 0), key, huge.clone()), span(2, 2, 0)]);
            let _ = exporter.shutdown_with_timeout(LONG);
            let stats = exporter.client().stats();
            assert_adds_up(&stats);
            assert_eq!(result.is_err(), stats.dropped_total() > 0, "{key}: {stats:?}");
            assert_eq!(server.received(), stats.sent, "{key}");
            assert!(server.run("span 2").is_some(), "{key}: the other one arrives");
            for request in server.requests() {
                assert!(request.plain.len() <= 20 << 20, "{key}: a request of {} bytes", request.plain.len());
            }
        }
    });
}

#[test]
fn attachments_that_no_request_can_carry() {
    in_time(|| {
        use base64::Engine;
        let content = base64::prelude::BASE64_STANDARD.encode(vec![7_u8; 25 << 20]);
        let list = serde_json::json!([{"name": "huge", "content": content}, {"name": "small", "content": "aGk="}]);
        let server = server();
        let exporter = LangSmithExporter::new(config(&server)).unwrap();
        let span = with(span(1, 1, 0), "langsmith.attachments", list.to_string());
        let result = export(&exporter, vec![span]);
        let _ = exporter.shutdown_with_timeout(LONG);
        let stats = exporter.client().stats();
        assert_eq!(result.is_err(), stats.dropped_total() > 0, "{stats:?}");
        assert_eq!(server.received(), 1, "the run itself fits: {stats:?}");
        for request in server.requests() {
            assert!(request.plain.len() <= 20 << 20, "a request of {} bytes", request.plain.len());
        }
    });
}

#[test]
fn a_span_larger_than_the_queue_is_dropped_and_counted() {
    let server = server();
    let exporter = LangSmithExporter::new(config(&server).with_queue_bytes(65_536)).unwrap();
    let huge = with(span(1, 1, 0), "output.value", "x".repeat(1 << 20));
    export(&exporter, vec![huge]).expect_err("nothing was delivered");
    // This one is delivered; whether its answer also tells of the drop does not matter.
    let _ = export(&exporter, vec![span(2, 2, 0)]);
    let stats = exporter.client().stats();
    assert_eq!((stats.submitted, stats.sent, stats.dropped(DropReason::QueueFull)), (2, 1, 1), "{stats:?}");
    let _ = exporter.shutdown_with_timeout(LONG);
    assert_flawless(&server, 1);
}

/// A batch processor may hand over more than the whole queue holds; what fits is taken.
#[test]
fn a_batch_larger_than_the_queue_is_taken_in_part() {
    let server = server();
    let exporter = LangSmithExporter::new(config(&server).with_queue_bytes(65_536)).unwrap();
    let batch: Vec<_> = (1..=512).map(|id| with(span(id.into(), id, 0), "x.text", "x".repeat(200))).collect();
    let _ = export(&exporter, batch);
    let stats = exporter.client().stats();
    assert_eq!(stats.submitted, 512, "{stats:?}");
    assert!(stats.sent > 0, "a queue of 64 KiB holds some of them: {stats:?}");
    let _ = exporter.shutdown_with_timeout(LONG);
    assert_adds_up(&exporter.client().stats());
    assert_eq!(server.violations(), Vec::<String>::new());
}

//! What a root shows that has no inputs or outputs of its own.

use crate::common::{assert_flawless, at, config, server};
use crate::{Way, WAYS};
use opentelemetry::trace::{TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_langsmith::testing::{LocalLangSmith, ReceivedRun};
use opentelemetry_langsmith::{Config, SpanFilter};
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde_json::json;

/// A root, a step that the filter may leave out, and three calls of a model below it, of which the second
/// one is started first and the third one ends first. Returns the root's run.
fn trace(server: &LocalLangSmith, way: Way, config: Config, root: Vec<KeyValue>) -> ReceivedRun {
    let (provider, _) = way.add_to(SdkTracerProvider::builder(), config);
    let tracer = provider.tracer("test");
    let start = |name: &'static str, parent: &Context, time: i64, attributes: Vec<KeyValue>| {
        let builder = tracer.span_builder(name).with_start_time(at(time)).with_attributes(attributes);
        parent.with_span(builder.start_with_context(&tracer, parent))
    };
    let root = start("root", &Context::new(), 0, root);
    let step = start("step", &root, 0, Vec::new());
    for (text, begins, ends) in [("second", 200, 900), ("first", 100, 500), ("third", 300, 400)] {
        let call = start(
            "call",
            &step,
            begins,
            vec![
                KeyValue::new("gen_ai.operation.name", "chat"),
                KeyValue::new("gen_ai.request.model", "m"),
                KeyValue::new("gen_ai.usage.input_tokens", 7),
                KeyValue::new("langsmith.inputs", format!(r#"{{"ask":"{text}"}}"#)),
                KeyValue::new("langsmith.outputs", format!(r#"{{"answer":"{text}"}}"#)),
            ],
        );
        call.span().end_with_timestamp(at(ends));
    }
    step.span().end_with_timestamp(at(1000));
    root.span().end_with_timestamp(at(1000));
    provider.shutdown().unwrap();
    assert_flawless(server, server.runs().len());
    server.run("root").unwrap()
}

fn without_steps() -> SpanFilter {
    !SpanFilter::name("step")
}

#[test]
fn a_root_of_a_filtered_tree_shows_its_first_and_its_last_call() {
    for way in WAYS {
        let server = server();
        let root = trace(&server, way, config(&server).with_filter(without_steps()), Vec::new());
        assert_eq!(root.inputs, Some(json!({"ask": "first"})), "{way:?}");
        // The tokens stay with the calls: LangSmith adds up what it finds.
        assert_eq!(root.outputs, Some(json!({"answer": "second"})), "{way:?}");
        assert_eq!(root.usage(), None);
        let call = server.run("call").unwrap();
        assert!(call.outputs.unwrap().get("usage_metadata").is_some());
    }
}

#[test]
fn what_a_root_says_itself_stays() {
    for way in WAYS {
        let server = server();
        let own = vec![KeyValue::new("langsmith.inputs", r#"{"own":1}"#)];
        let root = trace(&server, way, config(&server).with_filter(without_steps()), own);
        assert_eq!(root.inputs, Some(json!({"own": 1})), "{way:?}");
        assert_eq!(root.outputs, Some(json!({"answer": "second"})), "{way:?}");
    }
}

#[test]
fn a_whole_tree_is_left_as_it_is_unless_asked_for() {
    for way in WAYS {
        let server = server();
        let root = trace(&server, way, config(&server), Vec::new());
        assert_eq!((root.inputs, root.outputs), (None, None), "{way:?}");

        let asked = crate::common::server();
        let root = trace(&asked, way, config(&asked).with_bubble_io(true), Vec::new());
        assert_eq!(root.inputs, Some(json!({"ask": "first"})), "{way:?}");

        let refused = crate::common::server();
        let config = config(&refused).with_filter(without_steps()).with_bubble_io(false);
        let root = trace(&refused, way, config, Vec::new());
        assert_eq!((root.inputs, root.outputs), (None, None), "{way:?}");
    }
}

#[test]
fn a_trace_whose_top_was_left_out_counts_as_filtered() {
    for way in WAYS {
        let server = server();
        let (provider, _) = way.pipeline(&server, !SpanFilter::name("request"));
        let tracer = provider.tracer("test");
        let request = Context::new().with_span(tracer.start_with_context("request", &Context::new()));
        let root = request.with_span(tracer.start_with_context("root", &request));
        let call = tracer.span_builder("call").with_attributes([
            KeyValue::new("langsmith.span.kind", "llm"),
            KeyValue::new("langsmith.inputs", r#"{"ask":1}"#),
        ]);
        root.with_span(call.start_with_context(&tracer, &root)).span().end();
        root.span().end();
        request.span().end();
        provider.shutdown().unwrap();
        assert_flawless(&server, 2);
        assert_eq!(server.run("root").unwrap().inputs, Some(json!({"ask": 1})), "{way:?}");
    }
}

//! What is known of a span only after its start, and what stands above all that is kept.

use crate::common::{assert_flawless, config, server, KEY};
use crate::{Way, WAYS};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_langsmith::{Config, LangSmithSpanProcessor, RunType, SpanFilter};
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

fn start(tracer: &impl Tracer<Span: Send + Sync + 'static>, name: &'static str, parent: &Context) -> Context {
    parent.with_span(tracer.start_with_context(name, parent))
}

#[test]
fn a_span_that_turns_out_to_be_wanted_is_kept_after_all() {
    for way in WAYS {
        let server = server();
        let (provider, client) = way.pipeline(&server, SpanFilter::gen_ai());
        let tracer = provider.tracer("test");
        let agent =
            tracer.span_builder("agent").with_attributes([KeyValue::new("gen_ai.operation.name", "invoke_agent")]);
        let agent = Context::new().with_span(agent.start_with_context(&tracer, &Context::new()));
        let step = start(&tracer, "step", &agent);
        let ask = start(&tracer, "ask", &step);
        ask.span().set_attribute(KeyValue::new("langsmith.span.kind", RunType::Llm.as_str()));
        ask.span().end();
        step.span().end();
        agent.span().end();
        provider.shutdown().unwrap();
        assert_flawless(&server, 2);
        let ask = server.run("ask").unwrap();
        assert_eq!(ask.run_type, "llm");
        assert_eq!(ask.parent_run_id, Some(server.run("agent").unwrap().id), "{way:?}");
        assert_eq!(client.stats().submitted, 2);
    }
}

/// The exporter knows the whole tree when it decides; the processor has sent the child by then.
#[test]
fn what_began_below_a_late_span_stands_beside_it_behind_the_processor() {
    for way in WAYS {
        let server = server();
        let (provider, _) = way.pipeline(&server, SpanFilter::name("root").or(SpanFilter::attribute("wanted")));
        let tracer = provider.tracer("test");
        let root = start(&tracer, "root", &Context::new());
        let late = start(&tracer, "late", &root);
        let attributes = [KeyValue::new("wanted", true)];
        let early = tracer.span_builder("early").with_attributes(attributes).start_with_context(&tracer, &late);
        let early = late.with_span(early);
        early.span().end();
        late.span().set_attribute(KeyValue::new("wanted", true));
        late.span().end();
        // Whoever comes now finds it.
        let after = tracer.span_builder("after").with_attributes([KeyValue::new("wanted", true)]);
        late.with_span(after.start_with_context(&tracer, &late)).span().end();
        root.span().end();
        provider.shutdown().unwrap();
        assert_flawless(&server, 4);
        let id = |name: &str| Some(server.run(name).unwrap().id);
        let above = |name: &str| server.run(name).unwrap().parent_run_id;
        assert_eq!(above("late"), id("root"));
        assert_eq!(above("early"), if way == Way::Processor { id("root") } else { id("late") });
        assert_eq!(above("after"), id("late"), "{way:?}");
    }
}

#[test]
fn a_trace_from_elsewhere_goes_on_below_a_request_that_is_left_out() {
    let (caller, server) = (server(), server());
    let traced = |config: Config| {
        let processor = LangSmithSpanProcessor::new(config).unwrap();
        let handle = processor.handle();
        (SdkTracerProvider::builder().with_span_processor(processor).build(), handle)
    };
    let (calling, handle) = traced(config(&caller));
    let outer = start(&calling.tracer("caller"), "outer", &Context::new());
    let mut headers = HashMap::new();
    handle.propagator().inject_context(&outer, &mut headers);
    let outer_id = handle.run_ref(outer.span().span_context()).unwrap().run_id.to_string();

    let (serving, handle) =
        traced(config(&server).with_filter(SpanFilter::name("answer").or(SpanFilter::name("more"))));
    let tracer = serving.tracer("service");
    let extracted = handle.propagator().extract_with_context(&Context::new(), &headers);
    let request = start(&tracer, "request", &extracted);
    let answer = start(&tracer, "answer", &request);
    // A task that was handed the ids of the request, and nothing else of its context.
    let spawned = Context::new().with_remote_span_context(request.span().span_context().clone());
    let more = tracer.start_with_context("more", &spawned);
    let more = spawned.with_span(more);
    for context in [&answer, &more, &request, &outer] {
        context.span().end();
    }
    calling.shutdown().unwrap();
    serving.shutdown().unwrap();
    assert_eq!(server.received(), 2);
    for name in ["answer", "more"] {
        assert_eq!(server.run(name).unwrap().parent_run_id.as_ref(), Some(&outer_id), "{name}");
    }
    assert_eq!(server.orphans().len(), server.violations().len());
}

#[test]
fn the_project_of_a_request_that_is_left_out_counts_below_it() {
    for way in WAYS {
        let server = server();
        let (provider, _) = way.pipeline(&server, SpanFilter::name("answer").or(SpanFilter::name("check")));
        let tracer = provider.tracer("test");
        let request = tracer
            .span_builder("request")
            .with_attributes([KeyValue::new("langsmith.trace.session_name", "tenant-7")])
            .start_with_context(&tracer, &Context::new());
        let request = Context::new().with_span(request);
        let inner = start(&tracer, "inner", &request);
        for name in ["answer", "check"] {
            start(&tracer, name, &inner).span().end();
        }
        inner.span().end();
        request.span().end();
        provider.shutdown().unwrap();
        assert_flawless(&server, 2);
        for run in server.runs() {
            assert_eq!(run.session_name.as_deref(), Some("tenant-7"), "{way:?}: {run:?}");
        }
    }
}

/// Filters and hooks are the application's: they may ask who the current run is.
#[test]
fn a_filter_may_ask_about_runs() {
    crate::common::in_time(|| {
        let server = server();
        let handle = Arc::new(Mutex::new(None::<opentelemetry_langsmith::Handle>));
        let ask = {
            let handle = Arc::clone(&handle);
            move |span: &opentelemetry_sdk::trace::SpanData| {
                let handle = handle.lock().unwrap().clone().unwrap();
                handle.run_ref(&span.span_context);
                span.name.clone()
            }
        };
        let (filter, project) = (ask.clone(), ask);
        let config = Config::default().with_api_key(KEY).with_endpoint(server.endpoint());
        let config = config
            .with_filter(SpanFilter::from_fn(move |span| filter(span) != "out"))
            .with_project_for(move |span| Some(project(span).into_owned()));
        let processor = LangSmithSpanProcessor::new(config).unwrap();
        *handle.lock().unwrap() = Some(processor.handle());
        let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
        let tracer = provider.tracer("test");
        let out = start(&tracer, "out", &Context::new());
        let root = start(&tracer, "root", &out);
        root.span().end();
        out.span().end();
        provider.shutdown().unwrap();
        assert_flawless(&server, 1);
        assert_eq!(server.runs()[0].session_name.as_deref(), Some("out"));
    });
}

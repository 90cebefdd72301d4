//! What runs take over from those above them, and what they do not.

use crate::common::{assert_flawless, config, export_all, server, span, with, LONG};
use crate::{attributes, run_of, traced};
use opentelemetry::propagation::{TextMapCompositePropagator, TextMapPropagator as _};
use opentelemetry::trace::{Span as _, TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_langsmith::testing::ReceivedRun;
use opentelemetry_langsmith::{LangSmithSpanProcessor, SpanFilter};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use opentelemetry_sdk::trace::{SdkTracerProvider, Span, Tracer};
use serde_json::json;
use std::collections::HashMap;
use std::fmt::Write;

/// Starts a span under another.
fn start(
    tracer: &Tracer,
    name: &'static str,
    parent: Option<&Span>,
    attributes: &[(&'static str, &'static str)],
) -> Span {
    let context = parent
        .map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent.span_context().clone()));
    let attributes = attributes.iter().map(|(key, value)| KeyValue::new(*key, *value));
    tracer.span_builder(name).with_attributes(attributes).start_with_context(tracer, &context)
}

fn named(runs: &[ReceivedRun], name: &str) -> ReceivedRun {
    runs.iter().find(|run| run.name == name).unwrap_or_else(|| panic!("no run {name}")).clone()
}

const TOP: &[(&str, &str)] = &[
    ("session.id", "s"),
    ("user.id", "ann"),
    ("langsmith.span.tags", "blue,green"),
    ("langsmith.metadata.plan", "pro"),
    ("langsmith.metadata.ls_model_name", "of this run"),
    ("langsmith.metadata.usage_metadata", r#"{"input_tokens":1}"#),
];

fn check(runs: &[ReceivedRun], above: &[&str]) {
    for name in above.iter().chain(&["child", "grandchild"]) {
        let run = named(runs, name);
        assert_eq!(run.metadata("thread_id"), Some(&json!("s")), "{name}");
        assert_eq!(run.metadata("user_id"), Some(&json!("ann")), "{name}");
    }
    let child = named(runs, "child");
    assert_eq!(
        (child.metadata("plan"), &child.tags[..]),
        (Some(&json!("free")), &["red", "blue", "green"].map(str::to_owned)[..])
    );
    assert_eq!((child.metadata("ls_model_name"), child.usage()), (None, None), "that is the parent's own");
    let grandchild = named(runs, "grandchild");
    assert_eq!((grandchild.metadata("plan"), grandchild.metadata("more")), (Some(&json!("free")), Some(&json!(1))));
    assert_eq!(grandchild.tags, ["red", "blue", "green"]);
    // A sibling tells nothing, and neither does a child.
    let sibling = named(runs, "sibling");
    assert_eq!(
        (sibling.metadata("plan"), &sibling.tags[..]),
        (Some(&json!("pro")), &["blue", "green"].map(str::to_owned)[..])
    );
    for name in above {
        assert_eq!(named(runs, name).metadata("more"), None);
    }
}

#[test]
fn children_take_over_what_their_parents_started_with() {
    let runs = traced(
        |config| config,
        |tracer| {
            let root = start(tracer, "root", None, TOP);
            let more =
                &[("langsmith.metadata.plan", "free"), ("metadata", r#"{"more":1}"#), ("langsmith.span.tags.red", "")];
            let child = start(tracer, "child", Some(&root), more);
            let grandchild = start(tracer, "grandchild", Some(&child), &[]);
            let mut sibling = start(tracer, "sibling", Some(&root), &[]);
            // Too late for those that have started.
            sibling.set_attribute(KeyValue::new("langsmith.metadata.late", true));
            drop((grandchild, child, sibling, root));
        },
    );
    check(&runs, &["root"]);
}

#[test]
fn spans_that_wait_for_their_parents_take_over_all_of_it() {
    let server = server();
    let attributed = |span, attributes: &[(&'static str, &'static str)]| {
        attributes.iter().fold(span, |span, (key, value)| with(span, key, *value))
    };
    let named = |name: &'static str, id, parent| {
        let mut span = span(1, id, parent);
        span.name = name.into();
        span
    };
    let more = &[("langsmith.metadata.plan", "free"), ("metadata", r#"{"more":1}"#), ("langsmith.span.tags.red", "")];
    let spans = vec![
        named("grandchild", 3, 2),
        attributed(named("child", 2, 1), more),
        named("sibling", 4, 1),
        attributed(named("root", 1, 0), TOP),
    ];
    export_all(config(&server), vec![spans]);
    assert_flawless(&server, 4);
    check(&server.runs(), &["root"]);
}

#[test]
fn what_a_span_says_that_is_left_out_reaches_the_runs_below() {
    let filter = || SpanFilter::from_fn(|span| span.name != "request");
    let runs = traced(
        |config| config.with_filter(filter()),
        |tracer| {
            let request = start(tracer, "request", None, &[("session.id", "s"), ("enduser.id", "ann")]);
            let root = start(tracer, "root", Some(&request), &[]);
            let inner = start(tracer, "request", Some(&root), &[("langsmith.metadata.plan", "pro")]);
            let child = start(tracer, "child", Some(&inner), &[]);
            drop((child, inner, root, request));
        },
    );
    let check = |runs: &[ReceivedRun]| {
        for (name, plan) in [("root", None), ("child", Some(&json!("pro")))] {
            let run = named(runs, name);
            let told = ["thread_id", "user_id", "plan"].map(|name| run.metadata(name));
            assert_eq!(told, [Some(&json!("s")), Some(&json!("ann")), plan], "{name}");
        }
    };
    check(&runs);
    let server = server();
    let request = with(with(span(1, 1, 0), "session.id", "s"), "enduser.id", "ann");
    let mut spans = vec![span(1, 4, 3), with(span(1, 3, 2), "langsmith.metadata.plan", "pro"), span(1, 2, 1), request];
    for (span, name) in spans.iter_mut().zip(["child", "request", "root", "request"]) {
        span.name = name.into();
    }
    export_all(config(&server).with_filter(filter()), vec![spans]);
    assert_flawless(&server, 2);
    check(&server.runs());
}

#[test]
fn threads_from_every_source() {
    for (key, value) in [
        ("langsmith.metadata.thread_id", "t"),
        ("langsmith.metadata.session_id", "t"),
        ("langsmith.metadata.conversation_id", "t"),
        ("langsmith.trace.session_id", "t"),
        ("gen_ai.conversation.id", "t"),
        ("session.id", "t"),
        ("langfuse.session.id", "t"),
        ("traceloop.association.properties.session_id", "t"),
        ("traceloop.association.properties.thread_id", "t"),
        ("traceloop.association.properties.conversation_id", "t"),
    ] {
        let runs = traced(
            |config| config,
            |tracer| {
                let root = start(tracer, "root", None, &[(key, value), ("thread.id", "7")]);
                drop((start(tracer, "child", Some(&root), &[]), root));
            },
        );
        for name in ["root", "child"] {
            assert_eq!(named(&runs, name).metadata("thread_id"), Some(&json!("t")), "{key} on the {name}");
        }
    }
    for key in [
        "user.id",
        "enduser.id",
        "langfuse.user.id",
        "gen_ai.user",
        "llm.user",
        "traceloop.association.properties.user_id",
    ] {
        assert_eq!(run_of([(key, "ann")]).metadata("user_id"), Some(&json!("ann")), "{key}");
    }
    // A program's thread is no conversation's, and an id of a project names none.
    let run =
        run_of(attributes! {"thread.id" => 7, "langsmith.trace.session_id" => "01a1fa70-7758-7bc2-9e24-efd0dc5f29c5"});
    assert_eq!(run.metadata("thread_id"), None);
    let strongest = run_of(attributes! {"session.id" => "weak", "langsmith.metadata.session_id" => "strong"});
    assert_eq!(strongest.metadata("thread_id"), Some(&json!("strong")));
    assert_eq!(strongest.metadata("session.id"), Some(&json!("weak")));
}

#[test]
fn an_argument_called_metadata_is_an_argument() {
    let runs = traced(
        |config| config,
        |tracer| {
            let function = &[("code.module.name", "app"), ("metadata", r#"{"plan":"pro"}"#)];
            let root = start(tracer, "root", None, function);
            drop((start(tracer, "child", Some(&root), &[]), root));
        },
    );
    assert_eq!(named(&runs, "root").inputs, Some(json!({"metadata": {"plan": "pro"}})));
    assert_eq!(named(&runs, "child").metadata("plan"), None);
}

/// The headers of a call out of the first service, and the run that answers it in the second.
fn called(
    caller: &[(&'static str, &'static str)],
    baggage: &[(&'static str, &'static str)],
    trusts: bool,
) -> (String, ReceivedRun) {
    let server = server();
    let processor = LangSmithSpanProcessor::new(config(&server)).unwrap();
    let handle = processor.handle();
    let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
    let tracer = provider.tracer("mapping");
    let propagator = TextMapCompositePropagator::new(vec![
        Box::new(TraceContextPropagator::new()),
        Box::new(BaggagePropagator::new()),
        Box::new(handle.propagator()),
    ]);
    let span = start(&tracer, "caller", None, caller);
    let mut headers = HashMap::<String, String>::new();
    propagator.inject_context(&Context::new().with_span(span), &mut headers);
    let sent = headers.get("baggage").cloned().unwrap_or_default();
    for (name, value) in baggage {
        let entry = headers.entry("baggage".to_owned()).or_default();
        write!(entry, "{}{name}={value}", if entry.is_empty() { "" } else { "," }).unwrap();
    }
    let other = LangSmithSpanProcessor::new(config(&server)).unwrap();
    let handle = trusts.then(|| other.handle().propagator());
    let others = SdkTracerProvider::builder().with_span_processor(other).build();
    let context = propagator.extract(&headers);
    let context = handle.map_or(context.clone(), |handle| handle.extract_with_context(&context, &headers));
    let tracer = others.tracer("mapping");
    let root = tracer.start_with_context("callee", &context);
    drop((start(&tracer, "below", Some(&root), &[]), root));
    for provider in [others, provider] {
        provider.shutdown_with_timeout(LONG).unwrap();
    }
    let runs = server.runs();
    assert_eq!(named(&runs, "below").metadata("thread_id"), named(&runs, "callee").metadata("thread_id"));
    (sent, named(&runs, "callee"))
}

#[test]
fn the_thread_goes_on_in_other_services_and_nothing_else_does() {
    let (sent, callee) = called(TOP, &[], true);
    assert_eq!(callee.metadata("thread_id"), Some(&json!("s")));
    assert_eq!((callee.metadata("user_id"), callee.metadata("plan"), callee.tags.len()), (None, None, 0));
    assert!(!sent.contains("ann") && !sent.contains("blue") && !sent.contains("plan"), "{sent}");
}

#[test]
fn threads_and_users_come_by_baggage_where_it_is_trusted() {
    let baggage = &[("session.id", "b"), ("user.id", "bob"), ("other", "x")];
    let (_, callee) = called(&[], baggage, true);
    assert_eq!((callee.metadata("thread_id"), callee.metadata("user_id")), (Some(&json!("b")), Some(&json!("bob"))));
    assert_eq!(callee.metadata("other"), None);
    let (_, callee) = called(&[], baggage, false);
    assert_eq!((callee.metadata("thread_id"), callee.metadata("user_id")), (None, None));
    let (_, callee) =
        called(&[], &[("langsmith-metadata", "%7B%22session_id%22%3A%22c%22%7D"), ("session.id", "b")], true);
    assert_eq!((callee.metadata("thread_id"), callee.metadata("session_id")), (Some(&json!("c")), Some(&json!("c"))));
}

#[test]
fn long_metadata_does_not_break_the_callers_requests() {
    let long: &'static str = "x".repeat(100_000).leak();
    let (sent, callee) = called(&[("session.id", long)], &[], true);
    assert!(sent.len() < 10_000);
    assert_eq!((callee.parent_run_id.is_some(), callee.metadata("thread_id")), (true, None));
}

#[test]
fn agents_under_agents() {
    let agent: &[&[(&str, &str)]] = &[
        &[("gen_ai.operation.name", "invoke_agent")],
        &[("openinference.span.kind", "AGENT")],
        &[("traceloop.span.kind", "agent")],
        &[("langsmith.span.kind", "agent")],
    ];
    for attributes in agent {
        let work = |tracer: &Tracer| {
            let root = start(tracer, "root", None, attributes);
            let step = start(tracer, "step", Some(&root), &[("gen_ai.operation.name", "chat")]);
            let sub = start(tracer, "sub", Some(&step), attributes);
            drop((sub, step, root));
        };
        let runs = traced(|config| config, work);
        let types = ["root", "step", "sub"].map(|name| named(&runs, name).metadata("ls_agent_type").cloned());
        assert_eq!(types, [Some(json!("root")), None, Some(json!("subagent"))], "{attributes:?}");
    }
    let told =
        run_of(attributes! {"traceloop.span.kind" => "agent", "langsmith.metadata.ls_agent_type" => "compaction"});
    assert_eq!(told.metadata("ls_agent_type"), Some(&json!("compaction")));
}

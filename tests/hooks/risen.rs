//! What a run hands to other runs, its root above all, is what was let pass of it.

use crate::common::{assert_adds_up, assert_flawless, at, config, server, LONG};
use crate::{Way, WAYS};
use base64::prelude::{Engine, BASE64_STANDARD};
use opentelemetry::trace::{TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_langsmith::testing::{LocalLangSmith, ReceivedRun};
use opentelemetry_langsmith::{Config, DropReason, OnRun, Redactor, Run, RunType, SpanFilter, UsageMetadata};
use serde_json::json;

const SECRET: &str = "hush-q7zx9w2k";

/// A call of a model: when it begins and ends, and what it says.
struct Call {
    name: &'static str,
    time: (i64, i64),
    attributes: Vec<KeyValue>,
}

fn call(name: &'static str, time: (i64, i64), asked: &str, answered: &str) -> Call {
    let attributes = vec![
        KeyValue::new("gen_ai.operation.name", "chat"),
        KeyValue::new("gen_ai.request.model", "m"),
        KeyValue::new("gen_ai.usage.input_tokens", 7),
        KeyValue::new("langsmith.inputs", json!({ "ask": asked }).to_string()),
        KeyValue::new("langsmith.outputs", json!({ "answer": answered }).to_string()),
    ];
    Call { name, time, attributes }
}

fn secret_call() -> Call {
    call("call", (100, 900), &format!("ask {SECRET}"), &format!("answer {SECRET}"))
}

/// A root, plumbing that the default filter leaves out, and the calls below that.
fn trace(way: Way, config: Config, calls: Vec<Call>) -> opentelemetry_langsmith::Stats {
    let (provider, client) = way.provider(config);
    let (tracer, plumbing) = (provider.tracer("app"), provider.tracer("hyper"));
    let root = Context::new()
        .with_span(tracer.span_builder("root").with_start_time(at(0)).start_with_context(&tracer, &Context::new()));
    let left_out =
        root.with_span(plumbing.span_builder("request").with_start_time(at(0)).start_with_context(&plumbing, &root));
    for Call { name, time: (begins, ends), attributes } in calls {
        let call = tracer.span_builder(name).with_start_time(at(begins)).with_attributes(attributes);
        let call = left_out.with_span(call.start_with_context(&tracer, &left_out));
        call.span().end_with_timestamp(at(ends));
    }
    left_out.span().end_with_timestamp(at(1000));
    root.span().end_with_timestamp(at(1000));
    drop((left_out, root));
    // A run at which the hook panics is lost, and that is an error.
    if provider.shutdown_with_timeout(LONG).is_err() {
        assert!(client.stats().dropped(DropReason::Panicked) > 0, "{:?}", client.stats());
    }
    assert_adds_up(&client.stats());
    client.stats()
}

/// Everything that was received, as text.
fn bodies(server: &LocalLangSmith) -> String {
    server.requests().iter().map(|request| String::from_utf8_lossy(&request.plain).into_owned()).collect()
}

fn drops_calls(run: &mut Run) -> OnRun {
    if run.name().starts_with("call") {
        OnRun::Drop
    } else {
        OnRun::Keep
    }
}

fn scrubs_calls(run: &mut Run) -> OnRun {
    if run.run_type() == RunType::Llm {
        run.set_inputs(&json!({"ask": "scrubbed"})).unwrap();
        run.set_outputs(&json!({"answer": "scrubbed"})).unwrap();
    }
    OnRun::Keep
}

fn panics_at_calls(run: &mut Run) -> OnRun {
    assert_ne!(run.run_type(), RunType::Llm, "on purpose");
    OnRun::Keep
}

#[test]
fn what_a_hook_drops_scrubs_or_panics_at_does_not_rise() {
    type Hook = fn(&mut Run) -> OnRun;
    let hooks: [(&str, Hook); 3] = [("drops", drops_calls), ("scrubs", scrubs_calls), ("panics", panics_at_calls)];
    for way in WAYS {
        for always in [false, true] {
            for (what, hook) in hooks {
                let server = server();
                let config = config(&server).with_on_run(hook);
                let config = if always { config.with_bubble_io(true) } else { config };
                trace(way, config, vec![secret_call()]);
                assert_eq!(server.violations(), Vec::<String>::new());
                assert!(!bodies(&server).contains(SECRET), "{way:?}, {what}: {:#?}", server.runs());
                let root = server.run("root").unwrap();
                // Behind the exporter a hook sees the root before the calls.
                let rises = what == "scrubs" && way == Way::Processor;
                assert_eq!(root.inputs, rises.then(|| json!({"ask": "scrubbed"})), "{way:?}, {what}");
                assert_eq!(root.outputs, rises.then(|| json!({"answer": "scrubbed"})), "{way:?}, {what}");
            }
        }
    }
}

#[test]
fn a_call_that_was_dropped_leaves_its_place_to_the_next() {
    let server = server();
    let config = config(&server).with_on_run(|run| run.name() != "call 1" && run.name() != "call 3");
    let calls = vec![
        call("call 1", (100, 200), "one", "one"),
        call("call 2", (300, 400), "two", "two"),
        call("call 3", (500, 600), "three", "three"),
    ];
    trace(Way::Processor, config, calls);
    let root = server.run("root").unwrap();
    assert_eq!((root.inputs, root.outputs), (Some(json!({"ask": "two"})), Some(json!({"answer": "two"}))));
}

#[test]
fn what_is_hidden_or_redacted_rises_as_it_was_sent() {
    for way in WAYS {
        let hidden = server();
        trace(way, config(&hidden).with_hide_inputs(true).with_hide_outputs(true), vec![secret_call()]);
        let root = hidden.run("root").unwrap();
        assert_eq!((root.inputs, root.outputs), (Some(json!({})), Some(json!({}))), "{way:?}");
        assert!(!bodies(&hidden).contains(SECRET), "{way:?}");

        let redacted = server();
        // A rule that would go on with what it made.
        let redactor = Redactor::new()
            .with_pattern(SECRET, "hush")
            .unwrap()
            .with_fn(|_, text| text.contains("hush").then(|| format!("<{text}>")));
        trace(way, config(&redacted).with_redactor(redactor), vec![secret_call()]);
        let (root, call) = (redacted.run("root").unwrap(), redacted.run("call").unwrap());
        assert_eq!(root.inputs, Some(json!({"ask": "<ask hush>"})), "{way:?}");
        assert_eq!(root.outputs, Some(json!({"answer": "<answer hush>"})), "{way:?}");
        assert_eq!(call.inputs, root.inputs, "{way:?}");
    }
}

#[test]
fn a_hook_sees_at_the_root_what_rose_and_what_it_adds_is_redacted() {
    let server = server();
    let redactor = Redactor::new().with_pattern(SECRET, "[gone]").unwrap();
    let config = config(&server).with_redactor(redactor).with_on_run(|run: &mut Run| {
        if run.name() == "root" {
            assert_eq!(run.inputs().map(|json| json.as_str().to_owned()).as_deref(), Some(r#"{"ask":"ask [gone]"}"#));
            run.set_inputs(&json!({"root": SECRET})).unwrap();
        }
    });
    trace(Way::Processor, config, vec![secret_call()]);
    let root = server.run("root").unwrap();
    assert_eq!(root.inputs, Some(json!({"root": "[gone]"})));
    assert_eq!(root.outputs, Some(json!({"answer": "answer [gone]"})));
}

/// A file of so many bytes as a message would have it.
fn picture(role: &str, content: &[u8]) -> String {
    json!([{ "role": role, "parts": [
        {"type": "blob", "modality": "image", "mime_type": "image/png", "content": BASE64_STANDARD.encode(content)},
    ]}])
    .to_string()
}

fn painter(asked: &[u8], answered: &[u8]) -> Call {
    let attributes = vec![
        KeyValue::new("gen_ai.operation.name", "chat"),
        KeyValue::new("gen_ai.input.messages", picture("user", asked)),
        KeyValue::new("gen_ai.output.messages", picture("assistant", answered)),
    ];
    Call { name: "call", time: (100, 900), attributes }
}

/// Name, length and first byte of each file.
fn files(run: &ReceivedRun) -> Vec<(&str, usize, u8)> {
    run.attachments.iter().map(|(name, file)| (&**name, file.bytes.len(), file.bytes[0])).collect()
}

#[test]
fn pictures_that_rise_keep_their_files() {
    let (asked, answered) = (vec![1; 60_000], vec![2; 3_000_000]);
    for way in WAYS {
        let server = server();
        trace(way, config(&server), vec![painter(&asked, &answered)]);
        assert_flawless(&server, 2);
        let (root, call) = (server.run("root").unwrap(), server.run("call").unwrap());
        assert_eq!(root.inputs, call.inputs, "{way:?}");
        let files = files(&root);
        assert_eq!(files, [("input_1_image", 60_000, 1), ("output_1_image", 3_000_000, 2)], "{way:?}");
        for (side, (name, ..)) in [&root.inputs, &root.outputs].into_iter().zip(files) {
            assert!(side.as_ref().unwrap().to_string().contains(name), "{way:?}: {root:?}");
        }
    }
}

#[test]
fn files_that_were_taken_out_do_not_rise() {
    let (asked, answered) = (vec![1; 60_000], vec![2; 60_000]);
    let without_files = Redactor::new().without_binary_attachments();
    let server = server();
    let hooked =
        config(&server).with_on_run(|run: &mut Run| run.retain_attachments(|name, _| name.starts_with("output")));
    trace(Way::Processor, hooked, vec![painter(&asked, &answered)]);
    assert_eq!(files(&server.run("root").unwrap()), [("output_1_image", 60_000, 2)]);
    server.clear();
    trace(Way::Processor, config(&server).with_redactor(without_files), vec![painter(&asked, &answered)]);
    assert!(server.run("root").unwrap().attachments.is_empty());
}

#[test]
fn what_has_huge_files_does_not_rise_without_them() {
    let server = server();
    trace(Way::Processor, config(&server), vec![painter(&vec![1; 9 << 20], &[2; 60_000])]);
    let root = server.run("root").unwrap();
    assert_eq!((root.inputs.is_some(), files(&root).len()), (false, 1));
    assert!(root.outputs.is_some());
}

/// A framework's call of a model around its client's, and an agent around both.
fn counted(way: Way, config: Config) -> opentelemetry_langsmith::Stats {
    let (provider, client) = way.provider(config);
    let tracer = provider.tracer("app");
    let start = |name: &'static str, parent: &Context, tokens: i64| {
        let builder = tracer.span_builder(name).with_attributes([
            KeyValue::new("gen_ai.operation.name", "chat"),
            KeyValue::new("gen_ai.usage.input_tokens", tokens),
            KeyValue::new("langsmith.outputs", r#"{"answer":1}"#),
        ]);
        parent.with_span(builder.start_with_context(&tracer, parent))
    };
    let outer = start("outer", &Context::new(), 10);
    let inner = start("inner", &outer, 20);
    let innermost = start("innermost", &inner, 30);
    for span in [&innermost, &inner, &outer] {
        span.span().end();
    }
    drop((innermost, inner, outer));
    provider.shutdown_with_timeout(LONG).unwrap();
    client.stats()
}

/// What LangSmith adds up of a run.
fn tokens(server: &LocalLangSmith, name: &str) -> Option<u64> {
    let run = server.run(name)?;
    let told = run.outputs.as_ref().and_then(|outputs| outputs.get("usage_metadata")).cloned();
    assert_eq!(told.is_some(), run.usage().is_some(), "{run:?}");
    run.usage()?["input_tokens"].as_u64()
}

#[test]
fn the_tokens_of_what_was_dropped_are_not_summed_elsewhere() {
    for way in WAYS {
        for (dropped, counts) in [
            (&[][..], [None, None, Some(30)]),
            (&["innermost"][..], [None, Some(20), None]),
            (&["inner"][..], [None, None, Some(30)]),
            (&["inner", "innermost"][..], [Some(10), None, None]),
        ] {
            let server = server();
            let hook = move |run: &mut Run| !dropped.contains(&run.name());
            counted(way, config(&server).with_on_run(hook));
            assert_eq!(server.violations(), Vec::<String>::new());
            let found = ["outer", "inner", "innermost"].map(|name| tokens(&server, name));
            assert_eq!(found, counts, "{way:?} without {dropped:?}: {:#?}", server.runs());
            let outer = server.run("outer").unwrap();
            assert_eq!(outer.metadata("ls_aggregated_usage").is_some(), counts[0].is_none(), "{way:?}: {outer:?}");
        }
    }
}

#[test]
fn counts_that_a_hook_takes_or_makes_are_those_that_count() {
    for way in WAYS {
        let server = server();
        counted(
            way,
            config(&server).with_on_run(|run: &mut Run| {
                if run.name() != "outer" {
                    run.take_metadata("usage_metadata");
                    run.take_outputs();
                }
            }),
        );
        assert_eq!(tokens(&server, "outer"), Some(10), "{way:?}: {:#?}", server.runs());

        let server = crate::common::server();
        counted(
            way,
            config(&server).with_on_run(|run: &mut Run| {
                if run.name() == "innermost" {
                    run.set_usage(&UsageMetadata::new(99, 0));
                }
            }),
        );
        assert_eq!(tokens(&server, "outer"), None, "{way:?}: {:#?}", server.runs());
        assert_eq!(tokens(&server, "innermost"), Some(99), "{way:?}");
    }
}

#[test]
fn it_holds_for_traces_that_are_kept_for_their_errors() {
    for way in WAYS {
        let server = server();
        let config = config(&server)
            .with_sampling_rate(0.0)
            .with_keep_errors(true)
            .with_filter(!SpanFilter::name("request"))
            .with_on_run(drops_calls);
        let mut failed = secret_call();
        failed.name = "call";
        let (provider, _) = way.provider(config);
        let tracer = provider.tracer("app");
        let root = Context::new().with_span(tracer.start_with_context("root", &Context::new()));
        let request = root.with_span(tracer.start_with_context("request", &root));
        let call = tracer.span_builder("call").with_attributes(failed.attributes);
        request.with_span(call.start_with_context(&tracer, &request)).span().end();
        request.span().end();
        root.span().set_status(opentelemetry::trace::Status::error("failed"));
        root.span().end();
        provider.shutdown_with_timeout(LONG).unwrap();
        assert_eq!(server.run("root").unwrap().error.as_deref(), Some("failed"), "{way:?}");
        assert!(!bodies(&server).contains(SECRET), "{way:?}: {:#?}", server.runs());
    }
}

//! The hook that sees each run before it is sent.

mod common;

use common::{assert_adds_up, assert_flawless, at, config, counted_provider, export_all, server, span, with, LONG};
use opentelemetry::trace::{Span as _, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_langsmith::testing::{LocalLangSmith, ReceivedRun};
use opentelemetry_langsmith::{Client, DropReason, Json, OnRun, Run, RunType, Stats, UsageMetadata};
use opentelemetry_sdk::trace::SpanData;
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

fn named(mut span: SpanData, name: &'static str) -> SpanData {
    span.name = name.into();
    span
}

/// Drops the runs whose names begin so.
fn dropping(prefix: &'static str) -> impl Fn(&mut Run) -> OnRun + Send + Sync {
    move |run| if run.name().starts_with(prefix) { OnRun::Drop } else { OnRun::Keep }
}

/// Each run with the name of its parent.
fn parents(server: &LocalLangSmith) -> HashMap<String, Option<String>> {
    let runs = server.runs();
    let names: HashMap<_, _> = runs.iter().map(|run| (run.id.clone(), run.name.clone())).collect();
    let parent = |run: &ReceivedRun| run.parent_run_id.as_ref().map(|parent| names[parent].clone());
    runs.iter().map(|run| (run.name.clone(), parent(run))).collect()
}

fn assert_bare(run: &ReceivedRun, why: &str) {
    assert_eq!(run.metadata("langsmith_left_out"), Some(&why.into()), "{run:?}");
    assert_eq!(run.extra["metadata"].as_object().unwrap().len(), 1, "{run:?}");
    assert!(run.inputs.is_none() && run.outputs.is_none() && run.events.is_empty(), "{run:?}");
    assert!(run.tags.is_empty() && run.attachments.is_empty() && run.end_time.is_some(), "{run:?}");
}

#[test]
fn a_run_can_be_changed_in_all_but_its_place() {
    let server = server();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let hook = {
        let seen = Arc::clone(&seen);
        move |run: &mut Run| {
            let mut names = run.metadata_names();
            names.retain(|name| !name.starts_with("OTEL"));
            let usage = run.usage().map(|usage| usage.total_tokens);
            seen.lock().unwrap().push((
                run.name().to_owned(),
                names,
                usage,
                run.invocation_param("seed").map(str::to_owned),
            ));
            run.set_name("x".repeat(200));
            run.set_run_type(RunType::Llm);
            run.set_inputs("what").unwrap();
            let outputs: Json = Json::parse(r#"{"big": 9007199254740993, "usage_metadata": {}}"#).unwrap();
            run.set_outputs(&outputs).unwrap();
            run.set_error("");
            assert!(run.take_metadata("left").is_some() && run.take_metadata("left").is_none());
            run.set_metadata("added", &[1, 2]).unwrap();
            run.set_usage(&UsageMetadata::new(5, 6));
            run.take_invocation_param("seed");
            run.set_invocation_param("top_p", &0.5).unwrap();
            run.retain_tags(|tag| tag != "old");
            run.add_tag("new");
            run.set_events(&serde_json::json!([{"name": "e", "time": "2026-11-20T00:00:00Z"}])).unwrap();
            assert!(run.set_events("no list").is_err());
        }
    };
    let llm = with(span(1, 1, 0), "gen_ai.operation.name", "chat");
    let llm = with(with(llm, "gen_ai.usage.input_tokens", 2), "gen_ai.usage.output_tokens", 3);
    let llm = with(with(with(llm, "gen_ai.request.seed", 7), "left", "over"), "langsmith.span.tags", "old,kept");
    export_all(config(&server).with_on_run(hook), vec![vec![llm]]);

    assert_flawless(&server, 1);
    let run = server.runs().remove(0);
    assert_eq!(run.name.chars().count(), 128);
    assert_eq!((&*run.run_type, run.error.as_deref()), ("llm", Some("error")));
    assert_eq!(run.inputs, Some(serde_json::json!({"input": "what"})));
    assert_eq!(run.outputs.as_ref().unwrap()["big"], 9_007_199_254_740_993_i64);
    assert_eq!(run.outputs.as_ref().unwrap()["usage_metadata"]["total_tokens"], 11);
    assert_eq!(run.usage().unwrap()["total_tokens"], 11);
    assert_eq!((run.metadata("added"), run.metadata("left")), (Some(&serde_json::json!([1, 2])), None));
    assert_eq!(run.extra["invocation_params"], serde_json::json!({"top_p": 0.5}));
    assert_eq!(run.tags, ["kept", "new"]);
    assert_eq!(run.events[0]["name"], "e");
    let seen = seen.lock().unwrap();
    assert_eq!((&*seen[0].0, seen[0].2, seen[0].3.as_deref()), ("span 1", Some(5), Some("7")));
    assert!(seen[0].1.contains(&"left".to_owned()) && seen[0].1.contains(&"usage_metadata".to_owned()), "{seen:?}");
}

#[test]
fn an_exchanged_run_stays_where_it_was() {
    let server = server();
    let config = config(&server).with_on_run(|run| {
        let end = run.start_time() - chrono::TimeDelta::seconds(9);
        *run = Run::builder("other", RunType::Tool).project("elsewhere").end_time(end).build().unwrap();
    });
    export_all(config, vec![vec![span(1, 1, 0), span(1, 2, 1)]]);
    assert_flawless(&server, 2);
    assert_eq!(server.traces().len(), 1);
    assert!(server.runs().iter().all(|run| run.name == "other" && run.session_name.as_deref() == Some("default")));
}

#[test]
fn behind_the_exporter_children_move_up() {
    let server = server();
    let tree = vec![
        named(span(1, 1, 0), "root"),
        named(span(1, 2, 1), "drop"),
        named(span(1, 3, 2), "drop too"),
        named(span(1, 4, 3), "leaf"),
        named(span(2, 5, 0), "drop the root"),
        named(span(2, 6, 5), "left"),
        named(span(2, 7, 5), "right"),
        named(span(2, 8, 7), "below right"),
    ];
    let hook = config(&server).with_on_run(dropping("drop"));
    let late = named(span(1, 9, 3), "late");
    let stats = export_all(hook, vec![tree.into_iter().rev().collect(), vec![late]]);
    assert_flawless(&server, 6);
    let expected = [
        ("root", None),
        ("leaf", Some("root")),
        ("left", None),
        ("right", None),
        ("below right", Some("right")),
        ("late", Some("root")),
    ];
    let expected = expected.map(|(name, parent)| (name.to_owned(), parent.map(str::to_owned)));
    assert_eq!(parents(&server), HashMap::from(expected));
    assert_eq!((stats.submitted, stats.sent, stats.dropped(DropReason::Hook)), (9, 6, 3));
}

#[test]
fn behind_the_processor_what_was_said_is_kept_bare() {
    let server = server();
    let (provider, handle) = counted_provider(config(&server).with_on_run(dropping("drop")));
    let tracer = provider.tracer("test");
    let start = |name: &'static str, parent: &Context| parent.with_span(tracer.start_with_context(name, parent));
    let root = start("root", &Context::new());
    // Its child is sent before it.
    let said = start("drop, but said", &root);
    said.span().set_attributes([KeyValue::new("secret", 1), KeyValue::new("langsmith.span.tags", "t")]);
    said.span().set_status(Status::error("why"));
    let between = start("drop between", &said);
    start("leaf", &between).span().end();
    said.span().end();
    // Its child outlives it.
    let early = start("drop early", &root);
    let late = start("late", &early);
    early.span().end();
    handle.client().flush(LONG).unwrap();
    late.span().end();
    // Somebody was told of it.
    let told = start("drop, but told", &root);
    assert!(handle.run_ref(told.span().span_context()).is_some());
    told.span().end();
    start("drop alone", &root).span().end();
    root.span().end();
    // One never ends by itself: it is dropped at shutdown, long after its child was sent.
    provider.shutdown_with_timeout(LONG).unwrap();
    drop(between);

    assert_flawless(&server, 6);
    let parents = parents(&server);
    let parent = |name: &str| parents[name].as_deref();
    assert_eq!((parent("late"), parent("leaf")), (Some("root"), Some("drop between")));
    assert_eq!((parent("drop between"), parent("drop, but said")), (Some("drop, but said"), Some("root")));
    let run = server.run("drop, but said").unwrap();
    assert_bare(&run, "by the hook of with_on_run");
    assert_eq!(run.error.as_deref(), Some("error"));
    assert_bare(&server.run("drop, but told").unwrap(), "by the hook of with_on_run");
    let stats = handle.client().stats();
    assert_adds_up(&stats);
    // Eight spans and three bare runs.
    assert_eq!((stats.submitted, stats.sent, stats.dropped(DropReason::Hook)), (8 + 3, 6, 5));
}

fn panicking(run: &mut Run) -> bool {
    assert!(!run.name().starts_with("panic"), "the hook's own words");
    true
}

#[test]
fn a_hook_that_panics_costs_the_run_it_was_asked_about() {
    let server = server();
    let (provider, handle) = counted_provider(config(&server).with_on_run(panicking));
    let tracer = provider.tracer("test");
    let parent = Context::new().with_span(tracer.start("panic with a child"));
    tracer.start_with_context("child", &parent).end();
    parent.span().set_attribute(KeyValue::new("secret", 1));
    parent.span().end();
    tracer.start("panic alone").end();
    tracer.start("after").end();
    let client = handle.client();
    // That something is lost is told.
    let error = provider.shutdown_with_timeout(LONG).unwrap_err().to_string();
    assert!(error.contains("2 panicked"), "{error}");

    assert_flawless(&server, 3);
    assert_bare(&server.run("left out").unwrap(), "the hook of with_on_run panicked");
    assert_eq!(parents(&server)["child"].as_deref(), Some("left out"));
    let stats = client.stats();
    assert_adds_up(&stats);
    assert_eq!((stats.sent, stats.dropped(DropReason::Panicked)), (3, 2), "{stats}");
}

#[test]
fn runs_without_spans_are_asked_about_too() {
    let server = server();
    let client = Client::new(config(&server).with_on_run(|run| !run.name().starts_with("drop"))).unwrap();
    let run = |name: &'static str| Run::builder(name, RunType::Chain).inputs("in");
    let root = run("root").build().unwrap();
    let dropped = run("drop").child_of(&root).build().unwrap();
    let child = run("child").child_of(&dropped).end_now().build().unwrap();
    for run in [&root, &dropped, &child] {
        client.submit(run.clone()).unwrap();
    }
    client.update(dropped.edit().outputs("out").end_now().build().unwrap()).unwrap();
    client.update(root.edit().outputs("out").end_now().build().unwrap()).unwrap();
    // One whose child was sent before.
    let late = run("drop late").end_now().build().unwrap();
    client.submit(run("early child").child_of(&late).end_now().build().unwrap()).unwrap();
    client.submit(late).unwrap();
    client.flush(LONG).unwrap();
    client.shutdown(LONG).unwrap();

    assert_flawless(&server, 4);
    let parents = parents(&server);
    assert_eq!(parents["child"].as_deref(), Some("root"));
    assert_eq!(parents["early child"].as_deref(), Some("drop late"));
    assert_eq!(server.run("root").unwrap().outputs, Some(serde_json::json!({"output": "out"})));
    assert_bare(&server.run("drop late").unwrap(), "by the hook of with_on_run");
    let stats = client.stats();
    assert_adds_up(&stats);
    assert_eq!((stats.submitted, stats.sent, stats.dropped(DropReason::Hook)), (6, 4, 2));
}

#[test]
fn an_update_says_no_more_than_the_hook_lets_it() {
    let server = server();
    let config = config(&server).with_on_run(|run| run.outputs().is_none());
    let client = Client::new(config).unwrap();
    let run = Run::builder("run", RunType::Chain).inputs("in").build().unwrap();
    client.submit(run.clone()).unwrap();
    client.flush(LONG).unwrap();
    client.update(run.edit().outputs("out").end_now().build().unwrap()).unwrap();
    client.shutdown(LONG).unwrap();
    assert_eq!(server.violations(), Vec::<String>::new());
    let run = server.runs().remove(0);
    assert_eq!((run.posts, run.patches, run.outputs), (1, 1, None));
    assert!(run.end_time.is_some() && run.inputs.is_some());
}

/// Parents and whether they are dropped; a span's parent comes before it.
fn forests() -> impl Strategy<Value = Vec<(Option<usize>, bool, u16)>> {
    let span = (any::<proptest::sample::Index>(), prop::bool::weighted(0.8), prop::bool::weighted(0.4), any::<u16>());
    proptest::collection::vec(span, 1..24).prop_map(|spans| {
        let place = |number: usize, parent: proptest::sample::Index, is_child| {
            (is_child && number > 0).then(|| parent.index(number))
        };
        let spans = spans.into_iter().enumerate();
        spans.map(|(number, (parent, is_child, drops, end))| (place(number, parent, is_child), drops, end)).collect()
    })
}

/// Drops the runs that are marked.
fn by_mark(run: &mut Run) -> bool {
    run.metadata("drop").is_none()
}

fn check(
    forest: &[(Option<usize>, bool, u16)],
    server: &LocalLangSmith,
    stats: &Stats,
) -> Result<usize, TestCaseError> {
    prop_assert_eq!(server.violations(), Vec::<String>::new());
    assert_adds_up(stats);
    let parents = parents(server);
    let dropped = forest.iter().filter(|(_, drops, _)| *drops).count();
    prop_assert_eq!(stats.dropped(DropReason::Hook), dropped as u64);
    let mut bare = 0;
    for (number, (parent, drops, _)) in forest.iter().enumerate() {
        let name = number.to_string();
        let run = server.run(&name);
        prop_assert!(*drops || run.is_some(), "{} is missing", number);
        let Some(run) = run else { continue };
        bare += usize::from(*drops);
        prop_assert_eq!(run.metadata("langsmith_left_out").is_some(), *drops);
        // Under the nearest one that is there.
        let mut above = *parent;
        while let Some(number) = above.filter(|above| server.run(&above.to_string()).is_none()) {
            above = forest[number].0;
        }
        prop_assert_eq!(parents[&name].clone(), above.map(|above| above.to_string()));
    }
    prop_assert_eq!(stats.sent, (forest.len() - dropped + bare) as u64);
    Ok(bare)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_stays_whole_behind_the_exporter(forest in forests()) {
        let server = server();
        let mut spans: Vec<_> = forest.iter().enumerate().map(|(number, (parent, drops, end))| {
            let mut root = number;
            while let Some(above) = forest[root].0 { root = above; }
            let mut data = span(root as u128 + 1, number as u64 + 1, parent.map_or(0, |parent| parent as u64 + 1));
            data.name = number.to_string().into();
            if *drops {
                data.attributes.push(KeyValue::new("drop", true));
            }
            (*end, data)
        }).collect();
        spans.sort_by_key(|(end, _)| *end);
        let batches = spans.chunks(3).map(|batch| batch.iter().map(|(_, data)| data.clone()).collect()).collect();
        let stats = export_all(config(&server).with_on_run(by_mark), batches);
        // Parents are looked at before their children, so none is bare.
        prop_assert_eq!(check(&forest, &server, &stats)?, 0);
    }

    #[test]
    fn any_tree_stays_whole_behind_the_processor(forest in forests()) {
        let server = server();
        let (provider, handle) = counted_provider(config(&server).with_on_run(by_mark));
        let client = handle.client();
        let tracer = provider.tracer("forest");
        let mut spans: Vec<(u16, Context)> = Vec::new();
        for (number, (parent, drops, end)) in (0..).zip(&forest) {
            let parent = parent.map_or_else(Context::new, |parent| spans[parent].1.clone());
            let builder = tracer.span_builder(number.to_string()).with_start_time(at(number));
            let mut span = tracer.build_with_context(builder, &parent);
            if *drops {
                span.set_attribute(KeyValue::new("drop", true));
            }
            spans.push((*end, parent.with_span(span)));
        }
        spans.sort_by_key(|(end, _)| *end);
        for (_, span) in spans {
            span.span().end_with_timestamp(at(100));
        }
        provider.shutdown_with_timeout(LONG).unwrap();
        check(&forest, &server, &client.stats())?;
    }
}

//! Runs that are shown while they run: posted without an end, and patched with it.

#[path = "common/mod.rs"]
mod common;

use common::{assert_adds_up, config, eventually, server, KEY, LONG};
use opentelemetry::trace::{Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_langsmith::testing::{Fault, LocalLangSmith};
use opentelemetry_langsmith::{
    Client, Config, ConfigError, DropReason, LangSmithExporter, LangSmithSpanProcessor, PendingRuns, Run, RunType,
    SpanFilter,
};
use opentelemetry_sdk::trace::SdkTracerProvider;
use proptest::prelude::*;
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

const SOON: Duration = Duration::from_millis(1);

fn pipeline(config: Config) -> (SdkTracerProvider, Client) {
    let processor = LangSmithSpanProcessor::new(config).unwrap();
    let client = processor.handle().client();
    (SdkTracerProvider::builder().with_span_processor(processor).build(), client)
}

fn start(tracer: &impl Tracer<Span: Send + Sync + 'static>, name: &'static str, parent: &Context) -> Context {
    parent.with_span(tracer.start_with_context(name, parent))
}

fn names(server: &LocalLangSmith) -> Vec<String> {
    let mut names: Vec<_> = server.runs().into_iter().map(|run| run.name).collect();
    names.sort();
    names
}

fn no_violations(server: &LocalLangSmith) {
    assert_eq!(server.violations(), Vec::<String>::new());
}

#[test]
fn a_run_is_shown_while_its_span_is_open() {
    let server = server();
    let (provider, client) = pipeline(config(&server).with_pending_after(SOON));
    let tracer = provider.tracer("test");
    let builder = tracer.span_builder("work").with_attributes([KeyValue::new("langsmith.inputs", r#"{"ask":1}"#)]);
    let root = Context::new().with_span(builder.start_with_context(&tracer, &Context::new()));
    assert!(server.wait_for_runs(1, LONG));
    let open = server.run("work").unwrap();
    assert!(open.is_pending() && open.status.is_none() && open.error.is_none(), "{open:?}");
    assert_eq!(open.inputs, Some(json!({"ask": 1})));
    // Everything that is known at the end counts, the name and the type too.
    root.span().update_name("finished");
    root.span().set_attribute(KeyValue::new("langsmith.span.kind", "llm"));
    root.span().set_attribute(KeyValue::new("langsmith.outputs", r#"{"answer":2}"#));
    root.span().set_status(Status::error("it broke"));
    root.span().end();
    provider.shutdown_with_timeout(LONG).unwrap();
    no_violations(&server);
    let done = &server.runs()[0];
    assert_eq!((done.posts, done.patches), (1, 1));
    assert_eq!((&*done.id, &*done.dotted_order), (&*open.id, &*open.dotted_order));
    assert_eq!((&*done.name, &*done.run_type), ("finished", "llm"));
    assert_eq!((done.inputs.clone(), done.outputs.clone()), (Some(json!({"ask": 1})), Some(json!({"answer": 2}))));
    assert_eq!(done.error.as_deref(), Some("it broke"));
    assert!(!done.is_pending());
    // As LangSmith counts its events.
    let stats = client.stats();
    assert_eq!((stats.submitted, stats.sent), (2, 2), "{stats:?}");
    assert_adds_up(&stats);
}

#[test]
fn roots_or_all_of_them() {
    for (runs, expected) in [(PendingRuns::Roots, vec!["root"]), (PendingRuns::All, vec!["child", "root"])] {
        let server = server();
        let config = config(&server).with_pending_after(SOON).with_pending_runs(runs);
        let (provider, _) = pipeline(config.with_filter(!SpanFilter::name("out")));
        let tracer = provider.tracer("test");
        let root = start(&tracer, "root", &Context::new());
        let out = start(&tracer, "out", &root);
        let child = start(&tracer, "child", &out);
        assert!(server.wait_for_runs(expected.len(), LONG));
        // What started first is posted first, so nothing else is on its way when a later span is there.
        let last = start(&tracer, "last", &Context::new());
        eventually("the last root is shown", || server.run("last").is_some());
        let shown: Vec<_> = names(&server).into_iter().filter(|name| name != "last").collect();
        assert_eq!(shown, expected);
        for context in [&child, &out, &last, &root] {
            context.span().end();
        }
        provider.shutdown_with_timeout(LONG).unwrap();
        no_violations(&server);
        assert_eq!(names(&server), ["child", "last", "root"]);
        assert!(server.runs().iter().all(|run| !run.is_pending()));
        assert_eq!(server.run("child").unwrap().parent_run_id, Some(server.run("root").unwrap().id));
    }
}

#[test]
fn a_span_that_ends_in_time_costs_nothing_more() {
    let server = server();
    let config = config(&server).with_pending_after(Duration::from_secs(3600)).with_pending_runs(PendingRuns::All);
    let (provider, client) = pipeline(config);
    let tracer = provider.tracer("test");
    for _ in 0..100 {
        let root = start(&tracer, "root", &Context::new());
        start(&tracer, "child", &root).span().end();
        root.span().end();
    }
    // Nobody has to wait an hour for them.
    assert!(server.wait_for_runs(200, LONG));
    provider.shutdown_with_timeout(LONG).unwrap();
    common::assert_flawless(&server, 200);
    assert!(server.runs().iter().all(|run| run.patches == 0));
    assert_eq!(client.stats().submitted, 200);
}

#[test]
fn runs_that_are_open_at_shutdown_are_patched_as_interrupted() {
    let server = server();
    let (provider, client) = pipeline(config(&server).with_pending_after(SOON));
    let tracer = provider.tracer("test");
    let root = start(&tracer, "root", &Context::new());
    let child = start(&tracer, "child", &root);
    assert!(server.wait_for_runs(1, LONG));
    provider.shutdown_with_timeout(LONG).unwrap();
    drop((root, child));
    no_violations(&server);
    let root = server.run("root").unwrap();
    assert_eq!((root.posts, root.patches), (1, 1));
    for run in server.runs() {
        assert!(!run.is_pending(), "{run:?}");
        assert_eq!(run.error.as_deref(), Some("cancelled"));
        assert_eq!(run.metadata("ls_is_error_interrupt"), Some(&json!(true)));
    }
    assert_adds_up(&client.stats());
    assert_eq!(client.stats().sent, 3);
}

/// The end of a run whose post is still in the batch that fills up joins it there: one event, not two.
#[test]
fn a_post_and_its_end_that_meet_are_sent_as_one() {
    let server = server();
    let config = config(&server).with_flush_interval(LONG).with_pending_after(SOON);
    let (provider, client) = pipeline(config);
    let tracer = provider.tracer("test");
    let root = start(&tracer, "root", &Context::new());
    // The post is kept back with the batch; there is nothing to see it by, so time has to pass.
    std::thread::sleep(Duration::from_millis(700));
    root.span().set_attribute(KeyValue::new("langsmith.outputs", r#"{"answer":2}"#));
    root.span().end();
    provider.shutdown_with_timeout(LONG).unwrap();
    common::assert_flawless(&server, 1);
    let run = server.run("root").unwrap();
    assert_eq!((run.posts, run.patches, run.is_pending()), (1, 0, false));
    assert_eq!(run.outputs, Some(json!({"answer": 2})));
    assert_eq!((client.stats().submitted, client.stats().sent), (1, 1));
}

#[test]
fn the_end_waits_for_a_post_that_is_on_its_way() {
    let server = server();
    // The post's request fails at first, and is tried again after the span has ended.
    server.respond([Fault::status(503), Fault::status(503)]);
    let (provider, _) = pipeline(config(&server).with_pending_after(SOON));
    let root = start(&provider.tracer("test"), "root", &Context::new());
    eventually("the post is on its way", || server.requests().iter().any(|request| request.status == Some(503)));
    root.span().end();
    provider.shutdown_with_timeout(LONG).unwrap();
    no_violations(&server);
    let run = server.run("root").unwrap();
    assert_eq!((run.posts, run.patches, run.is_pending()), (1, 1, false));
}

#[test]
fn an_exporter_says_that_it_cannot() {
    let config = Config::default().with_api_key(KEY).with_pending_after(SOON);
    let error = LangSmithExporter::new(config.clone()).unwrap_err();
    assert_eq!(error, ConfigError::NeedsProcessor { setter: "with_pending_after" });
    assert!(error.to_string().contains("with_pending_after needs LangSmithSpanProcessor"), "{error}");
    // A client has no spans to wait for, and what is switched off does not matter.
    LangSmithExporter::new(config.clone().with_tracing(false)).unwrap();
    let server = server();
    let client = Client::new(common::config(&server).with_pending_after(SOON)).unwrap();
    client.submit(Run::builder("by hand", RunType::Chain).end_now().build().unwrap()).unwrap();
    client.shutdown(LONG).unwrap();
    common::assert_flawless(&server, 1);
}

#[test]
fn more_spans_than_can_be_watched_are_sent_at_their_ends() {
    let server = server();
    let config = config(&server).with_pending_after(Duration::from_secs(3600)).with_open_spans(10);
    let (provider, _) = pipeline(config);
    let tracer = provider.tracer("test");
    for _ in 0..50 {
        start(&tracer, "root", &Context::new()).span().end();
    }
    provider.shutdown_with_timeout(LONG).unwrap();
    common::assert_flawless(&server, 50);
}

/// A hook that changes its mind: it is asked when a run is shown, and again when it has ended. The last word counts.
#[test]
fn a_hook_may_want_a_run_at_one_time_only() {
    for (early, late) in [(false, true), (true, false), (false, false), (true, true)] {
        let server = server();
        let asked = Arc::new(AtomicUsize::new(0));
        let hook = {
            let asked = Arc::clone(&asked);
            move |run: &mut Run| {
                let is_open = run.end_time().is_none();
                asked.fetch_add(usize::from(is_open), Ordering::SeqCst);
                run.name() == "kept" || if is_open { early } else { late }
            }
        };
        let config = config(&server).with_pending_after(SOON).with_pending_runs(PendingRuns::All).with_on_run(hook);
        let (provider, client) = pipeline(config);
        let tracer = provider.tracer("test");
        let root = start(&tracer, "root", &Context::new());
        let child = start(&tracer, "child", &root);
        let kept = start(&tracer, "kept", &child);
        let leaf = start(&tracer, "leaf", &kept);
        eventually("all four were looked at", || asked.load(Ordering::SeqCst) == 4);
        let shown = if early { 4 } else { 1 };
        assert!(server.wait_for_runs(shown, LONG));
        assert_eq!(server.received(), shown as u64);
        for context in [&leaf, &kept, &child, &root] {
            context.span().end();
        }
        provider.shutdown_with_timeout(LONG).unwrap();
        no_violations(&server);
        let runs = server.runs();
        assert!(runs.iter().all(|run| !run.is_pending() && run.posts == 1), "{}", server.tree());
        // Those above the one that is kept have to be there for it; bare, where they are not wanted.
        let is_leaf_there = early || late;
        assert_eq!(runs.len(), if is_leaf_there { 4 } else { 3 }, "{early} {late}\n{}", server.tree());
        let above = |name: &str| server.run(name).unwrap().parent_run_id;
        let id = |name: &str| Some(server.run(name).unwrap().id);
        assert_eq!((above("root"), above("child"), above("kept")), (None, id("root"), id("child")));
        if is_leaf_there {
            assert_eq!(above("leaf"), id("kept"));
        }
        for run in &runs {
            let is_bare = run.metadata("langsmith_left_out").is_some();
            assert_eq!(is_bare, !late && run.name != "kept", "{early} {late}: {run:?}");
        }
        let stats = client.stats();
        assert_adds_up(&stats);
        assert_eq!(stats.dropped(DropReason::Hook), if late { 0 } else { 3 }, "{stats}");
        assert_eq!(stats.sent, runs.iter().map(|run| u64::from(run.posts + run.patches)).sum::<u64>());
        assert_eq!(stats.queued + stats.in_flight, 0, "{stats}");
    }
}

/// A run that no hook wants, at any time, leaves nothing behind.
#[test]
fn a_run_that_is_not_wanted_is_neither_shown_nor_sent() {
    let server = server();
    let asked = Arc::new(AtomicUsize::new(0));
    let hook = {
        let asked = Arc::clone(&asked);
        move |run: &mut Run| {
            asked.fetch_add(1, Ordering::SeqCst);
            run.name() != "dropped"
        }
    };
    let config = config(&server).with_pending_after(SOON).with_pending_runs(PendingRuns::All).with_on_run(hook);
    let (provider, client) = pipeline(config);
    let tracer = provider.tracer("test");
    let root = start(&tracer, "dropped", &Context::new());
    eventually("it was looked at", || asked.load(Ordering::SeqCst) == 1);
    root.span().end();
    provider.force_flush().unwrap();
    start(&tracer, "late", &root).span().end();
    provider.shutdown_with_timeout(LONG).unwrap();
    common::assert_flawless(&server, 1);
    assert_eq!(server.run("late").unwrap().parent_run_id, None);
    let stats = client.stats();
    assert_adds_up(&stats);
    assert_eq!((stats.submitted, stats.sent, stats.dropped(DropReason::Hook)), (2, 1, 1), "{stats}");
}

/// The root of a long trace is not wanted as long as it is open; the trace goes on until it ends.
#[test]
fn a_long_trace_ends_with_its_root_though_a_hook_did_not_want_that_early() {
    let server = server();
    let asked = Arc::new(AtomicUsize::new(0));
    let hook = {
        let asked = Arc::clone(&asked);
        move |run: &mut Run| {
            let is_early = run.name() == "root" && run.end_time().is_none() && run.metadata("trace_part").is_none();
            asked.fetch_add(usize::from(is_early), Ordering::SeqCst);
            !is_early
        }
    };
    let (provider, client) = pipeline(config(&server).with_trace_runs(3).with_pending_after(SOON).with_on_run(hook));
    let tracer = provider.tracer("test");
    let root = start(&tracer, "root", &Context::new());
    eventually("it was looked at", || asked.load(Ordering::SeqCst) == 1);
    for _ in 0..4 {
        start(&tracer, "child", &root).span().end();
    }
    provider.force_flush().unwrap();
    let parts = || server.runs().into_iter().filter(|run| run.metadata("trace_part").is_some()).collect::<Vec<_>>();
    assert_eq!(parts().len(), 1, "{}", server.tree());
    assert!(parts()[0].is_pending(), "its trace goes on: {:?}", parts());
    root.span().end();
    provider.shutdown_with_timeout(LONG).unwrap();
    no_violations(&server);
    assert!(parts()[0].end_time >= server.runs().into_iter().filter_map(|run| run.end_time).max());
    assert_adds_up(&client.stats());
}

/// A trace that is sent for an error in it, if at all, is not shown before that is known.
#[test]
fn an_undecided_trace_is_never_shown_early() {
    for fails in [true, false] {
        let server = server();
        let config = config(&server).with_sampling_rate(0.0).with_keep_errors(true);
        let (provider, client) = pipeline(config.with_pending_after(SOON).with_pending_runs(PendingRuns::All));
        let tracer = provider.tracer("test");
        let root = start(&tracer, "root", &Context::new());
        let child = start(&tracer, "child", &root);
        let open = start(&tracer, "open", &child);
        std::thread::sleep(Duration::from_millis(50));
        provider.force_flush().unwrap();
        assert_eq!(server.received(), 0);
        if fails {
            child.span().set_status(Status::error("no"));
        }
        child.span().end();
        provider.force_flush().unwrap();
        // The root and another run are open when everything ends.
        provider.shutdown_with_timeout(LONG).unwrap();
        drop((root, open));
        common::assert_flawless(&server, if fails { 3 } else { 0 });
        let interrupted = server.runs().into_iter().filter(|run| run.error.as_deref() == Some("cancelled")).count();
        assert_eq!(interrupted, if fails { 2 } else { 0 }, "{}", server.tree());
        assert!(server.runs().iter().all(|run| run.patches == 0 && !run.is_pending()));
        let stats = client.stats();
        assert_adds_up(&stats);
        let expected = if fails { (3, 3, 0) } else { (0, 0, 3) };
        assert_eq!((stats.submitted, stats.sent, stats.not_sampled), expected, "{stats}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, failure_persistence: None, ..ProptestConfig::default() })]

    /// Spans that end before, while and after they are shown, in any order.
    #[test]
    fn every_run_ends_and_stands_in_its_place(
        spans in prop::collection::vec((any::<prop::sample::Index>(), 0..6_u8, any::<u16>(), 0..4_u8), 1..25),
        all: bool, after in 0..6_u64,
    ) {
        let server = server();
        let runs = if all { PendingRuns::All } else { PendingRuns::Roots };
        let config = config(&server)
            .with_flush_interval(Duration::from_millis(1))
            .with_pending_after(Duration::from_millis(after))
            .with_pending_runs(runs);
        let (provider, client) = pipeline(config);
        let tracer = provider.tracer("test");
        let mut open: Vec<(Context, Option<usize>)> = Vec::new();
        for (number, (above, root, _, wait)) in spans.iter().enumerate() {
            let above = (number > 0 && *root > 0).then(|| above.index(number));
            let parent = above.map_or_else(Context::new, |above| open[above].0.clone());
            let span = tracer.start_with_context(number.to_string(), &parent);
            open.push((parent.with_span(span), above));
            if *wait == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        let mut order: Vec<usize> = (0..spans.len()).collect();
        order.sort_by_key(|number| spans[*number].2);
        for number in order {
            open[number].0.span().end();
            if spans[number].3 == 1 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        provider.shutdown_with_timeout(LONG).unwrap();
        no_violations(&server);
        let received = server.runs();
        prop_assert_eq!(received.len(), spans.len());
        let find = |number: usize| received.iter().find(|run| run.name == number.to_string()).unwrap();
        for (number, (_, above)) in open.iter().enumerate() {
            let run = find(number);
            prop_assert!(!run.is_pending() && run.posts == 1 && run.patches <= 1, "{:?}", run);
            prop_assert_eq!(run.parent_run_id.as_ref(), above.map(|above| &find(above).id));
        }
        let events: u64 = received.iter().map(|run| u64::from(run.posts + run.patches)).sum();
        prop_assert_eq!(client.stats().sent, events);
        assert_adds_up(&client.stats());
    }
}

#[test]
fn without_the_setting_nothing_is_shown_early() {
    let server = server();
    let (provider, _) = pipeline(config(&server));
    let tracer = provider.tracer("test");
    let root = start(&tracer, "root", &Context::new());
    start(&tracer, "child", &root).span().end();
    assert!(server.wait_for_runs(1, LONG));
    assert_eq!(names(&server), ["child"]);
    root.span().end();
    provider.shutdown_with_timeout(LONG).unwrap();
    common::assert_flawless(&server, 2);
    assert!(server.runs().iter().all(|run| run.patches == 0));
}

/// Those that have ended are in nobody's way, however long it takes until they would have been due.
#[test]
fn a_run_is_shown_behind_thousands_that_have_ended() {
    const ENDED: u64 = 5000;
    let server = LocalLangSmith::counting().unwrap();
    let config = config(&server).with_pending_after(Duration::from_secs(3)).with_open_spans(1000);
    let (provider, client) = pipeline(config);
    let tracer = provider.tracer("test");
    for _ in 0..ENDED {
        start(&tracer, "short", &Context::new()).span().end();
    }
    let long = start(&tracer, "long", &Context::new());
    eventually("the open run is shown", || client.stats().sent == ENDED + 1);
    long.span().end();
    provider.shutdown_with_timeout(LONG).unwrap();
    no_violations(&server);
    assert_eq!(client.stats().sent, ENDED + 2);
}

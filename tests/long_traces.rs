//! Traces with more runs than LangSmith takes go on below other roots.

#[path = "common/mod.rs"]
mod common;

use common::sink::Sink;
use common::{assert_adds_up, assert_flawless, config, eventually, in_time, server, KEY, LONG};
use opentelemetry::trace::{Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_langsmith::testing::{LocalLangSmith, ReceivedRun};
use opentelemetry_langsmith::{Client, Config, DropReason, LangSmithExporter, LangSmithSpanProcessor, Run};
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider};
use proptest::prelude::*;
use std::collections::HashMap;
use std::time::Duration;

fn pipeline(config: Config, live: bool) -> (SdkTracerProvider, Client) {
    let builder = SdkTracerProvider::builder();
    if live {
        let processor = LangSmithSpanProcessor::new(config).unwrap();
        let client = processor.handle().client();
        return (builder.with_span_processor(processor).build(), client);
    }
    let exporter = LangSmithExporter::new(config).unwrap();
    let client = exporter.client();
    let batches = BatchConfigBuilder::default().with_max_queue_size(100_000).build();
    (
        builder.with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batches).build()).build(),
        client,
    )
}

/// A trace of 31 spans: a root and its pages.
fn crawl(tracer: &SdkTracer, attributes: &[KeyValue]) {
    let root = tracer.span_builder("crawl").with_attributes(attributes.to_vec());
    let root = Context::new().with_span(root.start_with_context(tracer, &Context::new()));
    for _ in 0..30 {
        root.with_span(tracer.start_with_context("page", &root)).span().end();
    }
    root.span().end();
}

/// The runs of the spans, and the roots that go on.
fn parts(server: &LocalLangSmith) -> (Vec<ReceivedRun>, Vec<ReceivedRun>) {
    server.runs().into_iter().partition(|run| run.metadata("trace_part").is_none())
}

/// No trace is larger than it may, and each root that goes on tells where the trace began.
fn check(server: &LocalLangSmith, limit: usize, first: &ReceivedRun) {
    assert_eq!(server.violations(), Vec::<String>::new());
    let mut sizes: HashMap<String, usize> = HashMap::new();
    for run in server.runs() {
        assert!(run.end_time.is_some(), "{run:?}");
        *sizes.entry(run.trace_id).or_default() += 1;
    }
    assert!(sizes.values().all(|runs| *runs <= limit), "{sizes:?}");
    for root in parts(server).1 {
        assert_eq!(root.metadata("continues_trace_id").and_then(|id| id.as_str()), Some(&*first.trace_id));
        assert_eq!((&root.name, &root.session_name), (&first.name, &first.session_name));
        assert_eq!((&root.start_time, &root.parent_run_id), (&first.start_time, &None));
    }
}

#[test]
fn a_trace_goes_on_below_linked_roots() {
    for live in [true, false] {
        let server = server();
        let (provider, client) = pipeline(config(&server).with_trace_runs(10), live);
        let tracer = provider.tracer("test");
        let attributes = [KeyValue::new("langsmith.trace.session_name", "crawls")];
        crawl(&tracer, &attributes);
        provider.shutdown_with_timeout(LONG).unwrap();

        let first = server.runs().into_iter().find(|run| run.name == "crawl" && run.metadata("trace_part").is_none());
        let first = first.unwrap();
        check(&server, 10, &first);
        let (runs, roots) = parts(&server);
        // 1 + 9, then 1 + 9 pages in each further part, and 3 pages in the last one.
        assert_eq!((runs.len(), roots.len()), (31, 3), "live: {live}\n{}", server.tree());
        let mut numbers: Vec<_> = roots.iter().filter_map(|root| root.metadata("trace_part")?.as_u64()).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [2, 3, 4]);
        assert!(roots
            .iter()
            .all(|root| root.end_time >= first.end_time && root.session_name.as_deref() == Some("crawls")));
        let stats = client.stats();
        assert_adds_up(&stats);
        assert_eq!(stats.sent, if live { stats.submitted } else { 34 }, "live: {live}, {stats:?}");
        // Whoever was moved tells where it belongs.
        let own = first.metadata("OTEL_SPAN_ID").unwrap();
        for page in runs.iter().filter(|run| run.trace_id != first.trace_id) {
            assert_eq!(page.metadata("OTEL_PARENT_SPAN_ID"), Some(own), "{page:?}");
        }
    }
}

#[test]
fn a_root_that_goes_on_ends_with_the_first_one_or_is_interrupted_with_it() {
    let server = server();
    let (provider, _) = pipeline(config(&server).with_trace_runs(3), true);
    let tracer = provider.tracer("test");
    let start = |name: &'static str, parent: &Context| parent.with_span(tracer.start_with_context(name, parent));
    let root = start("root", &Context::new());
    for _ in 0..3 {
        start("child", &root).span().end();
    }
    eventually("the root that goes on is shown", || parts(&server).1.len() == 1);
    assert!(parts(&server).1[0].is_pending());
    let late = start("late", &root);
    root.span().end();
    // After the end of the first root another one is needed, and is over at once.
    start("after", &late).span().end();
    start("after", &late).span().end();
    late.span().end();
    provider.force_flush().unwrap();
    assert_eq!(parts(&server).1.len(), 2, "{}", server.tree());
    assert!(server.runs().iter().all(|run| !run.is_pending()), "{}", server.tree());

    let open = start("open", &Context::new());
    for _ in 0..3 {
        start("child", &open).span().end();
    }
    provider.shutdown_with_timeout(LONG).unwrap();
    assert!(server.runs().iter().all(|run| !run.is_pending()), "{}", server.tree());
    assert_eq!(server.violations(), Vec::<String>::new());
}

#[test]
fn an_undecided_trace_goes_on_too_or_not_at_all() {
    for live in [true, false] {
        for fails in [true, false] {
            let server = server();
            let config = config(&server).with_trace_runs(5).with_sampling_rate(0.0).with_keep_errors(true);
            let (provider, client) = pipeline(config, live);
            let tracer = provider.tracer("test");
            let root = Context::new().with_span(tracer.start_with_context("root", &Context::new()));
            for number in 0..20 {
                let child = root.with_span(tracer.start_with_context("child", &root));
                if fails && number == 17 {
                    child.span().set_status(Status::error("no"));
                }
                child.span().end();
            }
            root.span().end();
            provider.shutdown_with_timeout(LONG).unwrap();
            let (runs, roots) = parts(&server);
            assert_eq!((runs.len(), roots.len()), if fails { (21, 4) } else { (0, 0) }, "live: {live}");
            if fails {
                check(&server, 5, runs.iter().find(|run| run.name == "root").unwrap());
            }
            assert_eq!(client.stats().not_sampled, if fails { 0 } else { 21 });
            assert_adds_up(&client.stats());
        }
    }
}

/// The hook sees the roots that go on too. What it does not want of them is not sent, but what stands below needs them.
#[test]
fn a_hook_looks_at_the_roots_that_go_on() {
    for live in [true, false] {
        for drops in [true, false] {
            let server = server();
            let config = config(&server).with_trace_runs(10).with_on_run(move |run: &mut Run| {
                run.set_metadata("seen", &true).unwrap();
                !(drops && run.metadata("trace_part").is_some())
            });
            let (provider, client) = pipeline(config, live);
            let tracer = provider.tracer("test");
            let attributes = [KeyValue::new("langsmith.span.tags", "tag"), KeyValue::new("session.id", "thread")];
            crawl(&tracer, &attributes);
            provider.shutdown_with_timeout(LONG).unwrap();
            assert_eq!(server.violations(), Vec::<String>::new());
            let (bare, seen): (Vec<_>, Vec<_>) =
                server.runs().into_iter().partition(|run| run.metadata("langsmith_left_out").is_some());
            assert_eq!((bare.len(), seen.len()), if drops { (3, 31) } else { (0, 34) }, "{}", server.tree());
            assert!(seen.iter().all(|run| run.metadata("seen").is_some() && !run.tags.is_empty()));
            for root in bare {
                assert_eq!((root.parent_run_id.clone(), root.metadata("thread_id")), (None, None), "{root:?}");
                assert!(root.tags.is_empty() && root.end_time.is_some() && root.name == "crawl", "{root:?}");
            }
            let stats = client.stats();
            assert_adds_up(&stats);
            assert_eq!(stats.dropped(DropReason::Hook), if drops { 3 } else { 0 }, "{stats}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_is_cut_into_trees(
        spans in prop::collection::vec((any::<prop::sample::Index>(), any::<u16>()), 1..60), limit in 2..12_usize, live: bool,
    ) {
        let server = server();
        let (provider, client) = pipeline(config(&server).with_trace_runs(limit), live);
        let tracer = provider.tracer("test");
        let mut open: Vec<Context> = Vec::new();
        let mut above = Vec::new();
        for (number, (index, _)) in spans.iter().enumerate() {
            let parent = (number > 0).then(|| index.index(number));
            let context = parent.map_or_else(Context::new, |parent| open[parent].clone());
            open.push(context.with_span(tracer.start_with_context(number.to_string(), &context)));
            above.push(parent);
        }
        let mut order: Vec<usize> = (0..spans.len()).collect();
        order.sort_by_key(|number| spans[*number].1);
        for number in order {
            open[number].span().end();
        }
        provider.shutdown_with_timeout(LONG).unwrap();

        let (runs, roots) = parts(&server);
        prop_assert_eq!(runs.len(), spans.len());
        let find = |number: usize| runs.iter().find(|run| run.name == number.to_string()).unwrap();
        check(&server, limit, find(0));
        for (number, parent) in above.iter().enumerate() {
            let run = find(number);
            let Some(parent) = parent else { continue };
            // Under its parent, or else under a root that goes on with the trace.
            let parent = find(*parent);
            if run.parent_run_id.as_ref() != Some(&parent.id) {
                prop_assert!(roots.iter().any(|root| Some(&root.id) == run.parent_run_id.as_ref()), "{:?}", run);
                prop_assert_eq!(run.metadata("OTEL_PARENT_SPAN_ID"), parent.metadata("OTEL_SPAN_ID"));
            }
        }
        assert_adds_up(&client.stats());
    }
}

#[test]
fn at_25000_runs_by_default() {
    in_time(|| {
        let sink = Sink::start();
        let config = Config::default()
            .with_api_key(KEY)
            .with_endpoint(sink.endpoint())
            .with_flush_interval(Duration::from_secs(1));
        let (provider, client) = pipeline(config, true);
        let tracer = provider.tracer("test");
        let root = Context::new().with_span(tracer.start_with_context("root", &Context::new()));
        for _ in 1..25_000 {
            root.with_span(tracer.start_with_context("child", &root)).span().end();
        }
        provider.force_flush().unwrap();
        assert_eq!(client.stats().sent, 24_999);
        root.with_span(tracer.start_with_context("one too many", &root)).span().end();
        provider.force_flush().unwrap();
        // The span, and the root that it stands under.
        assert_eq!(client.stats().sent, 25_001);
        root.span().end();
        provider.shutdown_with_timeout(LONG).unwrap();
        assert_eq!(client.stats().sent, 25_003);
    });
}

#[test]
fn a_trace_of_one_run_is_none() {
    let error = LangSmithSpanProcessor::new(Config::default().with_api_key(KEY).with_trace_runs(1)).unwrap_err();
    assert!(error.to_string().contains("with_trace_runs"), "{error}");
    let server = server();
    let (provider, _) = pipeline(config(&server).with_trace_runs(2), true);
    let tracer = provider.tracer("test");
    tracer.start_with_context("root", &Context::new());
    provider.shutdown_with_timeout(LONG).unwrap();
    assert_flawless(&server, 1);
}

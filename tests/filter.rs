//! Spans that are left out: what stands below them moves up, by either way in, and nothing else changes.

use opentelemetry::trace::{Span as _, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use opentelemetry_langsmith::testing::LocalLangSmith;
use opentelemetry_langsmith::{Config, LangSmithExporter, LangSmithSpanProcessor, SpanFilter, Stats};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Traces with a LangSmith processor, or with an exporter behind a batch processor.
fn pipeline(server: &LocalLangSmith, live: bool, filter: SpanFilter) -> (SdkTracerProvider, impl Fn() -> Stats) {
    let config = Config::default().with_api_key("key").with_endpoint(server.endpoint()).with_filter(filter);
    let builder = SdkTracerProvider::builder();
    let (provider, client) = if live {
        let processor = LangSmithSpanProcessor::new(config).unwrap();
        let client = processor.handle().client();
        (builder.with_span_processor(processor).build(), client)
    } else {
        let exporter = LangSmithExporter::new(config).unwrap();
        let client = exporter.client();
        (builder.with_batch_exporter(exporter).build(), client)
    };
    (provider, move || client.stats())
}

/// A forest: for each span the one above it, if any, and whether it is kept.
fn forest() -> impl Strategy<Value = Vec<(Option<usize>, bool)>> {
    prop::collection::vec((any::<prop::sample::Index>(), 0..10_u8, any::<bool>()), 1..40).prop_map(|spans| {
        let place = |(number, (above, root, kept)): (usize, (prop::sample::Index, u8, bool))| {
            ((number > 0 && root > 0).then(|| above.index(number.max(1))), kept)
        };
        spans.into_iter().enumerate().map(place).collect()
    })
}

fn nearest_kept(spans: &[(Option<usize>, bool)], number: usize) -> Option<usize> {
    let mut above = spans[number].0?;
    while !spans[above].1 {
        above = spans[above].0?;
    }
    Some(above)
}

fn check(spans: &[(Option<usize>, bool)], live: bool) {
    let server = LocalLangSmith::start().unwrap();
    let (provider, stats) = pipeline(&server, live, SpanFilter::from_fn(|span| !span.name.starts_with("out")));
    let tracer = provider.tracer("test");
    let mut open: Vec<Context> = Vec::new();
    for (number, (above, kept)) in spans.iter().enumerate() {
        let parent = above.map_or_else(Context::new, |above| open[above].clone());
        let name = format!("{}{number}", if *kept { "" } else { "out" });
        let span = tracer.start_with_context(name, &parent);
        open.push(parent.with_span(span));
    }
    open.iter().rev().for_each(|context| context.span().end());
    provider.shutdown().unwrap();

    assert_eq!(server.violations(), Vec::<String>::new());
    let runs: BTreeMap<usize, _> = server.runs().into_iter().map(|run| (run.name.parse().unwrap(), run)).collect();
    assert_eq!(runs.len(), spans.iter().filter(|(_, kept)| *kept).count());
    for (number, run) in &runs {
        let expected = nearest_kept(spans, *number).map(|above| runs[&above].id.clone());
        assert_eq!(run.parent_run_id, expected, "above {number} of {spans:?}");
    }
    let stats = stats();
    assert_eq!((stats.submitted, stats.sent), (runs.len() as u64, runs.len() as u64), "{stats:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn children_go_under_the_nearest_run_above(spans in forest(), live: bool) {
        check(&spans, live);
    }
}

#[test]
fn children_that_outlive_a_span_that_is_left_out_keep_their_place() {
    for live in [true, false] {
        let server = LocalLangSmith::start().unwrap();
        let (provider, _) = pipeline(&server, live, SpanFilter::from_fn(|span| span.name != "out"));
        let tracer = provider.tracer("test");
        let root = Context::new().with_span(tracer.start_with_context("root", &Context::new()));
        let out = root.with_span(tracer.start_with_context("out", &root));
        let first = out.with_span(tracer.start_with_context("first", &out));
        out.span().end();
        let mut second = tracer.start_with_context("second", &out);
        root.span().end();
        second.end();
        first.span().end();
        provider.shutdown().unwrap();
        assert_eq!(server.violations(), Vec::<String>::new());
        let root = server.run("root").unwrap();
        for name in ["first", "second"] {
            assert_eq!(server.run(name).unwrap().parent_run_id.as_ref(), Some(&root.id), "{name}, live: {live}");
        }
    }
}

/// The names of the runs that become of spans with these scopes and targets.
fn kept(filter: SpanFilter, live: bool) -> Vec<String> {
    let server = LocalLangSmith::start().unwrap();
    let (provider, _) = pipeline(&server, live, filter);
    let spans = [
        ("app", Some("app::agent")),
        ("app", Some("hyper::client")),
        ("app", Some("h2")),
        ("app", Some("hyperion::stars")),
        ("app", Some("tower_http::trace")),
        ("app", None),
        ("reqwest", None),
        ("opentelemetry-otlp", None),
        ("reqwest", Some("app::download")),
    ];
    for (scope, target) in spans {
        let tracer = provider.tracer_with_scope(InstrumentationScope::builder(scope).build());
        let target = target.map(|target| KeyValue::new("target", target));
        let name = target.as_ref().map_or_else(|| scope.to_owned(), |target| target.value.to_string());
        tracer.span_builder(name).with_attributes(target).start_with_context(&tracer, &Context::new()).end();
    }
    provider.shutdown().unwrap();
    let mut names: Vec<_> = server.runs().into_iter().map(|run| run.name).collect();
    names.sort();
    names
}

#[test]
fn plumbing_is_left_out_by_default_and_nothing_that_only_sounds_like_it() {
    for live in [true, false] {
        let expected = ["app", "app::agent", "app::download", "hyperion::stars", "tower_http::trace"];
        assert_eq!(kept(SpanFilter::default(), live), expected);
        assert_eq!(kept(SpanFilter::all(), live).len(), 9);
        assert_eq!(kept(SpanFilter::from_fn(|span: &SpanData| span.name == "h2"), live), ["h2"]);
    }
}

#[test]
fn a_filter_that_panics_keeps_the_span() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let names = kept(SpanFilter::from_fn(|_| panic!("on purpose")), true);
    std::panic::set_hook(hook);
    assert_eq!(names.len(), 9);
}

#[test]
fn spans_left_open_at_shutdown_are_left_out_too() {
    let server = LocalLangSmith::start().unwrap();
    let (provider, _) = pipeline(&server, true, SpanFilter::default());
    let tracer = provider.tracer("test");
    let attributes = [KeyValue::new("target", "hyper")];
    let root = tracer.span_builder("plumbing").with_attributes(attributes).start_with_context(&tracer, &Context::new());
    let root = Context::new().with_span(root);
    let child = tracer.start_with_context("work", &root);
    provider.shutdown().unwrap();
    drop((child, root));
    assert_eq!(server.violations(), Vec::<String>::new());
    assert_eq!(server.runs().iter().map(|run| run.name.as_str()).collect::<Vec<_>>(), ["work"]);
}

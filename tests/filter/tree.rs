//! The tree stays whole, whatever is left out of it and in whatever order its spans end.

use crate::common::{assert_flawless, server};
use crate::{Way, WAYS};
use opentelemetry::trace::{TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_langsmith::SpanFilter;
use proptest::prelude::*;
use proptest::sample::Index;
use std::collections::BTreeMap;

/// A span of a forest.
#[derive(Clone, Debug)]
struct Shape {
    above: Option<usize>,
    kept: bool,
    /// The spans end in the order of these.
    ends: u16,
}

fn forest() -> impl Strategy<Value = Vec<Shape>> {
    prop::collection::vec((any::<Index>(), 0..10_u8, any::<bool>(), any::<u16>()), 1..40).prop_map(|spans| {
        let shape = |(number, (above, root, kept, ends)): (usize, (Index, u8, bool, u16))| {
            let above = (number > 0 && root > 0).then(|| above.index(number.max(1)));
            Shape { above, kept, ends }
        };
        spans.into_iter().enumerate().map(shape).collect()
    })
}

fn nearest_kept(spans: &[Shape], number: usize) -> Option<usize> {
    let mut above = spans[number].above?;
    while !spans[above].kept {
        above = spans[above].above?;
    }
    Some(above)
}

fn check(spans: &[Shape], way: Way) {
    let server = server();
    let (provider, client) = way.pipeline(&server, SpanFilter::from_fn(|span| !span.name.starts_with("out")));
    let tracer = provider.tracer("test");
    let mut open: Vec<Context> = Vec::new();
    for (number, Shape { above, kept, .. }) in spans.iter().enumerate() {
        let parent = above.map_or_else(Context::new, |above| open[above].clone());
        let name = format!("{}{number}", if *kept { "" } else { "out" });
        let span = tracer.start_with_context(name, &parent);
        open.push(parent.with_span(span));
    }
    let mut order: Vec<usize> = (0..spans.len()).collect();
    order.sort_by_key(|number| spans[*number].ends);
    for number in order {
        open[number].span().end();
    }
    provider.shutdown().unwrap();

    let kept = spans.iter().filter(|span| span.kept).count();
    assert_flawless(&server, kept);
    let runs: BTreeMap<usize, _> = server.runs().into_iter().map(|run| (run.name.parse().unwrap(), run)).collect();
    for (number, run) in &runs {
        let expected = nearest_kept(spans, *number).map(|above| runs[&above].id.clone());
        assert_eq!(run.parent_run_id, expected, "above {number} of {spans:?}");
    }
    let stats = client.stats();
    assert_eq!((stats.submitted, stats.sent), (kept as u64, kept as u64), "{stats:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn children_go_under_the_nearest_run_above(spans in forest(), live: bool) {
        check(&spans, if live { Way::Processor } else { Way::Exporter });
    }
}

#[test]
fn children_that_outlive_a_span_that_is_left_out_keep_their_place() {
    for way in WAYS {
        let server = server();
        let (provider, _) = way.pipeline(&server, SpanFilter::from_fn(|span| span.name != "out"));
        let tracer = provider.tracer("test");
        let start = |name: &'static str, parent: &Context| parent.with_span(tracer.start_with_context(name, parent));
        let root = start("root", &Context::new());
        let out = start("out", &root);
        let first = start("first", &out);
        out.span().end();
        let second = start("second", &out);
        root.span().end();
        second.span().end();
        first.span().end();
        provider.shutdown().unwrap();
        assert_flawless(&server, 3);
        let root = server.run("root").unwrap();
        for name in ["first", "second"] {
            assert_eq!(server.run(name).unwrap().parent_run_id.as_ref(), Some(&root.id), "{name}, {way:?}");
        }
    }
}

#[test]
fn spans_left_open_at_shutdown_are_left_out_too() {
    let server = server();
    let (provider, _) = Way::Processor.pipeline(&server, SpanFilter::default());
    let tracer = provider.tracer("test");
    let attributes = [KeyValue::new("target", "hyper")];
    let root = tracer.span_builder("plumbing").with_attributes(attributes).start_with_context(&tracer, &Context::new());
    let root = Context::new().with_span(root);
    let child = tracer.start_with_context("work", &root);
    provider.shutdown().unwrap();
    drop((child, root));
    assert_flawless(&server, 1);
    assert_eq!(server.runs()[0].name, "work");
}

//! Attributes that say where a run stands: in circles, malformed, or against each other.

use crate::common::{config, counted_provider, export_all, run_of, server, span, with, LONG};
use opentelemetry::trace::{TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_langsmith::{Config, DottedOrder, LangSmithSpanProcessor, RunId, RunIds, SpanFilter};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData};
use proptest::prelude::*;

const ONE: &str = "01a1fa70-7758-4bc2-9e24-efd0dc5f29c5";
const TWO: &str = "01a1fa70-7762-45ce-8bd8-12f25e90bfa5";
const ONE_ORDER: &str = "20261120T193037016758Z01a1fa70-7758-4bc2-9e24-efd0dc5f29c5";
/// The second under the first.
const TWO_ORDER: &str = "20261120T193037016758Z01a1fa70-7758-4bc2-9e24-efd0dc5f29c5\
                         .20261120T193037026000Z01a1fa70-7762-45ce-8bd8-12f25e90bfa5";

/// The same spans by both doors and both kinds of ids. `alien` says how many runs stand under runs of other
/// processes, which rightly never come.
fn flawless(spans: &[SpanData], alien: usize) {
    for run_ids in [RunIds::V7, RunIds::Otel] {
        let server = server();
        let stats = export_all(config(&server).with_run_ids(run_ids), vec![spans.to_vec()]);
        assert_eq!(stats.sent, spans.len() as u64, "{stats:?}");
        assert_eq!(server.orphans().len(), alien, "{:#?}", server.orphans());
        assert_eq!(server.violations().len(), alien, "{:#?}", server.violations());
        assert_eq!(server.received(), spans.len() as u64);
    }
}

#[test]
fn circles_of_parents() {
    // By the ids of other spans.
    let parent = "langsmith.traceable_parent_otel_span_id";
    flawless(&[with(span(1, 1, 0), parent, "0000000000000001")], 0);
    flawless(&[with(span(1, 1, 0), parent, "0000000000000002"), with(span(1, 2, 0), parent, "0000000000000001")], 0);
    // By the ids of runs.
    flawless(&[with(with(span(1, 1, 0), "langsmith.span.id", ONE), "langsmith.span.parent_id", ONE)], 0);
    flawless(
        &[
            with(with(span(1, 1, 2), "langsmith.span.id", ONE), "langsmith.span.parent_id", TWO),
            with(with(span(1, 2, 1), "langsmith.span.id", TWO), "langsmith.span.parent_id", ONE),
        ],
        0,
    );
    // A child with its parent's id, and a grandchild with that of the root.
    flawless(
        &[
            with(span(1, 3, 2), "langsmith.span.id", ONE),
            with(span(1, 2, 1), "langsmith.span.id", ONE),
            with(span(1, 1, 0), "langsmith.span.id", ONE),
        ],
        0,
    );
}

#[test]
fn one_id_for_many_runs() {
    // Under one parent, and in traces of their own.
    let root = span(1, 1, 0);
    flawless(&[with(span(1, 2, 1), "langsmith.span.id", TWO), with(span(1, 3, 1), "langsmith.span.id", TWO), root], 0);
    flawless(&[with(span(1, 1, 0), "langsmith.span.id", ONE), with(span(2, 2, 0), "langsmith.span.id", ONE)], 0);
    flawless(&[with(span(1, 1, 0), "langsmith.trace.id", ONE), with(span(2, 2, 0), "langsmith.trace.id", ONE)], 0);
    let order = "langsmith.span.dotted_order";
    flawless(&[with(span(1, 1, 0), order, ONE_ORDER), with(span(2, 2, 0), order, ONE_ORDER)], 0);
}

#[test]
fn orders_that_are_none() {
    let uppercase = ONE_ORDER.to_uppercase();
    let repeated = format!("{ONE_ORDER}.{ONE_ORDER}");
    let backwards = TWO_ORDER.replace("T193037026000Z", "T193037000000Z");
    let huge = "x".repeat(1 << 20);
    let deep = vec![ONE_ORDER; 20_000].join(".");
    for order in [
        "",
        ".",
        "..",
        "\0",
        "20261120T193037016758Z",
        ONE,
        &ONE_ORDER[1..],
        &format!(".{ONE_ORDER}"),
        &format!("{ONE_ORDER}."),
        &ONE_ORDER.replace("20261120", "20261320"),
        &ONE_ORDER.replace("T193037", "T193060"),
        &ONE_ORDER.replace("20261120", "00000000"),
        &ONE_ORDER.replace('T', "é"),
        &uppercase,
        &repeated,
        &backwards,
        &huge,
        &deep,
    ] {
        let run = run_of(with(span(1, 1, 0), "langsmith.span.dotted_order", order.to_owned()));
        assert_eq!(run.parent_run_id, None, "{order:.100}");
    }
}

#[test]
fn an_order_of_another_process() {
    flawless(&[with(span(1, 1, 0), "langsmith.span.dotted_order", TWO_ORDER)], 1);
    flawless(&[with(span(1, 1, 0), "langsmith.span.dotted_order", ONE_ORDER), span(1, 2, 1)], 0);
    // Orders without end cannot be had from anybody: the children of a very deep one go on elsewhere.
    let deep: String = (0..1999_u128)
        .map(|number| format!("20261120T193037016758Z{}", RunId::from(uuid::Uuid::from_u128(number + 1))))
        .collect::<Vec<_>>()
        .join(".");
    deep.parse::<DottedOrder>().unwrap();
    let spans = [with(span(1, 1, 0), "langsmith.span.dotted_order", deep), span(1, 2, 1), span(1, 3, 2), span(1, 4, 3)];
    flawless(&spans, 1);
}

#[test]
fn overrides_against_each_other() {
    let order = "langsmith.span.dotted_order";
    let all = |id: &'static str, parent: &'static str, trace: &'static str, order_text: &'static str| {
        let span = with(with(span(1, 1, 0), "langsmith.span.id", id), "langsmith.span.parent_id", parent);
        with(with(span, "langsmith.trace.id", trace), order, order_text)
    };
    flawless(&[all(ONE, ONE, ONE, ONE_ORDER)], 0);
    flawless(&[all(ONE, TWO, TWO, ONE_ORDER)], 0);
    flawless(&[all(ONE, ONE, ONE, TWO_ORDER)], 0);
    flawless(&[all("no uuid", "no uuid", "no uuid", "no order")], 0);
    flawless(&[all("", "", "", "")], 0);
    flawless(&[with(all(TWO, ONE, ONE, TWO_ORDER), "langsmith.is_root", true)], 0);
    flawless(&[all(TWO, ONE, ONE, TWO_ORDER)], 1);
}

type Attributes<'a> = &'a [(&'static str, &'a str)];

/// Two spans without parents, of which the first starts, or is exported, before the second.
fn pair(config: Config, live: bool, pair: [Attributes<'_>; 2]) {
    let attributes = pair.map(|one| one.iter().map(|(key, value)| KeyValue::new(*key, (*value).to_owned())));
    if live {
        let (provider, _) = counted_provider(config);
        let tracer = provider.tracer("pair");
        let spans: Vec<_> = ["span 1", "span 2"]
            .into_iter()
            .zip(attributes)
            .map(|(name, attributes)| tracer.span_builder(name).with_attributes(attributes))
            .map(|builder| builder.start_with_context(&tracer, &Context::new()))
            .collect();
        drop(spans);
        provider.shutdown_with_timeout(LONG).unwrap();
    } else {
        let spans = (1..).zip(attributes).map(|(number, attributes)| {
            let span = span(number, u64::try_from(number).unwrap(), 0);
            SpanData { attributes: attributes.collect(), ..span }
        });
        export_all(config, spans.map(|span| vec![span]).collect());
    }
}

/// What was said first counts, and what it contradicts is kept as metadata.
#[test]
fn ids_and_orders_of_two_spans_against_each_other() {
    let (trace, id, parent) = ("langsmith.trace.id", "langsmith.span.id", "langsmith.span.parent_id");
    let order = "langsmith.span.dotted_order";
    let earlier = &*TWO_ORDER.replacen("T193037016758Z", "T193037016000Z", 1);
    // The second run under another one, and a third below it.
    let elsewhere = TWO_ORDER.replace(ONE, "01a1fa70-7758-4bc2-9e24-efd0dc5f29c6");
    let elsewhere = &*format!("{elsewhere}.20261120T193037026000Z01a1fa70-7762-45ce-8bd8-12f25e90bfa6");
    // The spans, how many of them stand under a run that rightly never comes, when the first and when the
    // second is first, and whether they contradict each other.
    let cases: [(Attributes<'_>, Attributes<'_>, [usize; 2], bool); 8] = [
        (&[(trace, ONE)], &[(order, TWO_ORDER)], [0, 1], true),
        (&[(id, ONE)], &[(order, TWO_ORDER)], [0, 1], true),
        (&[(order, ONE_ORDER)], &[(order, earlier)], [0, 1], true),
        (&[(id, TWO), (parent, ONE), (order, TWO_ORDER)], &[(order, earlier)], [1, 1], true),
        (&[(order, elsewhere)], &[(order, TWO_ORDER)], [1, 1], true),
        (&[(id, TWO), (parent, ONE), (order, ONE_ORDER)], &[(id, ONE)], [1, 0], true),
        (&[(order, ONE_ORDER)], &[(order, TWO_ORDER)], [0, 0], false),
        (&[(order, ONE_ORDER)], &[(parent, ONE), (order, ONE_ORDER)], [0, 0], false),
    ];
    for (one, other, aliens, contradict) in cases {
        for (spans, alien) in [([one, other], aliens[0]), ([other, one], aliens[1])] {
            for (live, run_ids) in
                [(false, RunIds::V7), (false, RunIds::Otel), (true, RunIds::V7), (true, RunIds::Otel)]
            {
                let server = server();
                pair(config(&server).with_run_ids(run_ids), live, spans);
                let tree = server.tree();
                assert_eq!(server.orphans().len(), alien, "live: {live}, {spans:?}\n{tree}");
                assert_eq!(server.violations().len(), alien, "{spans:?}: {:#?}", server.violations());
                assert_eq!(server.received(), 2);
                let (key, value) = *spans[1].last().unwrap();
                let kept = server.run("span 2").unwrap().metadata(key) == Some(&value.into());
                assert_eq!(kept, contradict, "live: {live}, {spans:?}\n{tree}");
            }
        }
    }
}

/// A span that is left out hands its order down, which may contradict what was said before.
#[test]
fn an_order_that_is_handed_down_against_an_id() {
    let parent: Attributes<'_> = &[("langsmith.span.parent_id", ONE), ("langsmith.span.dotted_order", ONE_ORDER)];
    for id_first in [true, false] {
        for live in [true, false] {
            let server = server();
            let config = config(&server).with_filter(!SpanFilter::name("span 5"));
            let out = parent.iter().fold(span(5, 5, 0), |span, (key, value)| with(span, key, *value));
            let (below, id) = (span(5, 6, 5), with(span(7, 7, 0), "langsmith.span.id", ONE));
            let (first, second) = if id_first { (vec![id], vec![below, out]) } else { (vec![below, out], vec![id]) };
            if live {
                let processor = LangSmithSpanProcessor::new(config).unwrap();
                let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
                let tracer = provider.tracer("handed down");
                for spans in [first, second] {
                    let mut parent = Context::new();
                    for SpanData { name, attributes, .. } in spans.into_iter().rev() {
                        let span = tracer.span_builder(name).with_attributes(attributes);
                        parent = parent.with_span(span.start_with_context(&tracer, &parent));
                    }
                }
                provider.shutdown_with_timeout(LONG).unwrap();
            } else {
                export_all(config, vec![first, second]);
            }
            assert_eq!(server.received(), 2);
            let alien = usize::from(!id_first);
            assert_eq!(server.orphans().len(), alien, "live: {live}\n{}", server.tree());
            assert_eq!(server.violations().len(), alien, "{:#?}", server.violations());
        }
    }
}

#[test]
fn what_could_not_be_used_is_kept() {
    let run = run_of(with(span(1, 1, 0), "langsmith.span.parent_id", TWO));
    assert_eq!(run.parent_run_id, None);
    assert_eq!(run.metadata("langsmith.span.parent_id"), Some(&TWO.into()), "{run:?}");
}

#[test]
fn a_trace_has_one_project_whatever_its_spans_say() {
    let project = "langsmith.trace.session_name";
    flawless(
        &[
            with(span(1, 3, 2), "langsmith.trace.session_id", ONE),
            with(span(1, 2, 1), project, "other"),
            with(span(1, 1, 0), project, "mine"),
        ],
        0,
    );
    flawless(&[with(span(1, 2, 1), project, "\0\u{1}"), with(span(1, 1, 0), project, "")], 0);
    let server = server();
    let spans = vec![with(span(1, 2, 1), project, "other"), with(span(1, 1, 0), project, "mine")];
    export_all(config(&server).with_project("configured"), vec![spans, vec![span(2, 9, 0)]]);
    assert_eq!(server.run("span 2").unwrap().session_name.as_deref(), Some("mine"));
    assert_eq!(server.run("span 9").unwrap().session_name.as_deref(), Some("configured"));
}

/// No projects: who names a run by its dotted order has to say its project, and may say it wrong.
fn override_() -> impl Strategy<Value = (&'static str, String)> {
    let key = prop::sample::select(vec![
        "langsmith.span.id",
        "langsmith.span.parent_id",
        "langsmith.trace.id",
        "langsmith.span.dotted_order",
        "langsmith.traceable_parent_otel_span_id",
        "langsmith.is_root",
        "langsmith.root_span",
    ]);
    let value = prop_oneof![
        prop::sample::select(vec!["", "true", "false", ONE, TWO, ONE_ORDER, TWO_ORDER, "no uuid"]).prop_map(Into::into),
        (0..6_u64).prop_map(|id| format!("{id:016x}")),
        ".{0,40}",
    ];
    (key, value)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever stands in the attributes: every span arrives, or its drop is counted, and what arrives is valid.
    /// Runs may stand under runs of other processes if an attribute says so.
    #[test]
    fn any_overrides(
        drawn in prop::collection::vec((0..6_u64, prop::collection::vec(override_(), 0..4)), 1..6),
        otel_ids in any::<bool>(),
        live in any::<bool>(),
    ) {
        let server = server();
        let config = config(&server).with_run_ids(if otel_ids { RunIds::Otel } else { RunIds::V7 });
        let count = drawn.len();
        if live {
            let (provider, _) = counted_provider(config);
            let tracer = provider.tracer("overrides");
            let mut open: Vec<Context> = vec![Context::new()];
            for (parent, overrides) in drawn {
                let attributes = overrides.into_iter().map(|(key, value)| KeyValue::new(key, value));
                let parent = &open[usize::try_from(parent).unwrap() % open.len()];
                let span = tracer.span_builder("span").with_attributes(attributes).start_with_context(&tracer, parent);
                open.push(Context::new().with_span(span));
            }
            for context in &open[1..] {
                context.span().end();
            }
            provider.shutdown_with_timeout(LONG).unwrap();
        } else {
            let spans = drawn.into_iter().enumerate().map(|(number, (parent, overrides))| {
                overrides.into_iter().fold(span(0xab << 64, number as u64 + 1, parent), |span, (key, value)| with(span, key, value))
            });
            export_all(config, vec![spans.collect()]);
        }
        let orphans = server.orphans();
        let broken: Vec<_> = server.violations().into_iter().filter(|one| !orphans.contains(one)).collect();
        prop_assert!(broken.is_empty(), "{:#?}", broken);
        prop_assert_eq!(server.received(), count as u64);
    }
}

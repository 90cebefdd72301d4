//! The exporter alone: ended spans in any order, in any batches.

use crate::common::{assert_adds_up, config, export, export_all, server, LONG};
use crate::forest::{cut, forest, shuffled};
use opentelemetry_langsmith::{LangSmithExporter, RunIds};
use opentelemetry_sdk::trace::SpanExporter;
use proptest::prelude::*;
use proptest::sample::Index;
use std::time::Duration;

fn order() -> impl Strategy<Value = Vec<Index>> {
    prop::collection::vec(any::<Index>(), 40)
}

fn batches() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0..12_usize, 1..6)
}

fn run_ids() -> impl Strategy<Value = RunIds> {
    prop_oneof![Just(RunIds::V7), Just(RunIds::Otel)]
}

fn some_cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(some_cases(80))]

    #[test]
    fn any_order_gives_the_same_tree(
        forest in forest(40), order in order(), lengths in batches(), run_ids in run_ids(),
    ) {
        let server = server();
        let spans = shuffled(forest.spans(), &order);
        let stats = export_all(config(&server).with_run_ids(run_ids), cut(spans, &lengths));
        prop_assert_eq!(stats.sent, forest.len() as u64);
        forest.check(&server, false);
    }

    #[test]
    fn little_room_loses_no_span(
        forest in forest(40), order in order(), lengths in batches(), run_ids in run_ids(), bytes in 0..20_000_usize,
    ) {
        let server = server();
        let config = config(&server).with_run_ids(run_ids).with_held_bytes(bytes);
        let stats = export_all(config, cut(shuffled(forest.spans(), &order), &lengths));
        prop_assert_eq!(stats.sent, forest.len() as u64);
        forest.check(&server, true);
    }
}

proptest! {
    #![proptest_config(some_cases(25))]

    #[test]
    fn little_time_loses_no_span(
        forest in forest(40), order in order(), lengths in batches(), milliseconds in 0..4_u64,
    ) {
        let server = server();
        let config = config(&server).with_held_time(Duration::from_millis(milliseconds));
        let exporter = LangSmithExporter::new(config).unwrap();
        for batch in cut(shuffled(forest.spans(), &order), &lengths) {
            export(&exporter, batch).unwrap();
            std::thread::sleep(Duration::from_millis(2));
        }
        // What has waited too long goes out without a shutdown.
        prop_assert!(server.wait_for_runs(forest.len(), LONG));
        exporter.shutdown_with_timeout(LONG).unwrap();
        assert_adds_up(&exporter.client().stats());
        forest.check(&server, true);
    }
}

#[test]
fn otel_ids_are_the_ids_of_langsmiths_own_endpoint() {
    use crate::common::span;
    let server = server();
    let spans = vec![span(0xab, 2, 1), span(0xab, 1, 0)];
    export_all(config(&server).with_run_ids(RunIds::Otel), vec![spans]);
    let (root, child) = (server.run("span 1").unwrap(), server.run("span 2").unwrap());
    assert_eq!(root.id, "00000000-0000-0000-0000-0000000000ab");
    assert_eq!(child.id, "00000000-0000-0000-0000-000000000002");
    assert_eq!(server.violations(), Vec::<String>::new());
}

#[test]
fn an_export_does_not_wait_for_spans_that_wait_for_a_parent() {
    use crate::common::{assert_flawless, span};
    let server = server();
    let exporter = LangSmithExporter::new(config(&server)).unwrap();
    export(&exporter, vec![span(1, 2, 1)]).unwrap();
    assert_eq!(server.received(), 0);
    assert_eq!(exporter.client().stats().queued, 1);
    export(&exporter, vec![span(1, 1, 0)]).unwrap();
    assert_flawless(&server, 2);
    exporter.shutdown_with_timeout(LONG).unwrap();
}

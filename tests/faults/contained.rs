//! Whatever of the application's own code panics, the sender lives.

use crate::common::{assert_adds_up, assert_flawless, in_time, patient, run, server, span, submit, LONG};
use opentelemetry_langsmith::testing::Fault;
use opentelemetry_langsmith::{Client, DropReason, LangSmithExporter, SpanFilter};
use opentelemetry_sdk::trace::SpanExporter;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

#[test]
fn a_hook_for_dropped_runs_that_panics() {
    in_time(|| {
        let server = server();
        server.respond(Fault::status(410).forever());
        let calls = Arc::new(AtomicUsize::new(0));
        let called = Arc::clone(&calls);
        let config = patient(&server).with_on_drop(move |_, _| {
            called.fetch_add(1, Ordering::SeqCst);
            panic!("a hook of the application's");
        });
        let client = Client::new(config).unwrap();
        for _ in 0..2 {
            submit(&client, 3);
            client.flush(LONG).unwrap_err();
        }
        assert_eq!(calls.load(Ordering::SeqCst), 6, "each run is told");
        server.respond([]);
        client.submit(run("after".into(), 10)).unwrap();
        client.flush(LONG).unwrap();
        let stats = client.stats();
        assert_adds_up(&stats);
        assert_eq!((stats.sent, stats.dropped(DropReason::Refused)), (1, 6), "{stats:?}");
        client.shutdown(LONG).unwrap_err();
        assert_flawless(&server, 1);
    });
}

/// A span is not lost because nobody could say whether it is wanted.
#[test]
fn a_filter_that_panics_keeps_the_span() {
    in_time(|| {
        let server = server();
        let filter = SpanFilter::from_fn(|span| {
            assert!(span.name != "span 2", "a filter of the application's");
            true
        });
        let exporter = LangSmithExporter::new(patient(&server).with_filter(filter)).unwrap();
        let spans = (1..=3_u64).map(|id| span(id.into(), id, 0)).collect();
        crate::common::export(&exporter, spans).unwrap();
        exporter.shutdown_with_timeout(LONG).unwrap();
        assert_flawless(&server, 3);
    });
}

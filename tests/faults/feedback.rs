//! Feedback shares the fate of its run, and is no run itself.

use crate::common::{assert_adds_up, assert_flawless, in_time, patient, posts, server, LONG};
use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
use opentelemetry::KeyValue;
use opentelemetry_langsmith::testing::{Fault, LocalLangSmith};
use opentelemetry_langsmith::{Config, DropReason, LangSmithSpanProcessor, Stats};
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde_json::json;
use std::collections::HashSet;
use std::sync::{Arc, Mutex};

/// Sends spans `0`, `1`, …, each with two rows of feedback, as one batch.
fn send(config: Config, spans: usize, comment: &str) -> Stats {
    let processor = LangSmithSpanProcessor::new(config.with_feedback(true)).unwrap();
    let client = processor.handle().client();
    let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
    let tracer = provider.tracer("faults");
    for number in 0..spans {
        let mut span = tracer.start(number.to_string());
        for key in ["first", "second"] {
            let attributes = [("key", key.to_owned()), ("score", number.to_string()), ("comment", comment.to_owned())];
            let attributes = attributes.map(|(name, text)| KeyValue::new(name, text));
            span.add_event("langsmith.feedback", attributes.to_vec());
        }
        span.end();
    }
    let _ = client.flush(LONG);
    client.stats()
}

/// Every run has its own two rows.
fn assert_feedback(server: &LocalLangSmith) {
    let mut ids = HashSet::new();
    for run in server.runs() {
        let keys: Vec<_> = run.feedback.iter().map(|row| row["key"].clone()).collect();
        assert_eq!(keys, ["first", "second"], "{run:?}");
        for row in &run.feedback {
            assert_eq!(row["score"].to_string(), format!("{}.0", run.name), "{row}");
            assert_eq!(row["run_id"], json!(run.id));
            assert!(ids.insert(row["id"].clone()), "{row}");
        }
    }
}

/// The halves of a batch that was refused have the feedback of their own runs, down to the one that is at fault.
#[test]
fn a_refused_batch_is_split_between_runs() {
    in_time(|| {
        for status in [400, 413] {
            let server = server();
            // A 400 may be about the compression, so the whole is tried without it first.
            let sizes = if status == 400 { vec![5, 5, 2, 1, 1, 3] } else { vec![5, 2, 1, 1, 3] };
            server.respond([Fault::status(status).times(sizes.len() - 3), Fault::ok()]);
            let stats = send(patient(&server), 5, "fine");
            assert_flawless(&server, 5);
            assert_feedback(&server);
            assert_eq!(posts(&server).iter().map(|post| post.run_ids.len()).collect::<Vec<_>>(), sizes);
            assert_eq!((stats.sent, stats.dropped_total()), (5, 0), "{stats:?}");
        }
    });
}

#[test]
fn a_run_that_is_refused_counts_once() {
    in_time(|| {
        let server = server();
        server.respond(Fault::status(400).forever());
        let dropped = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&dropped);
        let config = patient(&server).with_on_drop(move |id, _| seen.lock().unwrap().push(id));
        let stats = send(config, 3, "fine");
        assert_eq!((stats.sent, stats.dropped(DropReason::Refused)), (0, 3), "{stats:?}");
        assert_adds_up(&stats);
        let dropped: HashSet<_> = dropped.lock().unwrap().iter().map(ToString::to_string).collect();
        let runs: HashSet<_> = posts(&server).into_iter().flat_map(|post| post.run_ids).collect();
        assert_eq!(dropped, runs);
    });
}

/// The old way in has no place for feedback; the runs come all the same.
#[test]
fn an_old_server_gets_the_runs_alone() {
    in_time(|| {
        let server = server();
        server.respond(Fault::status(404));
        let stats = send(patient(&server), 3, "fine");
        // Two rows each.
        assert_eq!((stats.sent, stats.left_out), (3, 6), "{stats:?}");
        let paths: Vec<_> = posts(&server).into_iter().map(|request| request.path).collect();
        assert_eq!(paths, ["/runs/multipart", "/runs/batch"]);
        assert_flawless(&server, 3);
        assert!(server.runs().iter().all(|run| run.feedback.is_empty() && run.other.is_empty()));
    });
}

/// A comment that is too large gives way like any other field.
#[test]
fn a_huge_comment_is_cut_and_says_so() {
    in_time(|| {
        let server = server();
        server.respond(Fault::status(413));
        send(patient(&server), 1, &"long ".repeat(10_000));
        assert_flawless(&server, 1);
        assert_feedback(&server);
        for row in &server.runs()[0].feedback {
            let comment = row["comment"].as_str().unwrap();
            assert!(comment.starts_with("feedback of 50") && comment.len() < 200, "{comment}");
        }
    });
}

//! Futures that are dropped before they are done.

use super::{Traced, Unanswered};
use opentelemetry_langsmith::testing::ReceivedRun;
use opentelemetry_langsmith::{InterruptExt, SpanExt};
use serde_json::json;
use std::future::pending;
use std::time::Duration;
use tokio::time::timeout;
use tracing::{info_span, instrument, Instrument, Span};

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Returns,
    Fails,
    Waits,
}

#[instrument(ret, err)]
async fn watched(end: End) -> Result<u8, Unanswered> {
    async move {
        tokio::task::yield_now().await;
        match end {
            End::Returns => Ok(7),
            End::Fails => Err(Unanswered::new())?,
            End::Waits => pending().await,
        }
    }
    .or_interrupted()
    .await
}

fn is_interrupted(run: &ReceivedRun) -> bool {
    let interrupted = run.metadata("ls_is_error_interrupt") == Some(&json!(true));
    assert_eq!(interrupted, run.error.as_deref() == Some("cancelled"), "{run:?}");
    interrupted
}

#[test]
fn only_a_future_that_is_dropped_is_interrupted() {
    for end in [End::Returns, End::Fails, End::Waits] {
        let runs = Traced::start().runs_async(|| async { timeout(Duration::from_millis(20), watched(end)).await });
        let run = &runs["watched"];
        assert_eq!(is_interrupted(run), end == End::Waits, "{end:?}");
        assert_eq!(run.error.as_deref() == Some("the model did not answer"), end == End::Fails);
        assert_eq!(run.outputs.is_some(), end == End::Returns);
    }
}

#[test]
fn whoever_waits_further_up_is_interrupted_too() {
    let outer = || watched(End::Waits).or_interrupted().instrument(info_span!("outer"));
    let runs = Traced::start().runs_async(|| async { timeout(Duration::from_millis(20), outer()).await });
    assert!(is_interrupted(&runs["outer"]) && is_interrupted(&runs["watched"]));
}

#[test]
fn a_task_that_is_aborted_is_interrupted() {
    let runs = Traced::start().runs_async(|| async {
        let task = tokio::spawn(watched(End::Waits));
        tokio::time::sleep(Duration::from_millis(5)).await;
        task.abort();
        let _ = task.await;
    });
    assert!(is_interrupted(&runs["watched"]));
}

#[test]
fn the_branch_that_select_drops_is_interrupted() {
    let runs = Traced::start().runs_async(|| async {
        tokio::select! {
            _ = watched(End::Waits) => {}
            () = tokio::time::sleep(Duration::from_millis(5)) => {}
        }
    });
    assert!(is_interrupted(&runs["watched"]));
}

#[test]
fn a_future_that_never_began_makes_no_run() {
    let runs = Traced::start().runs_async(|| async { drop(watched(End::Waits)) });
    assert!(runs.0.is_empty(), "{runs:?}");
}

#[instrument]
fn guarded(finishes: bool) {
    let guard = Span::current().interrupted_unless_done();
    if finishes {
        guard.done();
    }
}

#[test]
fn a_guard_asks_to_be_told() {
    let runs = Traced::start().runs(|| guarded(true));
    assert!(!is_interrupted(&runs["guarded"]));
    let runs = Traced::start().runs(|| guarded(false));
    assert!(is_interrupted(&runs["guarded"]));
}

#[instrument]
fn breaks() {
    let _guard = Span::current().interrupted_unless_done();
    panic!("on purpose");
}

#[test]
fn a_panic_is_a_failure() {
    let runs = Traced::start().runs(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let _ = std::panic::catch_unwind(breaks);
        std::panic::set_hook(hook);
    });
    assert_eq!(runs["breaks"].error.as_deref(), Some("panicked"));
    assert_eq!(runs["breaks"].metadata("ls_is_error_interrupt"), None);
}

#[test]
fn what_is_open_at_shutdown_is_interrupted() {
    let traced = Traced::start();
    let span = tracing::dispatcher::with_default(&traced.dispatch, || {
        let span = info_span!("endless");
        span.in_scope(|| {});
        span
    });
    let runs = traced.finish();
    assert!(is_interrupted(&runs["endless"]));
    drop(span);
}

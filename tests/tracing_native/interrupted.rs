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

#[instrument]
fn breaks_unguarded() {
    panic!("on purpose");
}

/// Lets `work` unwind.
fn unwind(work: impl FnOnce()) {
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
}

#[test]
fn a_panic_is_a_failure() {
    let runs = Traced::start().runs(|| {
        let _ = std::panic::catch_unwind(breaks);
        let _ = std::panic::catch_unwind(breaks_unguarded);
    });
    for name in ["breaks", "breaks_unguarded"] {
        assert_eq!(runs[name].error.as_deref(), Some("panicked"), "{name}");
        assert_eq!(runs[name].metadata("ls_is_error_interrupt"), None);
    }
}

#[instrument]
async fn breaks_later() {
    tokio::task::yield_now().await;
    panic!("on purpose");
}

#[test]
fn a_task_that_panics_is_a_failure() {
    let runs = Traced::start().runs_async(|| async {
        assert!(tokio::spawn(breaks_later().instrument(info_span!("outer"))).await.is_err());
    });
    assert_eq!(runs["breaks_later"].error.as_deref(), Some("panicked"));
}

/// A destructor that traces what it does.
struct Cleaner;

impl Drop for Cleaner {
    fn drop(&mut self) {
        info_span!("cleaned").in_scope(|| info_span!("swept").in_scope(|| {}));
    }
}

#[test]
fn what_is_done_while_a_thread_unwinds_is_no_failure() {
    let traced = Traced::start();
    let runs = traced.runs(|| {
        let outer = info_span!("outer");
        unwind(|| {
            let _span = info_span!("inner").entered();
            let _cleaner = Cleaner;
            info_span!("before").in_scope(|| {});
            let told = info_span!("told");
            told.in_scope(|| {});
            told.record_error("its own words");
            std::panic::resume_unwind(Box::new("on purpose"));
        });
        outer.in_scope(|| {});
    });
    let errors = |name: &str| runs[name].error.clone();
    for name in ["cleaned", "swept", "before", "outer"] {
        assert_eq!(errors(name), None, "{name}");
    }
    assert_eq!(errors("inner").as_deref(), Some("panicked"));
    assert_eq!(errors("told").as_deref(), Some("its own words"));
}

#[test]
fn a_panic_keeps_a_trace_that_is_sampled_out() {
    let traced = Traced::configured(|config| config.with_sampling_rate(0.0).with_keep_errors(true));
    let runs = traced.runs(|| {
        info_span!("well").in_scope(|| {});
        unwind(|| {
            let _span = info_span!("broken").entered();
            info_span!("below").in_scope(|| {});
            std::panic::resume_unwind(Box::new("on purpose"));
        });
    });
    let mut names: Vec<_> = runs.0.iter().map(|run| &*run.name).collect();
    names.sort_unstable();
    assert_eq!(names, ["below", "broken"]);
}

#[test]
fn a_span_that_says_it_went_well_did() {
    let runs = Traced::start().runs(|| {
        unwind(|| {
            let span = info_span!("fine").entered();
            tracing_opentelemetry::OpenTelemetrySpanExt::set_status(&*span, opentelemetry::trace::Status::Ok);
            std::panic::resume_unwind(Box::new("on purpose"));
        });
    });
    assert_eq!(runs["fine"].error, None);
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

//! Events inside of spans, and records of the `log` crate.

use super::{event_names, Traced};
use serde_json::json;
use tracing::instrument;

#[instrument]
fn talks() {
    tracing::info!(attempt = 2, model = "small", "asks again");
    tracing::debug!("details");
    tracing::info!(answer = 42);
    tracing::info!(parent: None, "elsewhere");
    log::warn!(target: "old::library", "an old library speaks");
    log::error!("and fails");
}

#[test]
fn events_are_the_runs_events_in_their_order() {
    let _ = tracing_log::LogTracer::init();
    let runs = Traced::configured(|config| config.with_event_level(tracing::Level::DEBUG)).runs(talks);
    let run = &runs["talks"];
    let names = event_names(run);
    assert_eq!(names[..2], ["asks again", "details"]);
    assert!(names[2].starts_with("event "), "{names:?}");
    assert_eq!(names[3..], ["an old library speaks", "and fails"]);

    let fields = &run.events[0]["kwargs"];
    assert_eq!((&fields["attempt"], &fields["model"], &fields["level"]), (&json!(2), &json!("small"), &json!("INFO")));
    assert!(run.events.iter().all(|event| event["time"].as_str().unwrap() >= run.start_time.as_str()));

    let record = &run.events[3]["kwargs"];
    assert_eq!((&record["target"], &record["level"]), (&json!("old::library"), &json!("WARN")));
    assert_eq!(record.get("log.target"), None, "{record}");
    assert_eq!(run.error.as_deref(), Some("and fails"), "an error in the log fails the run, as one of tracing's does");
}

/// What a span says at length stays out, and how much that was is told.
#[test]
fn events_below_info_and_beyond_the_limit_stay_out() {
    #[instrument]
    fn talks_at_length() {
        tracing::debug!("details");
        for step in 0..70 {
            tracing::info!(step, "step");
        }
        tracing::info!(error = "it broke", "sorry");
    }
    let runs = Traced::start().runs(talks_at_length);
    let run = &runs["talks_at_length"];
    assert_eq!(event_names(run).len(), 64, "{:?}", event_names(run));
    assert_eq!(run.extra["otel"]["omitted_events_count"], json!(8));

    let runs = Traced::configured(|config| config.with_max_events(1)).runs(talks_at_length);
    assert_eq!(event_names(&runs["talks_at_length"]), ["step"]);
    let runs = Traced::configured(|config| config.with_max_events(100)).runs(talks);
    assert_eq!(runs["talks"].extra["otel"]["omitted_events_count"], json!(1));
}

//! Feedback is redacted and hidden like everything else that is sent.

use crate::common::{assert_flawless, config, server, LONG};
use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
use opentelemetry::KeyValue;
use opentelemetry_langsmith::{Config, LangSmithSpanProcessor, Redactor};
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde_json::{json, Value};

/// What becomes of two rows: key, score, value and comment.
fn rows(change: impl FnOnce(Config) -> Config) -> Vec<[Value; 4]> {
    let server = server();
    let processor = LangSmithSpanProcessor::new(change(config(&server).with_feedback(true))).unwrap();
    let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
    let mut span = provider.tracer("redact").start("answer");
    let texts = |key: &str, score: Option<i64>| {
        let texts = [("key", key), ("value", r#"{"to":"\u0068ush"}"#), ("comment", "do not say hush")];
        let mut row: Vec<_> = texts.map(|(name, text)| KeyValue::new(name, text.to_owned())).to_vec();
        row.extend(score.map(|score| KeyValue::new("score", score)));
        row
    };
    span.add_event("langsmith.feedback", texts("hush key", Some(1)));
    span.add_event("langsmith.feedback", texts("other", None));
    span.end();
    provider.shutdown_with_timeout(LONG).unwrap();
    assert_flawless(&server, 1);
    let row = |row: &Value| ["key", "score", "value", "comment"].map(|name| row[name].clone());
    server.runs()[0].feedback.iter().map(row).collect()
}

#[test]
fn patterns_reach_keys_values_and_comments() {
    let hush = |config: Config| config.with_redactor(Redactor::new().with_pattern("hush", "[gone]").unwrap());
    for [key, _, value, comment] in rows(hush) {
        assert!(matches!(key.as_str(), Some("[gone] key" | "other")), "{key}");
        assert!(value.to_string().contains("[gone]") && !value.to_string().contains("ush"), "{value}");
        assert_eq!(comment, "do not say [gone]");
    }
}

#[test]
fn paths_and_functions_know_where_they_are() {
    let paths = |paths: &[&str]| paths.iter().copied().try_fold(Redactor::new(), Redactor::with_path).unwrap();
    let redactor = paths(&["feedback.0.comment", "feedback.*.value", "feedback.0.score"])
        .with_fn(|place, text| (place.path() == "feedback.1.comment").then(|| format!("{} letters", text.len())));
    assert_eq!(
        rows(|config| config.with_redactor(redactor)),
        [
            [json!("hush key"), Value::Null, json!("[redacted]"), json!("[redacted]")],
            [json!("other"), Value::Null, json!("[redacted]"), json!("15 letters")],
        ]
    );
    let keys = |redactor| rows(|config| config.with_redactor(redactor)).into_iter().map(|[key, ..]| key);
    assert!(keys(paths(&["feedback"])).eq([] as [Value; 0]));
    assert!(keys(paths(&["feedback.0"])).eq(["other"]));
    assert!(keys(paths(&["feedback.*.key"])).eq(["[redacted]"; 2]));
}

/// A rule that fails costs all feedback, not none.
#[test]
fn a_rule_that_fails_hides_it() {
    let redactor = Redactor::new().with_fn(|place, _| {
        assert_ne!(place.path(), "feedback.1.comment");
        None
    });
    assert_eq!(rows(|config| config.with_redactor(redactor)), [] as [[Value; 4]; 0]);
}

/// Evaluators repeat what they looked at. A row that is only words is left out.
#[test]
fn scores_are_left_of_what_is_hidden() {
    for hide in [Config::with_hide_inputs, Config::with_hide_outputs, Config::with_hide_metadata] {
        assert_eq!(rows(|config| hide(config, true)), [[json!("hush key"), json!(1), Value::Null, Value::Null]]);
    }
    assert_eq!(rows(|config| config).len(), 2);
}

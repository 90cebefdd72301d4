//! A rule that fails hides what it was asked about.

use crate::common::{assert_flawless, config, server, LONG};
use opentelemetry_langsmith::{Client, Redactor, RedactorError, Run, RunType};
use serde_json::json;

#[test]
fn a_function_that_panics_costs_the_field() {
    let server = server();
    let redactor = Redactor::new().with_fn(|_, text| {
        assert!(!text.contains("trap"), "the function's own words");
        None
    });
    let client = Client::new(config(&server).with_redactor(redactor.clone())).unwrap();
    let run = Run::builder("trap", RunType::Chain)
        .inputs(&json!({"a": "secret", "b": ["trap"]}))
        .outputs(&json!({"trap": "secret"}))
        .error("secret trap")
        .events(&json!([{"name": "trap"}, {"name": "secret"}]))
        .metadata("a", "secret")
        .metadata("b", "trap")
        .tag("secret")
        .tag("trap")
        .extra(&json!({"invocation_params": {"a": "no danger"}}));
    client.submit(run.end_now().build().unwrap()).unwrap();
    client.submit(Run::builder("well", RunType::Chain).inputs("all").end_now().build().unwrap()).unwrap();
    client.shutdown(LONG).unwrap();

    assert_flawless(&server, 2);
    let run = server.runs().remove(0);
    assert_eq!((&*run.name, run.error.as_deref()), ("[redacted]", Some("[redacted]")));
    assert_eq!((run.inputs, run.outputs), (Some(json!({})), Some(json!({}))));
    assert!(run.events.is_empty() && run.tags.is_empty() && run.extra.get("metadata").is_none());
    assert_eq!(run.extra["invocation_params"], json!({"a": "no danger"}));
    assert_eq!(server.run("well").unwrap().inputs, Some(json!({"input": "all"})));
    assert_eq!(redactor.failures(), 7);
    assert_eq!(redactor.redact("it is a trap"), "[redacted]");
}

#[test]
fn what_is_nested_without_end_is_hidden() {
    let server = server();
    let redactor = Redactor::new().with_pattern("secret", "*").unwrap();
    let client = Client::new(config(&server).with_redactor(redactor.clone())).unwrap();
    let mut text = r#"{"a":"\u0073ecret"}"#.to_owned();
    for _ in 0..12 {
        text = serde_json::to_string(&json!({ "t": text })).unwrap();
    }
    // Deeper than the crate itself would ever write.
    let deep = (0..110).fold(json!("secret"), |inner, _| json!([inner]));
    let run = Run::builder("run", RunType::Chain).inputs(&text).outputs(&json!({ "deep": deep }));
    client.submit(run.end_now().build().unwrap()).unwrap();
    client.shutdown(LONG).unwrap();
    let bodies: String =
        server.requests().iter().map(|request| String::from_utf8_lossy(&request.plain).into_owned()).collect();
    assert!(!bodies.contains("ecret\\") && !bodies.contains("secret"), "{bodies}");
    assert!(bodies.contains("[redacted]") && bodies.contains('*'));
}

#[test]
fn rules_that_cannot_work_are_told_when_they_are_made() {
    let error = Redactor::new().with_pattern("(", "").unwrap_err();
    assert!(matches!(&error, RedactorError::Pattern { pattern, .. } if pattern == "("), "{error}");
    let error = Redactor::common_secrets().with_path("input.text").unwrap_err();
    assert!(matches!(&error, RedactorError::Path { path, .. } if path == "input.text"), "{error}");
    assert!(format!("{error:?}").contains("with_path"), "a sentence: {error:?}");
}

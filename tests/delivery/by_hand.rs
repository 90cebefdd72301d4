//! Runs without spans.

use crate::common::{assert_flawless, config, server, LONG};
use chrono::{DateTime, TimeDelta, Utc};
use opentelemetry_langsmith::{Client, Run, RunError, RunId, RunType, UsageMetadata};
use serde::{Serialize, Serializer};
use serde_json::json;

#[test]
fn a_tree_made_by_hand() {
    let server = server();
    let client = Client::new(config(&server).with_project("configured")).unwrap();
    let start: DateTime<Utc> = "2026-11-20T19:30:37.016758Z".parse().unwrap();
    let root = Run::builder("plan", RunType::Chain)
        .start_time(start)
        .end_time(start + TimeDelta::milliseconds(1500))
        .inputs(&json!({"question": "where?"}))
        .outputs("there")
        .project("mine")
        .tag("a")
        .tag("a")
        .tag("b")
        .metadata("k", &json!([1, {"x": null}]))
        .metadata("k", &"the first one stays")
        .build()
        .unwrap();
    let child = Run::builder("ask", RunType::Llm)
        .child_of(&root)
        // Clocks differ: the child takes the parent's start.
        .start_time(start - TimeDelta::seconds(5))
        .end_time(start - TimeDelta::seconds(1))
        .error("")
        .usage(&UsageMetadata::new(3, 4).with_input_detail("cache_read", 2))
        .build()
        .unwrap();
    assert_eq!((child.parent_id(), child.trace_id()), (Some(root.id()), root.id()));
    let grandchild = Run::builder("far", RunType::Tool)
        .child_of_order(child.dotted_order())
        .project("mine")
        .end_now()
        .build()
        .unwrap();
    for run in [grandchild, child, root] {
        client.submit(run).unwrap();
    }
    client.shutdown(LONG).unwrap();
    assert_flawless(&server, 3);
    let root = server.run("plan").unwrap();
    assert_eq!(root.session_name.as_deref(), Some("mine"));
    assert_eq!(root.duration(), Some(std::time::Duration::from_millis(1500)));
    assert_eq!(root.outputs, Some(json!({"output": "there"})));
    assert_eq!(root.tags, ["a", "b"]);
    assert_eq!(root.metadata("k"), Some(&json!([1, {"x": null}])));
    assert_eq!(root.status.as_deref(), Some("success"));
    let child = server.run("ask").unwrap();
    assert_eq!((child.error.as_deref(), child.status.as_deref()), (Some("error"), Some("error")));
    assert_eq!(child.start_time, root.start_time);
    assert_eq!(child.usage().unwrap()["total_tokens"], 7);
}

struct Unserializable;

impl Serialize for Unserializable {
    fn serialize<S: Serializer>(&self, _serializer: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("no way"))
    }
}

#[test]
fn what_cannot_be_taken_is_told() {
    for name in ["", "a\0b", &"x".repeat(129)] {
        let error = Run::builder(name.to_owned(), RunType::Chain).build().unwrap_err();
        assert!(matches!(error, RunError::Name(_)), "{error:?}");
        assert!(error.to_string().len() < 300, "{error}");
    }
    Run::builder("x".repeat(128), RunType::Chain).build().unwrap();
    Run::builder("ü".repeat(128), RunType::Chain).build().unwrap();

    for (field, builder) in [
        ("input", Run::builder("run", RunType::Chain).inputs(&Unserializable)),
        ("output", Run::builder("run", RunType::Chain).outputs(&Unserializable)),
        ("metadata", Run::builder("run", RunType::Chain).metadata("x", &Unserializable)),
    ] {
        let error = builder.end_now().build().unwrap_err();
        assert!(error.to_string().contains(field) && error.to_string().contains("no way"), "{error}");
    }
    // JSON has names of text only.
    let map = std::collections::HashMap::from([((1, 2), 3)]);
    Run::builder("run", RunType::Chain).inputs(&map).build().unwrap_err();

    let root = Run::builder("root", RunType::Chain).build().unwrap();
    let error = Run::builder("child", RunType::Chain).id(root.id()).child_of(&root).build().unwrap_err();
    assert_eq!(error, RunError::OwnAncestor(root.id()));
}

#[test]
fn hostile_values_by_hand() {
    let server = server();
    let client = Client::new(config(&server)).unwrap();
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!([deep]);
    }
    let values = [
        json!(null),
        json!(""),
        json!("\0\u{1}\u{2028}"),
        json!([]),
        json!({}),
        json!({"": {"\0": "\""}}),
        json!(u64::MAX),
        json!(f64::MAX),
        deep,
    ];
    let mut count = 0;
    for value in &values {
        let run = Run::builder("run", RunType::Chain)
            .inputs(value)
            .outputs(value)
            .metadata("", value)
            .metadata("value", value)
            .tag("\0")
            .error("\0")
            .end_now()
            .build();
        // Told, or valid.
        if let Ok(run) = run {
            client.submit(run).unwrap();
            count += 1;
        }
    }
    for number in [f64::NAN, f64::INFINITY] {
        if let Ok(run) = Run::builder("run", RunType::Chain).inputs(&number).end_now().build() {
            client.submit(run).unwrap();
            count += 1;
        }
    }
    let far = DateTime::<Utc>::MAX_UTC;
    let early = DateTime::<Utc>::MIN_UTC;
    for (start, end) in [(far, early), (early, far), (early, early), (far, far)] {
        let run = Run::builder("run", RunType::Chain).start_time(start).end_time(end).build().unwrap();
        client.submit(run).unwrap();
        count += 1;
    }
    client.shutdown(LONG).unwrap();
    assert_flawless(&server, count);
}

/// An id that the application chose, of any version.
#[test]
fn an_id_by_hand() {
    let server = server();
    let client = Client::new(config(&server)).unwrap();
    let id: RunId = "01a1fa70-7758-4bc2-9e24-efd0dc5f29c5".parse().unwrap();
    client.submit(Run::builder("run", RunType::Chain).id(id).end_now().build().unwrap()).unwrap();
    client.shutdown(LONG).unwrap();
    assert_flawless(&server, 1);
    assert_eq!(server.runs()[0].id, id.to_string());
}

/// Two parts: begun, then ended. The second never overtakes the first.
#[test]
fn a_run_in_two_parts() {
    let server = server();
    let client = Client::new(config(&server).with_batch_runs(3)).unwrap();
    for number in 0..50 {
        let run = Run::builder(number.to_string(), RunType::Chain).build().unwrap();
        client.submit(run.clone()).unwrap();
        if number % 3 == 0 {
            client.flush(LONG).unwrap();
        }
        let ended = run.edit().outputs(&json!({"n": number})).end_now().build().unwrap();
        client.update(ended).unwrap();
    }
    client.shutdown(LONG).unwrap();
    assert_eq!(server.violations(), Vec::<String>::new());
    assert_eq!(server.received(), 50);
    for run in server.runs() {
        assert!(run.end_time.is_some(), "{run:?}");
        assert_eq!(run.outputs.unwrap()["n"].to_string(), run.name);
    }
    crate::common::assert_adds_up(&client.stats());
}

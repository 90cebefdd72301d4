//! Runs without spans: what a builder takes, what it refuses, and what is said then.

use opentelemetry_langsmith::testing::{Fault, LocalLangSmith};
use opentelemetry_langsmith::{
    Client, Config, DottedOrder, DropReason, FlushError, Run, RunError, RunId, RunType, SubmitError, UsageMetadata,
};
use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use serde_json::json;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

fn client(server: &LocalLangSmith) -> Client {
    Client::new(Config::default().with_api_key("key").with_endpoint(server.endpoint())).unwrap()
}

#[test]
fn a_run_carries_all_that_it_was_given() {
    let server = LocalLangSmith::start().unwrap();
    let client = client(&server);
    let example: RunId = "0f0e8b1e-3c9b-4f0c-9d0a-5c1f7d0a2b11".parse().unwrap();
    let run = Run::builder("everything", RunType::Llm)
        .inputs(&json!({"a": 1}))
        .outputs(&["b"])
        .error("too late")
        .tag("t")
        .tag("t")
        .metadata("ls_model_name", "first")
        .usage(&UsageMetadata::new(3, 4))
        .extra(&json!({
            "metadata": {"ls_model_name": "second", "thread_id": "7"},
            "invocation_params": {"temperature": 0},
            "runtime": {"host": "a"},
            "elsewhere": [1],
            "batch_size": null,
        }))
        .events(&json!([{"name": "new_token", "time": "2026-11-20T19:30:37.016758+00:00"}]))
        .reference_example_id(example)
        .project("another")
        .end_now()
        .build()
        .unwrap();
    client.submit(run).unwrap();
    client.shutdown(PATIENCE).unwrap();

    assert_eq!(server.violations(), Vec::<String>::new());
    let run = server.run("everything").unwrap();
    assert_eq!((run.inputs.clone(), run.outputs.clone()), (Some(json!({"a": 1})), Some(json!({"output": ["b"]}))));
    assert_eq!((run.error.as_deref(), run.tags.len()), (Some("too late"), 1));
    let metadata = json!({
        "ls_model_name": "first", "thread_id": "7", "elsewhere": [1], "batch_size": null,
        "usage_metadata": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7},
    });
    assert_eq!(run.extra["metadata"], metadata);
    assert_eq!(run.extra["invocation_params"], json!({"temperature": 0}));
    assert_eq!(run.extra["runtime"]["host"], json!("a"));
    assert_eq!(run.events[0]["name"], json!("new_token"));
    assert_eq!(run.reference_example_id, Some(example.to_string()));
    assert_eq!(run.session_name.as_deref(), Some("another"));
}

#[test]
fn what_is_said_later_wins() {
    let run =
        Run::builder("run", RunType::Llm).metadata("step", &1).metadata("kept", "yes").usage(&UsageMetadata::new(1, 1));
    let run = run.build().unwrap();
    let edited = run.edit().metadata("step", &2).usage(&UsageMetadata::new(5, 1)).build().unwrap();
    assert_eq!((edited.metadata("step"), edited.metadata("kept")), (Some("2"), Some("\"yes\"")));
    assert!(edited.metadata("usage_metadata").unwrap().contains("\"input_tokens\":5"));
    assert_eq!(edited.dotted_order(), run.dotted_order());
}

#[test]
fn times_are_put_right() {
    let now = chrono::Utc::now();
    let hour = chrono::Duration::hours(1);
    let parent = Run::builder("parent", RunType::Chain).start_time(now).build().unwrap();
    let child = Run::builder("child", RunType::Llm)
        .child_of(&parent)
        .start_time(now - hour)
        .end_time(now - hour - hour)
        .build()
        .unwrap();
    assert_eq!(child.start_time(), parent.start_time(), "LangSmith refuses a child that starts before its parent");
    assert_eq!(child.end_time(), Some(child.start_time()));
}

#[test]
fn names_that_cannot_be_taken_are_refused_with_a_reason() {
    let long = "x".repeat(129);
    for name in ["", "with\0nul", long.as_str()] {
        let refused = Run::builder(name.to_owned(), RunType::Tool).end_now().build().unwrap_err();
        let text = refused.to_string();
        assert!(text.contains("1 to 128 characters and no NUL"), "{text}");
        assert!(!text.contains('\0') && text.len() < 200, "{text}");
    }
    Run::builder("ö".repeat(128), RunType::Tool).build().unwrap();
}

struct Unwritable;

impl Serialize for Unwritable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("not today"))
    }
}

#[test]
fn values_that_cannot_be_written_are_named() {
    let build = || Run::builder("run", RunType::Tool);
    for (builder, field) in [
        (build().inputs(&Unwritable), "input"),
        (build().outputs(&Unwritable), "output"),
        (build().metadata("a", &Unwritable), "metadata"),
        (build().events(&json!({"name": "no list"})), "events"),
        (build().extra("no object"), "extra"),
    ] {
        let text = builder.build().unwrap_err().to_string();
        assert!(text.starts_with(field) && text.contains("cannot be written as JSON"), "{text}");
    }
}

#[test]
fn a_run_cannot_stand_under_itself() {
    let parent = Run::builder("parent", RunType::Chain).build().unwrap();
    let refused = Run::builder("child", RunType::Llm).id(parent.id()).child_of(&parent).build().unwrap_err();
    assert_eq!(refused, RunError::OwnAncestor(parent.id()));
    assert!(refused.to_string().contains("cannot stand under itself"), "{refused}");
}

#[test]
fn a_place_that_is_none_is_refused_when_it_is_read() {
    for text in ["", "20261120T193037016758Z", "20261120T193037016758Zno-uuid", "yesterday.01a1fa70"] {
        let refused = text.parse::<DottedOrder>().unwrap_err();
        assert!(!refused.to_string().is_empty());
    }
}

#[test]
fn a_client_that_was_shut_down_says_so() {
    let server = LocalLangSmith::start().unwrap();
    let client = client(&server);
    let run = Run::builder("run", RunType::Tool).end_now().build().unwrap();
    client.shutdown(PATIENCE).unwrap();
    assert_eq!(client.submit(run.clone()), Err(SubmitError::ShutDown));
    assert_eq!(client.update(run), Err(SubmitError::ShutDown));
    assert_eq!(client.stats().dropped_total(), 2);
}

#[test]
fn the_runs_that_are_given_up_are_named() {
    let server = LocalLangSmith::start().unwrap();
    let (told, dropped) = std::sync::mpsc::channel();
    let config =
        Config::default().with_api_key("key").with_endpoint(server.endpoint()).with_on_drop(move |id, reason| {
            let _ = told.send((id, reason));
            panic!("a hook's panic costs nothing");
        });
    let client = Client::new(config).unwrap();
    let runs: Vec<_> = (0..3).map(|_| Run::builder("run", RunType::Tool).end_now().build().unwrap()).collect();
    // The batch is refused, compressed and plain, and split; then its first run is refused alone, and the others are taken.
    server.respond(Fault::status(422).times(3));
    for run in &runs {
        client.submit(run.clone()).unwrap();
    }
    let flushed = client.flush(PATIENCE);
    assert!(matches!(flushed, Err(FlushError::Dropped { dropped: 1, .. })), "{flushed:?}");
    assert_eq!(dropped.try_iter().collect::<Vec<_>>(), [(runs[0].id(), DropReason::Refused)]);
    assert_eq!((client.stats().sent, client.stats().dropped_total()), (2, 1));
}

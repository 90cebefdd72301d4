//! Each rule in each field, and what is left alone.

use crate::common::{config, export_all, server, span, with, LONG};
use opentelemetry::trace::{Event, Status};
use opentelemetry::KeyValue;
use opentelemetry_langsmith::testing::{LocalLangSmith, ReceivedRun};
use opentelemetry_langsmith::{Client, Redactor, Run, RunBuilder, RunType};
use serde_json::json;
use std::time::SystemTime;

/// Sends one run by hand.
fn send(redactor: Redactor, run: RunBuilder) -> (LocalLangSmith, ReceivedRun) {
    let server = server();
    let client = Client::new(config(&server).with_redactor(redactor)).unwrap();
    client.submit(run.end_now().build().unwrap()).unwrap();
    client.shutdown(LONG).unwrap();
    assert_eq!(server.violations(), Vec::<String>::new());
    let run = server.runs().remove(0);
    (server, run)
}

#[test]
fn paths_replace_what_stands_there_whatever_it_is() {
    let redactor =
        ["inputs.user.email", "metadata.*.password", "**.authorization", "events.*.kwargs.note", "outputs.list.1"]
            .into_iter()
            .try_fold(Redactor::new(), Redactor::with_path)
            .unwrap();
    let run = Run::builder("run", RunType::Chain)
        .inputs(&json!({"user": {"email": ["a", 1], "name": "n"}, "email": "stays", "headers": {"Authorization": {"x": 1}}}))
        .outputs(&json!({"list": [1, 2, 3], "text": r#"{"a":[{"authorization":"x"}], "b": 1.0}"#}))
        .metadata("db", &json!({"password": null, "user": 5}))
        .metadata("http.request.header.authorization.x", "1")
        .metadata("user.email", "stays: another field")
        .events(&json!([{"name": "e", "kwargs": {"note": true, "keep": 1}}]));
    let (_, run) = send(redactor, run);
    let gone = "[redacted]";
    assert_eq!(
        run.inputs.unwrap(),
        json!({"user": {"email": gone, "name": "n"}, "email": "stays", "headers": {"Authorization": gone}})
    );
    let outputs = run.outputs.unwrap();
    assert_eq!(outputs["list"], json!([1, gone, 3]));
    assert_eq!(outputs["text"], r#"{"a":[{"authorization":"[redacted]"}], "b": 1.0}"#);
    assert_eq!(run.extra["metadata"]["db"], json!({"password": gone, "user": 5}));
    assert_eq!(run.extra["metadata"]["http.request.header.authorization.x"], gone);
    assert_eq!(run.extra["metadata"]["user.email"], "stays: another field");
    assert_eq!(run.events, [json!({"name": "e", "kwargs": {"note": gone, "keep": 1}})]);
}

#[test]
fn whole_fields_are_hidden_by_their_names() {
    let redactor = ["name", "inputs", "outputs.**", "error", "events.*", "metadata", "tags", "invocation_params.*"];
    let redactor = redactor.into_iter().try_fold(Redactor::new(), Redactor::with_path).unwrap();
    let run = Run::builder("run", RunType::Chain)
        .inputs("in")
        .outputs("out")
        .error("why")
        .events(&json!([{"name": "e"}, {"name": "f"}]))
        .metadata("m", &1)
        .tag("tag")
        .extra(&json!({"invocation_params": {"seed": 1}}));
    let (_, run) = send(redactor, run);
    assert_eq!((&*run.name, run.error.as_deref()), ("[redacted]", Some("[redacted]")));
    assert_eq!((run.inputs, run.outputs), (Some(json!({})), Some(json!({}))));
    assert_eq!((run.events, run.tags.len()), (vec![json!({}), json!({})], 0));
    assert_eq!(run.extra.get("metadata"), None);
    assert_eq!(run.extra["invocation_params"], json!({"seed": "[redacted]"}));
}

#[test]
fn names_that_become_the_same_stay_apart() {
    let redactor = Redactor::new().with_pattern("[a-z]+@x", "[who]").unwrap();
    let run = Run::builder("run", RunType::Chain)
        .inputs(&json!({"a@x": 1, "b@x": {"c@x": 2, "d@x": 3}, "e": 4}))
        .metadata("a@x", &1)
        .metadata("b@x", &2);
    let (_, run) = send(redactor, run);
    assert_eq!(run.inputs.unwrap(), json!({"[who]": 1, "[who] 2": {"[who]": 2, "[who] 2": 3}, "e": 4}));
    assert_eq!(run.extra["metadata"], json!({"[who]": 1, "[who] 2": 2}));
}

#[test]
fn a_function_is_told_where_a_text_stands() {
    let redactor = Redactor::new().with_fn(|place, text| {
        if place.is_name() {
            return (text == "rename").then(|| "renamed".to_owned());
        }
        (place.path() == "inputs.list.1.a" || place.field() == "tags").then(|| format!("{text} at {}", place.path()))
    });
    let run = Run::builder("run", RunType::Chain)
        .inputs(&json!({"list": ["x", {"a": "y", "rename": 1}], "text": "{\"a\": [\"z\"]}"}))
        .tag("t");
    let (_, run) = send(redactor, run);
    let expected = json!({"list": ["x", {"a": "y at inputs.list.1.a", "renamed": 1}], "text": "{\"a\": [\"z\"]}"});
    assert_eq!((run.inputs.unwrap(), run.tags), (expected, vec!["t at tags.0".to_owned()]));
}

#[test]
fn ids_times_and_the_project_are_never_touched() {
    let server = server();
    let redactor = Redactor::new().with_pattern("[0-9a-z-]+", "*").unwrap();
    let config = config(&server).with_project("project-1").with_redactor(redactor);
    let mut failed = with(span(1, 2, 1), "key", "value");
    failed.status = Status::error("why");
    failed.events.events.push(Event::new("event", SystemTime::UNIX_EPOCH, vec![KeyValue::new("k", "v")], 0));
    export_all(config, vec![vec![span(1, 1, 0), failed]]);
    assert_eq!(server.violations(), Vec::<String>::new());
    for run in server.runs() {
        assert_eq!((run.session_name.as_deref(), &*run.run_type), (Some("project-1"), "chain"));
        assert!(run.name.starts_with('*') && run.start_time.starts_with("2026") && run.end_time.is_some());
    }
    assert_eq!(server.traces().len(), 1);
}

#[test]
fn files_that_nobody_can_read_are_left_out_where_that_is_asked_for() {
    use base64::prelude::{Engine, BASE64_STANDARD};
    let big = |bytes: &[u8]| BASE64_STANDARD.encode(bytes.repeat(40_000));
    let part =
        |mime_type, content: &str| format!(r#"{{"type":"blob","mime_type":"{mime_type}","content":"{content}"}}"#);
    let parts = [
        part("image/png", &big(&[0, 255])),
        part("text/csv", &big(b"a secret,\n")),
        part("application/json", &big(b" ")),
        part("text/plain", &big(b"secret \xff")),
    ];
    let messages = format!(r#"[{{"role":"user","parts":[{}]}}]"#, parts.join(","));
    let files = |redactor: Redactor| {
        let server = server();
        let call =
            with(with(span(1, 1, 0), "gen_ai.operation.name", "chat"), "gen_ai.input.messages", messages.clone());
        export_all(config(&server).with_redactor(redactor), vec![vec![call]]);
        assert_eq!(server.violations(), Vec::<String>::new());
        server.runs().remove(0).attachments
    };
    let redactor = Redactor::new().with_pattern("secret", "*").unwrap();
    let kept = files(redactor.clone());
    assert_eq!(kept.len(), 4);
    for file in kept.values() {
        assert!(!String::from_utf8_lossy(&file.bytes).contains("secret"));
    }
    assert!(kept.values().any(|file| file.bytes.starts_with(b"a *,\n")));
    let kept = files(redactor.clone().without_binary_attachments());
    assert_eq!(kept.len(), 3);
    assert!(kept.values().all(|file| file.content_type != "image/png"));
    assert!(files(redactor.with_path("attachments.*").unwrap()).is_empty());
}

/// Wherever the name of a secret stands, and however it is written.
#[test]
fn common_secrets_are_found_by_their_names_in_every_field() {
    const SECRET: &str = "hunter2hunter2";
    let ways = [
        format!("api-key: {SECRET}"),
        format!("x_api_key={SECRET}"),
        format!("set_cookie: sid={SECRET}"),
        format!("https://host/a?access_token={SECRET}&b=1"),
        format!("postgres://app:a@b/{SECRET}@db:5432/x"),
        format!(r"line\nsk-{}", SECRET.repeat(3)),
        format!(r"line\npassword={SECRET}\n"),
        format!("{{\"a\":1}}\n{{\"password\":\"{SECRET}\"}}\n"),
        format!("the answer was {{\"user\":\"x\",\"db_password\":[\"{SECRET}\"]}}, as ever"),
        format!("the password is {SECRET}, as ever"),
        format!(r#"{{\"line\":\"{{\\\"clientSecret\\\":\\\"{SECRET}\\\"}}\"}}"#),
    ];
    for text in ways {
        let run = Run::builder("run", RunType::Chain)
            .inputs(&json!({"a": [&text], "setCookie": SECRET, "list": [{"X_API_KEY": SECRET, "max_tokens": 5}]}))
            .outputs(&json!({"text": &text, "token_count": 7}))
            .error(&text)
            .events(&json!([{"name": "e", "kwargs": {"note": &text}}]))
            .metadata("note", &text)
            .metadata("http.request.header.api-key", SECRET)
            .tag(&text);
        let (server, run) = send(Redactor::common_secrets(), run);
        for request in server.requests() {
            let plain = String::from_utf8_lossy(&request.plain);
            assert!(!plain.contains(SECRET), "{text}: {plain}");
        }
        assert_eq!(run.inputs.unwrap().pointer("/list/0/max_tokens"), Some(&json!(5)));
        assert_eq!(run.outputs.unwrap()["token_count"], 7);
    }
}

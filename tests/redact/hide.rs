//! `LANGSMITH_HIDE_INPUTS`, `_OUTPUTS` and `_METADATA`.

use crate::common::{assert_flawless, config, export_all, server, span, with};
use opentelemetry::trace::Event;
use opentelemetry::KeyValue;
use opentelemetry_langsmith::testing::ReceivedRun;
use opentelemetry_langsmith::{Client, Config, ConfigError, Run, RunType};
use serde_json::json;
use std::time::SystemTime;

/// A call of a model with everything in it, behind the given configuration.
fn call(change: impl FnOnce(Config) -> Config) -> ReceivedRun {
    let server = server();
    let mut call = span(1, 1, 0);
    for (name, value) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "openai"),
        ("gen_ai.request.model", "gpt"),
        ("gen_ai.input.messages", r#"[{"role":"user","parts":[{"type":"text","content":"went in"}]}]"#),
        ("input.value", "went in as well"),
        ("gen_ai.output.messages", r#"[{"role":"assistant","parts":[{"type":"text","content":"came out"}]}]"#),
        ("output.value", "came out as well"),
        ("own", "note"),
    ] {
        call = with(call, name, value);
    }
    call = with(with(call, "gen_ai.usage.input_tokens", 3), "gen_ai.request.seed", 7);
    let attributes = vec![KeyValue::new("return", "came out, and went in")];
    call.events.events.push(Event::new("returned", SystemTime::UNIX_EPOCH, attributes, 0));
    export_all(change(config(&server)), vec![vec![call]]);
    assert_flawless(&server, 1);
    server.runs().remove(0)
}

#[test]
fn nothing_is_hidden_by_default() {
    let run = call(|config| config);
    let whole = format!("{run:?}");
    for part in ["went in", "went in as well", "came out", "came out as well", "note"] {
        assert!(whole.contains(part), "{part}: {whole}");
    }
}

#[test]
fn hidden_inputs_are_empty_and_repeated_nowhere() {
    let run = call(|config| config.with_hide_inputs(true));
    assert_eq!(run.inputs, Some(json!({})));
    assert!(!format!("{run:?}").contains("went in"), "{run:?}");
    assert!(run.outputs.as_ref().unwrap().to_string().contains("came out"));
    assert_eq!((run.metadata("own"), run.metadata("ls_provider")), (Some(&json!("note")), Some(&json!("openai"))));
    assert_eq!(run.events[0]["name"], "returned");
}

#[test]
fn hidden_outputs_are_empty_and_their_tokens_are_counted() {
    let run = call(|config| config.with_hide_outputs(true));
    assert_eq!(run.outputs, Some(json!({})));
    assert!(!format!("{run:?}").contains("came out"), "{run:?}");
    assert!(run.inputs.as_ref().unwrap().to_string().contains("went in"));
    assert_eq!(run.usage().unwrap()["input_tokens"], 3);
}

#[test]
fn hidden_metadata_is_gone_with_all_that_describes_the_span() {
    let run = call(|config| config.with_hide_metadata(true));
    assert!(run.extra.get("metadata").is_none() && run.extra.get("otel").is_none(), "{}", run.extra);
    assert_eq!(run.extra["invocation_params"]["seed"], 7);
    assert_eq!(run.usage().unwrap()["input_tokens"], 3, "those in the outputs stay");
    assert!(run.inputs.is_some() && run.outputs.is_some());
}

#[test]
fn a_run_by_hand_is_hidden_too() {
    let server = server();
    let client = Client::new(config(&server).with_hide_inputs(true).with_hide_outputs(true)).unwrap();
    let run = Run::builder("run", RunType::Chain).inputs("in").build().unwrap();
    client.submit(run.clone()).unwrap();
    client.flush(crate::common::LONG).unwrap();
    client.update(run.edit().outputs("out").end_now().build().unwrap()).unwrap();
    client.submit(Run::builder("empty", RunType::Chain).end_now().build().unwrap()).unwrap();
    client.shutdown(crate::common::LONG).unwrap();
    let run = server.run("run").unwrap();
    assert_eq!((run.inputs, run.outputs), (Some(json!({})), Some(json!({}))));
    let empty = server.run("empty").unwrap();
    assert_eq!((empty.inputs, empty.outputs), (None, None), "what was not there is not made up");
}

#[test]
fn the_hook_adds_nothing_to_what_is_hidden() {
    let run = call(|config| {
        let config = config.with_hide_inputs(true).with_hide_metadata(true);
        config.with_on_run(|run| {
            run.set_inputs("went in again").unwrap();
            run.set_metadata("went in", "again").unwrap();
        })
    });
    assert!(!format!("{run:?}").contains("went in"), "{run:?}");
}

#[test]
fn variables_hide_and_code_beats_them() {
    for (prefix, inputs, outputs, metadata) in [("LANGSMITH", "true", "false", ""), ("LANGCHAIN", "1", "no", "0")] {
        let variables = [("HIDE_INPUTS", inputs), ("HIDE_OUTPUTS", outputs), ("HIDE_METADATA", metadata)];
        let variables = variables.map(|(name, value)| (format!("{prefix}_{name}"), Some(value)));
        let from_env = temp_env::with_vars(variables, || Config::from_env().unwrap());
        let of = |hidden: Config| {
            let server = server();
            let call = with(with(span(1, 1, 0), "input.value", "in"), "output.value", "out");
            let hidden = hidden.with_api_key("key").with_endpoint(server.endpoint()).with_hide_outputs(true);
            export_all(hidden, vec![vec![call]]);
            server.runs().remove(0)
        };
        let run = of(from_env.clone());
        assert_eq!((run.inputs, run.outputs), (Some(json!({})), Some(json!({}))));
        assert!(run.extra.get("metadata").is_some());
        assert_ne!(of(from_env.with_hide_inputs(false)).inputs, Some(json!({})));
    }
    let error = temp_env::with_var("LANGSMITH_HIDE_METADATA", Some("perhaps"), || Config::from_env().unwrap_err());
    assert!(matches!(error, ConfigError::InvalidVariable { variable: "LANGSMITH_HIDE_METADATA", .. }), "{error}");
    assert!(error.to_string().contains("with_hide_metadata"));
}

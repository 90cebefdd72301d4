//! langfuse.

use crate::{attributes, metadata_names, run_of};
use opentelemetry::{Array, Value};
use serde_json::json;

#[test]
fn a_generation() {
    let run = run_of(attributes! {
        "langfuse.observation.type" => "generation",
        "langfuse.observation.model.name" => "gpt-4o",
        "langfuse.observation.model.parameters" => r#"{"temperature":0.5}"#,
        "langfuse.observation.input" => r#"[{"role":"user","content":"hi"}]"#,
        "langfuse.observation.output" => "Hello.",
        "langfuse.observation.usage_details" => r#"{"input":10,"output":3,"total":13,"input_cached_tokens":4}"#,
        "langfuse.observation.cost_details" => r#"{"input":0.25,"output":0.5,"total":0.75}"#,
        "langfuse.observation.completion_start_time" => "\"2026-11-20T12:00:00.500Z\"",
        "langfuse.observation.prompt.name" => "greeting",
        "langfuse.observation.prompt.version" => 2,
        "langfuse.observation.metadata.tier" => "gold",
        "langfuse.trace.metadata.tier" => "silver",
        "langfuse.trace.metadata.plan" => r#"{"a":1}"#,
        "langfuse.trace.tags" => Value::Array(Array::String(vec!["a".into(), "b".into()])),
        "langfuse.trace.input" => r#"[{"role":"user","content":"hi"}]"#,
        "langfuse.trace.output" => "other",
        "langfuse.session.id" => "s",
        "langfuse.user.id" => 7,
        "langfuse.environment" => "test",
    });
    assert_eq!(run.run_type, "llm");
    assert_eq!(run.inputs, Some(json!({"messages": [{"role": "user", "content": "hi"}]})));
    let usage = json!({
        "input_tokens": 10, "output_tokens": 3, "total_tokens": 13, "input_token_details": {"cache_read": 4},
        "input_cost": 0.25, "output_cost": 0.5, "total_cost": 0.75,
    });
    assert_eq!(
        run.outputs,
        Some(json!({"messages": [{"role": "assistant", "content": "Hello."}], "usage_metadata": usage}))
    );
    assert_eq!(run.extra["invocation_params"], json!({"model": "gpt-4o", "temperature": 0.5}));
    assert_eq!(run.tags, ["a", "b"]);
    assert_eq!(run.events, [json!({"name": "new_token", "time": "2026-11-20T12:00:00.500000+00:00"})]);
    for (name, value) in [
        ("ls_model_name", json!("gpt-4o")),
        ("ls_temperature", json!(0.5)),
        ("prompt_name", json!("greeting")),
        ("prompt_version", json!(2)),
        ("tier", json!("gold")),
        ("langfuse.trace.metadata.tier", json!("silver")),
        ("plan", json!(r#"{"a":1}"#)),
        ("thread_id", json!("s")),
        ("user_id", json!("7")),
        ("langfuse.trace.output", json!("other")),
        ("langfuse.environment", json!("test")),
    ] {
        assert_eq!(run.metadata(name), Some(&value), "{name}");
    }
    // The two ids stay under their own names too; with the model's type, usage and the above that is all.
    assert_eq!(metadata_names(&run).len(), 15, "{:?}", metadata_names(&run));
}

#[test]
fn observations_of_every_type() {
    for (kind, run_type, kept) in [
        ("generation", "llm", false),
        ("embedding", "embedding", false),
        ("retriever", "retriever", false),
        ("tool", "tool", false),
        ("agent", "chain", false),
        ("span", "chain", false),
        ("evaluator", "chain", true),
    ] {
        let run = run_of([("langfuse.observation.type", kind)]);
        let left = run.metadata("langfuse.observation.type");
        assert_eq!((&*run.run_type, left.is_some()), (run_type, kept), "{kind}");
        assert_eq!(run.metadata("ls_agent_type").is_some(), kind == "agent");
    }
    let run = run_of(attributes! {"langfuse.observation.type" => "span", "gen_ai.tool.name" => "add"});
    assert_eq!(run.run_type, "tool");
}

#[test]
fn a_trace_says_what_its_root_does_not() {
    let run = run_of(attributes! {
        "langfuse.trace.input" => r#"{"q":"why?"}"#, "langfuse.trace.output" => "because",
        "langfuse.trace.metadata" => r#"{"plan":"pro"}"#, "langfuse.observation.metadata" => "no object",
    });
    assert_eq!(
        (run.inputs.clone(), run.outputs.clone()),
        (Some(json!({"q": "why?"})), Some(json!({"output": "because"})))
    );
    assert_eq!(run.metadata("plan"), Some(&json!("pro")));
    assert_eq!(run.metadata("langfuse.observation.metadata"), Some(&json!("no object")));
}

#[test]
fn an_error_by_its_level() {
    let level =
        |level| attributes! {"langfuse.observation.level" => level, "langfuse.observation.status_message" => "boom"};
    assert_eq!(run_of(level("ERROR")).error.as_deref(), Some("boom"));
    assert_eq!(run_of(level("WARNING")).error, None);
    assert_eq!(run_of([("langfuse.observation.level", "ERROR")]).error.as_deref(), Some("error"));
}

#[test]
fn details_that_nobody_knows_are_kept_whole() {
    let details = r#"{"input":10,"novel":3}"#;
    let run = run_of(
        attributes! {"langfuse.observation.type" => "generation", "langfuse.observation.usage_details" => details},
    );
    assert_eq!(run.usage().unwrap()["input_tokens"], json!(10));
    assert_eq!(run.metadata("langfuse.observation.usage_details"), Some(&json!(details)));
}

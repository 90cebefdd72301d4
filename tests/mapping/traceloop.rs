//! OpenLLMetry.

use crate::{attributes, metadata_names, run_of};
use serde_json::json;

#[test]
fn a_call_of_a_model() {
    let run = run_of(attributes! {
        "gen_ai.system" => "OpenAI",
        "llm.request.type" => "chat",
        "gen_ai.request.model" => "gpt-4o",
        "gen_ai.response.model" => "gpt-4o-2024",
        "gen_ai.prompt.0.role" => "user",
        "gen_ai.prompt.0.content" => "2+3?",
        "gen_ai.completion.0.role" => "assistant",
        "gen_ai.completion.0.finish_reason" => "tool_calls",
        "gen_ai.completion.0.tool_calls.0.id" => "c",
        "gen_ai.completion.0.tool_calls.0.name" => "add",
        "gen_ai.completion.0.tool_calls.0.arguments" => r#"{"x":2}"#,
        "llm.request.functions.1.name" => "mul",
        "llm.request.functions.0.name" => "add",
        "llm.request.functions.0.description" => "adds",
        "llm.request.functions.0.parameters" => r#"{"type":"object"}"#,
        "llm.is_streaming" => false,
        "llm.top_k" => "5",
        "llm.frequency_penalty" => 0.5,
        "llm.chat.stop_sequences" => r#"["x"]"#,
        "llm.user" => "ann",
        "llm.usage.total_tokens" => 15,
        "gen_ai.usage.input_tokens" => 12,
        "gen_ai.usage.output_tokens" => 3,
        "gen_ai.usage.cache_read_input_tokens" => 4,
        "gen_ai.usage.reasoning_tokens" => 1,
        "gen_ai.openai.system_fingerprint" => "fp",
        "gen_ai.openai.api_base" => "https://api.openai.com/v1/",
        "llm.headers" => "{'Authorization': 'Bearer secret'}",
        "traceloop.workflow.name" => "answer",
        "traceloop.association.properties.session_id" => "s",
        "traceloop.association.properties.user_id" => "ann",
        "traceloop.association.properties.tier" => "gold",
        "traceloop.prompt.key" => "greeting",
        "traceloop.prompt.version" => 3,
    });
    assert_eq!((&*run.run_type, &*run.name), ("llm", "span"));
    let tools = json!([
        {"type": "function", "function": {"name": "add", "description": "adds", "parameters": {"type": "object"}}},
        {"type": "function", "function": {"name": "mul"}},
    ]);
    assert_eq!(run.inputs, Some(json!({"messages": [{"role": "user", "content": "2+3?"}], "tools": tools})));
    let call = json!({"id": "c", "type": "function", "function": {"name": "add", "arguments": r#"{"x":2}"#}});
    let outputs = run.outputs.as_ref().unwrap();
    assert_eq!(outputs["messages"], json!([{"role": "assistant", "content": "", "tool_calls": [call]}]));
    assert_eq!(
        run.usage(),
        Some(&json!({
            "input_tokens": 12, "output_tokens": 3, "total_tokens": 15,
            "input_token_details": {"cache_read": 4}, "output_token_details": {"reasoning": 1},
        }))
    );
    let parameters = json!({"model": "gpt-4o", "stream": false, "top_k": 5, "frequency_penalty": 0.5, "stop": ["x"], "tools": tools});
    assert_eq!(run.extra["invocation_params"], parameters);
    for (name, value) in [
        ("ls_provider", json!("openai")),
        ("ls_stop", json!(["x"])),
        ("finish_reason", json!("tool_calls")),
        ("thread_id", json!("s")),
        ("session_id", json!("s")),
        ("user_id", json!("ann")),
        ("tier", json!("gold")),
        ("prompt_name", json!("greeting")),
        ("prompt_version", json!(3)),
        ("system_fingerprint", json!("fp")),
        ("traceloop.workflow.name", json!("answer")),
        ("gen_ai.openai.api_base", json!("https://api.openai.com/v1/")),
        ("llm.headers", json!(null)),
    ] {
        assert_eq!(run.metadata(name), Some(&value).filter(|value| !value.is_null()), "{name}");
    }
    let raw = metadata_names(&run).into_iter().find(|name| name.starts_with("llm.") || name.contains(".properties."));
    assert_eq!(raw, None);
}

#[test]
fn workflows_tasks_agents_and_tools() {
    for (kind, run_type, agent) in [
        ("workflow", "chain", None),
        ("task", "chain", None),
        ("agent", "chain", Some("root")),
        ("tool", "tool", None),
        ("novel", "chain", None),
    ] {
        let run = run_of(attributes! {
            "traceloop.span.kind" => kind,
            "traceloop.entity.name" => "joke",
            "traceloop.entity.path" => "a.b",
            "traceloop.entity.input" => r#"{"args":[],"kwargs":{"topic":"cats"}}"#,
            "traceloop.entity.output" => r#""a joke""#,
            // What is no call of a model does not become one by its provider.
            "gen_ai.system" => "langchain",
        });
        assert_eq!((&*run.name, &*run.run_type), ("joke", run_type), "{kind}");
        assert_eq!(run.metadata("ls_agent_type"), agent.map(serde_json::Value::from).as_ref());
        assert_eq!(
            (run.inputs.clone(), run.metadata("traceloop.entity.path")),
            (Some(json!({"topic": "cats"})), Some(&json!("a.b")))
        );
        assert_eq!(run.outputs, Some(json!({"output": "a joke"})));
        assert_eq!(run.metadata("traceloop.span.kind").is_some(), kind == "novel");
    }
}

#[test]
fn inputs_of_entities() {
    for (input, expected) in [
        (r#"{"args":["cats"],"kwargs":{}}"#, json!({"args": ["cats"], "kwargs": {}})),
        (r#"{"args":[],"kwargs":{}}"#, json!({"args": [], "kwargs": {}})),
        (r#"{"args":[],"kwargs":{"a":1},"more":2}"#, json!({"args": [], "kwargs": {"a": 1}, "more": 2})),
        (r#"{"inputs":{"q":"why?"},"kwargs":{"name":"x"}}"#, json!({"inputs": {"q": "why?"}, "kwargs": {"name": "x"}})),
        (r#"[{"role":"user","content":"hi"}]"#, json!({"messages": [{"role": "user", "content": "hi"}]})),
        ("cats", json!({"input": "cats"})),
    ] {
        assert_eq!(run_of([("traceloop.entity.input", input)]).inputs, Some(expected));
    }
}

#[test]
fn requests_of_every_type() {
    for (value, run_type, model_type) in [
        ("chat", "llm", Some("chat")),
        ("completion", "llm", Some("llm")),
        ("embedding", "embedding", None),
        ("rerank", "retriever", None),
        ("unknown", "chain", None),
    ] {
        for key in ["llm.request.type", "traceloop.llm.request.type"] {
            let run = run_of([(key, value)]);
            let expected = model_type.map(serde_json::Value::from);
            assert_eq!((&*run.run_type, run.metadata("ls_model_type")), (run_type, expected.as_ref()), "{value}");
        }
    }
    let both = attributes! {"llm.request.type" => "chat", "gen_ai.operation.name" => "embeddings"};
    assert_eq!(run_of(both).run_type, "embedding", "the operation is the newer word");
    let both = attributes! {"llm.request.type" => "chat", "traceloop.span.kind" => "task"};
    assert_eq!(run_of(both).run_type, "chain");
    let query = run_of(attributes! {"db.system" => "chroma", "db.vector.query.top_k" => 3});
    assert_eq!((&*query.run_type, query.metadata("db.vector.query.top_k")), ("retriever", Some(&json!(3))));
}

#[test]
fn counts_of_the_oldest_names() {
    let run = run_of(attributes! {
        "llm.request.type" => "chat",
        "llm.usage.prompt_tokens" => 5, "llm.usage.completion_tokens" => "2", "llm.usage.reasoning_tokens" => 1,
        "llm.response.stop_reason" => "end_turn",
    });
    let usage =
        json!({"input_tokens": 5, "output_tokens": 2, "total_tokens": 7, "output_token_details": {"reasoning": 1}});
    // There are no outputs to carry it.
    assert_eq!((run.outputs.clone(), run.metadata("usage_metadata")), (None, Some(&usage)));
    assert_eq!(run.metadata("finish_reason"), Some(&json!("end_turn")));
}

#[test]
fn a_call_of_a_tool_by_its_protocol() {
    let run = run_of(attributes! {"mcp.method.name" => "tools/call", "mcp.tool.name" => "add"});
    assert_eq!((&*run.run_type, &*run.name), ("tool", "add"));
    let run = run_of(attributes! {"mcp.method.name" => "tools/list", "mcp.tool.name" => "add"});
    assert_eq!(
        (&*run.run_type, &*run.name, run.metadata("mcp.method.name")),
        ("chain", "span", Some(&json!("tools/list")))
    );
}

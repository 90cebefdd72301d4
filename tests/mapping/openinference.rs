//! `OpenInference`.

use crate::{attributes, metadata_names, run_of};
use opentelemetry::{Array, Value};
use serde_json::json;

#[test]
fn a_call_of_a_model() {
    let run = run_of(attributes! {
        "openinference.span.kind" => "LLM",
        "llm.provider" => "aws",
        "llm.system" => "anthropic",
        "llm.request.model_name" => "claude-x",
        "llm.model_name" => "claude-x-2026",
        "llm.invocation_parameters" => r#"{"temperature":0.5,"max_tokens":100,"stop":["x"],"top_p":null,"seed":12345678901234567}"#,
        "input.value" => r#"{"messages":[{"role":"user","content":"hi"}],"model":"claude-x"}"#,
        "input.mime_type" => "application/json",
        "output.value" => r#"{"id":"r","choices":[]}"#,
        "output.mime_type" => "application/json",
        "llm.input_messages.0.message.role" => "user",
        "llm.input_messages.0.message.content" => "hi",
        "llm.output_messages.0.message.role" => "assistant",
        "llm.output_messages.0.message.content" => "a",
        "llm.output_messages.3.message.role" => "assistant",
        "llm.output_messages.3.message.content" => "b",
        "llm.tools.0.tool.json_schema" => r#"{"type":"function","function":{"name":"add","parameters":{}}}"#,
        "llm.tools.1.tool.name" => "mul",
        "llm.tools.1.tool.json_schema" => r#"{"type":"object"}"#,
        "llm.finish_reason" => "stop",
        "llm.token_count.prompt" => 100,
        "llm.token_count.completion" => "20",
        "llm.token_count.total" => 120,
        "llm.token_count.prompt_details.cache_read" => 30,
        "llm.token_count.prompt_details.cache_write" => 10,
        "llm.token_count.prompt_details.audio" => 1,
        "llm.token_count.completion_details.reasoning" => 5,
        "llm.token_count.completion_details.audio" => 2,
        "llm.token_count.novel" => 7,
        "llm.cost.prompt" => 0.25,
        "llm.cost.completion" => 0.5,
        "llm.cost.total" => 0.75,
        "llm.cost.prompt_details.input" => 0.1,
        "llm.cost.prompt_details.cache_read" => 0.05,
        "llm.cost.prompt_details.cache_write" => 0.1,
        "llm.cost.completion_details.reasoning" => 0.2,
    });
    assert_eq!(run.run_type, "llm");
    let tools = json!([
        {"type": "function", "function": {"name": "add", "parameters": {}}},
        {"type": "function", "function": {"name": "mul", "parameters": {"type": "object"}}},
    ]);
    assert_eq!(run.inputs, Some(json!({"messages": [{"role": "user", "content": "hi"}], "tools": tools})));
    let outputs = run.outputs.as_ref().unwrap();
    assert_eq!(
        outputs["messages"],
        json!([{"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}])
    );
    let usage = json!({
        "input_tokens": 100, "output_tokens": 20, "total_tokens": 120,
        "input_token_details": {"cache_read": 30, "cache_creation": 10, "audio": 1},
        "output_token_details": {"reasoning": 5, "audio": 2},
        "input_cost": 0.25, "output_cost": 0.5, "total_cost": 0.75,
        "input_cost_details": {"text": 0.1, "cache_read": 0.05, "cache_creation": 0.1},
        "output_cost_details": {"reasoning": 0.2},
    });
    assert_eq!((run.usage(), &outputs["usage_metadata"]), (Some(&usage), &usage));
    let parameters = json!({
        "model": "claude-x", "temperature": 0.5, "max_tokens": 100, "stop": ["x"], "seed": 12_345_678_901_234_567_i64,
        "tools": tools,
    });
    assert_eq!(run.extra["invocation_params"], parameters);
    for (name, value) in [
        ("ls_provider", json!("amazon_bedrock")),
        ("ls_model_name", json!("claude-x")),
        ("response_model", json!("claude-x-2026")),
        ("ls_model_type", json!("chat")),
        ("ls_temperature", json!(0.5)),
        ("ls_max_tokens", json!(100)),
        ("ls_stop", json!(["x"])),
        ("finish_reason", json!("stop")),
        ("llm.system", json!("anthropic")),
        ("llm.token_count.novel", json!(7)),
    ] {
        assert_eq!(run.metadata(name), Some(&value), "{name}");
    }
    // What the messages say is not said once more.
    assert_eq!(metadata_names(&run).len(), 12, "{:?}", metadata_names(&run));
}

#[test]
fn values_as_a_whole() {
    for (kind, mime_type, value, expected) in [
        ("CHAIN", "text/plain", "hi", json!({"input": "hi"})),
        ("CHAIN", "text/plain", "42", json!({"input": "42"})),
        ("CHAIN", "application/json", "42", json!({"input": 42})),
        ("CHAIN", "application/json", r#"{"q":"why?"}"#, json!({"q": "why?"})),
        ("LLM", "application/json", r#"{"messages":[[1]],"model":"m"}"#, json!({"messages": [[1]], "model": "m"})),
        ("LLM", "", r#"[{"role":"human","content":"x"}]"#, json!({"messages": [{"role": "user", "content": "x"}]})),
        ("TOOL", "application/json", "[1,2]", json!({"input": [1, 2]})),
    ] {
        let run = run_of(
            attributes! {"openinference.span.kind" => kind, "input.value" => value, "input.mime_type" => mime_type},
        );
        assert_eq!(run.inputs, Some(expected), "{value}");
        assert!(!metadata_names(&run).iter().any(|name| name.starts_with("input.")), "{run:?}");
    }
}

#[test]
fn what_another_source_beat_is_kept() {
    let run = run_of(attributes! {"langsmith.inputs" => r#"{"q":1}"#, "input.value" => "raw"});
    assert_eq!((run.inputs.clone(), run.metadata("input.value")), (Some(json!({"q": 1})), Some(&json!("raw"))));
    let messages = r#"[{"role":"assistant","parts":[{"type":"text","content":"a"}]}]"#;
    let run = run_of(attributes! {"gen_ai.output.messages" => messages, "output.value" => "mine"});
    assert_eq!(run.metadata("output.value"), Some(&json!("mine")));
}

#[test]
fn kinds_of_work() {
    for (kind, run_type, kept) in [
        ("LLM", "llm", false),
        ("embedding", "embedding", false),
        ("RETRIEVER", "retriever", false),
        ("RERANKER", "retriever", true),
        ("TOOL", "tool", false),
        ("PROMPT", "prompt", false),
        ("CHAIN", "chain", false),
        ("AGENT", "chain", false),
        ("GUARDRAIL", "chain", true),
        ("EVALUATOR", "chain", true),
        ("NOVEL", "chain", true),
    ] {
        let run = run_of(attributes! {"openinference.span.kind" => kind, "gen_ai.operation.name" => "unknown"});
        assert_eq!((&*run.run_type, run.metadata("openinference.span.kind").is_some()), (run_type, kept), "{kind}");
    }
    let both = attributes! {"gen_ai.operation.name" => "chat", "openinference.span.kind" => "CHAIN"};
    assert_eq!(run_of(both).run_type, "chain", "it says what the span is, not what it does");
    let all = attributes! {"openinference.span.kind" => "CHAIN", "langsmith.span.kind" => "tool"};
    assert_eq!(run_of(all).run_type, "tool");
}

#[test]
fn tools_and_agents_have_names() {
    let run = run_of(attributes! {
        "openinference.span.kind" => "TOOL", "tool.name" => "add", "tool.description" => "adds", "tool.id" => "c",
        "tool.parameters" => r#"{"x":"int"}"#, "input.value" => r#"{"x":1}"#, "output.value" => "1",
    });
    assert_eq!(
        (&*run.name, run.inputs.clone(), run.outputs.clone()),
        ("add", Some(json!({"x": 1})), Some(json!({"output": "1"})))
    );
    for (name, value) in [
        ("tool_name", "add"),
        ("tool_description", "adds"),
        ("tool_call_id", "c"),
        ("tool.parameters", r#"{"x":"int"}"#),
    ] {
        assert_eq!(run.metadata(name), Some(&json!(value)));
    }
    let agent = attributes! {"openinference.span.kind" => "AGENT", "agent.name" => "scout", "graph.node.id" => "n"};
    let run = run_of(agent);
    assert_eq!((&*run.name, run.metadata("graph.node.id")), ("scout", Some(&json!("n"))));
    assert_eq!(run_of(attributes! {"openinference.span.kind" => "AGENT", "graph.node.id" => "n"}).name, "n");
    assert_eq!(run_of(attributes! {"agent.name" => "scout"}).name, "span", "a name alone makes no agent");
}

#[test]
fn retrievers_and_rerankers() {
    let document = |text: &str, metadata| json!({"page_content": text, "type": "Document", "metadata": metadata});
    let run = run_of(attributes! {
        "openinference.span.kind" => "RETRIEVER",
        "input.value" => "why?",
        "output.value" => r#"{"nodes":[]}"#,
        "retrieval.documents.10.document.content" => "last",
        "retrieval.documents.2.document.content" => "first",
        "retrieval.documents.2.document.id" => "d",
        "retrieval.documents.2.document.score" => 0.5,
        "retrieval.documents.2.document.metadata" => r#"{"source":"a.md"}"#,
    });
    assert_eq!((&*run.run_type, run.inputs.clone()), ("retriever", Some(json!({"input": "why?"}))));
    let first = document("first", json!({"id": "d", "score": 0.5, "source": "a.md"}));
    assert_eq!(run.outputs, Some(json!({"documents": [first, document("last", json!({}))]})));
    assert_eq!(metadata_names(&run), Vec::<String>::new());

    let run = run_of(attributes! {
        "openinference.span.kind" => "RERANKER",
        "reranker.query" => "why?",
        "reranker.model_name" => "ranker",
        "reranker.top_k" => 3,
        "reranker.input_documents.0.document.content" => "a",
        "reranker.output_documents.0.document.content" => "a",
        "reranker.output_documents.0.document.score" => 1,
    });
    assert_eq!(run.inputs, Some(json!({"query": "why?", "documents": [document("a", json!({}))]})));
    assert_eq!(run.outputs, Some(json!({"documents": [document("a", json!({"score": 1}))]})));
    assert_eq!(run.extra["invocation_params"], json!({"model": "ranker", "top_k": 3}));

    // A chain that answers by documents has answered.
    let run = run_of(attributes! {
        "openinference.span.kind" => "CHAIN", "output.value" => "because",
        "retrieval.documents.0.document.content" => "a",
    });
    assert_eq!(run.outputs, Some(json!({"output": "because"})));
    assert_eq!(run.metadata("retrieval.documents.0.document.content"), Some(&json!("a")));
}

#[test]
fn embeddings_without_their_vectors() {
    let vector = || Value::Array(Array::F64(vec![0.5; 7]));
    let run = run_of(attributes! {
        "openinference.span.kind" => "EMBEDDING",
        "embedding.model_name" => "ada",
        "embedding.invocation_parameters" => r#"{"encoding_format":"float"}"#,
        "embedding.embeddings.0.embedding.text" => "a",
        "embedding.embeddings.0.embedding.vector" => vector(),
        "embedding.embeddings.1.embedding.text" => "b",
        "embedding.embeddings.1.embedding.vector" => vector(),
        "output.value" => r#"{"data":[{"embedding":[0.5,0.5]}]}"#,
    });
    assert_eq!((&*run.run_type, run.metadata("ls_model_name")), ("embedding", Some(&json!("ada"))));
    assert_eq!(run.inputs, Some(json!({"input": ["a", "b"]})));
    assert_eq!(run.outputs, Some(json!({"embeddings": 2, "dimensions": 7})));
    assert_eq!(metadata_names(&run), ["ls_model_name"]);
    for (output, expected) in [
        (r#"{"data":[{"embedding":[0.5,0.5],"index":0}],"model":"ada"}"#, json!({"embeddings": 1, "dimensions": 2})),
        (r#"{"data":[{"embedding":"AAAAAAAAAAA="}]}"#, json!({"embeddings": 1, "dimensions": 2})),
        ("[[1,2,3],[1,2,3]]", json!({"embeddings": 2, "dimensions": 3})),
        (r#"{"count":2}"#, json!({"count": 2})),
    ] {
        let run = run_of(attributes! {
            "openinference.span.kind" => "EMBEDDING", "input.value" => "a", "embedding.text" => "a", "output.value" => output,
        });
        assert_eq!((run.inputs.clone(), run.outputs.clone()), (Some(json!({"input": "a"})), Some(expected)));
        assert_eq!(metadata_names(&run), Vec::<String>::new());
    }
}

#[test]
fn completions_and_prompts() {
    let run = run_of(attributes! {
        "openinference.span.kind" => "LLM",
        "llm.prompts.0.prompt.text" => "def f",
        "llm.choices.0.completion.text" => "():",
        "llm.choices.1.completion.text" => "(x):",
        "input.value" => r#"{"prompt":"def f"}"#,
    });
    assert_eq!(
        (run.inputs.clone(), run.outputs.clone()),
        (Some(json!({"prompt": "def f"})), Some(json!({"choices": ["():", "(x):"]})))
    );
    assert_eq!(run.metadata("ls_model_type"), Some(&json!("llm")));

    let template = attributes! {
        "llm.prompt_template.template" => "Hi {name}",
        "llm.prompt_template.variables" => r#"{"name":"Ann"}"#,
        "llm.prompt_template.version" => "v1",
        "output.value" => "Hi Ann",
        "prompt.vendor" => "langsmith",
        "prompt.id" => "acme/greeting:abc123",
    };
    let run = run_of(template.clone());
    assert_eq!((&*run.run_type, run.outputs.clone()), ("prompt", Some(json!({"output": "Hi Ann"}))));
    assert_eq!(run.inputs, Some(json!({"template": "Hi {name}", "variables": {"name": "Ann"}})));
    for (name, value) in [
        ("prompt_version", "v1"),
        ("prompt.vendor", "langsmith"),
        ("lc_hub_owner", "acme"),
        ("lc_hub_repo", "greeting"),
        ("lc_hub_commit_hash", "abc123"),
    ] {
        assert_eq!(run.metadata(name), Some(&json!(value)));
    }
    let run = run_of(
        attributes! {"openinference.span.kind" => "LLM", "llm.function_call" => r#"{"name":"f"}"#, "prompt.id" => "p"},
    );
    assert_eq!(
        (run.outputs.clone(), run.metadata("prompt_name")),
        (Some(json!({"function_call": {"name": "f"}})), Some(&json!("p")))
    );
}

#[test]
fn tags_and_metadata() {
    let run = run_of(attributes! {
        "tag.tags" => Value::Array(Array::String(vec!["a".into(), "b".into()])),
        "metadata" => r#"{"tier":"gold","n":12345678901234567,"own":"first"}"#,
        "langsmith.metadata.own" => "wins",
    });
    assert_eq!(run.tags, ["a", "b"]);
    assert_eq!((run.metadata("tier"), run.metadata("own")), (Some(&json!("gold")), Some(&json!("wins"))));
    assert_eq!(run.metadata("n"), Some(&json!(12_345_678_901_234_567_i64)));
    assert_eq!(run_of([("metadata", "no object")]).metadata("metadata"), Some(&json!("no object")));
}

#[test]
fn a_project_by_its_resource() {
    use crate::common::{config, server};
    use opentelemetry::trace::{Tracer as _, TracerProvider as _};
    use opentelemetry::KeyValue;
    use opentelemetry_langsmith::LangSmithSpanProcessor;
    use opentelemetry_sdk::{trace::SdkTracerProvider, Resource};

    let project = |attributes: &[(&'static str, &'static str)]| {
        let server = server();
        let processor = LangSmithSpanProcessor::new(config(&server).with_project("configured")).unwrap();
        let attributes = attributes.iter().map(|(key, value)| KeyValue::new(*key, *value));
        let resource = Resource::builder_empty().with_attributes(attributes).build();
        let provider = SdkTracerProvider::builder().with_resource(resource).with_span_processor(processor).build();
        drop(provider.tracer("mapping").start("span"));
        provider.shutdown().unwrap();
        server.runs()[0].session_name.clone().unwrap()
    };
    assert_eq!(project(&[]), "configured");
    assert_eq!(project(&[("openinference.project.name", "theirs")]), "theirs");
    assert_eq!(project(&[("openinference.project.name", "theirs"), ("langsmith.project", "ours")]), "ours");
    assert_eq!(project(&[("openinference.project.name", " ")]), "configured");
}

//! Whatever stands in the attributes of all frameworks at once, it becomes a run that LangSmith takes.

use super::Pipeline;
use opentelemetry::trace::TraceContextExt;
use opentelemetry::Context;
use proptest::prelude::*;
use serde_json::{json, Value};

const KEYS: &[&str] = &[
    "logfire.msg",
    "logfire.tags",
    "events",
    "prompt",
    "tools",
    "agent_name",
    "model_name",
    "all_messages_events",
    "final_result",
    "pydantic_ai.all_messages",
    "pydantic_ai.new_message_index",
    "model_request_parameters",
    "tool_arguments",
    "tool_response",
    "request_data",
    "response_data",
    "gen_ai.aggregated_usage.input_tokens",
    "gen_ai.system_instructions",
    "gen_ai.input.messages",
    "ai.operationId",
    "ai.prompt",
    "ai.prompt.messages",
    "ai.prompt.tools",
    "ai.response.text",
    "ai.response.toolCalls",
    "ai.response.object",
    "ai.response.providerMetadata",
    "ai.toolCall.args",
    "ai.toolCall.result",
    "ai.value",
    "ai.values",
    "ai.embeddings",
    "ai.usage.inputTokens",
    "ai.settings.maxRetries",
    "ai.telemetry.metadata.sessionId",
    "ai.model.provider",
    "ai.response.msToFirstChunk",
    "mlflow.spanInputs",
    "mlflow.spanOutputs",
    "mlflow.spanType",
    "mlflow.chat.tokenUsage",
    "mlflow.chat.tools",
    "mlflow.llm.cost",
    "gcp.vertex.agent.llm_request",
    "gcp.vertex.agent.llm_response",
    "gcp.vertex.agent.tool_call_args",
    "gcp.vertex.agent.data",
    "lk.chat_ctx",
    "lk.pii.chat_ctx",
    "lk.response.text",
    "lk.response.function_calls",
    "lk.function_tools",
    "lk.function_tool.name",
    "genkit:input",
    "genkit:output",
    "genkit:metadata:subtype",
    "genkit:name",
    "mcp.method.name",
    "db.vector.n",
];

const NAMES: &[&str] = &[
    "role",
    "content",
    "parts",
    "type",
    "text",
    "event.name",
    "message",
    "messages",
    "tool_calls",
    "toolCallId",
    "toolName",
    "args",
    "output",
    "value",
    "items",
    "call_id",
    "name",
    "arguments",
    "function_call",
    "function_response",
    "toolRequest",
    "media",
    "kind",
    "contents",
    "config",
    "tools",
    "system_instruction",
    "query",
    "documents",
    "embeddings",
    "embedding",
    "usage",
    "usage_metadata",
    "anthropic",
    "input_tokens",
    "candidates",
    "function_declarations",
    "system",
    "prompt",
    "a\"\\b",
];

const WORDS: &[&str] = &[
    "user",
    "assistant",
    "system",
    "tool",
    "model",
    "gen_ai.choice",
    "gen_ai.tool.message",
    "tool-call",
    "tool-result",
    "image",
    "file",
    "function_call",
    "message",
    "function_call_output",
    "image-url",
    "https://e/i",
    "ai.generateText",
    "ai.generateText.doGenerate",
    "model",
    "retriever",
    "embedder",
    "{\"a\":1}",
    "[\"a\"]",
    "\"quoted\"",
    "",
    "5",
];

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => prop::sample::select(WORDS).prop_map(|word| json!(word)),
        1 => any::<String>().prop_map(Value::from),
        1 => prop_oneof![Just(json!(null)), Just(json!(true)), any::<i64>().prop_map(Value::from), Just(json!(0.5))],
    ];
    leaf.prop_recursive(5, 48, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(NAMES), inner), 0..5)
                .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

/// A value of an attribute: JSON as text, once or twice, a list of texts, a number.
fn any_value() -> impl Strategy<Value = Value> {
    (any_json(), 0..4_u8).prop_map(|(json, form)| match (form, &json) {
        (0, Value::String(_) | Value::Number(_) | Value::Bool(_)) => json,
        (1, _) => Value::String(json!(json.to_string()).to_string()),
        (2, Value::Array(items)) => items.iter().map(|item| Value::from(item.to_string())).collect(),
        _ => Value::String(json.to_string()),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn everything_becomes_a_run(spans in prop::collection::vec(prop::collection::btree_map(prop::sample::select(KEYS), any_value(), 1..8), 1..24)) {
        let pipeline = Pipeline::start();
        for attributes in &spans {
            pipeline.span("span", &json!(attributes), &Context::new()).span().end();
        }
        let server = pipeline.finish();
        prop_assert_eq!(server.received(), spans.len() as u64);
    }
}

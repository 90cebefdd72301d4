//! Vercel's AI SDK.

use super::{call, check, text};
use serde_json::{json, Value};

fn messages() -> Value {
    json!([
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "2+3?"}]},
        {"role": "assistant", "content": [{"type": "tool-call", "toolCallId": "c", "toolName": "add", "input": {"n": 9_007_199_254_740_993_i64}}]},
        {"role": "tool", "content": [{"type": "tool-result", "toolCallId": "c", "toolName": "add", "output": {"type": "text", "value": "5"}}]},
    ])
}

fn sent() -> Value {
    json!([
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "2+3?"},
        {"role": "assistant", "content": "", "tool_calls": [call("c", "add", "{\"n\":9007199254740993}")]},
        {"role": "tool", "tool_call_id": "c", "name": "add", "content": "5"},
    ])
}

/// The whole call counts what its calls of the model count already.
#[test]
fn calls_have_two_levels_and_count_once() {
    let tool = json!({"type": "function", "function": {"name": "add", "description": "adds", "parameters": {"type": "object"}}});
    check(&[
        (
            "ai.streamText",
            json!({
                "operation.name": "ai.streamText support", "resource.name": "support", "ai.operationId": "ai.streamText",
                "ai.telemetry.functionId": "support", "ai.telemetry.metadata.userId": "u-1", "ai.telemetry.metadata.sessionId": "t-1",
                "ai.telemetry.metadata.tags": ["a", "b"], "ai.telemetry.metadata.plan": "pro", "ai.model.id": "gpt-4o", "ai.model.provider": "openai.chat",
                "ai.prompt": {"system": "Be brief.", "prompt": "2+3?"}, "ai.response.text": "five", "ai.response.finishReason": "stop",
                "ai.usage.promptTokens": 30, "ai.usage.completionTokens": 3, "ai.settings.maxRetries": 2,
                "ai.request.headers.authorization": "Bearer key", "ai.request.headers.x-team": "search",
            }),
            json!({
                "name": "support", "type": "chain", "tags": ["a", "b"], "usage": null,
                "inputs": {"messages": [sent()[0], sent()[1]]}, "outputs": {"messages": [{"role": "assistant", "content": "five"}]},
                "sum": {"input_tokens": 30, "output_tokens": 3, "total_tokens": 33}, "parameters": {"max_retries": 2},
                "metadata": {"user_id": "u-1", "userId": "u-1", "thread_id": "t-1", "sessionId": "t-1", "plan": "pro", "finish_reason": "stop",
                    "ai.request.headers.authorization": null, "ai.request.headers.x-team": "search", "operation.name": null, "resource.name": null},
            }),
        ),
        (
            "ai.streamText.doStream",
            json!({
                "operation.name": "ai.streamText.doStream support", "ai.operationId": "ai.streamText.doStream", "ai.telemetry.functionId": "support",
                "ai.model.id": "gpt-4o", "ai.model.provider": "openai.chat", "gen_ai.system": "openai.chat", "gen_ai.request.model": "gpt-4o",
                "gen_ai.request.temperature": 0.5, "ai.settings.temperature": 0.5, "ai.settings.maxOutputTokens": 100,
                "ai.prompt.messages": text(&messages()), "ai.prompt.tools": [r#"{"type":"function","name":"add","description":"adds","inputSchema":{"type":"object"}}"#],
                "ai.prompt.toolChoice": {"type": "auto"}, "ai.response.text": "five", "ai.response.reasoning": "hm",
                "ai.response.toolCalls": text(&json!([{"type": "tool-call", "toolCallId": "d", "toolName": "add", "input": {"a": 2}}])),
                "ai.response.finishReason": "tool-calls", "gen_ai.response.finish_reasons": ["tool-calls"], "ai.response.id": "r-1", "gen_ai.response.id": "r-1",
                "ai.response.msToFirstChunk": 250.5, "ai.usage.inputTokens": 30, "ai.usage.outputTokens": 3, "ai.usage.totalTokens": 33,
                "ai.usage.cachedInputTokens": 20, "ai.usage.reasoningTokens": 1, "gen_ai.usage.input_tokens": 30, "gen_ai.usage.output_tokens": 3,
            }),
            json!({
                "name": "ai.streamText.doStream", "type": "llm", "inputs": {"messages": sent(), "tools": [tool]}, "sum": null, "first_token": true,
                "outputs": {"messages": [{"role": "assistant", "content": [{"type": "reasoning", "text": "hm"}, {"type": "text", "text": "five"}],
                    "tool_calls": [call("d", "add", "{\"a\":2}")]}]},
                "usage": {"input_tokens": 30, "output_tokens": 3, "total_tokens": 33, "input_token_details": {"cache_read": 20}, "output_token_details": {"reasoning": 1}},
                "parameters": {"temperature": 0.5, "max_tokens": 100, "model": "gpt-4o", "tool_choice": {"type": "auto"}, "tools": [tool]},
                "metadata": {"ls_provider": "openai", "ls_model_name": "gpt-4o", "ls_temperature": 0.5, "ls_max_tokens": 100, "response_id": "r-1",
                    "finish_reason": "tool-calls", "ai.response.id": null, "ai.model.id": null, "ai.settings.temperature": null},
            }),
        ),
    ]);
}

#[test]
fn tools_embeddings_and_objects() {
    check(&[
        (
            "ai.toolCall",
            json!({"ai.operationId": "ai.toolCall", "ai.telemetry.functionId": "support", "ai.toolCall.name": "add", "ai.toolCall.id": "c",
                "ai.toolCall.args": {"a": 2}, "ai.toolCall.result": "\"five\""}),
            json!({"name": "add", "type": "tool", "inputs": {"a": 2}, "outputs": {"output": "five"}, "metadata": {"tool_call_id": "c", "tool_name": "add"}}),
        ),
        (
            "ai.embedMany.doEmbed",
            json!({"ai.operationId": "ai.embedMany.doEmbed", "ai.model.id": "e-3", "ai.model.provider": "openai.embedding", "ai.values": ["\"a\"", "\"b \\\"c\\\"\""],
                "ai.embeddings": ["[0.1,0.2,0.3]", "[1,2,3]"], "ai.usage.tokens": 4}),
            json!({"type": "embedding", "inputs": {"input": ["a", "b \"c\""]}, "outputs": {"embeddings": 2, "dimensions": 3},
                "usage": {"input_tokens": 4, "output_tokens": 0, "total_tokens": 4}, "metadata": {"ls_provider": "openai", "ai.embeddings": null}}),
        ),
        (
            "ai.embed",
            json!({"ai.operationId": "ai.embed", "ai.value": "\"a\"", "ai.embedding": "[0.1,0.2]", "ai.usage.tokens": 2}),
            json!({"type": "chain", "inputs": {"input": "a"}, "outputs": {"embeddings": 1, "dimensions": 2}, "usage": null,
                "sum": {"input_tokens": 2, "output_tokens": 0, "total_tokens": 2}, "metadata": {"ai.embedding": null}}),
        ),
        (
            "ai.generateObject",
            json!({"ai.operationId": "ai.generateObject", "ai.prompt": {"messages": [{"role": "user", "content": "2+3?"}]}, "ai.response.object": {"sum": 5}}),
            json!({"type": "chain", "inputs": {"messages": [{"role": "user", "content": "2+3?"}]}, "outputs": {"sum": 5}}),
        ),
        (
            "ai.generateObject.doGenerate",
            json!({"ai.operationId": "ai.generateObject.doGenerate", "ai.result.object": {"sum": 5}, "ai.model.provider": "openai.completion", "ai.model.id": "m"}),
            json!({"type": "llm", "outputs": {"messages": [{"role": "assistant", "content": "{\"sum\":5}"}]}, "metadata": {"ls_model_type": "llm"}}),
        ),
    ]);
}

/// Before version 6 the input count of Anthropic's models leaves the cached tokens out.
#[test]
fn the_providers_own_metadata_tells_what_was_cached() {
    let span = |version: &str, input: i64| {
        let mut span = json!({
            "ai.operationId": "ai.generateText.doGenerate", "ai.model.provider": "anthropic.messages", "ai.model.id": "claude", "gen_ai.usage.input_tokens": input,
            "ai.usage.inputTokens": input, "ai.usage.outputTokens": 5, "ai.usage.cachedInputTokens": 4,
            "ai.response.providerMetadata": {"anthropic": {"cacheCreationInputTokens": 6, "usage": {"input_tokens": 20, "cache_read_input_tokens": 4,
                "cache_creation_input_tokens": 6, "cache_creation": {"ephemeral_5m_input_tokens": 6}}, "other": 9_007_199_254_740_993_i64}},
        });
        if version == "6" {
            span["ai.usage.inputTokenDetails.cacheReadTokens"] = 4.into();
        }
        span
    };
    let expected = json!({
        "usage": {"input_tokens": 30, "output_tokens": 5, "total_tokens": 35, "input_token_details": {"cache_read": 4, "ephemeral_5m_input_tokens": 6}},
        "metadata": {"ls_provider": "anthropic", "provider_metadata": {"anthropic": {"cacheCreationInputTokens": 6, "usage": {"input_tokens": 20,
            "cache_read_input_tokens": 4, "cache_creation_input_tokens": 6, "cache_creation": {"ephemeral_5m_input_tokens": 6}}, "other": 9_007_199_254_740_993_i64}}},
    });
    check(&[("version 5", span("5", 20), expected.clone()), ("version 6", span("6", 30), expected)]);
}

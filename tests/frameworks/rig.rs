//! rig, in its versions 0.42 and 0.44. Counts are text, as `tracing` hands them on.

use super::{call, check, text};
use serde_json::{json, Value};

fn chat() -> Value {
    json!({
        "target": "rig::completions", "gen_ai.operation.name": "chat", "gen_ai.provider.name": "anthropic", "gen_ai.request.model": "claude",
        "gen_ai.system_instructions": text(&json!([{"type": "text", "content": "Be brief."}])),
        "gen_ai.input.messages": text(&json!([
            {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
            {"role": "user", "parts": [{"type": "text", "content": "2+3?"}, {"type": "opaque", "kind": "document"}]},
            {"role": "assistant", "parts": [{"type": "tool_call", "id": "c", "name": "add", "arguments": {"n": 9_007_199_254_740_993_i64}}]},
            {"role": "user", "parts": [{"type": "tool_call_response", "id": "c", "response": "5"}]}])),
        "gen_ai.output.messages": text(&json!([{"role": "assistant", "finish_reason": "tool_call",
            "parts": [{"type": "tool_call", "id": "d", "name": "add", "arguments": {"a": 2}}]}])),
        "gen_ai.usage.input_tokens": "20", "gen_ai.usage.output_tokens": "5", "gen_ai.usage.cache_read.input_tokens": "4",
        "gen_ai.usage.cache_creation.input_tokens": "6",
    })
}

#[test]
fn calls_of_a_model() {
    let old = chat();
    let mut new = chat();
    new["gen_ai.request.stream"] = false.into();
    new["rig.provider_request_id"] = "p-1".into();
    new["gen_ai.usage.tool_use_prompt_tokens"] = "2".into();
    new["gen_ai.usage.reasoning_tokens"] = "1".into();
    let usage = |input: i64, reasoning: Value| {
        let mut usage = json!({"input_tokens": input, "output_tokens": 5, "total_tokens": input + 5,
            "input_token_details": {"cache_read": 4, "cache_creation": 6}});
        if !reasoning.is_null() {
            usage["output_token_details"] = reasoning;
        }
        usage
    };
    let messages = json!({"messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "2+3?"}, {"type": "text", "text": "[opaque: document]"}]},
        {"role": "assistant", "content": "", "tool_calls": [call("c", "add", "{\"n\":9007199254740993}")]},
        {"role": "tool", "tool_call_id": "c", "content": "5"}]});
    let answer =
        json!({"messages": [{"role": "assistant", "content": "", "tool_calls": [call("d", "add", "{\"a\":2}")]}]});
    check(&[
        (
            "chat",
            old,
            json!({"type": "llm", "inputs": messages, "outputs": answer, "usage": usage(30, Value::Null), "metadata": {"finish_reason": "tool_call"}}),
        ),
        (
            "chat",
            new,
            json!({"type": "llm", "inputs": messages, "outputs": answer, "usage": usage(20, json!({"reasoning": 1})),
                "metadata": {"provider_request_id": "p-1", "gen_ai.usage.tool_use_prompt_tokens": "2"}, "parameters": {"stream": false}}),
        ),
        (
            "chat_streaming",
            json!({"target": "rig::completions", "gen_ai.operation.name": "chat_streaming", "gen_ai.usage.input_tokens": "0", "gen_ai.usage.output_tokens": "0",
                "gen_ai.output.messages": text(&json!([{"role": "assistant", "finish_reason": "unknown", "parts": [{"type": "text", "content": "five"}]}]))}),
            json!({"type": "llm", "outputs": {"messages": [{"role": "assistant", "content": "five"}]}, "metadata": {"finish_reason": null}}),
        ),
    ]);
}

#[test]
fn agents_and_tools() {
    check(&[
        (
            "invoke_agent",
            json!({"target": "rig::agent_chat", "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "adder", "gen_ai.prompt": "2+3?", "gen_ai.completion": "five",
                "gen_ai.system_instructions": "Be brief.", "gen_ai.usage.input_tokens": "40", "gen_ai.usage.output_tokens": "9"}),
            json!({"name": "adder", "type": "chain", "inputs": {"input": "2+3?"}, "outputs": {"output": "five"}, "usage": null,
                "sum": {"input_tokens": 40, "output_tokens": 9, "total_tokens": 49}, "metadata": {"gen_ai.system_instructions": "Be brief.", "gen_ai.prompt": null}}),
        ),
        (
            "execute_tool",
            json!({"target": "rig::agent_chat", "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "add", "gen_ai.tool.type": "function", "gen_ai.tool.call.id": "c",
                "gen_ai.tool.call.arguments": {"a": 2}, "gen_ai.tool.call.result": "no numbers", "gen_ai.tool.call.outcome": "failure", "gen_ai.tool.error.type": "ToolCallError"}),
            json!({"name": "add", "type": "tool", "inputs": {"a": 2}, "outputs": {"output": "no numbers"}, "error": "ToolCallError: no numbers",
                "metadata": {"tool_call_outcome": "failure", "error_type": "ToolCallError"}}),
        ),
        (
            "only instructions",
            json!({"gen_ai.operation.name": "chat", "gen_ai.system_instructions": "Be brief."}),
            json!({"inputs": {"messages": [{"role": "system", "content": "Be brief."}]}}),
        ),
    ]);
}

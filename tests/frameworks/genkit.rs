//! Google's Genkit.

use super::{call, check};
use serde_json::json;

#[test]
fn actions_of_every_kind() {
    let input = json!({
        "messages": [
            {"role": "system", "content": [{"text": "Be brief."}]},
            {"role": "user", "content": [{"text": "2+3?"}]},
            {"role": "model", "content": [{"toolRequest": {"name": "add", "ref": "c", "input": {"n": 9_007_199_254_740_993_i64}}}]},
            {"role": "tool", "content": [{"toolResponse": {"name": "add", "ref": "c", "output": 5}}]},
        ],
        "tools": [{"name": "add", "description": "adds", "inputSchema": {"type": "object"}}],
        "config": {"temperature": 0.5, "maxOutputTokens": 100, "apiKey": "secret"}, "output": {"format": "text"},
    });
    let output = json!({
        "message": {"role": "model", "content": [{"text": "five"}]}, "finishReason": "stop", "latencyMs": 7,
        "usage": {"inputTokens": 20, "outputTokens": 3, "thoughtsTokens": 7, "totalTokens": 30, "inputCharacters": 40},
    });
    let tool = json!({"type": "function", "function": {"name": "add", "description": "adds", "parameters": {"type": "object"}}});
    let model = |input: serde_json::Value| {
        json!({"genkit:type": "action", "genkit:metadata:subtype": "model", "genkit:name": "googleai/gemini-2.5-flash", "genkit:input": input,
            "genkit:output": output, "genkit:state": "success", "genkit:sessionId": "t-1", "genkit:path": "/{flow}"})
    };
    let expected = json!({
        "type": "llm",
        "inputs": {"messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "2+3?"},
            {"role": "assistant", "content": "", "tool_calls": [call("c", "add", "{\"n\":9007199254740993}")]},
            {"role": "tool", "tool_call_id": "c", "name": "add", "content": "5"}], "tools": [tool], "output": {"format": "text"}},
        "outputs": {"messages": [{"role": "assistant", "content": "five"}]},
        "usage": {"input_tokens": 20, "output_tokens": 10, "total_tokens": 30, "output_token_details": {"reasoning": 7}},
        "parameters": {"temperature": 0.5, "max_tokens": 100, "apiKey": null, "tools": [tool], "model": "gemini-2.5-flash"},
        "metadata": {"ls_provider": "google_genai", "ls_model_name": "gemini-2.5-flash", "finish_reason": "stop", "thread_id": "t-1", "genkit:path": "/{flow}",
            "genkit:state": null},
    });
    let twice = serde_json::to_string(&input.to_string()).unwrap();
    check(&[
        ("generate", model(input), expected.clone()),
        ("generate, encoded twice", model(twice.into()), expected),
        (
            "add",
            json!({"genkit:metadata:subtype": "tool.v2", "genkit:name": "add", "genkit:input": {"a": 2}, "genkit:output": "\"five\""}),
            json!({"name": "add", "type": "tool", "inputs": {"a": 2}, "outputs": {"output": "five"}}),
        ),
        (
            "retrieve",
            json!({"genkit:metadata:subtype": "retriever", "genkit:input": {"query": {"content": [{"text": "sums"}]}, "options": {"k": 3}},
                "genkit:output": {"documents": [{"content": [{"text": "a"}], "metadata": {"id": "d"}}]}}),
            json!({"type": "retriever", "inputs": {"query": "sums", "options": {"k": 3}},
                "outputs": {"documents": [{"page_content": "a", "type": "Document", "metadata": {"id": "d"}}]}}),
        ),
        (
            "embed",
            json!({"genkit:metadata:subtype": "embedder", "genkit:name": "googleai/e", "genkit:input": {"input": []},
                "genkit:output": {"embeddings": [{"embedding": [0.1, 0.2]}, {"embedding": [1, 2]}]}}),
            json!({"type": "embedding", "outputs": {"embeddings": 2, "dimensions": 2}, "metadata": {"ls_model_name": "e"}}),
        ),
        (
            "flow",
            json!({"genkit:metadata:subtype": "flow", "genkit:input": "\"in\"", "genkit:output": "42"}),
            json!({"type": "chain", "inputs": {"input": "in"}, "outputs": {"output": 42}}),
        ),
    ]);
}

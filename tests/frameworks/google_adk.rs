//! Google's Agent Development Kit.

use super::{call, check};
use serde_json::json;

#[test]
fn models_and_tools() {
    let request = json!({
        "model": "gemini-2.5-flash",
        "config": {"system_instruction": "Be brief.", "temperature": 0.5, "max_output_tokens": 100,
            "tools": [{"function_declarations": [{"name": "add", "description": "adds", "parameters": {"type": "OBJECT"}}]}]},
        "contents": [
            {"role": "user", "parts": [{"text": "2+3?"}]},
            {"role": "model", "parts": [{"function_call": {"id": "c", "name": "add", "args": {"n": 9_007_199_254_740_993_i64}}}]},
            {"role": "user", "parts": [{"function_response": {"id": "c", "name": "add", "response": {"result": 5}}}]},
        ],
    });
    let response = json!({
        "content": {"role": "model", "parts": [{"text": "five"}]}, "finish_reason": "STOP", "grounding_metadata": {"n": 1}, "partial": null,
        "usage_metadata": {"prompt_token_count": 20, "candidates_token_count": 3, "thoughts_token_count": 7, "total_token_count": 30},
    });
    let tool = json!({"type": "function", "function": {"name": "add", "description": "adds", "parameters": {"type": "OBJECT"}}});
    check(&[
        (
            "call_llm",
            json!({"gen_ai.system": "gcp.vertex.agent", "gen_ai.request.model": "gemini-2.5-flash", "gcp.vertex.agent.invocation_id": "i-1",
                "gcp.vertex.agent.session_id": "t-1", "gcp.vertex.agent.event_id": "e-1", "gcp.vertex.agent.llm_request": request,
                "gcp.vertex.agent.llm_response": response, "gen_ai.usage.input_tokens": 20, "gen_ai.usage.output_tokens": 3}),
            json!({
                "type": "llm",
                "inputs": {"messages": [
                    {"role": "system", "content": "Be brief."},
                    {"role": "user", "content": "2+3?"},
                    {"role": "assistant", "content": "", "tool_calls": [call("c", "add", "{\"n\":9007199254740993}")]},
                    {"role": "tool", "tool_call_id": "c", "name": "add", "content": "{\"result\":5}"}], "tools": [tool]},
                "outputs": {"messages": [{"role": "assistant", "content": "five"}], "grounding_metadata": {"n": 1}},
                "usage": {"input_tokens": 20, "output_tokens": 10, "total_tokens": 30, "output_token_details": {"reasoning": 7}},
                "parameters": {"temperature": 0.5, "max_tokens": 100, "tools": [tool]},
                "metadata": {"thread_id": "t-1", "invocation_id": "i-1", "event_id": "e-1", "finish_reason": "stop", "ls_max_tokens": 100,
                    "ls_provider": "google_vertexai", "ls_model_name": "gemini-2.5-flash", "gcp.vertex.agent.llm_request": null},
            }),
        ),
        (
            "execute_tool add",
            json!({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "add", "gcp.vertex.agent.llm_request": "{}", "gcp.vertex.agent.llm_response": "{}",
                "gcp.vertex.agent.tool_call_args": {"a": 2}, "gcp.vertex.agent.tool_response": {"result": 5}}),
            json!({"name": "add", "type": "tool", "inputs": {"a": 2}, "outputs": {"result": 5}, "metadata": {"gcp.vertex.agent.llm_request": null}}),
        ),
        (
            "send_data",
            json!({"gcp.vertex.agent.data": "[{\"role\":\"user\",\"parts\":[{\"text\":\"hi\"}]}]"}),
            json!({"type": "chain", "inputs": {"messages": [{"role": "user", "content": "hi"}]}}),
        ),
        (
            "not recorded",
            json!({"gcp.vertex.agent.llm_request": "<not serializable>"}),
            json!({"inputs": {"input": "<not serializable>"}}),
        ),
    ]);
}

//! The agents of `LiveKit`.

use super::{call, check};
use serde_json::json;

#[test]
fn chats_tools_and_speech() {
    let chat = json!({"items": [
        {"type": "message", "role": "user", "content": ["2+3?"]},
        {"type": "function_call", "call_id": "c", "name": "add", "arguments": "{\"n\":9007199254740993}"},
        {"type": "function_call_output", "call_id": "c", "name": "add", "output": "5"},
    ]});
    let expected = json!({
        "type": "chain", "first_token": true,
        "inputs": {"messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "2+3?"},
            {"role": "assistant", "content": "", "tool_calls": [call("c", "add", "{\"n\":9007199254740993}")]},
            {"role": "tool", "tool_call_id": "c", "name": "add", "content": "5"}]},
        "outputs": {"messages": [{"role": "assistant", "content": "five", "tool_calls": [call("d", "end", "{}")]}]},
        "metadata": {"thread_id": "RM_1", "lk.room_sid": null, "lk.chat_ctx": null, "lk.pii.chat_ctx": null, "lk.retry_count": 0},
    });
    check(&[
        (
            "llm_node",
            json!({"lk.chat_ctx": chat, "lk.instructions": "Be brief.", "lk.response.text": "five", "lk.response.ttft": 0.2, "lk.room_sid": "RM_1", "lk.retry_count": 0,
                "lk.response.function_calls": r#"[{"call_id":"d","name":"end","arguments":"{}"}]"#}),
            expected.clone(),
        ),
        (
            "llm_node, newer",
            json!({"lk.pii.chat_ctx": chat, "lk.pii.instructions": "Be brief.", "lk.pii.response.text": "five", "lk.response.ttft": 0.2, "lk.room_sid": "RM_1",
                "lk.pii.response.function_calls": [r#"{"call_id":"d","name":"end","arguments":"{}"}"#], "lk.retry_count": 0}),
            expected,
        ),
        (
            "function_tool",
            json!({"lk.function_tool.name": "add", "lk.function_tool.id": "c", "lk.function_tool.arguments": {"a": 2}, "lk.function_tool.output": "no numbers",
                "lk.function_tool.is_error": true}),
            json!({"name": "add", "type": "tool", "inputs": {"a": 2}, "outputs": {"output": "no numbers"}, "error": "no numbers", "metadata": {"tool_call_id": "c"}}),
        ),
        (
            "agent_turn",
            json!({"lk.pii.user_input": "2+3?", "lk.speech_id": "s"}),
            json!({"inputs": {"input": "2+3?"}, "metadata": {"lk.speech_id": "s"}}),
        ),
        ("user_turn", json!({"lk.user_transcript": "2+3?"}), json!({"outputs": {"output": "2+3?"}})),
        ("tts_node", json!({"lk.input_text": "five"}), json!({"inputs": {"input": "five"}})),
    ]);
}

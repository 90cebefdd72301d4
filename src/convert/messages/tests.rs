//! Attribute text in, messages out.

use super::*;
use serde_json::{json, Value};

pub(super) fn list(messages: &Messages) -> Value {
    let out = format!("[{}]", messages.list());
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
}

/// The messages of a list of parts messages.
fn converted(json: &str) -> Value {
    let mut messages = Messages::inputs();
    assert!(messages.push_parts(json), "{json}");
    list(&messages)
}

/// The one message that a user's parts become.
fn of_parts(parts: &str) -> Value {
    let Value::Array(mut list) = converted(&format!(r#"[{{"role":"user","parts":{parts}}}]"#)) else { unreachable!() };
    assert_eq!(list.len(), 1);
    list.remove(0)
}

fn content(parts: &str) -> Value {
    of_parts(parts)["content"].clone()
}

#[test]
fn joins_text() {
    assert_eq!(content(r#"[{"type":"text","content":"hi"}]"#), "hi");
    assert_eq!(content(r#"[{"type":"text","text":"hi"}]"#), "hi");
    assert_eq!(content(r#"[{"text":"hi"}]"#), "hi");
    assert_eq!(content(r#"["hi"]"#), "hi");
    assert_eq!(content(r#""hi""#), "hi");
    assert_eq!(content(r#"[{"type":"text","content":"a"},{"type":"text","content":"b"}]"#), "a\nb");
    assert_eq!(content("[]"), "");
}

#[test]
fn keeps_escapes_and_other_scripts() {
    assert_eq!(content(r#"[{"type":"text","content":"\"\\\u00e9 \ud83d\ude00\nüλ語"}]"#), "\"\\é 😀\nüλ語");
}

#[test]
fn keeps_what_a_text_has_beside_it() {
    assert_eq!(
        content(r#"[{"type":"text","content":"hi","cache_control":{"type":"ephemeral"}}]"#),
        json!([{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}])
    );
}

#[test]
fn moves_calls_out_of_the_content() {
    let expected = json!({
        "role": "user", "content": "",
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "add", "arguments": r#"{"b": 12345678901234567, "a": 1}"#}}],
    });
    // As an object, and as the JSON text of one.
    let object = r#"[{"type":"tool_call","id":"c1","name":"add","arguments":{"b": 12345678901234567, "a": 1}}]"#;
    assert_eq!(of_parts(object), expected);
    let text = r#"[{"type":"tool_call","id":"c1","name":"add","arguments":"{\"b\": 12345678901234567, \"a\": 1}"}]"#;
    assert_eq!(of_parts(text), expected);

    let message = of_parts(r#"[{"type":"text","content":"wait"},{"type":"tool_call","id":null,"name":"now"}]"#);
    assert_eq!(
        message,
        json!({"role": "user", "content": "wait", "tool_calls": [{"type": "function", "function": {"name": "now", "arguments": "{}"}}]})
    );
}

/// rig and pydantic-ai put the answers of tools into a user's message.
#[test]
fn splits_the_answers_of_tools_out() {
    let json = r#"[{"role":"user","name":"ann","parts":[
        {"type":"text","content":"before"},
        {"type":"tool_call_response","id":"c1","response":"sunny"},
        {"type":"tool_call_response","id":"c2","name":"add","result":{"z":1,"sum":12345678901234567}},
        {"type":"text","content":"after"}]}]"#;
    assert_eq!(
        converted(json),
        json!([
            {"role": "user", "name": "ann", "content": "before"},
            {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
            {"role": "tool", "tool_call_id": "c2", "name": "add", "content": r#"{"z":1,"sum":12345678901234567}"#},
            {"role": "user", "content": "after"},
        ])
    );
}

#[test]
fn reads_the_answers_of_tools_in_every_shape() {
    let answer = |json: &str| of_parts(&format!(r#"[{{"type":"tool_call_response","id":"c","response":{json}}}]"#));
    assert_eq!(answer("null"), json!({"role": "tool", "tool_call_id": "c", "content": ""}));
    assert_eq!(answer("[1, 2]")["content"], "[1, 2]");
    assert_eq!(answer("4.50")["content"], "4.50");
    assert_eq!(answer(r#"[{"type":"text","text":"a"},{"type":"text","text":"b"}]"#)["content"], "a\nb");
    assert_eq!(
        answer(r#"[{"type":"image","data":"AA=="},{"type":"tool_call","name":"x"}]"#)["content"],
        json!([{"type": "image", "data": "AA=="}, {"type": "tool_call", "name": "x"}])
    );
}

#[test]
fn turns_every_other_part_into_a_block() {
    for (part, block) in [
        (r#"{"type":"reasoning","content":"hm"}"#, json!({"type": "reasoning", "text": "hm"})),
        (
            r#"{"type":"thinking","content":"hm","signature":"s"}"#,
            json!({"type": "reasoning", "text": "hm", "signature": "s"}),
        ),
        (
            r#"{"type":"server_tool_call","id":"s","name":"search","server_tool_call":{"q":"x"}}"#,
            json!({"type": "server_tool_call", "id": "s", "name": "search", "args": {"q": "x"}}),
        ),
        (
            r#"{"type":"tool_call","builtin":true,"id":"s","name":"search","arguments":{"q":"x"}}"#,
            json!({"type": "server_tool_call", "id": "s", "name": "search", "args": {"q": "x"}, "builtin": true}),
        ),
        (
            r#"{"type":"server_tool_call_response","id":"s","server_tool_call_response":{"hits":1}}"#,
            json!({"type": "server_tool_result", "tool_call_id": "s", "status": "success", "output": {"hits": 1}}),
        ),
        (
            r#"{"type":"server_tool_call_response","id":"s","server_tool_call_response":{"type":"x_error"}}"#,
            json!({"type": "server_tool_result", "tool_call_id": "s", "status": "error", "output": {"type": "x_error"}}),
        ),
        (r#"{"type":"compaction","content":"so far"}"#, json!({"type": "text", "text": "so far"})),
        (
            r#"{"type":"blob","mime_type":"image/png","modality":"image","content":"AAEC"}"#,
            json!({"type": "image", "mime_type": "image/png", "base64": "AAEC"}),
        ),
        (
            r#"{"type":"blob","mime_type":"application/pdf","modality":"document","content":"AAEC"}"#,
            json!({"type": "file", "mime_type": "application/pdf", "base64": "AAEC"}),
        ),
        (
            r#"{"type":"binary","media_type":"audio/wav","content":"AAEC"}"#,
            json!({"type": "audio", "mime_type": "audio/wav", "base64": "AAEC"}),
        ),
        (
            r#"{"type":"uri","mime_type":"video/mp4","modality":"video","uri":"https://e/v"}"#,
            json!({"type": "video", "mime_type": "video/mp4", "url": "https://e/v"}),
        ),
        (r#"{"type":"image-url","url":"https://e/i"}"#, json!({"type": "image", "url": "https://e/i"})),
        (r#"{"type":"audio-url","url":"https://e/a"}"#, json!({"type": "audio", "url": "https://e/a"})),
        (r#"{"type":"video-url","url":"https://e/v"}"#, json!({"type": "video", "url": "https://e/v"})),
        (r#"{"type":"document-url","url":"https://e/d"}"#, json!({"type": "file", "url": "https://e/d"})),
        (
            r#"{"type":"file","mime_type":"image/png","modality":"image","file_id":"f1"}"#,
            json!({"type": "image", "mime_type": "image/png", "id": "f1"}),
        ),
        (
            r#"{"type":"file","modality":"hologram","file_id":"f1"}"#,
            json!({"type": "file", "id": "f1", "modality": "hologram"}),
        ),
        (r#"{"type":"opaque","kind":"citation"}"#, json!({"type": "text", "text": "[opaque: citation]"})),
        (r#"{"type":"novel","b":[1],"a":{}}"#, json!({"type": "novel", "b": [1], "a": {}})),
        (r#"{"functionCall":{"name":"f"}}"#, json!({"functionCall": {"name": "f"}})),
    ] {
        assert_eq!(content(&format!("[{part}]")), json!([block]), "{part}");
    }
}

#[test]
fn keeps_members_whose_names_are_taken() {
    assert_eq!(
        content(r#"[{"type":"uri","uri":"https://e","url":"other","id":1,"base64":true}]"#),
        json!([{"type": "file", "url": "https://e", "_url": "other", "_id": 1, "_base64": true}])
    );
}

#[test]
fn keeps_blocks_in_order() {
    let parts = r#"[{"type":"thinking","content":"hm"},{"type":"text","content":""},{"type":"text","content":"a"},
        {"type":"image-url","url":"u"},{"type":"tool_call","name":"f"},{"type":"text","content":"b"}]"#;
    let message = of_parts(parts);
    assert_eq!(
        message["content"],
        json!([
            {"type": "reasoning", "text": "hm"}, {"type": "text", "text": "a"},
            {"type": "image", "url": "u"}, {"type": "text", "text": "b"},
        ])
    );
    assert_eq!(message["tool_calls"][0]["function"]["name"], "f");
}

#[test]
fn remembers_that_a_conversation_was_compacted() {
    let mut messages = Messages::inputs();
    assert!(messages.push_parts(r#"[{"role":"user","parts":[{"type":"text","content":"x"}]}]"#));
    assert!(!messages.is_compacted());
    assert!(messages.push_parts(r#"{"role":"user","parts":[{"type":"compaction","id":"k","content":"x"}]}"#));
    assert!(messages.is_compacted());
}

#[test]
fn knows_roles_by_their_other_names() {
    for (given, role) in [
        ("user", "user"),
        ("User", "user"),
        ("human", "user"),
        ("model", "assistant"),
        ("ai", "assistant"),
        ("assistant", "assistant"),
        ("developer", "system"),
        ("function", "tool"),
        ("critic", "critic"),
        ("", "user"),
    ] {
        let parts = format!(r#"[{{"role":"{given}","parts":[]}}]"#);
        assert_eq!(converted(&parts), json!([{"role": role, "content": ""}]));
        let ready = format!(r#"[{{"content":"x","role":"{given}"}}]"#);
        assert_eq!(converted(&ready), json!([{"role": role, "content": "x"}]));
    }
    let mut outputs = Messages::outputs();
    assert!(outputs.push_parts(r#"[{"parts":[{"type":"text","content":"x"}]}]"#));
    assert_eq!(list(&outputs), json!([{"role": "assistant", "content": "x"}]));
}

#[test]
fn passes_ready_messages_through() {
    let json = r#"[
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://e"}}], "seed": 12345678901234567},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c", "content": "4"},
        {"role": "user", "parts": [{"type": "text", "content": "and parts"}], "id": 7}]"#;
    let mut expected: Value = serde_json::from_str(json).unwrap();
    expected[0]["role"] = "system".into();
    expected[4] = json!({"role": "user", "content": "and parts", "id": 7});
    assert_eq!(converted(json), expected);
}

#[test]
fn merges_what_stands_beside_parts() {
    let json = r#"{"role":"assistant","content":"first","parts":[{"type":"text","content":"second"}],
        "tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}],"finish_reason":"stop","x":[1]}"#;
    assert_eq!(
        converted(json),
        json!([{
            "role": "assistant", "content": "first\nsecond", "x": [1],
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        }])
    );
}

#[test]
fn keeps_all_choices_and_their_reasons() {
    let mut messages = Messages::outputs();
    assert!(messages.push_parts(
        r#"[{"role":"assistant","finish_reason":"unknown","parts":[{"type":"text","content":"a"}]},
            {"role":"assistant","finish_reason":"stop","parts":[{"type":"text","content":"b"}]},
            {"index":2,"finish_reason":"length","message":{"role":"assistant","content":"c"}}]"#
    ));
    assert_eq!(list(&messages)[0], json!({"role": "assistant", "content": "a"}));
    assert_eq!(list(&messages)[1], json!({"role": "assistant", "content": "b"}));
    assert_eq!(list(&messages)[2]["content"], "c");
    assert_eq!(messages.finish_reason(), Some("stop"));
    assert_eq!(messages.finish_reasons(), ["stop", "length"]);
}

#[test]
fn takes_a_list_under_a_version() {
    assert_eq!(
        converted(r#"{"version":"1","messages":[{"role":"user","parts":["x"]}]}"#),
        json!([{"role": "user", "content": "x"}])
    );
}

#[test]
fn leaves_what_it_cannot_read_to_the_caller() {
    let deep = "[".repeat(200);
    for json in [
        "",
        "text",
        "42",
        "[]",
        "{}",
        "[1]",
        "[null]",
        r#"["text"]"#,
        r#"{"a":1}"#,
        r#"[{"role":"user","content":"x"},{"a":1}]"#,
        r#"[{"role":"user","content":"x"},7]"#,
        r#"[{"role":5,"content":"x"}]"#,
        r#"[{"role":"user","content":"x"}"#,
        r#"[{"role":"user","content":18446744073709551616}]"#,
        r#"{"messages":[{"role":"user","content":"x"}],"model":"m"}"#,
        r#"[{"message":"it failed"}]"#,
        &deep,
    ] {
        let mut messages = Messages::inputs();
        assert!(!messages.push_parts(json), "{json}");
        assert!(messages.is_empty());
        assert_eq!(list(&messages), json!([]));
        assert_eq!(messages.finish_reason(), None);
        assert!(messages.take_attachments().is_empty());
    }
}

#[test]
fn keeps_odd_parts_as_text() {
    assert_eq!(content("[1, 2]"), "[1, 2]");
    assert_eq!(content(r#"{"type":"text"}"#), r#"{"type":"text"}"#);
    assert_eq!(content(r#"[{"type":"text","content":{"a":1}}]"#), json!([{"type": "text", "content": {"a": 1}}]));
    assert_eq!(content(r#"[{"type":"reasoning","content":["a"]}]"#), json!([{"type": "reasoning", "text": "[\"a\"]"}]));
}

#[test]
fn puts_instructions_first() {
    let system = |instructions: &str| {
        let user = r#"[{"role":"user","parts":["hi"]}]"#;
        let (mut before, mut after) = (Messages::inputs(), Messages::inputs());
        before.push_system(instructions);
        before.push_parts(user);
        after.push_parts(user);
        after.push_system(instructions);
        assert_eq!(list(&before), list(&after));
        list(&before)
    };
    let expected = json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]);
    for instructions in [
        r#"[{"type":"text","content":"Be brief."}]"#,
        r#"{"type":"text","content":"Be brief."}"#,
        r#"["Be brief."]"#,
        r#""Be brief.""#,
        "Be brief.",
        r#"[{"role":"system","content":"Be brief."}]"#,
        r#"[{"role":"developer","parts":[{"type":"text","content":"Be brief."}]}]"#,
    ] {
        assert_eq!(system(instructions), expected, "{instructions}");
    }
    assert_eq!(system(" "), json!([{"role": "user", "content": "hi"}]));
    assert_eq!(system("[]"), json!([{"role": "user", "content": "hi"}]));
    assert_eq!(system("[1]")[0]["content"], "[1]");
    assert_eq!(system(r#"{"tone":"brief"}"#)[0]["content"], r#"{"tone":"brief"}"#);
    assert_eq!(system("[brackets] and text")[0]["content"], "[brackets] and text");
}

/// rig repeats the system prompt as the first message.
#[test]
fn leaves_a_repeated_instruction_out() {
    let both = |instructions: &str, first: &str| {
        let json = format!(
            r#"[{{"role":"system","parts":[{{"type":"text","content":"{first}"}}]}},{{"role":"user","parts":["hi"]}}]"#
        );
        let (mut before, mut after) = (Messages::inputs(), Messages::inputs());
        before.push_system(instructions);
        assert!(before.push_parts(&json));
        assert!(after.push_parts(&json));
        after.push_system(instructions);
        assert_eq!(list(&before), list(&after));
        list(&before).as_array().unwrap().len()
    };
    assert_eq!(both(r#"[{"type":"text","content":"Be brief."}]"#, "Be brief."), 2);
    assert_eq!(both("Say \"é\"", "Say \\\"\\u00e9\\\""), 2);
    assert_eq!(both("Be brief.", "Be long."), 3);

    // Only the first can be a repetition.
    let mut messages = Messages::inputs();
    messages.push_system("a");
    let system = r#"{"role":"system","content":"a"}"#;
    assert!(messages.push_parts(&format!("[{system}]")));
    assert!(messages.push_parts(&format!("[{system}]")));
    assert_eq!(list(&messages).as_array().unwrap().len(), 2);
}

/// Fixture: a chat with tools as rig 0.44 records it.
#[test]
fn reads_a_conversation_of_rig() {
    let mut messages = Messages::inputs();
    messages.push_system(r#"[{"type":"text","content":"Use tools."}]"#);
    assert!(messages.push_parts(
        r#"[{"role":"system","parts":[{"type":"text","content":"Use tools."}]},
            {"role":"user","parts":[{"type":"text","content":"2+3?"}]},
            {"role":"assistant","parts":[{"type":"reasoning","content":"add"},{"type":"tool_call","id":"c1","name":"add","arguments":{"x":2,"y":3}}]},
            {"role":"user","parts":[{"type":"tool_call_response","id":"c1","response":"5"},{"type":"opaque","kind":"document"}]}]"#
    ));
    assert_eq!(
        list(&messages),
        json!([
            {"role": "system", "content": "Use tools."},
            {"role": "user", "content": "2+3?"},
            {"role": "assistant", "content": [{"type": "reasoning", "text": "add"}],
             "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{\"x\":2,\"y\":3}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "5"},
            {"role": "user", "content": [{"type": "text", "text": "[opaque: document]"}]},
        ])
    );
}

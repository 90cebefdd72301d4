//! What holds for every input.

use super::tests::list;
use super::*;
use opentelemetry::{KeyValue, Value as Attribute};
use proptest::prelude::*;
use serde_json::{json, Value};

/// Any JSON, with the names and words that the readers look for.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "text",
        "reasoning",
        "tool_call",
        "tool_call_response",
        "server_tool_call",
        "server_tool_call_response",
        "compaction",
        "blob",
        "binary",
        "uri",
        "image-url",
        "file",
        "opaque",
        "novel",
        "user",
        "system",
        "stop",
        "image/png",
        "AAEC",
        "[{\"type\":\"text\",\"text\":\"x\"}]",
        "data:image/png;base64,AAEC",
        "tool-call",
        "tool-result",
        "image",
        "function_call_output",
        "",
    ]);
    let name = prop::sample::select(vec![
        "role",
        "parts",
        "content",
        "type",
        "text",
        "id",
        "name",
        "arguments",
        "response",
        "result",
        "function",
        "tool_calls",
        "message",
        "messages",
        "finish_reason",
        "index",
        "uri",
        "url",
        "mime_type",
        "modality",
        "status",
        "file_id",
        "server_tool_call",
        "builtin",
        "kind",
        "data",
        "media_type",
        "metadata",
        "parameters",
        "_id",
        "",
        "function_call",
        "functionResponse",
        "toolRequest",
        "media",
        "inline_data",
        "reasoning",
        "thought",
        "args",
        "ref",
        "toolCallId",
        "toolName",
        "output",
        "value",
        "image",
        "call_id",
        "transcript",
        "kind",
        "event.name",
    ]);
    let leaf = prop_oneof![
        2 => word.prop_map(|word| json!(word)),
        1 => any::<String>().prop_map(Value::from),
        1 => prop_oneof![Just(json!(null)), Just(json!(true)), any::<i64>().prop_map(|n| json!(n)), Just(json!(0.5))],
    ];
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..6)
                .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

/// Messages of parts, each with texts that must be found again.
fn any_messages() -> impl Strategy<Value = (Value, Vec<String>)> {
    let part = (any::<String>(), any_json(), 0..6u8).prop_map(|(text, json, kind)| match kind {
        0 | 1 => (json!({"type": "text", "content": text}), Some(text)),
        2 => (json!({"type": "reasoning", "content": text, "more": json}), Some(text)),
        3 => (json!({"type": "tool_call_response", "id": "i", "result": text, "extra": json}), Some(text)),
        4 => (json!({"type": "tool_call", "name": text, "arguments": json}), Some(text)),
        _ => (json!({"type": "novel", "value": json}), None),
    });
    let message = (prop::sample::select(vec!["user", "system", "assistant", "x"]), prop::collection::vec(part, 0..5))
        .prop_map(|(role, parts)| {
            let (parts, texts): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
            (json!({"role": role, "parts": parts}), texts.into_iter().flatten().collect::<Vec<_>>())
        });
    prop::collection::vec(message, 1..5).prop_map(|messages| {
        let (messages, texts): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
        (Value::from(messages), texts.concat())
    })
}

/// A part in JSON as most are, or almost.
fn any_common_part() -> impl Strategy<Value = String> {
    let member = (
        prop::sample::select(vec![
            "type",
            "type",
            "content",
            "text",
            "id",
            "name",
            "arguments",
            "response",
            "result",
            "extra",
            "t\\u0079pe",
        ]),
        prop_oneof![
            4 => prop::sample::select(vec!["text", "tool_call", "tool_call_response", "reasoning", ""]).prop_map(|word| json!(word)),
            2 => "[a-c\"\\\\é]{0,4}".prop_map(Value::from),
            1 => any_json(),
        ],
    );
    let any = prop::collection::vec(member, 0..4).prop_map(|members| {
        let members: Vec<_> = members.into_iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", members.join(","))
    });
    let text = "[a-c\"\\\\é]{0,4}";
    prop_oneof![
        2 => any,
        2 => text.prop_map(|text| json!({"type": "text", "content": text}).to_string()),
        1 => text.prop_map(|text| json!({"text": text}).to_string()),
        1 => text.prop_map(|text| json!({"type": "text", "content": "a", "text": text}).to_string()),
        1 => prop::sample::select(vec!["", " ", "\n", "\u{a0}"])
            .prop_map(|white| json!({"type": "reasoning", "content": format!("{white}[{{\"type\":\"summary_text\",\"text\":\"a\"}}]")}).to_string()),
        2 => ("( |\n|\u{a0})?(\\[\\{\"type\": ?\"summary_text\",\"text\":\"a\"}\\])?[a-c\"é]{0,3}", "reasoning|thinking")
            .prop_map(|(text, kind)| json!({"type": kind, "content": text}).to_string()),
        1 => prop::sample::select(vec!["[]", "[1]", "[{}]", r#"[{"type":"text","text":"x"}]"#, r#"[{"type":"text"},7]"#])
            .prop_map(|list| format!("{{\"type\":\"tool_call_response\",\"id\":\"c\",\"response\":{list}}}")),
        1 => text.prop_map(|text| json!(text).to_string()),
        2 => (any_json(), prop::option::of("c")).prop_map(|(arguments, id)| match id {
            Some(id) => json!({"type": "tool_call", "id": id, "name": "f", "arguments": arguments}).to_string(),
            None => format!("{{\"name\":\"f\",\"arguments\":{arguments},\"type\":\"tool_call\"}}"),
        }),
        1 => any_json().prop_map(|response| json!({"type": "tool_call_response", "id": "c", "response": response}).to_string()),
    ]
}

/// A block of content as Anthropic or Bedrock has it, with anything in it.
fn any_block() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec![
        "id",
        "toolUseId",
        "tool_use_id",
        "name",
        "input",
        "content",
        "text",
        "thinking",
        "data",
        "media_type",
        "mime_type",
        "url",
        "uri",
        "bytes",
        "format",
        "modality",
        "status",
    ]);
    let of_object = prop::sample::select(vec!["source", "s3Location", "reasoningText"]);
    let members = prop::collection::btree_map(name, any_json(), 0..4).boxed();
    let object = (members.clone(), prop::option::of((of_object, members, any::<bool>())))
        .prop_map(|(mut members, inner)| {
            if let Some((name, mut inner, is_file)) = inner {
                if is_file {
                    inner.insert("type", json!("base64"));
                }
                members.insert(name, json!(inner));
            }
            members
        })
        .boxed();
    let kind = prop::sample::select(vec!["tool_use", "tool_result", "image", "document", "thinking", "text"]);
    let named = prop::sample::select(vec!["toolUse", "toolResult", "reasoningContent", "image", "document", "json"]);
    prop_oneof![
        (object.clone(), kind).prop_map(|(mut block, kind)| {
            block.insert("type", json!(kind));
            json!(block)
        }),
        (object, named).prop_map(|(inner, name)| json!({name: inner})),
    ]
}

/// All strings in a value, joined.
fn strings(value: &Value, out: &mut String) {
    match value {
        Value::String(text) => {
            out.push_str(text);
            out.push('\u{0}');
        }
        Value::Array(items) => items.iter().for_each(|item| strings(item, out)),
        Value::Object(members) => members.values().for_each(|item| strings(item, out)),
        _ => {}
    }
}

/// Marks every leaf but those that the readers look at.
fn mark(value: &mut Value, marks: &mut usize) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| mark(item, marks)),
        Value::Object(members) => {
            for (name, value) in members {
                let looked_at = matches!(name.as_str(), "type" | "modality" | "builtin" | "finish_reason");
                if !(looked_at && (value.is_string() || value.is_boolean())) {
                    mark(value, marks);
                }
            }
        }
        leaf => {
            *leaf = format!("<{marks}>").into();
            *marks += 1;
        }
    }
}

type Push = fn(&mut Messages, &str) -> bool;

/// Fails on an object that has a name twice: most readers would lose one of the two.
struct Distinct;

impl<'de> serde::Deserialize<'de> for Distinct {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = <&serde_json::value::RawValue>::deserialize(deserializer)?.get();
        if let Some(members) = read::Members::read(json) {
            let mut names: Vec<_> = members.iter().map(|(name, _)| name.to_owned()).collect();
            names.sort_unstable();
            let all = names.len();
            names.dedup();
            assert_eq!(names.len(), all, "{json}");
            for (_, value) in members.iter() {
                let _: Self = serde_json::from_str(value).unwrap();
            }
        } else if json.starts_with('[') {
            let _: Vec<Self> = serde_json::from_str(json).unwrap();
        }
        Ok(Self)
    }
}

fn check(messages: &mut Messages) {
    let out = format!("[{}]", messages.list());
    let _: Distinct = serde_json::from_str(&out).unwrap();
    for message in list(messages).as_array().unwrap() {
        assert!(message["role"].is_string(), "{message}");
    }
    for attachment in messages.take_attachments() {
        assert!(!attachment.name.contains('.'));
    }
}

proptest! {
    #[test]
    fn every_text_is_found_again((json, texts) in any_messages()) {
        let mut messages = Messages::inputs();
        prop_assert!(messages.push_parts(&json.to_string()));
        let mut found = String::new();
        strings(&list(&messages), &mut found);
        for text in texts {
            prop_assert!(found.contains(&text), "{text:?} of {json} is lost in {found}");
        }
        check(&mut messages);
    }

    #[test]
    fn nothing_is_lost(json in any_json(), role in prop::option::of(any_json())) {
        // Every leaf gets a mark that can be found again, wherever it goes.
        let mut marks = 0;
        let mut json = json;
        mark(&mut json, &mut marks);
        let message = match role {
            Some(role) => json!({"role": "user", "name": role, "parts": [json]}),
            None => json!({"role": "user", "parts": json}),
        };
        let mut messages = Messages::inputs();
        prop_assert!(messages.push_parts(&message.to_string()));
        let found = list(&messages).to_string() + &messages.finish_reasons().concat();
        for number in 0..marks {
            prop_assert!(found.contains(&format!("<{number}>")), "<{number}> of {message} is lost in {found}");
        }
        check(&mut messages);
    }

    #[test]
    fn nothing_of_a_frameworks_message_is_lost(json in any_json()) {
        let mut marks = 0;
        let mut json = json;
        mark(&mut json, &mut marks);
        let ways: [(Value, Push); 4] = [
            (json!({"role": "user", "parts": [json]}), Messages::push_contents),
            (json!([{"role": "model", "content": [json]}]), Messages::push_contents),
            (json!([{"role": "user", "content": [json]}]), Messages::push_model_messages),
            (json!({"items": [{"type": "message", "role": "assistant", "content": [json]}]}), Messages::push_items),
        ];
        for (message, push) in ways {
            let mut messages = Messages::inputs();
            prop_assert!(push(&mut messages, &message.to_string()), "{message}");
            let found = list(&messages).to_string();
            for number in 0..marks {
                prop_assert!(found.contains(&format!("<{number}>")), "<{number}> of {message} is lost in {found}");
            }
            check(&mut messages);
        }
    }

    #[test]
    fn nothing_of_a_providers_content_is_lost(json in prop::collection::vec(any_block(), 1..3), calls in any::<bool>()) {
        let mut marks = 0;
        let mut json = Value::from(json);
        mark(&mut json, &mut marks);
        let mut pairs = vec![("0.role", Attribute::from("user")), ("0.content", json.to_string().into())];
        if calls {
            pairs.push(("0.tool_calls.0.name", "add".into()));
        }
        let mut messages = Messages::inputs();
        prop_assert!(messages.push_indexed(pairs.iter().map(|(name, value)| (*name, value))));
        let found = list(&messages).to_string();
        for number in 0..marks {
            prop_assert!(found.contains(&format!("<{number}>")), "<{number}> of {json} is lost in {found}");
        }
        check(&mut messages);
    }

    #[test]
    fn common_parts_become_what_all_parts_do(
        parts in prop::collection::vec(any_common_part(), 0..4),
        role in prop::sample::select(vec!["user", "assistant"]),
        beside in prop::sample::select(vec!["", ",\"finish_reason\":\"stop\"", ",\"id\":1,\"name\":\"n\"", ",\"content\":\"c\"", ",\"tool_calls\":[{\"name\":\"f\"}]", ",\"parts\":null"]),
        of_agent: bool,
    ) {
        let message = format!("{{\"role\":\"{role}\",\"parts\":[{}]{beside}}}", parts.join(","));
        let (mut at_once, mut one_by_one) = (Messages::outputs(), Messages::outputs());
        at_once.are_of_agent(of_agent);
        one_by_one.are_of_agent(of_agent);
        let read = at_once.push_parts(&format!("[{message}]"));
        prop_assert!(read);
        one_by_one.push_known_message(&read::Members::read(&message).unwrap(), "assistant");
        prop_assert_eq!(at_once.list(), one_by_one.list(), "{}", message);
        list(&at_once);
    }

    #[test]
    fn any_list_of_a_framework_comes_out_as_json(json in any_json()) {
        let list = format!("[{json}]");
        let known = format!("[{{\"role\":\"user\",\"parts\":{json},\"content\":{json}}},{{\"event.name\":\"gen_ai.choice\",\"message\":{json}}}]");
        let mut outputs = Messages::outputs();
        for text in [json.to_string(), list, known] {
            let mut messages = Messages::inputs();
            messages.push_contents(&text);
            messages.push_system_content(&text);
            messages.push_model_messages(&text);
            messages.push_items(&text);
            messages.push_event_list(&text, &mut outputs);
            outputs.push_answer(Answer { text: Some(&text), reasoning: Some(&text), tool_calls: Some(&text) });
            check(&mut messages);
            if let Some((mut given, mut made)) = split_conversation(&text, None) {
                check(&mut given);
                check(&mut made);
            }
        }
        check(&mut outputs);
    }

    #[test]
    fn any_json_comes_out_as_json(json in any_json(), limit in 0..8usize) {
        let json = json.to_string();
        let mut messages = Messages::outputs().with_inline_limit(limit);
        messages.push_system(&json);
        messages.push_parts(&json);
        messages.push_parts(&format!("[{{\"role\":\"user\",\"parts\":[{json}]}}]"));
        messages.push_parts(&format!("[{{\"role\":\"user\",\"parts\":{json},\"content\":{json}}}]"));
        messages.push_parts(&format!("[{{\"role\":\"user\",\"content\":{json}}},{json}]"));
        check(&mut messages);
        for write in [write_tools, write_documents] {
            for json in [json.clone(), format!("[{json}]")] {
                let mut out = String::new();
                if write(&json, &mut out) {
                    prop_assert!(serde_json::from_str::<Vec<Value>>(&out).is_ok(), "{out}");
                } else {
                    prop_assert!(out.is_empty());
                }
            }
        }
    }

    #[test]
    fn any_text_is_no_problem(text in r#"[\[\]{}:, "\\a-z0-9]{0,40}"#) {
        let mut messages = Messages::inputs();
        messages.push_system(&text);
        let before = list(&messages);
        if !messages.push_parts(&text) {
            prop_assert_eq!(before, list(&messages));
        }
        check(&mut messages);
    }

    #[test]
    fn nothing_of_a_spread_message_is_lost(
        names in prop::collection::btree_set(
            prop_oneof![
                "[0-2][.]message[.](content|parts|tool_calls|name|tool_call_id|x)",
                "[0-2][.]message[.]contents[.][0-2][.]message_content[.](text|id|url|content|image[.]image[.]url|tool_use[.](id|name|input)|x)",
                "[0-2][.]message[.]tool_calls[.][0-2][.]tool_call[.](id|function[.](name|arguments)|x)",
                "[0-2][.]message[.]function_call_(name|arguments_json)",
            ],
            0..24,
        ),
        types in prop::collection::btree_map(
            "[0-2][.]message[.]contents[.][0-2][.]message_content[.]type",
            prop::sample::select(vec!["text", "image", "reasoning", "tool_use", "tool_result", "novel", ""]),
            0..6,
        ),
        limit in 0..400_usize,
    ) {
        let marked = |(number, name): (usize, &String)| (name.clone(), Attribute::from(format!("<{number}>")));
        let mut pairs: Vec<_> = names.iter().enumerate().map(marked).collect();
        pairs.extend(types.iter().map(|(name, kind)| (name.clone(), Attribute::from(*kind))));
        let mut messages = Messages::inputs().with_inline_limit(limit);
        let pushed = messages.push_open_inference(pairs.iter().map(|(name, value)| (name.as_str(), value)));
        prop_assert_eq!(pushed, !pairs.is_empty());
        let found = list(&messages).to_string();
        for number in 0..names.len() {
            prop_assert!(found.contains(&format!("<{number}>")), "<{}> of {:?} is lost in {}", number, pairs, found);
        }
        check(&mut messages);
    }

    #[test]
    fn any_attributes_are_no_problem(
        fields in prop::collection::vec(
            (
                prop_oneof![
                    "(0|1|2|10|99999999999999999999)?[.]?(message[.])?(role|content|tool_calls[.][0-2][.](name|id|arguments|x)|tool_calls|reasoning|id|name)?",
                    any::<String>(),
                ],
                prop_oneof![
                    any_json().prop_map(|json| Attribute::from(json.to_string())),
                    any::<String>().prop_map(Attribute::from),
                    any::<i64>().prop_map(Attribute::I64),
                    any::<f64>().prop_map(Attribute::F64),
                    any::<bool>().prop_map(Attribute::Bool),
                ],
            ),
            0..12,
        ),
        body in any_json(),
    ) {
        let mut messages = Messages::outputs();
        messages.push_indexed(fields.iter().map(|(key, value)| (key.as_str(), value)));
        messages.push_open_inference(fields.iter().map(|(key, value)| (key.as_str(), value)));
        let mut attributes: Vec<_> =
            fields.into_iter().map(|(key, value)| KeyValue::new(key.replace("0.", ""), value)).collect();
        for extra in [None, Some("message"), Some("gen_ai.event.content")] {
            attributes.extend(extra.map(|name| KeyValue::new(name, body.to_string())));
            for name in ["gen_ai.user.message", "gen_ai.tool.message", "gen_ai.choice"] {
                let before = list(&messages);
                if !messages.push_event(name, &attributes) {
                    prop_assert_eq!(before, list(&messages));
                }
            }
            messages.push_choices([&attributes[..], &attributes[..]].into_iter());
        }
        check(&mut messages);
    }
}

//! Messages of Vercel's AI SDK: content is a text or a list of parts, and the answers of tools stand
//! in the content of a message.

use super::part::{Kind, Part};
use super::read::{decode, is_object, is_string, Members};
use super::write::{role_of, write_name, write_text_member};
use super::Messages;
use crate::json::scan;

/// What a model answered.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Answer<'a> {
    pub(crate) text: Option<&'a str>,
    pub(crate) reasoning: Option<&'a str>,
    /// A JSON list.
    pub(crate) tool_calls: Option<&'a str>,
}

impl Messages {
    /// Adds the messages of a list. `false`, with nothing added, when the text is none.
    pub(crate) fn push_model_messages(&mut self, json: &str) -> bool {
        let Some(messages) = scan::document(json).and_then(Members::read_all) else { return false };
        let known = |message: &Members<'_>| message.get("role").is_some_and(is_string);
        if messages.is_empty() || !messages.iter().all(known) {
            return false;
        }
        for message in &messages {
            let role = role_of(message.get("role"), self.side.role());
            match message.get("content").filter(|content| content.starts_with('[')).and_then(read_parts) {
                Some(parts) => self.push_turns(&role, &parts, Some(message)),
                None => self.push_known_message(message, &role),
            }
        }
        true
    }

    /// Adds what a user asks.
    pub(crate) fn push_question(&mut self, text: &str) {
        self.push_text("user", text);
    }

    /// Adds an answer, as one message. `false`, with nothing added, when it says nothing.
    pub(crate) fn push_answer(&mut self, answer: Answer<'_>) -> bool {
        let Answer { text, reasoning, tool_calls } = answer;
        let calls = tool_calls.and_then(scan::document).and_then(Members::read_all).unwrap_or_default();
        if text.is_none() && reasoning.is_none() && calls.is_empty() {
            return false;
        }
        let start = self.begin_message("assistant");
        if let Some(reasoning) = reasoning {
            write_name(&mut self.written, "content");
            self.written.push_str("[{\"type\":\"reasoning\"");
            write_text_member(&mut self.written, "text", reasoning);
            self.written.push('}');
            if let Some(text) = text {
                self.written.push_str(",{\"type\":\"text\"");
                write_text_member(&mut self.written, "text", text);
                self.written.push('}');
            }
            self.written.push(']');
        } else {
            write_text_member(&mut self.written, "content", text.unwrap_or_default());
        }
        let list = self.begin_calls();
        for mut call in calls {
            name_call(&mut call);
            self.write_call(&call);
        }
        self.end_calls(list);
        self.end_message(start);
        true
    }
}

fn read_parts(json: &str) -> Option<Vec<Part<'_>>> {
    let parts = Members::read_all(json)?;
    Some(parts.into_iter().map(read_part).collect())
}

fn read_part(mut part: Members<'_>) -> Part<'_> {
    let kind = part.get_text("type").unwrap_or_default();
    for name in ["mimeType", "mediaType"] {
        part.rename(name, "mime_type");
    }
    match &*kind {
        "tool-call" => {
            name_call(&mut part);
            Part::of_kind(Kind::ToolCall, part)
        }
        "tool-result" => {
            name_call(&mut part);
            part.rename("output", "response");
            part.rename("result", "response");
            // `{"type":"json","value":…}` since version 5.
            let typed = part.get("response").filter(|json| is_object(json)).and_then(Members::read);
            let is_typed = |output: &Members<'_>| {
                output.get("type").is_some_and(is_string) && output.rest(&["type", "value"]).next().is_none()
            };
            let typed = typed.filter(is_typed);
            if let Some(value) = typed.as_ref().and_then(|output| output.get("value")) {
                part.replace("response", value);
            }
            Part::of_kind(Kind::ToolResult, part)
        }
        "image" | "file" => {
            part.rename(if kind == "image" { "image" } else { "data" }, "content");
            let is_url = part
                .get_text("content")
                .is_some_and(|content| ["http:", "https:", "data:"].iter().any(|scheme| content.starts_with(scheme)));
            if is_url {
                part.rename("content", "uri");
            }
            if kind == "image" {
                part.add("modality", "\"image\"");
            }
            Part::of_kind(if is_url { Kind::Url } else { Kind::Blob }, part)
        }
        "redacted-reasoning" => Part::of_kind(Kind::Reasoning, part),
        _ => Part::new(part),
    }
}

/// `toolCallId` (elsewhere `call_id`, beside an id of the item) and `toolName` by the names that everybody else has for them.
fn name_call(call: &mut Members<'_>) {
    call.rename("toolCallId", "id");
    if call.get("call_id").is_some() {
        call.rename("id", "item_id");
        call.rename("call_id", "id");
    }
    call.rename("toolName", "name");
    if call.get("type").is_some_and(|kind| decode(kind) == "tool-call") {
        call.remove("type");
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::list;
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_messages_of_versions_4_and_5() {
        for (args, result, value) in [
            ("args", "result", json!({"sum": 9_007_199_254_740_993_i64})),
            ("input", "output", json!({"type": "json", "value": {"sum": 9_007_199_254_740_993_i64}})),
        ] {
            let messages = json!([
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "2+3?"}]},
                {"role": "assistant", "content": [{"type": "reasoning", "text": "hm"}, {"type": "text", "text": "wait"},
                    {"type": "tool-call", "toolCallId": "c", "toolName": "add", args: {"a": 2}}]},
                {"role": "tool", "content": [{"type": "tool-result", "toolCallId": "c", "toolName": "add", result: value}]},
            ]);
            let mut inputs = Messages::inputs();
            assert!(inputs.push_model_messages(&messages.to_string()));
            assert_eq!(
                list(&inputs),
                json!([
                    {"role": "system", "content": "Be brief."},
                    {"role": "user", "content": "2+3?"},
                    {"role": "assistant", "content": [{"type": "reasoning", "text": "hm"}, {"type": "text", "text": "wait"}],
                     "tool_calls": [{"id": "c", "type": "function", "function": {"name": "add", "arguments": "{\"a\":2}"}}]},
                    {"role": "tool", "tool_call_id": "c", "name": "add", "content": "{\"sum\":9007199254740993}"},
                ])
            );
        }
    }

    #[test]
    fn reads_files() {
        let content = json!([
            {"type": "image", "image": "https://e/i"},
            {"type": "image", "image": "AAEC", "mimeType": "image/png"},
            {"type": "file", "data": "AAEC", "mediaType": "application/pdf", "filename": "a.pdf"},
        ]);
        let mut inputs = Messages::inputs();
        assert!(inputs.push_model_messages(&json!([{"role": "user", "content": content}]).to_string()));
        assert_eq!(
            list(&inputs)[0]["content"],
            json!([
                {"type": "image", "url": "https://e/i"},
                {"type": "image", "mime_type": "image/png", "base64": "AAEC"},
                {"type": "file", "mime_type": "application/pdf", "base64": "AAEC", "filename": "a.pdf"},
            ])
        );
    }

    #[test]
    fn writes_answers() {
        let calls = r#"[{"type":"tool-call","toolCallId":"c","toolName":"add","input":"{\"a\":2}"},
            {"toolCallType":"function","toolCallId":"d","toolName":"add","args":{"a":3}}]"#;
        let mut outputs = Messages::outputs();
        assert!(outputs.push_answer(Answer { text: Some("[1]"), reasoning: Some("hm"), tool_calls: Some(calls) }));
        assert!(outputs.push_answer(Answer { text: Some("5"), ..Answer::default() }));
        assert!(!outputs.push_answer(Answer { tool_calls: Some("[]"), ..Answer::default() }));
        let messages = list(&outputs);
        assert_eq!(
            messages[0]["content"],
            json!([{"type": "reasoning", "text": "hm"}, {"type": "text", "text": "[1]"}])
        );
        assert_eq!(
            messages[0]["tool_calls"][0],
            json!({"id": "c", "type": "function", "function": {"name": "add", "arguments": "{\"a\":2}"}})
        );
        assert_eq!(messages[0]["tool_calls"][1]["function"], json!({"name": "add", "arguments": "{\"a\":3}"}));
        assert_eq!(messages[1], json!({"role": "assistant", "content": "5"}));
    }

    #[test]
    fn refuses_what_is_no_list_of_messages() {
        for json in ["", "[]", "{}", "7", r#"[{"content":"x"}]"#, r#"[{"role":"user"},7]"#] {
            let mut messages = Messages::inputs();
            assert!(!messages.push_model_messages(json), "{json}");
            assert!(messages.is_empty());
        }
    }
}

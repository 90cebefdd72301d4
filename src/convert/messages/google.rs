//! Messages as Google's models and Genkit have them: a part says what it is by the name of its one
//! member, `text`, `function_call`, `toolRequest`, …

use super::part::{Kind, Part};
use super::read::{elements, is_object, is_string, Members};
use super::write::role_of;
use super::Messages;
use crate::json::scan;

impl Messages {
    /// Adds one message, or a list of them. `false`, with nothing added, when the text is neither.
    pub(crate) fn push_contents(&mut self, json: &str) -> bool {
        let Some(json) = scan::document(json) else { return false };
        let messages = if is_object(json) { Members::read(json).map(|one| vec![one]) } else { Members::read_all(json) };
        let Some(messages) = messages.filter(|messages| !messages.is_empty() && messages.iter().all(is_message)) else {
            return false;
        };
        for message in &messages {
            let role = role_of(message.get("role"), self.side.role());
            let list = message.get("parts").or(message.get("content")).unwrap_or("[]");
            // What is no list of parts after all is kept as the text it is.
            let parts = read_parts(list).unwrap_or_else(|| vec![Part::text(list)]);
            self.push_turns(&role, &parts, Some(message));
        }
        true
    }

    /// Adds instructions: a text, a message, or a list of parts.
    pub(crate) fn push_system_content(&mut self, json: &str) {
        let parts = scan::object(json)
            .and_then(Members::read)
            .and_then(|message| message.get("parts").and_then(read_parts))
            .or_else(|| scan::document(json).and_then(read_parts));
        match parts {
            Some(parts) if !parts.is_empty() => self.push_turns("system", &parts, None),
            _ => self.push_system(json),
        }
    }
}

fn is_message(message: &Members<'_>) -> bool {
    let is_list = |name| message.get(name).is_some_and(|parts| parts.starts_with('['));
    is_list("parts") || is_list("content")
}

fn read_parts(json: &str) -> Option<Vec<Part<'_>>> {
    let part = |json| if is_string(json) { Some(Part::text(json)) } else { Members::read(json).map(read_part) };
    elements(json)?.into_iter().map(part).collect()
}

fn read_part(mut part: Members<'_>) -> Part<'_> {
    const INNER: [(&str, Kind); 11] = [
        ("function_call", Kind::ToolCall),
        ("functionCall", Kind::ToolCall),
        ("toolRequest", Kind::ToolCall),
        ("function_response", Kind::ToolResult),
        ("functionResponse", Kind::ToolResult),
        ("toolResponse", Kind::ToolResult),
        ("inline_data", Kind::Blob),
        ("inlineData", Kind::Blob),
        ("file_data", Kind::Url),
        ("fileData", Kind::Url),
        ("media", Kind::Url),
    ];
    const RENAMED: [(&str, &str); 9] = [
        ("ref", "id"),
        ("mimeType", "mime_type"),
        ("contentType", "mime_type"),
        ("file_uri", "uri"),
        ("fileUri", "uri"),
        ("displayName", "filename"),
        ("display_name", "filename"),
        ("thoughtSignature", "signature"),
        ("thought_signature", "signature"),
    ];
    if part.get("type").is_some_and(|kind| !is_string(kind)) {
        return Part::of_kind(Kind::Other, part);
    }
    let has_type = part.get("type").is_some();
    let inner = INNER.iter().find_map(|(name, kind)| {
        let inner = part.get(name).filter(|json| is_object(json)).and_then(Members::read)?;
        // What stands beside it goes along; a name that both have would lose one of its values.
        let is_apart = part.rest(&[name]).all(|(other, _)| inner.get(other).is_none());
        // So would a type, but for calls: blocks have types of their own.
        let type_fits = match kind {
            Kind::ToolCall => inner.get("type").is_none_or(is_string),
            _ => !has_type && inner.get("type").is_none(),
        };
        (is_apart && type_fits).then_some((*name, inner, *kind))
    });
    let (mut members, kind) = match inner {
        Some((name, mut members, kind)) => {
            members.append(&part, &[name]);
            (members, kind)
        }
        None if !has_type && part.get("reasoning").is_some_and(is_string) => {
            part.rename("reasoning", "content");
            (part, Kind::Reasoning)
        }
        None if !has_type && part.get("thought") == Some("true") => {
            part.remove("thought");
            (part, Kind::Reasoning)
        }
        None => return Part::new(part),
    };
    for (from, to) in RENAMED {
        members.rename(from, to);
    }
    if kind == Kind::ToolResult {
        members.rename("output", "response");
    }
    Part::of_kind(kind, members)
}

#[cfg(test)]
mod tests {
    use super::super::tests::list;
    use super::*;
    use serde_json::{json, Value};

    fn converted(messages: &Value) -> Value {
        let mut inputs = Messages::inputs();
        assert!(inputs.push_contents(&messages.to_string()), "{messages}");
        list(&inputs)
    }

    #[test]
    fn keeps_the_type_of_what_else_holds_a_file_or_a_thought() {
        for part in [
            json!({"type": "novel", "media": {"url": "https://e/i.png"}}),
            json!({"type": "novel", "functionResponse": {"name": "add"}}),
            json!({"type": "novel", "reasoning": "5?"}),
            json!({"type": "novel", "text": "5?", "thought": true}),
        ] {
            let found = converted(&json!([{"role": "user", "parts": [part]}])).to_string();
            assert!(found.contains("novel"), "{part} became {found}");
        }
    }

    #[test]
    fn reads_contents_of_google() {
        for (call, response) in [("function_call", "function_response"), ("functionCall", "functionResponse")] {
            let contents = json!([
                {"role": "user", "parts": [{"text": "2+3?"}, {"inline_data": {"mime_type": "image/png", "data": "AAEC"}},
                    {"file_data": {"file_uri": "gs://b/f", "mime_type": "application/pdf"}}]},
                {"role": "model", "parts": [{"text": "add them", "thought": true},
                    {call: {"id": "c", "name": "add", "args": {"n": 9_007_199_254_740_993_i64}}}]},
                {"role": "user", "parts": [{response: {"id": "c", "name": "add", "response": {"result": 5}}}]},
                {"role": "model", "parts": [{"text": "5"}]},
            ]);
            assert_eq!(
                converted(&contents),
                json!([
                    {"role": "user", "content": [
                        {"type": "text", "text": "2+3?"},
                        {"type": "image", "mime_type": "image/png", "base64": "AAEC"},
                        {"type": "file", "mime_type": "application/pdf", "url": "gs://b/f"}]},
                    {"role": "assistant", "content": [{"type": "reasoning", "text": "add them"}],
                     "tool_calls": [{"id": "c", "type": "function", "function": {"name": "add", "arguments": "{\"n\":9007199254740993}"}}]},
                    {"role": "tool", "tool_call_id": "c", "name": "add", "content": "{\"result\":5}"},
                    {"role": "assistant", "content": "5"},
                ])
            );
        }
    }

    #[test]
    fn reads_messages_of_genkit() {
        let messages = json!([
            {"role": "system", "content": [{"text": "Be brief."}]},
            {"role": "user", "content": [{"text": "look"}, {"media": {"url": "https://e/i.png", "contentType": "image/png"}}]},
            {"role": "model", "content": [{"reasoning": "hm"}, {"toolRequest": {"name": "add", "ref": "c", "input": {"a": 2}}}]},
            {"role": "tool", "content": [{"toolResponse": {"name": "add", "ref": "c", "output": "5"}}]},
        ]);
        assert_eq!(
            converted(&messages),
            json!([
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [
                    {"type": "text", "text": "look"}, {"type": "image", "mime_type": "image/png", "url": "https://e/i.png"}]},
                {"role": "assistant", "content": [{"type": "reasoning", "text": "hm"}],
                 "tool_calls": [{"id": "c", "type": "function", "function": {"name": "add", "arguments": "{\"a\":2}"}}]},
                {"role": "tool", "tool_call_id": "c", "name": "add", "content": "5"},
            ])
        );
    }

    #[test]
    fn keeps_parts_it_does_not_know() {
        let message = json!({"role": "model", "parts": [{"executable_code": {"code": "1+1", "language": "PYTHON"}}]});
        assert_eq!(
            converted(&message)[0]["content"],
            json!([{"executable_code": {"code": "1+1", "language": "PYTHON"}}])
        );
    }

    #[test]
    fn reads_instructions_in_every_shape() {
        for json in
            ["", "Be brief.", r#"{"parts":[{"text":"Be brief."}]}"#, r#"[{"text":"Be brief."}]"#, r#"["Be brief."]"#]
        {
            let mut messages = Messages::inputs();
            messages.push_system_content(json);
            let expected =
                if json.is_empty() { json!([]) } else { json!([{"role": "system", "content": "Be brief."}]) };
            assert_eq!(list(&messages), expected, "{json}");
        }
    }

    #[test]
    fn refuses_what_is_no_message() {
        for json in ["", "[]", "{}", "7", r#"{"role":"user","content":"text"}"#, r#"[{"parts":[]},7]"#] {
            let mut messages = Messages::inputs();
            assert!(!messages.push_contents(json), "{json}");
            assert!(messages.is_empty());
        }
    }
}

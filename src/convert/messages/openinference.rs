//! `llm.input_messages.N.message.…`, as `OpenInference` writes them.

use super::flat::{split_number, text_of};
use super::part::Part;
use super::read::is_object;
use super::write::{free_name, separate, write_name, write_text_member};
use super::Messages;
use crate::json::{scan, write_attribute};
use opentelemetry::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Attributes by what follows their prefix.
type Fields<'a> = Vec<(&'a str, &'a Value)>;

/// One message: its own fields, and those of its contents and of its calls of tools by number.
#[derive(Default)]
struct Message<'a> {
    own: Fields<'a>,
    contents: BTreeMap<u64, Fields<'a>>,
    calls: BTreeMap<u64, Fields<'a>>,
}

impl Messages {
    /// Adds messages from pairs such as (`0.message.role`, …) and
    /// (`0.message.contents.1.message_content.text`, …), in the order of their numbers, whatever the
    /// order of the pairs and however many numbers are missing. `false` when there is none.
    pub(crate) fn push_open_inference<'a>(&mut self, pairs: impl Iterator<Item = (&'a str, &'a Value)>) -> bool {
        let mut messages = BTreeMap::<u64, Message<'a>>::new();
        for (key, value) in pairs {
            let Some((number, name)) = split_number(key) else { continue };
            messages.entry(number).or_default().add(name, value);
        }
        // Each in the shape of parts, from where the way is known.
        let mut json = String::new();
        let mut pushed = false;
        for message in messages.into_values() {
            json.clear();
            message.write(&mut json);
            pushed |= self.push_parts(&json);
        }
        pushed
    }
}

impl<'a> Message<'a> {
    fn add(&mut self, name: &'a str, value: &'a Value) {
        let name = name.strip_prefix("message.").unwrap_or(name);
        let numbered = |prefix| name.strip_prefix(prefix).and_then(split_number).filter(|(_, name)| !name.is_empty());
        if let Some((number, name)) = numbered("contents.") {
            let name = name.strip_prefix("message_content.").unwrap_or(name);
            set(self.contents.entry(number).or_default(), name, value);
        } else if let Some((number, name)) = numbered("tool_calls.") {
            let name = name.strip_prefix("tool_call.").unwrap_or(name);
            set(self.calls.entry(number).or_default(), name.strip_prefix("function.").unwrap_or(name), value);
        } else {
            // A call as there was one in a message before there could be several.
            let (fields, name) = match name {
                "function_call_name" => (self.calls.entry(u64::MAX).or_default(), "name"),
                "function_call_arguments_json" => (self.calls.entry(u64::MAX).or_default(), "arguments"),
                _ => (&mut self.own, name),
            };
            set(fields, name, value);
        }
    }

    fn write(&self, out: &mut String) {
        out.push_str("{\"parts\":[");
        let content = text(&self.own, "content");
        if let Some(text) = content.as_deref().filter(|text| !text.is_empty()) {
            if let Some(list) = content_list(text) {
                out.push_str(&list[1..list.len() - 1]);
            } else {
                out.push_str("{\"type\":\"text\"");
                write_text_member(out, "content", text);
                out.push('}');
            }
        }
        for fields in self.contents.values() {
            // Some write a text both ways.
            let repeats = text(fields, "text").is_some_and(|text| Some(text) == content);
            if !repeats {
                separate(out);
                write_part(fields, out);
            }
        }
        out.push(']');
        if !self.calls.is_empty() {
            out.push_str(",\"tool_calls\":[");
            for fields in self.calls.values() {
                separate(out);
                out.push('{');
                for (name, value) in fields {
                    write_member(name, value, out);
                }
                out.push('}');
            }
            out.push(']');
        }
        for (name, value) in self.own.iter().filter(|(name, _)| *name != "content") {
            let taken = |name: &str| matches!(name, "parts" | "tool_calls") || find(&self.own, name).is_some();
            if matches!(*name, "parts" | "tool_calls") {
                write_member(&free_name(name, taken), value, out);
            } else {
                write_member(name, value, out);
            }
        }
        out.push('}');
    }
}

/// A text that is nothing but blocks of content.
fn content_list(text: &str) -> Option<&str> {
    let json = scan::document(text).filter(|json| json.starts_with('['))?;
    Part::read_content(json).map(|_| json)
}

/// Of several values under one name the last one counts.
fn set<'a>(fields: &mut Fields<'a>, name: &'a str, value: &'a Value) {
    match fields.iter_mut().find(|(other, _)| *other == name) {
        Some(field) => field.1 = value,
        None => fields.push((name, value)),
    }
}

fn find<'a>(fields: &Fields<'a>, name: &str) -> Option<&'a Value> {
    fields.iter().find(|(other, _)| *other == name).map(|(_, value)| *value)
}

fn text<'a>(fields: &Fields<'a>, name: &str) -> Option<Cow<'a, str>> {
    find(fields, name).map(text_of)
}

fn write_member(name: &str, value: &Value, out: &mut String) {
    write_name(out, name);
    write_attribute(out, value);
}

/// Writes one of the contents as the part that says the same.
fn write_part(fields: &Fields<'_>, out: &mut String) {
    let kind = text(fields, "type").unwrap_or("text".into());
    // `image.image.url`
    let leaf = |name| {
        let strip = |name| strip_kind(name, &kind);
        strip(strip(name))
    };
    let url = fields.iter().find(|(name, _)| leaf(name) == "url").map(|(_, value)| text_of(value));
    let modality = matches!(&*kind, "image" | "audio" | "video").then_some(&*kind);
    let is_file = modality.is_some() && url.as_deref().is_some_and(is_base64);
    out.push_str("{\"type\":");
    let kind_of_part = match (&*kind, modality, &url) {
        ("tool_use", ..) => "tool_call".into(),
        ("tool_result", ..) => "tool_call_response".into(),
        (_, Some(_), Some(_)) if is_file => "blob".into(),
        (_, Some(modality), Some(_)) => format!("{modality}-url"),
        _ => kind.to_string(),
    };
    crate::json::write_string(out, &kind_of_part);
    if let (true, Some(modality)) = (is_file, modality) {
        write_text_member(out, "modality", modality);
    }
    // Names that were different before may be the same behind their prefixes.
    let mut written = vec!["type".to_owned(), "modality".to_owned()];
    for (name, value) in fields.iter().filter(|(name, _)| *name != "type") {
        let name = leaf(name);
        let name = match (&*kind, name) {
            ("tool_use", "input") => "arguments",
            ("tool_result", "tool_use_id") => "id",
            ("tool_result", "content") => "response",
            (_, "url") if is_file => "content",
            (_, name) => name,
        };
        let name = &*free_name(name, |name| written.iter().any(|other| other == name));
        written.push(name.to_owned());
        match value {
            // What a tool was given or answered is JSON in a text.
            Value::String(text) if name == "response" => match scan::document(text.as_str()) {
                Some(json) => super::write::write_member(out, name, json),
                None => write_text_member(out, name, text.as_str()),
            },
            _ => write_member(name, value, out),
        }
    }
    if kind == "reasoning" && !written.iter().any(|name| name == "text") {
        write_text_member(out, "text", "");
    }
    out.push('}');
}

fn strip_kind<'a>(name: &'a str, kind: &str) -> &'a str {
    name.strip_prefix(kind).and_then(|rest| rest.strip_prefix('.')).unwrap_or(name)
}

/// Where a URL should stand some write the file itself.
fn is_base64(url: &str) -> bool {
    url.len() > 256 && !url.contains(':') && crate::convert::attachment::decode(url).is_some()
}

/// Whether tools stand in full in a schema: OpenAI's shape, or one with a name of its own.
pub(crate) fn is_whole_tool(schema: &str) -> bool {
    let members = scan::object(schema).filter(|json| is_object(json)).and_then(super::read::Members::read);
    members.is_some_and(|tool| tool.get("function").is_some() || tool.get("name").is_some())
}

#[cfg(test)]
mod tests {
    use super::super::tests::list;
    use super::*;
    use serde_json::json;

    fn converted(pairs: &[(&str, &str)]) -> serde_json::Value {
        let pairs: Vec<_> = pairs.iter().map(|&(key, value)| (key, Value::from(value.to_owned()))).collect();
        let mut messages = Messages::inputs();
        assert!(messages.push_open_inference(pairs.iter().rev().map(|(key, value)| (*key, value))));
        list(&messages)
    }

    #[test]
    fn reads_a_conversation_with_tools() {
        let pairs = [
            ("0.message.role", "system"),
            ("0.message.content", "Use tools."),
            ("1.message.role", "user"),
            ("1.message.content", "2+3?"),
            // Twelve comes after two, and what lies between is missing.
            ("12.message.role", "tool"),
            ("12.message.tool_call_id", "c0"),
            ("12.message.name", "add"),
            ("12.message.content", "5"),
            ("2.message.role", "assistant"),
            ("2.message.tool_calls.0.tool_call.id", "c0"),
            ("2.message.tool_calls.0.tool_call.function.name", "add"),
            ("2.message.tool_calls.0.tool_call.function.arguments", r#"{"y":3,"x":2}"#),
            ("2.message.tool_calls.10.tool_call.function.name", "last"),
            ("2.message.tool_calls.9.tool_call.function.name", "mul"),
            ("2.message.tool_calls.9.tool_call.reasoning_signature", "s"),
        ];
        assert_eq!(
            converted(&pairs),
            json!([
                {"role": "system", "content": "Use tools."},
                {"role": "user", "content": "2+3?"},
                {"role": "assistant", "content": "", "tool_calls": [
                    {"id": "c0", "type": "function", "function": {"name": "add", "arguments": "{\"y\":3,\"x\":2}"}},
                    {"type": "function", "function": {"name": "mul", "arguments": "{}"}, "reasoning_signature": "s"},
                    {"type": "function", "function": {"name": "last", "arguments": "{}"}},
                ]},
                {"role": "tool", "content": "5", "name": "add", "tool_call_id": "c0"},
            ])
        );
    }

    #[test]
    fn reads_contents_of_every_type() {
        let pairs = [
            ("0.message.role", "user"),
            ("0.message.contents.0.message_content.type", "text"),
            ("0.message.contents.0.message_content.text", "what is it?"),
            ("0.message.contents.1.message_content.type", "image"),
            ("0.message.contents.1.message_content.image.image.url", "https://e/i.png"),
            ("0.message.contents.2.message_content.type", "audio"),
            ("0.message.contents.2.message_content.audio.audio.url", "https://e/a.wav"),
            ("0.message.contents.2.message_content.audio.audio.mime_type", "audio/wav"),
            ("0.message.contents.2.message_content.audio.audio.transcript", "hello"),
            ("0.message.contents.3.message_content.type", "video"),
            ("0.message.contents.3.message_content.video.video.url", "gs://b/v.mp4"),
            ("0.message.contents.4.message_content.type", "novel"),
            ("0.message.contents.4.message_content.novel.x", "y"),
        ];
        let content = converted(&pairs)[0]["content"].clone();
        assert_eq!(content[0], json!({"type": "text", "text": "what is it?"}));
        assert_eq!(content[1], json!({"type": "image", "url": "https://e/i.png"}));
        let audio = json!({"type": "audio", "mime_type": "audio/wav", "url": "https://e/a.wav", "transcript": "hello"});
        assert_eq!(content[2], audio);
        assert_eq!(content[3], json!({"type": "video", "url": "gs://b/v.mp4"}));
        assert_eq!(content[4], json!({"type": "novel", "x": "y"}));
        assert_eq!(content.as_array().unwrap().len(), 5);
        // Text alone is no list of blocks, and what is written twice is said once.
        let pairs = [
            ("0.message.content", "hi"),
            ("0.message.contents.0.message_content.type", "text"),
            ("0.message.contents.0.message_content.text", "hi"),
        ];
        assert_eq!(converted(&pairs), json!([{"role": "user", "content": "hi"}]));
    }

    #[test]
    fn keeps_thoughts_calls_and_answers_apart_from_text() {
        let pairs = [
            ("0.message.role", "assistant"),
            ("0.message.contents.0.message_content.type", "reasoning"),
            ("0.message.contents.0.message_content.text", "hm"),
            ("0.message.contents.0.message_content.signature", "s"),
            ("0.message.contents.1.message_content.type", "reasoning"),
            ("0.message.contents.1.message_content.data", "redacted"),
            ("0.message.contents.2.message_content.type", "tool_use"),
            ("0.message.contents.2.message_content.tool_use.id", "c"),
            ("0.message.contents.2.message_content.tool_use.name", "add"),
            ("0.message.contents.2.message_content.tool_use.input", r#"{"x":1}"#),
            ("1.message.role", "user"),
            ("1.message.contents.0.message_content.type", "tool_result"),
            ("1.message.contents.0.message_content.tool_result.tool_use_id", "c"),
            ("1.message.contents.0.message_content.tool_result.content", "5"),
            ("2.message.role", "assistant"),
            ("2.message.function_call_name", "old"),
            ("2.message.function_call_arguments_json", "{}"),
        ];
        assert_eq!(
            converted(&pairs),
            json!([
                {"role": "assistant", "content": [
                    {"type": "reasoning", "text": "hm", "signature": "s"},
                    {"type": "reasoning", "text": "", "data": "redacted"},
                ], "tool_calls": [{"id": "c", "type": "function", "function": {"name": "add", "arguments": "{\"x\":1}"}}]},
                {"role": "tool", "tool_call_id": "c", "content": "5"},
                {"role": "assistant", "content": "",
                 "tool_calls": [{"type": "function", "function": {"name": "old", "arguments": "{}"}}]},
            ])
        );
    }

    #[test]
    fn takes_a_file_out_that_stands_where_its_url_should() {
        let file = "AAEC".repeat(100);
        let url = format!("data:image/png;base64,{file}");
        for (url, mime_type) in [(file, "application/octet-stream"), (url, "image/png")] {
            let url = Value::from(url);
            let kind = Value::from("image");
            let pairs = [
                ("0.message.contents.0.message_content.type", &kind),
                ("0.message.contents.0.message_content.image.image.url", &url),
            ];
            let mut messages = Messages::inputs().with_inline_limit(100);
            assert!(messages.push_open_inference(pairs.into_iter()));
            assert_eq!(list(&messages)[0]["content"], json!([{"type": "image", "attachment": "input_1_image"}]));
            let files = messages.take_attachments();
            assert_eq!((files[0].mime_type.as_str(), files[0].content.len()), (mime_type, 300));
        }
    }

    #[test]
    fn keeps_numbers_exactly_and_reads_blocks_in_a_text() {
        let number = Value::I64(12_345_678_901_234_567);
        let content = Value::from(r#"[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"u"}}]"#);
        let mut messages = Messages::outputs();
        let pairs = [("0.message.seed", &number), ("0.message.content", &content)];
        assert!(messages.push_open_inference(pairs.into_iter()));
        assert_eq!(
            list(&messages),
            json!([{"role": "assistant", "seed": 12_345_678_901_234_567_i64, "content":
                [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "u"}}]}])
        );
        assert!(!messages.push_open_inference([("role", &number)].into_iter()));
    }
}

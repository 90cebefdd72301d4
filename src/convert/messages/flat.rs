//! Messages whose members are attributes of their own, as the older conventions have it.

use super::blocks::summary_text;
use super::part::Part;
use super::providers;
use super::read::Members;
use super::write::{free_name, role, separate, write_name, write_text_member};
use super::Messages;
use crate::json::{scan, write_attribute, write_string, Object};
use opentelemetry::Value;
use std::borrow::Cow;

/// One attribute of one message.
pub(super) struct Field<'a> {
    /// The number of the message.
    pub(super) message: u64,
    /// The number of the tool call it belongs to.
    pub(super) call: Option<u64>,
    pub(super) name: &'a str,
    pub(super) value: &'a Value,
}

impl<'a> Field<'a> {
    /// Reads what follows the number of the message: `role`, `tool_calls.1.name`, …
    pub(super) fn new(message: u64, name: &'a str, value: &'a Value) -> Self {
        let name = name.strip_prefix("message.").unwrap_or(name);
        let call = name.strip_prefix("tool_calls.").and_then(split_number);
        match call {
            Some((number, name)) => {
                Self { message, call: Some(number), name: name.strip_prefix("function.").unwrap_or(name), value }
            }
            None => Self { message, call: None, name, value },
        }
    }
}

/// `12.rest` as 12 and `rest`.
pub(crate) fn split_number(text: &str) -> Option<(u64, &str)> {
    let (number, rest) = text.split_once('.').unwrap_or((text, ""));
    // `parse` alone would take a sign.
    number.bytes().all(|byte| byte.is_ascii_digit()).then_some(())?;
    Some((number.parse().ok()?, rest))
}

/// The value as text: of anything but a string, its JSON.
pub(super) fn text_of(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text.as_str()),
        other => {
            let mut json = String::new();
            write_attribute(&mut json, other);
            Cow::Owned(json)
        }
    }
}

/// The last value under a name.
pub(super) fn find<'a>(fields: &[Field<'a>], name: &str) -> Option<&'a Value> {
    fields.iter().rev().find(|field| field.name == name).map(|field| field.value)
}

impl Messages {
    /// Adds one message from its fields, which are put in order.
    pub(super) fn push_fields(&mut self, default_role: &str, fields: &mut [Field<'_>]) {
        fields.sort_by_key(|field| field.call);
        let (own, calls) = fields.split_at(fields.partition_point(|field| field.call.is_none()));
        let text = |name| find(own, name).map(text_of).filter(|text| !text.is_empty());

        if let Some(reason) = text("finish_reason") {
            self.add_finish_reason(&reason);
        }
        let given = text("role");
        let role = role(given.as_deref().unwrap_or(default_role));
        // A model that completes text is told it by OpenLLMetry as what the user says.
        let said = if given.is_none() && text("content").is_none() { text("user") } else { None };
        let content = text("content").or_else(|| said.clone()).unwrap_or_default();
        let mut blocks = providers::read(&content);
        if let Some(of_tools) = blocks.take_if(|blocks| blocks.iter().any(providers::is_of_tool)) {
            if calls.is_empty() {
                self.push_blocks(role, &of_tools, own);
                return;
            }
            blocks = Part::read_content(&content);
        }
        let start = self.begin_message(role);
        let mut read = vec!["role", "content", "finish_reason"];
        let id = match text("tool_call_id") {
            Some(id) => {
                read.push("tool_call_id");
                Some(id)
            }
            // The old events of tools call it so.
            None if role == "tool" => {
                read.push("id");
                text("id")
            }
            None => None,
        };
        if let Some(id) = id {
            write_text_member(&mut self.written, "tool_call_id", &id);
        }
        read.extend(said.map(|_| "user"));
        let thought = ["reasoning", "reasoning_content", "thinking"].into_iter().find(|name| text(name).is_some());
        read.extend(thought);
        self.write_flat_content(thought.and_then(text).as_deref(), &content, blocks);

        let list = self.begin_calls();
        let json = text("tool_calls");
        if json.as_deref().and_then(scan::document).is_some_and(|json| self.write_calls(json)) {
            read.push("tool_calls");
        }
        for call in calls.chunk_by(|one, other| one.call == other.call) {
            self.write_flat_call(call);
        }
        let has_calls = !self.written.ends_with('[');
        self.end_calls(list);
        let written: &[&str] = if has_calls { &["tool_calls"] } else { &[] };
        self.write_other_fields(own, &read, written);
        self.end_message(start);
    }

    /// Adds a message whose content is a list of blocks, calls of tools or their answers among them.
    fn push_blocks(&mut self, role: &str, blocks: &[Part<'_>], own: &[Field<'_>]) {
        let mut rest = Object::default();
        for field in own.iter().rev().filter(|field| !Self::READ.contains(&field.name)) {
            rest.insert(field.name, field.value);
        }
        let mut json = String::new();
        rest.write_to(&mut json);
        self.push_turns(role, blocks, Members::read(&json).as_ref());
    }

    fn write_flat_content(&mut self, thought: Option<&str>, content: &str, parts: Option<Vec<Part<'_>>>) {
        write_name(&mut self.written, "content");
        let Some(thought) = thought else {
            match parts {
                Some(parts) => self.write_content(&parts),
                None => write_string(&mut self.written, content),
            }
            return;
        };
        self.written.push_str("[{\"type\":\"reasoning\"");
        write_text_member(&mut self.written, "text", summary_text(thought).as_deref().unwrap_or(thought));
        self.written.push('}');
        match parts {
            Some(parts) => parts.iter().for_each(|part| self.write_block(part)),
            None if content.is_empty() => {}
            None => {
                self.written.push_str(",{\"type\":\"text\"");
                write_text_member(&mut self.written, "text", content);
                self.written.push('}');
            }
        }
        self.written.push(']');
    }

    fn write_flat_call(&mut self, fields: &[Field<'_>]) {
        let text = |name| find(fields, name).map(text_of).filter(|text| !text.is_empty());
        separate(&mut self.written);
        self.written.push('{');
        if let Some(id) = text("id") {
            write_text_member(&mut self.written, "id", &id);
        }
        separate(&mut self.written);
        self.written.push_str("\"type\":\"function\",\"function\":{\"name\":");
        write_string(&mut self.written, &text("name").unwrap_or_default());
        self.written.push_str(",\"arguments\":");
        write_string(&mut self.written, text("arguments").as_deref().unwrap_or("{}"));
        self.written.push('}');
        self.write_other_fields(fields, &["id", "type", "name", "arguments"], &["function"]);
        self.written.push('}');
    }

    /// Keeps the fields that nothing has read, the last of each name.
    fn write_other_fields(&mut self, fields: &[Field<'_>], read: &[&str], written: &[&str]) {
        for (position, field) in fields.iter().enumerate() {
            let later = || fields[position + 1..].iter().any(|other| other.name == field.name);
            if read.contains(&field.name) || later() {
                continue;
            }
            if written.contains(&field.name) {
                let taken = |name: &str| written.contains(&name) || find(fields, name).is_some();
                write_name(&mut self.written, &free_name(field.name, taken));
            } else {
                write_name(&mut self.written, field.name);
            }
            write_attribute(&mut self.written, field.value);
        }
    }
}

/// Whether a field describes the event and not the message: what the conventions and `tracing` add.
pub(super) fn is_infrastructure(name: &str) -> bool {
    matches!(name, "level" | "target")
        || ["gen_ai.", "event.", "code.", "log.", "thread."].iter().any(|prefix| name.starts_with(prefix))
}

//! Tool calls in OpenAI's shape, and messages that hold a tool's answer.

use super::blocks::first;
use super::part::Part;
use super::providers;
use super::read::{decode, is_object, Members};
use super::write::{separate, write_as_string, write_member, write_name};
use super::Messages;
use rustc_hash::FxHashSet;

impl Messages {
    /// Writes a tool call into an open list. One that is in OpenAI's shape already stays as it is.
    pub(super) fn write_call(&mut self, call: &Members<'_>) {
        separate(&mut self.written);
        self.written.push('{');
        let nested = call.get("name").is_none() && call.rest(&["id", "type", "arguments"]).next().is_some();
        let named = |kind: &str| matches!(kind, "function" | "tool_call" | "tool_use");
        if nested || call.get("type").is_some_and(|kind| !named(&decode(kind))) {
            // In OpenAI's shape already, or a kind of call that is no function there.
            self.write_nested_call(call);
            return;
        }
        self.copy_member(call, "id", "id");
        separate(&mut self.written);
        self.written.push_str("\"type\":\"function\",\"function\":{\"name\":");
        write_as_string(&mut self.written, call.get("name").unwrap_or("\"\""));
        let arguments = first(call, &["arguments", "args", "input"]);
        self.written.push_str(",\"arguments\":");
        // A JSON string in this shape, whether it came as one or as an object.
        write_as_string(&mut self.written, call.get(arguments).unwrap_or("\"{}\""));
        self.written.push('}');
        self.write_rest(call, &["id", "type", "name", arguments], &["function"]);
        self.written.push('}');
    }

    fn write_nested_call(&mut self, call: &Members<'_>) {
        let function = call.get("function").is_some_and(is_object);
        for (name, value) in call.iter() {
            if !(function && name == "type") {
                write_member(&mut self.written, name, value);
            }
        }
        if function {
            separate(&mut self.written);
            self.written.push_str("\"type\":\"function\"");
        }
        self.written.push('}');
    }

    /// Writes all calls of a JSON list; `false`, with nothing written, when it is none.
    pub(super) fn write_calls(&mut self, json: &str) -> bool {
        let Some(calls) = Members::read_all(json) else { return false };
        for call in &calls {
            self.write_call(call);
        }
        true
    }

    /// Writes a tool's answer as a message of its own, with the members that `message` has beside.
    pub(super) fn push_result(&mut self, result: &Members<'_>, message: Option<&Members<'_>>) {
        let id = first(result, &["id", "tool_call_id", "toolUseId"]);
        let content = first(result, &["response", "result", "content"]);
        let start = self.begin_message("tool");
        self.copy_member(result, id, "tool_call_id");
        self.copy_member(result, "name", "name");
        write_name(&mut self.written, "content");
        self.write_result_content(result.get(content), id == "toolUseId");
        let (read, written) = (["type", id, "name", content], ["role", "tool_call_id", "content"]);
        self.write_rest(result, &read, &written);
        if let Some(message) = message {
            let of_result: FxHashSet<_> = result.names().collect();
            self.write_rest_unless(message, Self::READ, |name| written.contains(&name) || of_result.contains(name));
        }
        self.end_message(start);
    }

    /// A tool's answer is text, or blocks where it is a list of them.
    fn write_result_content(&mut self, json: Option<&str>, is_bedrock: bool) {
        let Some(json) = json else {
            self.written.push_str("\"\"");
            return;
        };
        if json.starts_with('[') {
            let of_bedrock = || providers::read(json).filter(|parts| !parts.iter().any(providers::is_of_tool));
            let parts = if is_bedrock { of_bedrock() } else { Part::read_content(json) };
            if let Some(parts) = parts {
                self.write_content(&parts);
                return;
            }
        }
        write_as_string(&mut self.written, json);
    }

    /// Ends the `tool_calls` list that began at `start`, or takes it back when it is empty.
    pub(super) fn end_calls(&mut self, start: usize) {
        if self.written.ends_with('[') {
            self.written.truncate(start);
        } else {
            self.written.push(']');
        }
    }

    /// Opens the `tool_calls` list and answers where it begins.
    pub(super) fn begin_calls(&mut self) -> usize {
        let start = self.written.len();
        self.written.push_str(",\"tool_calls\":[");
        start
    }
}

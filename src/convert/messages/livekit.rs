//! A chat as the agents of `LiveKit` keep it: messages, calls and their answers are items of one list.

use super::part::{Kind, Part};
use super::read::{elements, is_object, is_string, Members};
use super::write::role_of;
use super::Messages;
use crate::json::scan;

/// An assistant's turn takes the calls that follow it.
struct Turn<'a> {
    parts: Vec<Part<'a>>,
    message: Option<Members<'a>>,
}

impl Messages {
    /// Adds the items of a chat, `{"items":[…]}` or the list alone, but for [`other_items`]. `false`, with
    /// nothing added, when the text is neither.
    pub(crate) fn push_items(&mut self, json: &str) -> bool {
        let Some(items) = items(json).and_then(Members::read_all).filter(|items| !items.is_empty()) else {
            return false;
        };
        let mut turn: Option<Turn<'_>> = None;
        for mut item in items {
            let kind = item.get_text("type");
            item.remove("type");
            // An item has an id of its own beside that of the call.
            if item.get("call_id").is_some() {
                item.rename("id", "item_id");
                item.rename("call_id", "id");
            }
            for (name, nothing) in [("extra", "{}"), ("interrupted", "false")] {
                if item.get(name) == Some(nothing) {
                    item.remove(name);
                }
            }
            match kind.as_deref() {
                Some("function_call") => {
                    let turn = turn.get_or_insert_with(|| Turn { parts: Vec::new(), message: None });
                    turn.parts.push(Part::of_kind(Kind::ToolCall, item));
                }
                Some("function_call_output") => {
                    self.push_open(turn.take());
                    item.rename("output", "response");
                    self.push_result(&item, None);
                }
                Some("message") | None => {
                    self.push_open(turn.take());
                    let role = role_of(item.get("role"), self.side.role());
                    let parts = item.get("content").map(read_content).unwrap_or_default();
                    if role == "assistant" {
                        turn = Some(Turn { parts, message: Some(item) });
                    } else {
                        self.push_turns(&role, &parts, Some(&item));
                    }
                }
                Some(_) => {}
            }
        }
        self.push_open(turn);
        true
    }

    fn push_open(&mut self, turn: Option<Turn<'_>>) {
        if let Some(Turn { parts, message }) = turn {
            self.push_turns("assistant", &parts, message.as_ref());
        }
    }
}

fn items(json: &str) -> Option<&str> {
    let json = scan::document(json)?;
    if is_object(json) {
        Members::read(json)?.get("items")
    } else {
        Some(json)
    }
}

/// The items that nobody says, as a JSON list: a handoff, or a change of settings.
pub(crate) fn other_items(json: &str) -> Option<String> {
    let is_other = |item: &&str| {
        let kind = Members::read(item).and_then(|item| item.get_text("type"));
        kind.is_some_and(|kind| !matches!(&*kind, "function_call" | "function_call_output" | "message"))
    };
    let others: Vec<_> = items(json).and_then(elements)?.into_iter().filter(is_other).collect();
    (!others.is_empty()).then(|| format!("[{}]", others.join(",")))
}

fn read_content(json: &str) -> Vec<Part<'_>> {
    // Marks for the provider's cache are no content.
    let is_mark = |part: &Part<'_>| part.members.get("type") == Some("\"cache_breakpoint\"");
    let part = |json| match Members::read(json).filter(|_| !is_string(json)) {
        None => Part::text(json),
        Some(mut part) => {
            part.rename("transcript", "text");
            // Any other type would be lost, as the block has one of its own.
            let may_be_image = matches!(part.get("type"), None | Some("\"image_content\"" | "\"image\""));
            let is_image = may_be_image && part.get("image").is_some_and(is_string);
            if is_image {
                part.rename("image", "uri");
                part.add("modality", "\"image\"");
                Part::of_kind(Kind::Url, part)
            } else {
                Part::new(part)
            }
        }
    };
    let parts = |content: Vec<_>| content.into_iter().map(part).filter(|part| !is_mark(part)).collect();
    elements(json).map_or_else(|| vec![Part::text(json)], parts)
}

#[cfg(test)]
mod tests {
    use super::super::tests::list;
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_a_chat() {
        let chat = json!({"items": [
            {"type": "message", "role": "developer", "content": ["Be brief.", {"type": "cache_breakpoint"}], "extra": {}},
            {"type": "message", "role": "user", "content": ["2+3?", {"type": "image_content", "image": "https://e/i"}]},
            {"type": "message", "role": "assistant", "content": ["wait"]},
            {"type": "function_call", "call_id": "c", "name": "add", "arguments": "{\"a\":2}"},
            {"type": "agent_handoff", "new_agent_id": "b"},
            {"type": "function_call", "call_id": "d", "name": "add", "arguments": "{\"a\":3}"},
            {"type": "function_call_output", "id": "item_1", "call_id": "c", "name": "add", "output": "5", "is_error": false},
            {"type": "function_call", "call_id": "e", "name": "end", "arguments": "{}"},
        ]});
        let call = |id: &str, name: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
        let expected = json!([
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "2+3?"}, {"type": "image", "url": "https://e/i"}]},
            {"role": "assistant", "content": "wait",
             "tool_calls": [call("c", "add", "{\"a\":2}"), call("d", "add", "{\"a\":3}")]},
            {"role": "tool", "tool_call_id": "c", "name": "add", "content": "5", "item_id": "item_1", "is_error": false},
            {"role": "assistant", "content": "", "tool_calls": [call("e", "end", "{}")]},
        ]);
        for json in [chat.to_string(), chat["items"].to_string()] {
            let mut messages = Messages::inputs();
            assert!(messages.push_items(&json));
            assert_eq!(list(&messages), expected);
            assert_eq!(other_items(&json).unwrap(), r#"[{"new_agent_id":"b","type":"agent_handoff"}]"#);
        }
    }

    #[test]
    fn keeps_the_type_of_what_only_has_an_image() {
        let content = json!([{"type": "novel", "image": "https://e/i"}, {"type": "image", "image": "https://e/j"}]);
        let mut messages = Messages::inputs();
        assert!(messages.push_items(&json!([{"type": "message", "role": "user", "content": content}]).to_string()));
        assert_eq!(
            list(&messages)[0]["content"],
            json!([{"type": "novel", "image": "https://e/i"}, {"type": "image", "url": "https://e/j"}])
        );
    }

    #[test]
    fn refuses_other_texts() {
        for json in ["", "[]", "{}", "7", r#"{"items":[]}"#, "[7]"] {
            let mut messages = Messages::inputs();
            assert!(!messages.push_items(json) && messages.is_empty(), "{json}");
        }
    }
}

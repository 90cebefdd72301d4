//! A whole conversation in one list, as pydantic-ai keeps it: messages, or the events of old, each
//! an object that says which event it is.

use super::part::{Kind, Part};
use super::read::{decode, is_string, Members};
use super::write::role_of;
use super::Messages;
use crate::json::scan;

/// What an agent was given, and what came of it: the messages from the first answer on that is at
/// `first_new` or later; without that number, those after the last question. `None` when the text
/// is no list of messages.
pub(crate) fn split_conversation(json: &str, first_new: Option<usize>) -> Option<(Messages, Messages)> {
    let messages = read(json)?;
    let begins = match first_new {
        Some(first) => {
            messages.iter().enumerate().position(|(at, message)| at >= first && role(message) == "assistant")
        }
        None => messages.iter().rposition(is_question).map_or(Some(0), |question| Some(question + 1)),
    };
    let (given, made) = messages.split_at(begins.unwrap_or(messages.len()));
    let (mut inputs, mut outputs) = (Messages::inputs(), Messages::outputs());
    for (list, messages) in [(&mut inputs, given), (&mut outputs, made)] {
        for message in messages {
            list.push_listed(message);
        }
    }
    Some((inputs, outputs))
}

impl Messages {
    /// Adds the events of a list: choices to `outputs`, all others to these. `false`, with nothing
    /// added, when the text is no list of events.
    pub(crate) fn push_event_list(&mut self, json: &str, outputs: &mut Self) -> bool {
        let Some(events) = read(json) else { return false };
        for event in &events {
            if is_choice(event) {
                outputs.push_listed(event);
            } else {
                self.push_listed(event);
            }
        }
        true
    }

    fn push_listed(&mut self, listed: &Members<'_>) {
        let Some(name) = listed.get_text("event.name") else {
            self.push_known_message(listed, self.side.role());
            return;
        };
        let role = role(listed);
        let mut message = listed.clone();
        for name in ["event.name", "gen_ai.message.index", "gen_ai.system"] {
            message.remove(name);
        }
        if name == "gen_ai.choice" {
            let Some(mut inner) = message.get("message").and_then(Members::read) else {
                self.push_choice_object(&message);
                return;
            };
            inner.append(&message, &["message", "index"]);
            message = inner;
        }
        if role == "tool" {
            message.remove("role");
            self.push_result(&message, None);
            return;
        }
        if let Some(reason) = message.get("finish_reason") {
            self.add_finish_reason(&decode(reason));
        }
        let content = message.get("content").filter(|content| content.starts_with('['));
        match content.and_then(Part::read_all) {
            Some(mut parts) => {
                parts.iter_mut().for_each(name_kind);
                self.push_turns(&role, &parts, Some(&message));
            }
            None => self.push_known_message(&message, &role),
        }
    }
}

/// pydantic-ai's events call a part's type its kind, and its bytes binary content.
fn name_kind(part: &mut Part<'_>) {
    if part.members.get("type").is_none() && part.members.get("kind").is_some() {
        part.members.rename("kind", "type");
        part.members.rename("binary_content", "content");
        let members = std::mem::take(&mut part.members);
        *part = Part::new(members);
    }
}

/// A list of objects that each have a role, or are an event.
fn read(json: &str) -> Option<Vec<Members<'_>>> {
    let messages = Members::read_all(scan::document(json)?)?;
    let known =
        |message: &Members<'_>| ["role", "event.name"].iter().any(|name| message.get(name).is_some_and(is_string));
    (!messages.is_empty() && messages.iter().all(known)).then_some(messages)
}

fn is_choice(event: &Members<'_>) -> bool {
    event.get("event.name").is_some_and(|name| decode(name) == "gen_ai.choice")
}

fn role<'a>(message: &Members<'a>) -> std::borrow::Cow<'a, str> {
    let named = match message.get_text("event.name").as_deref() {
        Some("gen_ai.system.message") => "system",
        Some("gen_ai.assistant.message" | "gen_ai.choice") => "assistant",
        Some("gen_ai.tool.message") => "tool",
        _ => "user",
    };
    role_of(message.get("role"), named)
}

/// Whether somebody asks here. Answers of tools may stand in a user's message too.
fn is_question(message: &Members<'_>) -> bool {
    let is_result = |part: &Part<'_>| part.kind == Kind::ToolResult;
    match &*role(message) {
        "system" => true,
        "user" => !message
            .get("parts")
            .and_then(Part::read_all)
            .is_some_and(|parts| !parts.is_empty() && parts.iter().all(is_result)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::list;
    use super::*;
    use serde_json::{json, Value};

    fn split(messages: &Value, first_new: Option<usize>) -> (Value, Value) {
        let (inputs, outputs) = split_conversation(&messages.to_string(), first_new).unwrap();
        (list(&inputs), list(&outputs))
    }

    fn turn() -> [Value; 4] {
        [
            json!({"role": "user", "parts": [{"type": "text", "content": "2+3?"}]}),
            json!({"role": "assistant", "parts": [{"type": "tool_call", "id": "c", "name": "add", "arguments": {"a": 2}}]}),
            json!({"role": "user", "parts": [{"type": "tool_call_response", "id": "c", "name": "add", "result": 5}]}),
            json!({"role": "assistant", "parts": [{"type": "text", "content": "5"}], "finish_reason": "stop"}),
        ]
    }

    #[test]
    fn tells_what_an_agent_was_given_from_what_it_made() {
        let roles = |messages: &Value| {
            let roles = messages.as_array().unwrap().iter().map(|message| message["role"].as_str().unwrap().to_owned());
            roles.collect::<Vec<_>>().join(" ")
        };
        let made = "assistant tool assistant";
        let once = Value::from(turn().to_vec());
        let twice = Value::from([turn(), turn()].concat());
        for (messages, first_new, given) in [
            (&once, None, "user"),
            (&once, Some(0), "user"),
            (&twice, None, "user assistant tool assistant user"),
            (&twice, Some(4), "user assistant tool assistant user"),
        ] {
            let (inputs, outputs) = split(messages, first_new);
            assert_eq!((&*roles(&inputs), &*roles(&outputs)), (given, made), "{first_new:?}");
        }
        let (inputs, outputs) = split(&twice, Some(99));
        assert_eq!((inputs.as_array().unwrap().len(), outputs), (8, json!([])));
        // It failed before there was an answer.
        assert_eq!(split(&json!([turn()[0]]), None), (json!([{"role": "user", "content": "2+3?"}]), json!([])));
    }

    #[test]
    fn reads_lists_of_events() {
        let events = json!([
            {"event.name": "gen_ai.system.message", "content": "Be brief.", "role": "system", "gen_ai.message.index": 0},
            {"event.name": "gen_ai.user.message", "role": "user", "gen_ai.message.index": 1,
             "content": ["look", {"kind": "image-url", "url": "https://e/i"},
                         {"kind": "binary", "media_type": "image/png", "binary_content": "AAEC"}]},
            {"event.name": "gen_ai.assistant.message", "role": "assistant", "gen_ai.message.index": 2,
             "tool_calls": [{"id": "c", "type": "function", "function": {"name": "add", "arguments": {"n": 9_007_199_254_740_993_i64}}}]},
            {"event.name": "gen_ai.tool.message", "role": "tool", "id": "c", "name": "add", "content": {"sum": 5}},
            {"event.name": "gen_ai.choice", "index": 0, "finish_reason": "stop",
             "message": {"role": "assistant", "content": [{"kind": "thinking", "text": "hm"}, {"kind": "text", "text": "5"}]}},
        ]);
        let (mut inputs, mut outputs) = (Messages::inputs(), Messages::outputs());
        assert!(inputs.push_event_list(&events.to_string(), &mut outputs));
        assert_eq!(
            list(&inputs),
            json!([
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [
                    {"type": "text", "text": "look"},
                    {"type": "image", "url": "https://e/i"},
                    {"type": "image", "mime_type": "image/png", "base64": "AAEC"}]},
                {"role": "assistant",
                 "tool_calls": [{"id": "c", "type": "function", "function": {"name": "add", "arguments": {"n": 9_007_199_254_740_993_i64}}}]},
                {"role": "tool", "tool_call_id": "c", "name": "add", "content": "{\"sum\":5}"},
            ])
        );
        assert_eq!(
            list(&outputs),
            json!([{"role": "assistant", "content": [{"type": "reasoning", "text": "hm"}, {"type": "text", "text": "5"}]}])
        );
        assert_eq!(outputs.finish_reason(), Some("stop"));

        let (inputs, outputs) = split(&events, None);
        assert_eq!((inputs.as_array().unwrap().len(), outputs.as_array().unwrap().len()), (2, 3));
    }

    #[test]
    fn refuses_what_is_no_conversation() {
        for json in ["", "[]", "7", "{}", "[7]", r#"[{"a":1}]"#, r#"[{"role":"user"},{"a":1}]"#] {
            assert!(split_conversation(json, None).is_none(), "{json}");
            let (mut inputs, mut outputs) = (Messages::inputs(), Messages::outputs());
            assert!(!inputs.push_event_list(json, &mut outputs) && inputs.is_empty() && outputs.is_empty(), "{json}");
        }
    }
}

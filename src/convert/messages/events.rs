//! The span events that held messages before semantic conventions 1.37: `gen_ai.user.message`,
//! `gen_ai.choice` and the like.

use super::flat::{find, is_infrastructure, text_of, Field};
use super::providers;
use super::read::{is_object, is_string, Members};
use super::Messages;
use crate::json::scan;
use opentelemetry::{KeyValue, Value};

impl Messages {
    /// Adds the message of one event, by its name and attributes. `false`, with nothing added,
    /// when the event is none of these or holds no content.
    pub(crate) fn push_event(&mut self, name: &str, attributes: &[KeyValue]) -> bool {
        let role = match name {
            "gen_ai.system.message" => "system",
            "gen_ai.user.message" => "user",
            "gen_ai.assistant.message" => "assistant",
            "gen_ai.tool.message" => "tool",
            "gen_ai.choice" => return self.push_choice(attributes),
            _ => return false,
        };
        if let Some(body) = body_of(attributes) {
            if let Some(mut message) = scan::object(&body).and_then(Members::read) {
                if role == "tool" && message.get("tool_call_id").is_none() {
                    message.rename("id", "tool_call_id");
                }
                self.push_known_message(&message, role);
            } else {
                self.push_text(role, &body);
            }
            return true;
        }
        self.push_event_fields(role, attributes, &[])
    }

    /// Adds all `gen_ai.choice` events of a span, in the order of their `index`.
    /// `false` when one of them held no content.
    pub(crate) fn push_choices<'a>(&mut self, choices: impl Iterator<Item = &'a [KeyValue]>) -> bool {
        let mut choices: Vec<_> = choices.map(|attributes| (index_of(attributes), attributes)).collect();
        choices.sort_by_key(|(index, _)| *index);
        // All of them are added, also after one that could not be.
        choices.iter().fold(true, |all, (_, attributes)| self.push_choice(attributes) && all)
    }

    fn push_choice(&mut self, attributes: &[KeyValue]) -> bool {
        if let Some(body) = body_of(attributes) {
            if !scan::object(&body).and_then(Members::read).is_some_and(|choice| self.push_choice_object(&choice)) {
                self.push_text("assistant", &body);
            }
            return true;
        }
        let Some(text) = last(attributes, "message").map(text_of) else {
            return self.push_event_fields("assistant", attributes, &["index"]);
        };
        let Some(mut message) = scan::object(&text).and_then(Members::read) else {
            let message = Value::from(text.into_owned());
            // Strands adds what the tools answered that the model called.
            let answers = last(attributes, "tool.result").map(text_of);
            let answers = answers.as_deref().and_then(providers::read);
            let except = ["index", "message", if answers.is_some() { "tool.result" } else { "index" }];
            let pushed = self.push_fields_of("assistant", attributes, &except, Some(&message));
            if let Some(answers) = answers {
                self.push_turns("tool", &answers, None);
            }
            return pushed;
        };
        if let Some(reason) = last(attributes, "finish_reason") {
            self.add_finish_reason(&text_of(reason));
        }
        let calls = last(attributes, "tool_calls").map(text_of);
        if let Some(Some(calls)) = calls.as_deref().map(scan::document) {
            message.add("tool_calls", calls);
        }
        self.push_known_message(&message, "assistant");
        true
    }

    /// Adds a choice in JSON: `{index, message, finish_reason, …}`. `false` when it is none.
    pub(super) fn push_choice_object(&mut self, choice: &Members<'_>) -> bool {
        let Some(message) = choice.get("message") else { return false };
        if is_string(message) {
            // Told apart from an error's message by what a choice has beside it.
            let known = choice.get("finish_reason").is_some() || choice.get("index").is_some();
            return known && self.push_text_choice(choice);
        }
        if !is_object(message) {
            return false;
        }
        let Some(mut message) = Members::read(message) else { return false };
        if !["role", "content", "parts", "tool_calls"].iter().any(|name| message.get(name).is_some()) {
            return false;
        }
        message.append(choice, &["message", "index"]);
        self.push_known_message(&message, "assistant");
        true
    }

    fn push_text_choice(&mut self, choice: &Members<'_>) -> bool {
        let Some(text) = choice.get_text("message") else { return false };
        if let Some(reason) = choice.get_text("finish_reason") {
            self.add_finish_reason(&reason);
        }
        let start = self.begin_message("assistant");
        super::write::write_text_member(&mut self.written, "content", &text);
        self.write_rest(choice, &["message", "index", "finish_reason"], &["role", "content"]);
        self.end_message(start);
        true
    }

    fn push_event_fields(&mut self, role: &str, attributes: &[KeyValue], except: &[&str]) -> bool {
        self.push_fields_of(role, attributes, except, None)
    }

    /// Adds a message whose members are attributes of an event.
    fn push_fields_of(
        &mut self,
        role: &str,
        attributes: &[KeyValue],
        except: &[&str],
        content: Option<&Value>,
    ) -> bool {
        let mut fields: Vec<Field<'_>> = attributes
            .iter()
            .map(|attribute| Field::new(0, attribute.key.as_str(), &attribute.value))
            .filter(|field| field.call.is_some() || !(is_infrastructure(field.name) || except.contains(&field.name)))
            .collect();
        fields.extend(content.map(|value| Field::new(0, "content", value)));
        let says_nothing = |field: &Field<'_>| matches!(field.name, "role" | "id" | "name" | "finish_reason");
        if fields.iter().all(|field| field.call.is_none() && says_nothing(field)) {
            // Recorded without content, as many instrumentations do by default.
            if let Some(reason) = find(&fields, "finish_reason") {
                self.add_finish_reason(&text_of(reason));
            }
            return false;
        }
        self.push_fields(role, &mut fields);
        true
    }
}

/// The whole body of an event, where it is one attribute.
fn body_of(attributes: &[KeyValue]) -> Option<std::borrow::Cow<'_, str>> {
    last(attributes, "gen_ai.event.content").map(text_of).filter(|text| !text.trim().is_empty())
}

fn last<'a>(attributes: &'a [KeyValue], name: &str) -> Option<&'a Value> {
    attributes.iter().rev().find(|attribute| attribute.key.as_str() == name).map(|attribute| &attribute.value)
}

fn index_of(attributes: &[KeyValue]) -> u64 {
    let index = last(attributes, "index").map(text_of).and_then(|text| text.trim().parse().ok());
    let body = || {
        let body = body_of(attributes)?;
        Members::read(scan::object(&body)?)?.get("index")?.parse().ok()
    };
    index.or_else(body).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::tests::list;
    use super::*;
    use serde_json::json;

    fn attributes(pairs: &[(&'static str, &'static str)]) -> Vec<KeyValue> {
        pairs.iter().map(|&(key, value)| KeyValue::new(key, value)).collect()
    }

    fn event(name: &str, pairs: &[(&'static str, &'static str)]) -> serde_json::Value {
        let mut messages = Messages::inputs();
        assert!(messages.push_event(name, &attributes(pairs)));
        list(&messages)[0].clone()
    }

    #[test]
    fn reads_messages_by_their_attributes() {
        let user = [("gen_ai.system", "openai"), ("level", "INFO"), ("content", "hi"), ("name", "ann")];
        assert_eq!(event("gen_ai.user.message", &user), json!({"role": "user", "content": "hi", "name": "ann"}));
        assert_eq!(
            event("gen_ai.system.message", &[("content", "old"), ("content", "new"), ("role", "developer")]),
            json!({"role": "system", "content": "new"})
        );
        assert_eq!(
            event("gen_ai.tool.message", &[("content", "5"), ("id", "c1")]),
            json!({"role": "tool", "content": "5", "tool_call_id": "c1"})
        );
        let call = json!([{"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{\"x\":1}"}}]);
        for pairs in [
            &[("tool_calls", r#"[{"id":"c1","type":"function","function":{"name":"add","arguments":"{\"x\":1}"}}]"#)][..],
            &[
                ("tool_calls.0.id", "c1"),
                ("tool_calls.0.type", "function"),
                ("tool_calls.0.function.name", "add"),
                ("tool_calls.0.function.arguments", r#"{"x":1}"#),
            ],
        ] {
            assert_eq!(
                event("gen_ai.assistant.message", pairs),
                json!({"role": "assistant", "content": "", "tool_calls": call})
            );
        }
    }

    #[test]
    fn reads_messages_in_one_attribute() {
        let body = |json| [("gen_ai.event.content", json)];
        assert_eq!(
            event("gen_ai.user.message", &body(r#"{"content":"hi"}"#)),
            json!({"role": "user", "content": "hi"})
        );
        assert_eq!(
            event("gen_ai.tool.message", &body(r#"{"id":"c1","content":"5"}"#)),
            json!({"role": "tool", "tool_call_id": "c1", "content": "5"})
        );
        assert_eq!(event("gen_ai.user.message", &body("plain"))["content"], "plain");
        let choice = r#"{"index":0,"finish_reason":"stop","message":{"content":"hi"},"tool_calls":[]}"#;
        let mut messages = Messages::outputs();
        assert!(messages.push_event("gen_ai.choice", &attributes(&body(choice))));
        assert_eq!(list(&messages)[0]["role"], "assistant");
        assert_eq!(messages.finish_reason(), Some("stop"));
        assert_eq!(event("gen_ai.choice", &body("plain")), json!({"role": "assistant", "content": "plain"}));
    }

    /// Fixture: two choices, the second recorded first.
    #[test]
    fn keeps_all_choices_in_order() {
        let second =
            [("index", "1"), ("message", r#"{"role":"assistant","content":"b"}"#), ("finish_reason", "length")];
        let first = [("index", "0"), ("message.content", "a"), ("finish_reason", "stop")];
        let third = [("index", "2"), ("message", "c")];
        let events = [attributes(&second), attributes(&first), attributes(&third)];
        let mut messages = Messages::outputs();
        assert!(messages.push_choices(events.iter().map(Vec::as_slice)));
        assert_eq!(
            list(&messages),
            json!([
                {"role": "assistant", "content": "a"},
                {"role": "assistant", "content": "b"},
                {"role": "assistant", "content": "c"},
            ])
        );
        assert_eq!(messages.finish_reasons(), ["stop", "length"]);
    }

    #[test]
    fn joins_a_choice_with_its_tool_calls() {
        let choice = [
            ("message", r#"{"role":"assistant"}"#),
            ("tool_calls", r#"[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]"#),
        ];
        assert_eq!(event("gen_ai.choice", &choice)["tool_calls"][0]["function"]["name"], "f");
    }

    #[test]
    fn fills_members_that_are_null() {
        let body = r#"{"message":{"role":"assistant","content":null},"content":"hi","logprobs":null}"#;
        let mut messages = Messages::outputs();
        assert!(messages.push_event("gen_ai.choice", &[KeyValue::new("gen_ai.event.content", body)]));
        assert_eq!(messages.list(), r#"{"role":"assistant","content":"hi","logprobs":null}"#);
        assert_eq!(
            event(
                "gen_ai.tool.message",
                &[("gen_ai.event.content", r#"{"id":"c","tool_call_id":null,"content":"x"}"#)]
            ),
            json!({"role": "tool", "tool_call_id": "c", "content": "x"})
        );
    }

    #[test]
    fn leaves_events_without_content_to_the_caller() {
        let mut messages = Messages::outputs();
        assert!(!messages.push_event("exception", &attributes(&[("content", "x")])));
        assert!(!messages.push_event("gen_ai.user.message", &attributes(&[("gen_ai.system", "openai")])));
        assert!(!messages.push_event("gen_ai.choice", &attributes(&[("index", "0"), ("finish_reason", "stop")])));
        assert!(messages.is_empty());
        assert_eq!(messages.finish_reason(), Some("stop"));
    }
}

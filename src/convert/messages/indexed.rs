//! `gen_ai.prompt.N.…` and `gen_ai.completion.N.…`, as OpenLLMetry writes them.

use super::flat::{split_number, Field};
use super::Messages;
use opentelemetry::Value;

/// Whether the rest of a key, after `gen_ai.prompt.`, names a message by its number.
pub(crate) fn is_indexed(rest: &str) -> bool {
    split_number(rest).is_some()
}

impl Messages {
    /// Adds messages from pairs such as (`0.role`, …) and (`0.tool_calls.1.name`, …), in the order
    /// of their numbers, whatever the order of the pairs and however many numbers are missing.
    ///
    /// Pairs whose key [`is_indexed`] denies are left out. `false` when no pair is left.
    pub(crate) fn push_indexed<'a>(&mut self, pairs: impl Iterator<Item = (&'a str, &'a Value)>) -> bool {
        let mut fields: Vec<Field<'a>> = pairs
            .filter_map(|(key, value)| {
                let (message, name) = split_number(key)?;
                // A number alone: the whole message is one text.
                Some(Field::new(message, if name.is_empty() { "content" } else { name }, value))
            })
            .collect();
        fields.sort_by_key(|field| field.message);
        let default_role = self.side.role();
        for message in fields.chunk_by_mut(|one, other| one.message == other.message) {
            self.push_fields(default_role, message);
        }
        !fields.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::list;
    use super::*;
    use opentelemetry::Array;
    use serde_json::json;

    fn converted(pairs: &[(&str, &str)]) -> serde_json::Value {
        let pairs: Vec<_> = pairs.iter().map(|&(key, value)| (key, Value::from(value.to_owned()))).collect();
        let mut messages = Messages::inputs();
        assert!(messages.push_indexed(pairs.iter().map(|(key, value)| (*key, value))));
        list(&messages)
    }

    /// Fixture: a chat with tools as OpenLLMetry records it.
    #[test]
    fn reads_tool_calls() {
        let pairs = [
            ("0.role", "user"),
            ("0.content", "2+3?"),
            ("1.role", "assistant"),
            ("1.finish_reason", "tool_calls"),
            ("1.tool_calls.1.name", "mul"),
            ("1.tool_calls.0.id", "c0"),
            ("1.tool_calls.0.name", "add"),
            ("1.tool_calls.0.arguments", r#"{"y":3,"x":2}"#),
            ("2.role", "tool"),
            ("2.tool_call_id", "c0"),
            ("2.content", "5"),
        ];
        let expected = json!([
            {"role": "user", "content": "2+3?"},
            {"role": "assistant", "content": "", "tool_calls": [
                {"id": "c0", "type": "function", "function": {"name": "add", "arguments": "{\"y\":3,\"x\":2}"}},
                {"type": "function", "function": {"name": "mul", "arguments": "{}"}},
            ]},
            {"role": "tool", "tool_call_id": "c0", "content": "5"},
        ]);
        assert_eq!(converted(&pairs), expected);
        let mut backwards = pairs;
        backwards.reverse();
        assert_eq!(converted(&backwards), expected);
    }

    #[test]
    fn sorts_by_number_and_tolerates_gaps() {
        let pairs =
            [("10.content", "c"), ("2.content", "b"), ("0.content", "a"), ("x.content", "?"), ("+1.content", "?")];
        let contents: Vec<_> =
            converted(&pairs).as_array().unwrap().iter().map(|message| message["content"].clone()).collect();
        assert_eq!(contents, ["a", "b", "c"]);
        assert!(is_indexed("0.role") && is_indexed("12") && !is_indexed("x") && !is_indexed("") && !is_indexed("-1.a"));
    }

    #[test]
    fn takes_the_last_of_several_values() {
        let pairs = [("0.content", "old"), ("0.x", "old"), ("0.content", "new"), ("0.x", "new")];
        assert_eq!(converted(&pairs), json!([{"role": "user", "content": "new", "x": "new"}]));
    }

    #[test]
    fn reads_other_spellings() {
        assert_eq!(
            converted(&[("0.message.role", "model"), ("0.message.content", "hi"), ("1", "text")]),
            json!([{"role": "assistant", "content": "hi"}, {"role": "user", "content": "text"}])
        );
        assert_eq!(
            converted(&[("0.content", r#"[{"type":"image_url","image_url":{"url":"u"}},{"type":"text","text":"a"}]"#)]),
            json!([{"role": "user", "content":
                [{"type": "image_url", "image_url": {"url": "u"}}, {"type": "text", "text": "a"}]}])
        );
        // JSON that a user wrote is a text.
        assert_eq!(converted(&[("0.content", "[1]")])[0]["content"], "[1]");
        assert_eq!(converted(&[("0.content", r#"{"type":"text"}"#)])[0]["content"], r#"{"type":"text"}"#);
        assert_eq!(
            converted(&[("0.role", "assistant"), ("0.reasoning", "hm"), ("0.content", "a")]),
            json!([{"role": "assistant", "content": [{"type": "reasoning", "text": "hm"}, {"type": "text", "text": "a"}]}])
        );
        assert_eq!(converted(&[("0.role", "thinking"), ("0.content", "hm")])[0]["role"], "reasoning");
        assert_eq!(
            converted(&[("0.tool_calls", r#"[{"id":"c","name":"f","arguments":{"a":1}}]"#)])[0]["tool_calls"],
            json!([{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}}])
        );
        assert_eq!(converted(&[("0.tool_calls", "none")])[0]["tool_calls"], "none");
    }

    #[test]
    fn keeps_values_that_are_no_text() {
        let values = [
            ("0.content", Value::I64(7)),
            ("0.flag", Value::Bool(true)),
            ("1.content", Value::Array(Array::String(vec!["a".into(), "b".into()]))),
        ];
        let mut messages = Messages::outputs();
        assert!(messages.push_indexed(values.iter().map(|(key, value)| (*key, value))));
        assert_eq!(
            list(&messages),
            json!([{"role": "assistant", "content": "7", "flag": true}, {"role": "assistant", "content": "[\"a\",\"b\"]"}])
        );
    }

    #[test]
    fn adds_nothing_without_a_number() {
        let text = Value::from("x");
        let mut messages = Messages::inputs();
        assert!(!messages.push_indexed([("role", &text), ("99999999999999999999.role", &text)].into_iter()));
        assert!(messages.is_empty());
    }
}

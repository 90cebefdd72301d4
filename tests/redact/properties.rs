//! Redaction changes what matches and nothing else.

use opentelemetry_langsmith::Redactor;
use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::fmt::Write;

/// How a character is spelled in JSON: as itself, or escaped.
fn spell(text: &str, escape: u64, pretty: bool) -> String {
    let mut out = String::from("\"");
    for (position, c) in text.chars().enumerate() {
        if escape >> (position % 64) & 1 == 1 || c < ' ' || c == '"' || c == '\\' {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let written = if pretty { write!(out, "\\u{unit:04X}") } else { write!(out, "\\u{unit:04x}") };
                written.unwrap();
            }
        } else {
            out.push(c);
        }
    }
    out.push('"');
    out
}

/// JSON text in any spelling, with white space, and numbers that no float can hold.
fn json_text(words: &'static str) -> impl Strategy<Value = String> {
    let string = (words, any::<u64>(), any::<bool>()).prop_map(|(text, escape, pretty)| spell(&text, escape, pretty));
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("18446744073709551617".to_owned()),
        Just("1.0000000000000000001e-7".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        string.clone(),
    ];
    let nested = leaf.prop_recursive(4, 40, 6, move |inner| {
        let member = (string.clone(), "[ \n]{0,2}", inner.clone())
            .prop_map(|(name, white, value)| format!("{name}{white}:{white}{value}"));
        prop_oneof![
            (proptest::collection::vec(inner.clone(), 0..6), "[ \t]{0,2}")
                .prop_map(|(items, white)| format!("[{white}{}{white}]", items.join(&format!("{white},{white}")))),
            proptest::collection::vec(member, 0..6).prop_map(|members| format!("{{{}}}", members.join(", "))),
            // A string that holds JSON.
            inner.prop_map(|inner| serde_json::to_string(&inner).unwrap()),
        ]
    });
    nested.prop_map(|json| format!("{{\"root\":{json}}}"))
}

/// Every text in it, names and texts in strings that hold JSON included.
fn texts(json: &Value, out: &mut Vec<String>) {
    match json {
        Value::String(text) => {
            out.push(text.clone());
            if let Ok(inner) = serde_json::from_str::<Value>(text) {
                if !inner.is_number() {
                    texts(&inner, out);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, out)),
        Value::Object(members) => members.iter().for_each(|(name, value)| {
            out.push(name.clone());
            texts(value, out);
        }),
        _ => {}
    }
}

/// What replacing in a tree gives, where no string holds JSON.
fn replaced(json: &Value) -> Value {
    match json {
        Value::String(text) => text.replace("key", "lock").into(),
        Value::Array(items) => items.iter().map(replaced).collect(),
        Value::Object(members) => Value::Object(
            members.iter().map(|(name, value)| (name.replace("key", "lock"), replaced(value))).collect::<Map<_, _>>(),
        ),
        other => other.clone(),
    }
}

proptest! {
    #[test]
    fn what_does_not_match_is_the_same_to_the_byte(json in json_text("[a-j\"\\\\ é😀\n]{0,6}")) {
        let redactor = Redactor::new().with_pattern("key", "lock").unwrap().with_path("inputs.key").unwrap().with_fn(|_, _| None);
        prop_assert_eq!(redactor.redact(&json), json);
    }

    #[test]
    fn what_matches_is_gone_in_any_spelling_and_json_stays_json(json in json_text("[a-d\"\\\\é😀]{0,2}(key)?[a-d]{0,2}")) {
        let redactor = Redactor::new().with_pattern("key", "lock").unwrap();
        let redacted = redactor.redact(&json);
        prop_assert!(serde_json::from_str::<&RawValue>(&redacted).is_ok(), "{}", redacted);
        let (before, after): (Value, Value) = (serde_json::from_str(&json).unwrap(), serde_json::from_str(&redacted).unwrap());
        let mut found = Vec::new();
        texts(&after, &mut found);
        prop_assert!(!found.iter().any(|text| text.contains("key")), "{}", redacted);
        // Without JSON in strings, and names that became the same, a tree is replaced to the same.
        let mut all = Vec::new();
        texts(&before, &mut all);
        if !all.iter().any(|text| text.starts_with(['{', '[', '"'])) && !found.iter().any(|text| text.contains(' ')) {
            prop_assert_eq!(after, replaced(&before));
        }
    }

    #[test]
    fn no_text_makes_it_panic_or_fail(text in "[\\[\\]{}:,\"\\\\ 1u0key]{0,16}") {
        let redactor = Redactor::new().with_pattern("key", "lock").unwrap().with_path("**.k").unwrap();
        redactor.redact(&text);
        redactor.redact(&format!("{{\"a\":{text}}}"));
        prop_assert_eq!(redactor.failures(), 0);
    }
}

//! Values that an instrumentation wrote as JSON, whatever they were, and some of them twice.

use super::draft::write_raw_object;
use super::messages::Members;
use super::usage::Count;
use super::Draft;
use crate::json::{scan, walk, write_string};
use opentelemetry::Value;
use std::borrow::Cow;
use std::fmt::Write;

/// The text that was encoded; of anything but a text, its JSON.
pub(super) fn decode(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text.trim());
    for _ in 0..2 {
        match text.starts_with('"').then(|| serde_json::from_str(&text)) {
            Some(Ok(decoded)) => text = Cow::Owned(decoded),
            _ => break,
        }
    }
    text
}

/// The decoded text of an attribute, unless it says nothing.
pub(super) fn text(value: &Value) -> Option<Cow<'_, str>> {
    let text = match value {
        Value::String(text) => decode(text.as_str()),
        other => other.as_str(),
    };
    let is_empty = matches!(text.trim(), "" | "[]" | "{}" | "null");
    (!is_empty).then_some(text)
}

/// Writes a value as an object: objects as they are, everything else under `name`.
pub(super) fn write_object(out: &mut String, name: &str, value: &Value) -> bool {
    let Some(text) = text(value) else { return false };
    if let Some(json) = scan::document(&text) {
        write_raw_object(out, name, json);
    } else if text.starts_with(|c: char| c == '-' || c.is_ascii_digit() || c == 't' || c == 'f') && scan::value(&text) {
        write_raw_object(out, name, &text);
    } else {
        let mut quoted = String::new();
        write_string(&mut quoted, &text);
        write_raw_object(out, name, &quoted);
    }
    true
}

/// Takes counts from the members of a JSON object, by their names.
pub(super) fn counts(draft: &mut Draft, json: &str, count: impl Fn(&str) -> Option<Count>) -> bool {
    let Some(members) = scan::object(json).and_then(Members::read) else { return false };
    let mut any = false;
    for (name, value) in members.iter() {
        if let Some(count) = count(name) {
            any |= draft.usage.set(count, &Value::String(value.trim_matches('"').to_owned().into()));
        }
    }
    any
}

/// Takes from a provider's own account of its tokens which of them were cached, and which were thoughts.
pub(super) fn details(draft: &mut Draft, usage: &str) {
    counts(draft, usage, |name| match name {
        "cache_read_input_tokens" => Some(Count::CacheRead),
        "cache_creation_input_tokens" => Some(Count::CacheCreation),
        _ => None,
    });
    let usage = Members::read(usage).unwrap_or_default();
    for (group, detail, count) in [
        ("prompt_tokens_details", "cached_tokens", Count::CacheRead),
        ("input_tokens_details", "cached_tokens", Count::CacheRead),
        ("completion_tokens_details", "reasoning_tokens", Count::Reasoning),
        ("output_tokens_details", "reasoning_tokens", Count::Reasoning),
    ] {
        if let Some(group) = usage.get(group) {
            counts(draft, group, |name| (name == detail).then_some(count));
        }
    }
}

/// Writes how many vectors there are and how long they are, instead of the vectors. `lists` are JSON.
pub(super) fn write_vectors<'a>(out: &mut String, lists: impl IntoIterator<Item = &'a str>) {
    let (mut vectors, mut dimensions) = (0_usize, 0_usize);
    for list in lists {
        vectors += 1;
        if vectors == 1 && scan::document(list).is_some() {
            walk::elements(list.trim(), |_| dimensions += 1);
        }
    }
    let _ = write!(out, "{{\"embeddings\":{vectors},\"dimensions\":{dimensions}}}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undoes_one_encoding_and_two() {
        let written = |text: &'static str| {
            let mut out = String::new();
            write_object(&mut out, "input", &text.into()).then_some(out)
        };
        for (text, object) in [
            (r#"{"a":1}"#, r#"{"a":1}"#),
            (r#""{\"a\":1}""#, r#"{"a":1}"#),
            (r#""\"hi\"""#, r#"{"input":"hi"}"#),
            (r#""hi""#, r#"{"input":"hi"}"#),
            ("hi", r#"{"input":"hi"}"#),
            ("9007199254740993", r#"{"input":9007199254740993}"#),
            ("true", r#"{"input":true}"#),
            ("[1]", r#"{"input":[1]}"#),
        ] {
            assert_eq!(written(text).as_deref(), Some(object), "{text}");
        }
        for text in ["", "null", "{}", "[]", "\"\"", "\"{}\""] {
            assert_eq!(written(text), None, "{text}");
        }
    }

    #[test]
    fn counts_vectors() {
        let mut out = String::new();
        write_vectors(&mut out, ["[0.1,0.2,0.3]", "[1,2,3]"]);
        assert_eq!(out, r#"{"embeddings":2,"dimensions":3}"#);
    }
}

//! Pieces of JSON that all sources of messages write.

use super::read::{decode, escaped, is_string};
use crate::json::write_string;
use std::borrow::Cow;

/// Writes a comma unless a list or an object has just been opened.
pub(super) fn separate(out: &mut String) {
    if !matches!(out.as_bytes().last(), None | Some(b'[' | b'{')) {
        out.push(',');
    }
}

pub(super) fn write_name(out: &mut String, name: &str) {
    separate(out);
    write_string(out, name);
    out.push(':');
}

pub(super) fn write_member(out: &mut String, name: &str, json: &str) {
    write_name(out, name);
    out.push_str(json);
}

/// A name that is not taken, for a member whose own name is.
pub(super) fn free_name(name: &str, taken: impl Fn(&str) -> bool) -> String {
    let mut free = name.to_owned();
    while taken(&free) {
        free.insert(0, '_');
    }
    free
}

pub(super) fn write_text_member(out: &mut String, name: &str, text: &str) {
    write_name(out, name);
    write_string(out, text);
}

/// Writes any JSON as a string: a string as it is, anything else as its text.
pub(super) fn write_as_string(out: &mut String, json: &str) {
    if is_string(json) {
        out.push_str(json);
    } else {
        write_string(out, json);
    }
}

/// Like [`write_as_string`], without the quotes.
pub(super) fn write_escaped(out: &mut String, json: &str) {
    if let Some(text) = escaped(json) {
        out.push_str(text);
    } else {
        let mut quoted = String::new();
        write_string(&mut quoted, json);
        out.push_str(&quoted[1..quoted.len() - 1]);
    }
}

/// Whether two messages say the same, however their strings are escaped.
pub(super) fn same_message(one: &str, other: &str) -> bool {
    #[derive(serde::Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Plain {
        role: String,
        content: String,
    }
    let read = |json| serde_json::from_str::<Plain>(json).ok();
    one == other || ((one.contains('\\') || other.contains('\\')) && read(one).is_some() && read(one) == read(other))
}

/// The role as LangSmith knows it.
pub(super) fn role(name: &str) -> &str {
    const ROLES: [(&str, &str); 10] = [
        ("user", "user"),
        ("assistant", "assistant"),
        ("system", "system"),
        ("tool", "tool"),
        ("human", "user"),
        ("model", "assistant"),
        ("ai", "assistant"),
        ("developer", "system"),
        ("function", "tool"),
        // OpenLLMetry gives a model's thoughts a message of their own.
        ("thinking", "reasoning"),
    ];
    ROLES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map_or(name, |(_, role)| role)
}

/// The role in JSON, or the one to take when there is none.
pub(super) fn role_of<'a>(json: Option<&'a str>, default: &'a str) -> Cow<'a, str> {
    // Most say it as it is.
    match json {
        Some("\"user\"") => return Cow::Borrowed("user"),
        Some("\"assistant\"") => return Cow::Borrowed("assistant"),
        Some("\"tool\"") => return Cow::Borrowed("tool"),
        _ => {}
    }
    match json.map(decode).filter(|name| !name.is_empty()) {
        None => Cow::Borrowed(default),
        Some(Cow::Borrowed(name)) => Cow::Borrowed(role(name)),
        Some(Cow::Owned(name)) => Cow::Owned(role(&name).to_owned()),
    }
}

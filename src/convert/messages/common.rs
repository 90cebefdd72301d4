//! The parts that most messages have: thoughts, texts and then calls of tools, or what one tool answered. They are written
//! while they are read, as what the general way through [`super::part::Part`] makes of them.

use super::part::Part as AnyPart;
use super::read::{escaped, Members};
use super::said::{Known, Which};
use super::write::{separate, write_as_string};
use crate::json::walk::Walk;

/// What parts are together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Shape {
    #[default]
    Content,
    ContentAndCalls,
    /// A tool's answer, a message of its own.
    Result,
    /// No parts, but what may stand in one.
    Value,
}

const TYPES: [&str; 5] = ["\"text\"", "\"tool_call\"", "\"tool_call_response\"", "\"reasoning\"", "\"thinking\""];

/// A message of such parts, or of parts that are known.
pub(super) struct Message<'a> {
    pub(super) role: Option<&'a str>,
    pub(super) finish_reason: Option<&'a str>,
    /// The parts as they came.
    pub(super) list: &'a str,
    pub(super) parts: Which,
    /// What stands beside.
    pub(super) rest: Members<'a>,
}

impl<'a> Message<'a> {
    /// Reads the message that comes next, its parts as it is told.
    pub(super) fn read(
        walk: &mut Walk<'a>,
        mut read_parts: impl FnMut(&mut Walk<'a>) -> Option<Which>,
    ) -> Option<Self> {
        let (mut role, mut finish_reason, mut parts) = (None, None, None);
        let mut rest = Members::default();
        walk.members(|walk, name, has_escapes| {
            match name {
                "\"role\"" if role.is_none() => role = Some(walk.value()?),
                "\"finish_reason\"" if finish_reason.is_none() => finish_reason = Some(walk.value()?),
                "\"parts\"" if parts.is_none() => parts = Some(walk.text_of(&mut read_parts)?),
                // Twice, in another shape, or no message at all.
                "\"type\"" | "\"role\"" | "\"finish_reason\"" | "\"parts\"" | "\"content\"" | "\"tool_calls\""
                | "\"message\"" | "\"messages\"" => return None,
                _ if has_escapes => return None,
                _ => rest.push(escaped(name)?, walk.value()?),
            }
            Some(())
        })?;
        let (list, parts) = parts?;
        let told = |value: &&str| *value != "null";
        Some(Self { role: role.filter(told), finish_reason: finish_reason.filter(told), list, parts, rest })
    }
}

/// The members that such a part may have.
#[derive(Default)]
struct Part<'a> {
    kind: Option<&'a str>,
    text: Option<&'a str>,
    id: Option<&'a str>,
    name: Option<&'a str>,
    arguments: Option<&'a str>,
    response: Option<&'a str>,
}

impl<'a> Part<'a> {
    fn read(walk: &mut Walk<'a>, known: &Known) -> Option<Self> {
        let mut members = Self::default();
        walk.members(|walk, name, _| {
            let member = match name {
                "\"type\"" => &mut members.kind,
                "\"content\"" | "\"text\"" => &mut members.text,
                "\"id\"" => &mut members.id,
                "\"name\"" => &mut members.name,
                "\"arguments\"" => &mut members.arguments,
                "\"response\"" => &mut members.response,
                _ => return None,
            };
            // A name that comes twice, or with nothing, is not common.
            if member.is_some() {
                return None;
            }
            // An answer becomes a text, so it does not matter how deep it is nested.
            let answer = if name == "\"response\"" { known.value(walk) } else { None };
            let value = answer.or_else(|| walk.value()).filter(|value| *value != "null")?;
            *member = Some(value);
            (name != "\"type\"" || TYPES.contains(&value)).then_some(())
        })?;
        Some(members)
    }
}

/// Writes the list of parts that comes next as members of a message, its role left out. `None` when a part is among
/// them that is not common.
pub(super) fn write(walk: &mut Walk<'_>, known: &Known, out: &mut String) -> Option<Shape> {
    const TEXT: &str = ",\"content\":\"";
    const BLOCKS: &str = ",\"content\":[";
    let start = out.len();
    out.push_str(TEXT);
    let mut shape = Shape::Content;
    let (mut is_first, mut is_blocks) = (true, false);
    walk.elements(|walk| {
        let Part { kind, text, id, name, arguments, response } = Part::read(walk, known)?;
        let is_alone = id.or(name).or(arguments).or(response).is_none();
        match (kind.unwrap_or("\"text\""), shape, text, name, response) {
            ("\"text\"", Shape::Content, Some(text), ..) if is_alone => {
                let text = escaped(text)?;
                if is_blocks && !text.is_empty() {
                    write_block(out, "text", text);
                } else if !text.is_empty() {
                    out.push_str(if out.len() > start + TEXT.len() { "\\n" } else { "" });
                    out.push_str(text);
                }
            }
            // Thoughts come first, and make blocks of all.
            ("\"reasoning\"" | "\"thinking\"", Shape::Content, Some(text), ..)
                if is_alone && (is_first || is_blocks) =>
            {
                // A list in it may be a summary.
                let text = escaped(text).filter(|text| !text.trim_start().starts_with(['[', '\\']))?;
                if is_first {
                    is_blocks = true;
                    out.truncate(start);
                    out.push_str(BLOCKS);
                }
                write_block(out, "reasoning", text);
            }
            ("\"tool_call\"", Shape::Content | Shape::ContentAndCalls, None, Some(name), None) => {
                out.push_str(match shape {
                    Shape::Content if is_blocks => "],\"tool_calls\":[{",
                    Shape::Content => "\",\"tool_calls\":[{",
                    _ => ",{",
                });
                shape = Shape::ContentAndCalls;
                if let Some(id) = id {
                    out.push_str("\"id\":");
                    out.push_str(id);
                    out.push(',');
                }
                out.push_str("\"type\":\"function\",\"function\":{\"name\":");
                write_as_string(out, name);
                out.push_str(",\"arguments\":");
                write_as_string(out, arguments.unwrap_or("\"{}\""));
                out.push_str("}}");
            }
            ("\"tool_call_response\"", Shape::Content, None, None, Some(response))
                if is_first && arguments.is_none() && !is_content(response) =>
            {
                shape = Shape::Result;
                out.truncate(start);
                out.push_str(",\"tool_call_id\":");
                out.push_str(id?);
                out.push_str(",\"content\":");
                write_as_string(out, response);
            }
            _ => return None,
        }
        is_first = false;
        Some(())
    })?;
    match shape {
        Shape::Content if is_blocks => out.push(']'),
        Shape::Content => out.push('"'),
        Shape::ContentAndCalls => out.push(']'),
        Shape::Result | Shape::Value => {}
    }
    Some(shape)
}

fn write_block(out: &mut String, kind: &str, text: &str) {
    separate(out);
    for piece in ["{\"type\":\"", kind, "\",\"text\":\"", text, "\"}"] {
        out.push_str(piece);
    }
}

/// Whether a tool's answer is blocks of content.
fn is_content(json: &str) -> bool {
    json.starts_with('[') && AnyPart::read_content(json).is_some()
}

//! Going through JSON text and changing strings in it. What is not changed is copied, byte for byte.

use super::fields::Redaction;
use super::MARKER;
use crate::json::scan::{self, plain_length};
use crate::json::write_string;
use rustc_hash::FxHashSet;
use serde::de::IgnoredAny;
use std::borrow::Cow;
use std::ops::Range;

/// Strings that hold JSON that has strings that hold JSON, and so on: what is nested deeper is hidden.
const MAX_NESTED: usize = 8;

/// The text is not what it should be, so it cannot be told what is in it.
#[derive(Debug)]
pub(super) struct Unfit;

/// An open bracket.
enum Open {
    Object {
        /// Names that were redacted, which may have become the same.
        names: FxHashSet<String>,
    },
    Array {
        next: usize,
    },
}

impl Redaction {
    /// Goes through one JSON value, whose place has been entered. `None` when nothing changes.
    pub(super) fn json(&mut self, text: &str, nested: usize) -> Result<Option<String>, Unfit> {
        let mut copy = Copy { text, at: 0, out: String::new(), copied: 0 };
        let mut open = Vec::new();
        'values: loop {
            copy.white();
            match copy.peek()? {
                bracket @ (b'{' | b'[') => {
                    let (kind, close) = match bracket {
                        b'{' => (Open::Object { names: FxHashSet::default() }, b'}'),
                        _ => (Open::Array { next: 0 }, b']'),
                    };
                    copy.at += 1;
                    open.push(kind);
                    copy.white();
                    if copy.peek()? == close {
                        copy.at += 1;
                        open.pop();
                    } else if self.enter_next(&mut copy, &mut open, nested)? {
                        continue;
                    }
                }
                b'"' => {
                    let (start, string) = copy.string()?;
                    if let Some(changed) = self.text(&unescape(string), nested, false)? {
                        copy.replace(start, |out| write_string(out, &changed));
                    }
                }
                _ => copy.word()?,
            }
            // A value has ended.
            loop {
                let Some(inner) = open.last() else { break 'values };
                let in_object = matches!(inner, Open::Object { .. });
                self.position.leave();
                copy.white();
                match (copy.next()?, in_object) {
                    (b',', _) => {
                        if self.enter_next(&mut copy, &mut open, nested)? {
                            continue 'values;
                        }
                    }
                    (b'}', true) | (b']', false) => drop(open.pop()),
                    _ => return Err(Unfit),
                }
            }
        }
        copy.white();
        if copy.at != text.len() {
            return Err(Unfit);
        }
        Ok(copy.finish())
    }

    /// Enters the next value of an object or a list. `false` when it was hidden, and has ended.
    fn enter_next(&mut self, copy: &mut Copy<'_>, open: &mut [Open], nested: usize) -> Result<bool, Unfit> {
        copy.white();
        // Events are objects, whatever becomes of them.
        let is_event = self.in_events && open.len() == 1 && nested == 0;
        let hidden = match open.last_mut().ok_or(Unfit)? {
            Open::Object { names } => self.member(copy, names, nested)?,
            Open::Array { next } => {
                *next += 1;
                self.position.enter(itoa::Buffer::new().format(*next - 1))
            }
        };
        if hidden {
            copy.white();
            let start = copy.at;
            copy.skip()?;
            copy.replace(start, |out| out.push_str(if is_event { "{}" } else { MARKER_JSON }));
        }
        Ok(!hidden)
    }

    /// Enters a member, its name redacted. `names` are those before it that became others.
    fn member(&mut self, copy: &mut Copy<'_>, names: &mut FxHashSet<String>, nested: usize) -> Result<bool, Unfit> {
        if copy.peek()? != b'"' {
            return Err(Unfit);
        }
        let (start, string) = copy.string()?;
        let name = unescape(string);
        if let Some(changed) = self.text(&name, nested, true)? {
            // As many tries as there are names find a new one; mostly the first or the second does.
            let count = names.len();
            let numbered = (count..=2 * count).map(|number| format!("{changed} {}", number + 1));
            let mut tries = std::iter::once(changed.clone()).chain(numbered);
            let changed = tries.find(|name| !names.contains(name)).unwrap_or_default();
            copy.replace(start, |out| write_string(out, &changed));
            names.insert(changed);
        }
        copy.white();
        if copy.next()? != b':' {
            return Err(Unfit);
        }
        Ok(self.position.enter(&name))
    }

    /// Looks at one text. `None` when it stays as it is.
    pub(super) fn text(&mut self, text: &str, nested: usize, is_name: bool) -> Result<Option<String>, Unfit> {
        let mut changed = None;
        let trimmed = text.trim_ascii();
        if !is_name && is_json(trimmed) {
            if nested == MAX_NESTED {
                return Ok(Some(MARKER.to_owned()));
            }
            if let Some(json) = self.json(trimmed, nested + 1)? {
                // The two are parts of one text.
                let before = trimmed.as_ptr() as usize - text.as_ptr() as usize;
                let after = before + trimmed.len();
                changed = Some(format!("{}{json}{}", &text[..before], &text[after..]));
            }
        } else if !is_name && nested < MAX_NESTED && self.position.has_rules() {
            changed = self.embedded(text, nested)?;
        }
        changed = self.patterns.apply(changed.as_deref().unwrap_or(text)).or(changed);
        Ok(self.ask_functions(changed.as_deref().unwrap_or(text), is_name).or(changed))
    }
}

impl Redaction {
    /// Looks at JSON amid other text, for what stands under names.
    fn embedded(&mut self, text: &str, nested: usize) -> Result<Option<String>, Unfit> {
        let mut copy = Copy { text, at: 0, out: String::new(), copied: 0 };
        for place in objects_within(text) {
            if let Some(json) = self.json(&text[place.clone()], nested + 1)? {
                copy.at = place.end;
                copy.replace(place.start, |out| out.push_str(&json));
            }
        }
        Ok(copy.finish())
    }
}

/// Where objects stand in a text: one alone, or one a line.
fn objects_within(text: &str) -> Vec<Range<usize>> {
    let object = |start: usize, end: usize| {
        let text = &text[start..end];
        let place = start + text.find('{')?..start + text.rfind('}')? + 1;
        (place.start < place.end && is_json(text.get(place.start - start..place.end - start)?)).then_some(place)
    };
    if let Some(place) = object(0, text.len()) {
        return vec![place];
    }
    let lines = text.split_inclusive('\n').scan(0, |end, line| {
        *end += line.len();
        Some((*end - line.len(), *end))
    });
    lines.filter_map(|(start, end)| object(start, end)).collect()
}

pub(super) const MARKER_JSON: &str = "\"[redacted]\"";

/// Whether a text is JSON with text of its own in it.
fn is_json(text: &str) -> bool {
    let bytes = text.as_bytes();
    let closes = match bytes.first() {
        Some(b'{') => b'}',
        Some(b'[') => b']',
        Some(b'"') if bytes.len() > 1 => b'"',
        _ => return false,
    };
    // Some is taken that a server would refuse, for numbers that are too large for it.
    bytes.last() == Some(&closes) && (scan::value(text) || serde_json::from_str::<IgnoredAny>(text).is_ok())
}

/// What a string says that is written so, without its quotes.
pub(super) fn unescape(string: &str) -> Cow<'_, str> {
    let Some(first) = string.find('\\') else { return Cow::Borrowed(string) };
    let mut out = String::with_capacity(string.len());
    out.push_str(&string[..first]);
    let mut rest = &string[first..];
    while let Some(escape) = rest.strip_prefix('\\') {
        let mut length = 1;
        match escape.as_bytes().first() {
            Some(b'n') => out.push('\n'),
            Some(b'r') => out.push('\r'),
            Some(b't') => out.push('\t'),
            Some(b'b') => out.push('\u{8}'),
            Some(b'f') => out.push('\u{c}'),
            Some(b'u') => {
                let unit = |at: usize| u16::from_str_radix(escape.get(at..at + 4)?, 16).ok();
                let pair = escape.get(5..7) == Some("\\u");
                let units = [unit(1).unwrap_or(0xFFFD), unit(7).filter(|_| pair).unwrap_or(0)];
                length = 5;
                match char::decode_utf16(units).next() {
                    Some(Ok(character)) => {
                        length += 6 * (character.len_utf16() - 1);
                        out.push(character);
                    }
                    _ => out.push(char::REPLACEMENT_CHARACTER),
                }
            }
            Some(&other) if other.is_ascii() => out.push(char::from(other)),
            _ => length = 0,
        }
        rest = escape.get(length..).unwrap_or_default();
        let plain = rest.find('\\').unwrap_or(rest.len());
        out.push_str(&rest[..plain]);
        rest = &rest[plain..];
    }
    Cow::Owned(out)
}

/// Reads a text, and copies what is not replaced as soon as something is.
struct Copy<'a> {
    text: &'a str,
    at: usize,
    out: String,
    copied: usize,
}

impl<'a> Copy<'a> {
    /// Writes something else instead of what was read since `start`.
    fn replace(&mut self, start: usize, write: impl FnOnce(&mut String)) {
        self.out.push_str(&self.text[self.copied..start]);
        write(&mut self.out);
        self.copied = self.at;
    }

    fn finish(mut self) -> Option<String> {
        (self.copied > 0).then(|| {
            self.out.push_str(&self.text[self.copied..]);
            self.out
        })
    }

    /// Goes past a string. Where it began, and what is between its quotes.
    fn string(&mut self) -> Result<(usize, &'a str), Unfit> {
        let start = self.at;
        self.at += 1;
        loop {
            self.at += plain_length(self.text.as_bytes().get(self.at..).ok_or(Unfit)?);
            match self.next()? {
                b'"' => break,
                b'\\' => self.at += 1,
                _ => {}
            }
        }
        Ok((start, self.text.get(start + 1..self.at - 1).ok_or(Unfit)?))
    }

    /// Goes past a number or a word.
    fn word(&mut self) -> Result<(), Unfit> {
        let rest = self.text.as_bytes().get(self.at..).ok_or(Unfit)?;
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        let length = rest.iter().position(|byte| !is_part(byte)).unwrap_or(rest.len());
        self.at += length;
        if length == 0 {
            return Err(Unfit);
        }
        Ok(())
    }

    /// Goes past a value of any kind.
    fn skip(&mut self) -> Result<(), Unfit> {
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' => drop(self.string()?),
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1).ok_or(Unfit)?;
                    self.at += 1;
                }
                b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' if depth > 0 => self.at += 1,
                _ => self.word()?,
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    fn white(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.text.as_bytes().get(self.at) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Result<u8, Unfit> {
        self.text.as_bytes().get(self.at).copied().ok_or(Unfit)
    }

    fn next(&mut self) -> Result<u8, Unfit> {
        let byte = self.peek()?;
        self.at += 1;
        Ok(byte)
    }
}

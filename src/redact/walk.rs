//! Going through JSON text and changing strings in it. What is not changed is copied, byte for byte.

use super::fields::Redaction;
use super::MARKER;
use crate::json::scan::{self, plain_length};
use crate::json::write_string;
use serde::de::IgnoredAny;
use std::borrow::Cow;

/// Strings that hold JSON that has strings that hold JSON, and so on: what is nested deeper is hidden.
const MAX_NESTED: usize = 8;

/// The text is not what it should be, so it cannot be told what is in it.
#[derive(Debug)]
pub(super) struct Unfit;

/// An open bracket.
enum Open {
    Object {
        /// Names that were redacted, which may have become the same.
        names: Vec<String>,
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
                b'{' => {
                    copy.at += 1;
                    open.push(Open::Object { names: Vec::new() });
                    copy.white();
                    if copy.peek()? != b'}' {
                        if self.member(&mut copy, &mut open, nested)? {
                            continue;
                        }
                    } else {
                        copy.at += 1;
                        open.pop();
                    }
                }
                b'[' => {
                    copy.at += 1;
                    open.push(Open::Array { next: 0 });
                    copy.white();
                    if copy.peek()? != b']' {
                        if self.element(&mut copy, &mut open, nested)? {
                            continue;
                        }
                    } else {
                        copy.at += 1;
                        open.pop();
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
                    (b',', true) => {
                        copy.white();
                        if self.member(&mut copy, &mut open, nested)? {
                            continue 'values;
                        }
                    }
                    (b',', false) => {
                        if self.element(&mut copy, &mut open, nested)? {
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

    /// Enters a member, its name redacted. `false` when its value was hidden, and has ended.
    fn member(&mut self, copy: &mut Copy<'_>, open: &mut [Open], nested: usize) -> Result<bool, Unfit> {
        if copy.peek()? != b'"' {
            return Err(Unfit);
        }
        let (start, string) = copy.string()?;
        let name = unescape(string);
        if let Some(mut changed) = self.text(&name, nested, true)? {
            if let Some(Open::Object { names }) = open.last_mut() {
                let plain = changed.clone();
                for number in 2.. {
                    if !names.contains(&changed) {
                        break;
                    }
                    changed = format!("{plain} {number}");
                }
                names.push(changed.clone());
            }
            copy.replace(start, |out| write_string(out, &changed));
        }
        copy.white();
        if copy.next()? != b':' {
            return Err(Unfit);
        }
        let hidden = self.position.enter(&name);
        self.value(copy, hidden, MARKER_JSON)
    }

    fn element(&mut self, copy: &mut Copy<'_>, open: &mut [Open], nested: usize) -> Result<bool, Unfit> {
        let Some(Open::Array { next }) = open.last_mut() else { return Err(Unfit) };
        let hidden = self.position.enter(itoa::Buffer::new().format(*next));
        *next += 1;
        // Events are objects, whatever becomes of them.
        let in_events = self.in_events && open.len() == 1 && nested == 0;
        self.value(copy, hidden, if in_events { "{}" } else { MARKER_JSON })
    }

    fn value(&mut self, copy: &mut Copy<'_>, hidden: bool, marker: &str) -> Result<bool, Unfit> {
        if hidden {
            copy.white();
            let start = copy.at;
            copy.skip()?;
            copy.replace(start, |out| out.push_str(marker));
        }
        Ok(!hidden)
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
        }
        changed = self.patterns.apply(changed.as_deref().unwrap_or(text)).or(changed);
        Ok(self.ask_functions(changed.as_deref().unwrap_or(text), is_name).or(changed))
    }
}

const MARKER_JSON: &str = "\"[redacted]\"";

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
fn unescape(string: &str) -> Cow<'_, str> {
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

//! Files that belong to a run: how they come as text, and what they may be called.

use crate::run::{attachment::free_name, Attachment};
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::Engine;

/// Reads base64 in either alphabet, padded or not, with or without line breaks.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let alphabet = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    let engine = GeneralPurpose::new(alphabet, LENIENT);
    if text.contains(|c: char| c.is_ascii_whitespace()) {
        let text: String = text.split_ascii_whitespace().collect();
        engine.decode(text).ok()
    } else {
        engine.decode(text).ok()
    }
}

/// What a name may be made of: a part's name has dots between its words, and other characters
/// would have to be escaped.
pub(super) fn safe_name(name: &str) -> impl Iterator<Item = char> + '_ {
    let safe = |c: char| if c.is_alphanumeric() || matches!(c, '-' | '_' | ' ') { c } else { '_' };
    name.chars().map(safe).take(100)
}

/// How long a media type may be.
pub(super) const LONGEST_MIME_TYPE: usize = 256;

/// A media type that can be a header's value.
pub(super) fn safe_mime_type(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "!#$&^_.+-/;=".contains(c);
    let text: String = text.chars().filter(|c| *c != ' ').take(LONGEST_MIME_TYPE + 1).collect();
    if text.contains('/') && text.len() <= LONGEST_MIME_TYPE && text.chars().all(safe) {
        text
    } else {
        "application/octet-stream".into()
    }
}

/// Adds a file under a name that is safe, and that no other has.
pub(super) fn add(attachments: &mut Vec<Attachment>, name: &str, mime_type: &str, content: Vec<u8>) {
    let name: String = safe_name(name).collect();
    let name = if name.trim().is_empty() { "attachment".to_owned() } else { name };
    let name = free_name(attachments, name);
    attachments.push(Attachment { name, mime_type: safe_mime_type(mime_type), content });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_base64_in_every_dialect() {
        for (text, content) in [
            ("aGVsbG8gd29ybGQh", &b"hello world!"[..]),
            ("aGVsbG8g\r\nd29ybGQh\n", b"hello world!"),
            ("aGVsbG8gd29ybGQ=", b"hello world"),
            ("aGVsbG8gd29ybGQ", b"hello world"),
            ("_-__-__-__-_", &[0xff, 0xef, 0xff, 0xfb, 0xff, 0xfe, 0xff, 0xff, 0xbf]),
            ("/+//+//+//+/", &[0xff, 0xef, 0xff, 0xfb, 0xff, 0xfe, 0xff, 0xff, 0xbf]),
            ("", b""),
        ] {
            assert_eq!(decode(text).as_deref(), Some(content), "{text}");
        }
        for text in ["no base64!", "a", "/_//", "é"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    fn names(given: &[&str]) -> Vec<String> {
        let mut attachments = Vec::new();
        for name in given {
            add(&mut attachments, name, "", Vec::new());
        }
        attachments.into_iter().map(|attachment| attachment.name).collect()
    }

    #[test]
    fn makes_names_safe_and_unique() {
        assert_eq!(names(&["a.b/c é.pdf", "a\"\r\n", ""]), ["a_b_c é_pdf", "a___", "attachment"]);
        assert_eq!(names(&["a", "a", "a_2", "a"]), ["a", "a_2", "a_2_2", "a_3"]);
        assert_eq!(names(&[&"ü".repeat(1000)])[0].chars().count(), 100);
    }

    #[test]
    fn lets_no_media_type_break_a_header() {
        assert_eq!(safe_mime_type("text/plain; charset=utf-8"), "text/plain;charset=utf-8");
        for odd in ["", "text", "image/png\r\nX: y", "text/plain\0", "é/é", &format!("a/{}", "b".repeat(300))] {
            assert_eq!(safe_mime_type(odd), "application/octet-stream", "{odd}");
        }
    }
}

//! Files that leave the messages because they are too large to stand inline.

use super::read::{decode, elements, escaped, is_string, Members};
use super::write::write_member;
use crate::convert::attachment::{self, LONGEST_MIME_TYPE};
use crate::json::write_string;
use crate::run::Attachment;
use std::fmt::Write;

/// How long base64 may be to stay inline.
const INLINE: usize = 32 * 1024;

/// How deep a block is searched for files. Blocks that hold files are shallower; each level costs
/// another look at what is below it.
const LEVELS: usize = 8;

pub(super) struct Attachments {
    /// Begins every name, so that the inputs' and the outputs' names differ.
    prefix: &'static str,
    inline: usize,
    files: Vec<Attachment>,
    taken: usize,
}

impl Attachments {
    pub(super) fn new(prefix: &'static str) -> Self {
        Self { prefix, inline: INLINE, files: Vec::new(), taken: 0 }
    }

    #[cfg(test)]
    pub(super) fn set_inline(&mut self, bytes: usize) {
        self.inline = bytes;
    }

    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    pub(super) fn truncate(&mut self, length: usize) {
        self.files.truncate(length);
    }

    pub(super) fn take(&mut self) -> Vec<Attachment> {
        self.taken += self.files.len();
        std::mem::take(&mut self.files)
    }

    /// Takes base64 (a JSON string) that is too long to stay. Answers the name it has from then
    /// on; `None` when it is short, or is no base64, and stays.
    pub(super) fn take_base64(&mut self, json: &str, mime_type: &str, label: &str) -> Option<String> {
        if json.len() <= self.inline {
            return None;
        }
        escaped(json)?;
        self.add(&decode(json), mime_type, label)
    }

    /// Like [`Self::take_base64`], for a URL that holds the file itself.
    pub(super) fn take_data_url(&mut self, json: &str, label: Option<&str>) -> Option<String> {
        if json.len() <= self.inline || !json.get(..6)?.eq_ignore_ascii_case("\"data:") {
            return None;
        }
        let url = decode(json);
        let comma = url.bytes().take(LONGEST_MIME_TYPE).position(|byte| byte == b',')?;
        let mime_type = url[..comma].get(5..)?.strip_suffix(";base64")?;
        self.add(&url[comma + 1..], mime_type, label.unwrap_or_else(|| super::blocks::block_type(None, mime_type)))
    }

    /// Copies JSON and leaves the files in it out.
    pub(super) fn copy(&mut self, json: &str, out: &mut String) {
        self.copy_level(json, LEVELS, out);
    }

    fn copy_level(&mut self, json: &str, levels: usize, out: &mut String) {
        if json.len() <= self.inline || levels == 0 {
            out.push_str(json);
        } else if is_string(json) {
            match self.take_data_url(json, None) {
                Some(name) => write_reference(out, &name),
                None => out.push_str(json),
            }
        } else if let Some(members) = Members::read(json) {
            self.copy_members(&members, levels, out);
        } else if let Some(elements) = elements(json) {
            crate::json::write_array(out, elements, |out, element| self.copy_level(element, levels - 1, out));
        } else {
            out.push_str(json);
        }
    }

    fn copy_members(&mut self, members: &Members<'_>, levels: usize, out: &mut String) {
        let mime_type = ["media_type", "mime_type", "mimeType"].into_iter().find_map(|name| members.get_text(name));
        let format = members.get_text("format");
        out.push('{');
        for (name, value) in members.iter() {
            let file = match (name, &mime_type, &format) {
                ("data" | "base64" | "content", Some(mime_type), _) => {
                    self.take_base64(value, mime_type, super::blocks::block_type(None, mime_type))
                }
                ("data", None, Some(format)) => self.take_base64(value, &format!("audio/{format}"), "audio"),
                _ => None,
            };
            super::write::write_name(out, name);
            match file {
                Some(name) => write_reference(out, &name),
                None => self.copy_level(value, levels - 1, out),
            }
        }
        out.push('}');
    }

    fn add(&mut self, base64: &str, mime_type: &str, label: &str) -> Option<String> {
        let content = attachment::decode(base64)?;
        let mut name = String::with_capacity(self.prefix.len() + label.len() + 8);
        // The number makes it unique, whatever the label is.
        let _ = write!(name, "{}_{}_", self.prefix, self.taken + self.files.len() + 1);
        name.extend(attachment::safe_name(label).take(64));
        self.files.push(Attachment { name: name.clone(), mime_type: attachment::safe_mime_type(mime_type), content });
        Some(name)
    }
}

/// Stands where the file stood.
fn write_reference(out: &mut String, name: &str) {
    write_string(out, &format!("attachment:{name}"));
}

/// The member of a block that names its file.
pub(super) fn write_attachment(out: &mut String, name: &str) {
    super::write::write_text_member(out, "attachment", name);
}

pub(super) fn write_inline(out: &mut String, json: &str) {
    write_member(out, "base64", json);
}

#[cfg(test)]
mod tests {
    use super::super::tests::list;
    use super::super::Messages;
    use serde_json::json;

    /// `hello world!` in base64, longer than the limit that the tests set.
    const BASE64: &str = "aGVsbG8gd29ybGQh";

    fn converted(json: &str) -> (serde_json::Value, Vec<crate::run::Attachment>) {
        let mut messages = Messages::inputs().with_inline_limit(10);
        assert!(messages.push_parts(&json.replace("BASE64", BASE64)));
        let content = list(&messages)[0]["content"].clone();
        (content, messages.take_attachments())
    }

    #[test]
    fn takes_large_blobs_out() {
        let (content, files) = converted(
            r#"[{"role":"user","parts":[
                {"type":"blob","modality":"image","mime_type":"image/png","content":"BASE64"},
                {"type":"binary","media_type":"application/pdf","content":"BASE64","filename":"a.b/c é.pdf"},
                {"type":"uri","modality":"audio","uri":"data:audio/wav;base64,BASE64"},
                {"type":"blob","modality":"image","mime_type":"image/png","content":"AAEC"}]}]"#,
        );
        assert_eq!(
            content,
            json!([
                {"type": "image", "mime_type": "image/png", "attachment": "input_1_image"},
                {"type": "file", "mime_type": "application/pdf", "attachment": "input_2_a_b_c é_pdf", "filename": "a.b/c é.pdf"},
                {"type": "audio", "attachment": "input_3_audio"},
                {"type": "image", "mime_type": "image/png", "base64": "AAEC"},
            ])
        );
        let seen: Vec<_> = files.iter().map(|file| (file.mime_type.as_str(), file.content.as_slice())).collect();
        let content = &b"hello world!"[..];
        assert_eq!(seen, [("image/png", content), ("application/pdf", content), ("audio/wav", content)]);
    }

    #[test]
    fn takes_large_files_out_of_ready_messages() {
        let (content, files) = converted(
            r#"[{"role":"user","content":[
                {"type":"image_url","image_url":{"url":"data:image\/png;base64,BASE64"}},
                {"type":"image","source":{"type":"base64","media_type":"image/jpeg","data":"BASE64"}},
                {"type":"input_audio","input_audio":{"data":"BASE64","format":"mp3"}},
                {"type":"text","text":"longer than the limit"}]}]"#,
        );
        assert_eq!(
            content,
            json!([
                {"type": "image_url", "image_url": {"url": "attachment:input_1_image"}},
                {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "attachment:input_2_image"}},
                {"type": "input_audio", "input_audio": {"data": "attachment:input_3_audio", "format": "mp3"}},
                {"type": "text", "text": "longer than the limit"},
            ])
        );
        let types: Vec<_> = files.iter().map(|file| file.mime_type.as_str()).collect();
        assert_eq!(types, ["image/png", "image/jpeg", "audio/mp3"]);
    }

    #[test]
    fn reads_base64_behind_the_escapes_of_json() {
        for (text, content) in [
            ("aGVsbG8gd29y\\nbGQh", &b"hello world!"[..]),
            ("\\/+\\/\\/+\\/\\/+\\/\\/+\\/", &[0xff, 0xef, 0xff, 0xfb, 0xff, 0xfe, 0xff, 0xff, 0xbf]),
        ] {
            let json = format!(r#"{{"role":"user","parts":[{{"type":"blob","content":"{text}"}}]}}"#);
            let (_, files) = converted(&json);
            assert_eq!(files[0].content, content, "{text}");
            assert_eq!(files[0].mime_type, "application/octet-stream");
        }
    }

    #[test]
    fn keeps_what_is_no_base64() {
        let json = r#"{"role":"user","parts":[{"type":"blob","mime_type":"a/b","content":"no base64 at all"}]}"#;
        let (content, files) = converted(json);
        assert_eq!(content, json!([{"type": "file", "mime_type": "a/b", "base64": "no base64 at all"}]));
        assert!(files.is_empty());
    }

    #[test]
    fn lets_no_mime_type_break_a_header() {
        let json = r#"{"role":"user","parts":[{"type":"blob","mime_type":"image/png\r\nX: y","content":"BASE64"}]}"#;
        assert_eq!(converted(json).1[0].mime_type, "application/octet-stream");
    }

    #[test]
    fn names_stay_unique_after_they_were_taken() {
        let mut messages = Messages::outputs().with_inline_limit(10);
        let json = format!(r#"{{"role":"user","parts":[{{"type":"blob","content":"{BASE64}"}}]}}"#);
        assert!(messages.push_parts(&json));
        let first = messages.take_attachments();
        assert!(messages.push_parts(&json));
        let second = messages.take_attachments();
        assert_eq!((&*first[0].name, &*second[0].name), ("output_1_file", "output_2_file"));
    }

    #[test]
    fn leaves_none_behind_when_messages_are_refused() {
        let mut messages = Messages::inputs().with_inline_limit(10);
        let json = format!(r#"[{{"role":"user","parts":[{{"type":"blob","content":"{BASE64}"}}]}},7]"#);
        assert!(!messages.push_parts(&json));
        let json = json.replace("},7]", "},{}]");
        assert!(!messages.push_parts(&json));
        assert!(messages.take_attachments().is_empty());
    }
}

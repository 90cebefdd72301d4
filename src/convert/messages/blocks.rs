//! One part of a message as the block that LangSmith renders.

use super::attachments::{write_attachment, write_inline};
use super::part::{Kind, Part};
use super::read::{decode, is_object, Members};
use super::write::{free_name, separate, write_as_string, write_member, write_name, write_text_member};
use super::Messages;
use crate::json::{scan, write_string};

/// The type of block that shows a file.
pub(super) fn block_type(modality: Option<&str>, mime_type: &str) -> &'static str {
    let of_mime_type = || match mime_type.split('/').next() {
        Some("image") => "image",
        Some("audio") => "audio",
        Some("video") => "video",
        _ => "file",
    };
    match modality {
        Some("image") => "image",
        Some("audio") => "audio",
        Some("video") => "video",
        Some("document") => "file",
        _ => of_mime_type(),
    }
}

impl Messages {
    /// Writes a part as a block. What a part has beside the known members stays in the block.
    pub(super) fn write_block(&mut self, part: &Part<'_>) {
        separate(&mut self.written);
        match part.kind {
            Kind::Text | Kind::Compaction => {
                self.compacted |= part.kind == Kind::Compaction;
                self.write_text_block("text", part);
            }
            Kind::Reasoning => self.write_text_block("reasoning", part),
            Kind::Opaque => {
                let kind = part.members.get("kind").map(decode).unwrap_or_default();
                self.open_block("text");
                write_text_member(&mut self.written, "text", &format!("[opaque: {kind}]"));
                self.close_block(&part.members, &["type", "kind"], &["type", "text"]);
            }
            Kind::ServerToolCall => self.write_server_call(&part.members),
            Kind::ServerToolResult => self.write_server_result(&part.members),
            Kind::Blob | Kind::Url | Kind::File => self.write_file(part),
            // Calls and results stand outside of the content, where content may not hold them.
            Kind::ToolCall | Kind::ToolResult | Kind::Other => {
                self.written.push('{');
                self.close_block(&part.members, &[], &[]);
            }
        }
    }

    fn open_block(&mut self, kind: &str) {
        self.written.push_str("{\"type\":\"");
        self.written.push_str(kind);
        self.written.push('"');
    }

    /// Ends a block with the members of the part that are not `read` yet.
    fn close_block(&mut self, members: &Members<'_>, read: &[&str], written: &[&str]) {
        self.write_rest(members, read, written);
        self.written.push('}');
    }

    /// Copies the members that are not `read` yet. One whose name is `written` already for another
    /// gets a name of its own.
    pub(super) fn write_rest(&mut self, members: &Members<'_>, read: &[&str], written: &[&str]) {
        self.write_rest_unless(members, read, |name| written.contains(&name));
    }

    pub(super) fn write_rest_unless(&mut self, members: &Members<'_>, read: &[&str], written: impl Fn(&str) -> bool) {
        for (name, value) in members.rest(read) {
            if written(name) {
                let taken = |name: &str| written(name) || members.get(name).is_some();
                write_name(&mut self.written, &free_name(name, taken));
            } else {
                write_name(&mut self.written, name);
            }
            self.attachments.copy(value, &mut self.written);
        }
    }

    fn write_text_block(&mut self, kind: &str, part: &Part<'_>) {
        let (name, text) = part.content().unwrap_or(("content", "\"\""));
        self.open_block(kind);
        write_name(&mut self.written, "text");
        match summary_text(&decode(text)).filter(|_| part.kind == Kind::Reasoning) {
            Some(summary) => write_string(&mut self.written, &summary),
            None => write_as_string(&mut self.written, text),
        }
        self.close_block(&part.members, &["type", name], &["type", "text"]);
    }

    fn write_server_call(&mut self, members: &Members<'_>) {
        let name = first(members, &["server_tool_call", "arguments", "args"]);
        self.open_block("server_tool_call");
        self.copy_member(members, "id", "id");
        self.copy_member(members, "name", "name");
        write_name(&mut self.written, "args");
        self.attachments.copy(members.get(name).unwrap_or("{}"), &mut self.written);
        self.close_block(members, &["type", "id", "name", name], &["type", "id", "name", "args"]);
    }

    fn write_server_result(&mut self, members: &Members<'_>) {
        let name = first(members, &["server_tool_call_response", "response", "result", "output"]);
        let id = first(members, &["id", "tool_call_id"]);
        let output = members.get(name).unwrap_or("null");
        self.open_block("server_tool_result");
        self.copy_member(members, id, "tool_call_id");
        let status = if failed(members, output) { "\"error\"" } else { "\"success\"" };
        write_member(&mut self.written, "status", members.get("status").unwrap_or(status));
        write_name(&mut self.written, "output");
        self.attachments.copy(output, &mut self.written);
        self.close_block(members, &["type", id, "status", name], &["type", "tool_call_id", "status", "output"]);
    }

    fn write_file(&mut self, part: &Part<'_>) {
        let members = &part.members;
        let mime_name = if members.get("mime_type").is_some() { "mime_type" } else { "media_type" };
        let mime_type = members.get(mime_name).map(decode).unwrap_or_default();
        let modality = members.get("modality").map(decode);
        let of_type = members.get("type").map(decode).unwrap_or_default();
        let modality = modality.as_deref().or(of_type.strip_suffix("-url"));
        let name = match part.kind {
            Kind::Blob => first(members, &["content", "data"]),
            Kind::Url => first(members, &["uri", "url"]),
            _ => "file_id",
        };
        let of_url = || members.get(name).and_then(mime_type_of).unwrap_or_default();
        let kind = block_type(modality, if mime_type.is_empty() { of_url() } else { &mime_type });
        let file_name = ["filename", "file_name", "name"].into_iter().find_map(|name| members.get_text(name));
        let label = file_name.as_deref().unwrap_or(kind);

        self.open_block(kind);
        self.copy_member(members, mime_name, "mime_type");
        if let Some(source) = members.get(name) {
            let attachment = match part.kind {
                Kind::Blob => self.attachments.take_base64(source, &mime_type, label),
                Kind::Url => self.attachments.take_data_url(source, Some(label)),
                _ => None,
            };
            match (attachment, part.kind) {
                (Some(name), _) => write_attachment(&mut self.written, &name),
                (None, Kind::Blob) => write_inline(&mut self.written, source),
                (None, Kind::Url) => write_member(&mut self.written, "url", source),
                (None, _) => write_member(&mut self.written, "id", source),
            }
        }
        // A modality that LangSmith has no block for is still told.
        let told = modality.is_none_or(|modality| modality == kind || modality == "document");
        let read = ["type", mime_name, name, if told { "modality" } else { "type" }];
        self.close_block(members, &read, &["type", "mime_type", "attachment", "base64", "url", "id"]);
    }

    pub(super) fn copy_member(&mut self, members: &Members<'_>, from: &str, to: &str) {
        if let Some(value) = members.get(from) {
            write_member(&mut self.written, to, value);
        }
    }
}

/// The text of a summary of thoughts, where the list of its parts stands in its place.
pub(super) fn summary_text(text: &str) -> Option<String> {
    let parts = text.trim_start().starts_with('[').then(|| scan::document(text).and_then(Members::read_all))??;
    let is_summary = |part: &Members<'_>| part.get("type") == Some("\"summary_text\"");
    if parts.is_empty() || !parts.iter().all(is_summary) {
        return None;
    }
    let texts: Option<Vec<_>> = parts.iter().map(|part| part.get_text("text")).collect();
    Some(texts?.join("\n"))
}

/// What kind of file a URL holds itself.
fn mime_type_of(url: &str) -> Option<&str> {
    let url = url.strip_prefix("\"data:")?;
    url.find([';', ',']).map(|end| &url[..end])
}

/// The first of several names that an object has, or the first of all.
pub(super) fn first(members: &Members<'_>, names: &[&'static str]) -> &'static str {
    names.iter().find(|name| members.get(name).is_some()).unwrap_or(&names[0])
}

/// Whether a tool that ran at the provider's says that it failed.
fn failed(members: &Members<'_>, output: &str) -> bool {
    let says_so = |members: &Members<'_>| {
        let says = |name: &str, test: fn(&str) -> bool| members.get_text(name).is_some_and(|text| test(&text));
        members.get("is_error") == Some("true")
            || says("status", |status| matches!(status, "error" | "failed" | "incomplete" | "cancelled"))
            || says("type", |kind| kind.ends_with("_error"))
    };
    says_so(members) || (is_object(output) && Members::read(output).is_some_and(|inner| says_so(&inner)))
}

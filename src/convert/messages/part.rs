//! Parts of a GenAI message, and what kind each is.

use super::read::{decode, is_object, is_string, Members};
use crate::json::walk::Walk;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Reasoning,
    ToolCall,
    ToolResult,
    ServerToolCall,
    ServerToolResult,
    Compaction,
    Blob,
    Url,
    File,
    Opaque,
    /// Kept as it is.
    Other,
}

pub(super) struct Part<'a> {
    pub(super) kind: Kind,
    pub(super) members: Members<'a>,
}

impl<'a> Part<'a> {
    pub(super) fn new(members: Members<'a>) -> Self {
        Self { kind: kind(&members), members }
    }

    pub(super) fn of_kind(kind: Kind, members: Members<'a>) -> Self {
        Self { kind, members }
    }

    pub(super) fn text(value: &'a str) -> Self {
        Self { kind: Kind::Text, members: Members::single("content", value) }
    }

    /// Reads a list of parts: objects, and strings, which are texts.
    /// `None` when anything else stands in the list.
    pub(super) fn read_all(json: &'a str) -> Option<Vec<Self>> {
        let mut walk = Walk::new(json);
        let parts = Self::read_list(&mut walk)?;
        walk.end()?;
        Some(parts)
    }

    /// Like [`Self::read_all`], for the list that comes next.
    pub(super) fn read_list(walk: &mut Walk<'a>) -> Option<Vec<Self>> {
        let mut parts = Vec::new();
        walk.elements(|walk| {
            let part = if walk.is_object() {
                Self::new(Members::read_next(walk)?)
            } else {
                Self::text(walk.value().filter(|value| is_string(value))?)
            };
            parts.push(part);
            Some(())
        })?;
        Some(parts)
    }

    /// Reads a list that can be nothing but blocks of content: objects that each say their type.
    /// Calls of tools among them stay where they are.
    pub(super) fn read_content(json: &'a str) -> Option<Vec<Self>> {
        let parts = Members::read_all(json)?;
        let typed = |part: &Members<'_>| part.get("type").is_some_and(is_string);
        let block = |members| match Self::new(members) {
            Self { kind: Kind::ToolCall | Kind::ToolResult, members } => Self { kind: Kind::Other, members },
            block => block,
        };
        (!parts.is_empty() && parts.iter().all(typed)).then(|| parts.into_iter().map(block).collect())
    }

    /// The text of a part that is nothing but text.
    pub(super) fn plain_text(&self) -> Option<&'a str> {
        if self.kind != Kind::Text {
            return None;
        }
        let (name, text) = self.content()?;
        self.members.rest(&["type", name]).next().is_none().then_some(text)
    }

    /// Whether it is a text that says nothing.
    pub(super) fn is_empty_text(&self) -> bool {
        let (name, text) = self.content().unwrap_or(("content", "\"\""));
        self.kind == Kind::Text && text == "\"\"" && self.members.rest(&["type", name]).next().is_none()
    }

    /// The content, and the name it stands under.
    pub(super) fn content(&self) -> Option<(&'static str, &'a str)> {
        ["content", "text"].into_iter().find_map(|name| Some((name, self.members.get(name)?)))
    }
}

fn kind(members: &Members<'_>) -> Kind {
    let Some(name) = members.get("type") else {
        // Google's own parts have no type.
        let text = |name| members.get(name).is_some_and(is_string);
        return if text("text") || text("content") { Kind::Text } else { Kind::Other };
    };
    // pydantic-ai marks the tools that run at the provider's.
    let builtin = || members.get("builtin") == Some("true");
    match decode(name).as_ref() {
        "text" if members.get("content").or(members.get("text")).is_none_or(is_string) => Kind::Text,
        "reasoning" | "thinking" => Kind::Reasoning,
        "tool_call" if members.get("function").is_some_and(is_object) => Kind::ToolCall,
        "tool_call" if builtin() => Kind::ServerToolCall,
        "tool_call" => Kind::ToolCall,
        "tool_call_response" if builtin() => Kind::ServerToolResult,
        "tool_call_response" => Kind::ToolResult,
        "server_tool_call" => Kind::ServerToolCall,
        "server_tool_call_response" => Kind::ServerToolResult,
        "compaction" => Kind::Compaction,
        "blob" | "binary" => Kind::Blob,
        "uri" | "image-url" | "audio-url" | "video-url" | "document-url" => Kind::Url,
        "file" if members.get("file_id").is_some() => Kind::File,
        "opaque" => Kind::Opaque,
        _ => Kind::Other,
    }
}

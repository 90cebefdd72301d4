//! Content as the APIs of Anthropic and of Amazon Bedrock have it: one list of blocks, with the calls
//! of tools and their answers among them. Anthropic's say their type, Bedrock's have one member that
//! is named like it.

use super::part::{Kind, Part};
use super::read::{escaped, is_object, is_string, Members};
use crate::json::scan;

/// Reads a list of blocks. `None` when anything else stands in it.
pub(super) fn read(text: &str) -> Option<Vec<Part<'_>>> {
    let json = scan::document(text).filter(|json| json.starts_with('['))?;
    let blocks = Members::read_all(json).filter(|blocks| !blocks.is_empty())?;
    blocks.into_iter().map(|block| if block.get("type").is_some() { typed(block) } else { named(&block) }).collect()
}

/// Whether it stands outside of the content.
pub(super) fn is_of_tool(part: &Part<'_>) -> bool {
    matches!(part.kind, Kind::ToolCall | Kind::ToolResult)
}

fn typed(mut block: Members<'_>) -> Option<Part<'_>> {
    let kind = block.get_text("type")?;
    Some(match &*kind {
        "tool_use" => Part::of_kind(Kind::ToolCall, block),
        "tool_result" => {
            block.rename("tool_use_id", "id");
            Part::of_kind(Kind::ToolResult, block)
        }
        "image" | "document" => file(&block, &kind).unwrap_or_else(|| Part::of_kind(Kind::Other, block)),
        "thinking" => {
            block.rename("thinking", "text");
            Part::of_kind(Kind::Reasoning, block)
        }
        _ => match Part::new(block) {
            part if is_of_tool(&part) => Part::of_kind(Kind::Other, part.members),
            part => part,
        },
    })
}

/// `{"type": "image", "source": {"type": "base64", "media_type", "data"}}`
fn file<'a>(block: &Members<'a>, kind: &str) -> Option<Part<'a>> {
    let mut source = block.get("source").filter(|json| is_object(json)).and_then(Members::read)?;
    let part = match &*source.get_text("type")? {
        "base64" => Kind::Blob,
        "url" => Kind::Url,
        "file" => Kind::File,
        _ => return None,
    };
    source.remove("type");
    let mut source = joined(source, block, "source")?;
    source.add("modality", if kind == "image" { "\"image\"" } else { "\"document\"" });
    Some(Part::of_kind(part, source))
}

fn named<'a>(block: &Members<'a>) -> Option<Part<'a>> {
    let mut members = block.iter();
    let (Some((name, value)), None) = (members.next(), members.next()) else { return None };
    let inner = || Some(value).filter(|json| is_object(json)).and_then(Members::read);
    Some(match name {
        "text" if is_string(value) => Part::text(value),
        "json" => Part::text(value),
        "toolUse" => {
            let mut call = inner()?;
            call.rename("toolUseId", "id");
            Part::of_kind(Kind::ToolCall, call)
        }
        // What it holds is read as Bedrock's by the name of its id.
        "toolResult" => Part::of_kind(Kind::ToolResult, inner()?),
        "reasoningContent" => {
            let thought = inner()?;
            let text = thought.get("reasoningText").filter(|json| is_object(json)).and_then(Members::read);
            let thought = match text {
                Some(text) => joined(text, &thought, "reasoningText")?,
                None => thought,
            };
            Part::of_kind(Kind::Reasoning, thought)
        }
        "image" => media(inner()?, "\"image\"")?,
        "video" => media(inner()?, "\"video\"")?,
        "document" => media(inner()?, "\"document\"")?,
        _ => return None,
    })
}

/// `{"format": "png", "source": {"bytes": …}}`, or a source in S3.
fn media<'a>(mut media: Members<'a>, modality: &'static str) -> Option<Part<'a>> {
    for name in ["source", "s3Location"] {
        if let Some(inner) = media.get(name).filter(|json| is_object(json)).and_then(Members::read) {
            media = joined(inner, &media, name)?;
        }
    }
    let mime_type = match media.get("format").and_then(escaped) {
        Some("png") => Some("\"image/png\""),
        Some("jpeg" | "jpg") => Some("\"image/jpeg\""),
        Some("gif") => Some("\"image/gif\""),
        Some("webp") => Some("\"image/webp\""),
        Some("pdf") => Some("\"application/pdf\""),
        Some("mp4") => Some("\"video/mp4\""),
        _ => None,
    };
    if let Some(mime_type) = mime_type.filter(|_| media.get("mime_type").is_none()) {
        media.remove("format");
        media.add("mime_type", mime_type);
    }
    media.add("modality", modality);
    let is_url = media.get("uri").is_some();
    // Some put a word in the place of bytes that they leave out.
    if media.get_text("bytes").is_some_and(|bytes| !bytes.starts_with('<')) {
        media.rename("bytes", "data");
    }
    Some(Part::of_kind(if is_url { Kind::Url } else { Kind::Blob }, media))
}

/// An inner object with what stands beside it. `None` where a name that both have would lose a value.
fn joined<'a>(mut inner: Members<'a>, outer: &Members<'a>, name: &str) -> Option<Members<'a>> {
    let fits = outer.rest(&[name]).all(|(other, _)| inner.get(other).is_none());
    inner.append(outer, &[name]);
    fits.then_some(inner)
}

#[cfg(test)]
mod tests {
    use super::super::tests::list;
    use super::super::Messages;
    use opentelemetry::Value;
    use serde_json::json;

    fn converted(role: &str, content: &serde_json::Value) -> serde_json::Value {
        let pairs = [("0.role", Value::from(role.to_owned())), ("0.content", Value::from(content.to_string()))];
        let mut messages = Messages::inputs();
        assert!(messages.push_indexed(pairs.iter().map(|(key, value)| (*key, value))));
        list(&messages)
    }

    #[test]
    fn reads_blocks_of_anthropic() {
        assert_eq!(
            converted(
                "user",
                &json!([
                    {"type": "tool_result", "tool_use_id": "a", "content": "18 degrees", "is_error": false},
                    {"type": "tool_result", "tool_use_id": "b", "content": [{"type": "text", "text": "19"}]},
                    {"type": "text", "text": "And now?", "cache_control": {"type": "ephemeral"}},
                ])
            ),
            json!([
                {"role": "tool", "tool_call_id": "a", "content": "18 degrees", "is_error": false},
                {"role": "tool", "tool_call_id": "b", "content": "19"},
                {"role": "user", "content":
                    [{"type": "text", "text": "And now?", "cache_control": {"type": "ephemeral"}}]},
            ])
        );
        assert_eq!(
            converted(
                "assistant",
                &json!([
                    {"type": "thinking", "thinking": "hm", "signature": "s"},
                    {"type": "text", "text": "I look."},
                    {"type": "tool_use", "id": "a", "name": "look", "input": {"n": 9_007_199_254_740_993_i64}},
                ])
            ),
            json!([{"role": "assistant",
                "content": [{"type": "reasoning", "text": "hm", "signature": "s"}, {"type": "text", "text": "I look."}],
                "tool_calls": [{"id": "a", "type": "function",
                    "function": {"name": "look", "arguments": "{\"n\":9007199254740993}"}}]}])
        );
        assert_eq!(
            converted(
                "user",
                &json!([
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAEC"}},
                    {"type": "image", "source": {"type": "url", "url": "https://e/i"}},
                    {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "hi"}},
                ])
            )[0]["content"],
            json!([
                {"type": "image", "mime_type": "image/png", "base64": "AAEC"},
                {"type": "image", "url": "https://e/i"},
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "hi"}},
            ])
        );
    }

    #[test]
    fn reads_blocks_of_bedrock() {
        assert_eq!(converted("user", &json!([{"text": "2+3?"}])), json!([{"role": "user", "content": "2+3?"}]));
        assert_eq!(
            converted(
                "assistant",
                &json!([
                    {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
                    {"toolUse": {"toolUseId": "a", "name": "add", "input": {"x": 2}}},
                ])
            ),
            json!([{"role": "assistant", "content": [{"type": "reasoning", "text": "hm", "signature": "s"}],
                "tool_calls": [{"id": "a", "type": "function", "function": {"name": "add", "arguments": "{\"x\":2}"}}]}])
        );
        assert_eq!(
            converted(
                "user",
                &json!([
                    {"toolResult": {"toolUseId": "a", "status": "success", "content": [{"text": "5"}]}},
                    {"toolResult": {"toolUseId": "b", "content": [{"json": {"sum": 5}}]}},
                ])
            ),
            json!([
                {"role": "tool", "tool_call_id": "a", "status": "success", "content": "5"},
                {"role": "tool", "tool_call_id": "b", "content": "{\"sum\":5}"},
            ])
        );
        assert_eq!(
            converted(
                "user",
                &json!([
                    {"image": {"format": "png", "source": {"bytes": "AAEC"}}},
                    {"image": {"format": "png", "source": {"bytes": "<replaced>"}}},
                    {"document": {"format": "pdf", "name": "a", "source": {"s3Location": {"uri": "s3://b/a"}}}},
                ])
            )[0]["content"],
            json!([
                {"type": "image", "mime_type": "image/png", "base64": "AAEC"},
                {"type": "image", "mime_type": "image/png", "bytes": "<replaced>"},
                {"type": "file", "mime_type": "application/pdf", "url": "s3://b/a", "name": "a"},
            ])
        );
        // Anything else is a text that somebody wrote.
        for text in [json!([{"text": "a", "more": 1}]), json!([{"word": "a"}]), json!([{"text": 7}]), json!([7])] {
            assert_eq!(converted("user", &text)[0]["content"], text.to_string());
        }
    }
}

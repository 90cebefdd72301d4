//! Documents that a retriever found, as LangSmith shows them.

use super::blocks::first;
use super::part::Part;
use super::read::{decode, elements, is_object, is_string, Members};
use super::write::{separate, write_as_string};
use crate::json::{scan, write_string, Object};

/// Writes a list of documents: `{"page_content", "type": "Document", "metadata"}`. `false`, with
/// nothing written, when the text is no list of them.
pub(crate) fn write_documents(json: &str, out: &mut String) -> bool {
    let Some(json) = scan::document(json) else { return false };
    if !is_object(json) {
        return elements(json).is_some_and(|documents| write_list(&documents, out));
    }
    // One document, or an object that holds nothing but the list of them.
    let list = Members::read(json).and_then(|members| {
        let is_alone = members.rest(&["documents"]).next().is_none();
        members.get("documents").filter(|_| is_alone).and_then(elements)
    });
    write_list(list.as_deref().unwrap_or(&[json]), out)
}

fn write_list(documents: &[&str], out: &mut String) -> bool {
    if documents.is_empty() {
        return false;
    }
    out.push('[');
    for document in documents {
        separate(out);
        let text = if is_string(document) { decode(document) } else { (*document).into() };
        out.push_str("{\"page_content\":");
        let mut metadata = Object::default();
        if let Some(members) = scan::object(&text).and_then(Members::read) {
            write_document(&members, &mut metadata, out);
        } else {
            write_as_string(out, document);
        }
        out.push_str(",\"type\":\"Document\",\"metadata\":");
        metadata.write_to(out);
        out.push('}');
    }
    out.push(']');
    true
}

/// The text of a list of parts that hold nothing but text, as a JSON string.
pub(crate) fn joined_text(parts: &str) -> Option<String> {
    let parts = Part::read_all(parts.starts_with('[').then_some(parts)?)?;
    let texts: Option<Vec<_>> = parts.iter().map(|part| part.plain_text().map(decode)).collect();
    let mut json = String::new();
    write_string(&mut json, &texts?.join("\n"));
    Some(json)
}

fn write_document(document: &Members<'_>, metadata: &mut Object, out: &mut String) {
    let content = first(document, &["page_content", "content", "text", "document"]);
    let text = document.get(content).unwrap_or("\"\"");
    match joined_text(text) {
        Some(joined) => out.push_str(&joined),
        None => write_as_string(out, text),
    }

    let kind = document.get("type").filter(|kind| decode(kind) == "Document").map_or("", |_| "type");
    for (name, value) in document.rest(&[content, "metadata", kind]) {
        metadata.insert_raw(name, value);
    }
    let Some(given) = document.get("metadata") else { return };
    let text = if is_string(given) { decode(given) } else { given.into() };
    let Some(inner) = scan::object(&text).and_then(Members::read) else {
        metadata.insert_raw("metadata", given);
        return;
    };
    for (name, value) in inner.iter() {
        // The document's own members come first; what they displace is kept beside them.
        if !metadata.insert_raw(name, value) && metadata.get(name) != Some(value) {
            metadata.insert_raw(&format!("metadata.{name}"), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{json, Value};

    fn converted(json: &str) -> Value {
        let mut out = String::new();
        assert!(write_documents(json, &mut out), "{json}");
        serde_json::from_str(&out).unwrap()
    }

    #[test]
    fn reads_documents_in_every_shape() {
        let json = r#"[
            {"id":"d1","score":0.5,"content":"text","metadata":{"source":"a.md","n":12345678901234567}},
            {"id":"d2","content":"text","metadata":"{\"source\":\"b.md\"}"},
            {"page_content":"text","type":"Document","metadata":{"id":"d3"}},
            {"id":"d4","metadata":"plain"},
            {"id":"d5","content":{"a":1},"metadata":{"id":"other"}},
            "text", 7]"#;
        let document =
            |text: &str, metadata: Value| json!({"page_content": text, "type": "Document", "metadata": metadata});
        assert_eq!(
            converted(json),
            json!([
                document("text", json!({"id": "d1", "score": 0.5, "source": "a.md", "n": 12_345_678_901_234_567_i64})),
                document("text", json!({"id": "d2", "source": "b.md"})),
                document("text", json!({"id": "d3"})),
                document("", json!({"id": "d4", "metadata": "plain"})),
                document(r#"{"a":1}"#, json!({"id": "d5", "metadata.id": "other"})),
                document("text", json!({})),
                document("7", json!({})),
            ])
        );
        assert_eq!(converted(r#"{"content":"one"}"#)[0]["page_content"], "one");
        assert_eq!(
            converted(r#"{"documents":[{"content":"one"},"two"]}"#),
            json!([document("one", json!({})), document("two", json!({}))])
        );
        // With more beside the list it is a document that has such a member.
        assert_eq!(
            converted(r#"{"content":"one","documents":["two"]}"#),
            json!([document("one", json!({"documents": ["two"]}))])
        );
    }

    #[test]
    fn refuses_what_is_no_list() {
        for json in ["", "[]", "7", "text", "[1,", r#"{"documents":[]}"#] {
            let mut out = String::new();
            assert!(!write_documents(json, &mut out), "{json}");
            assert!(out.is_empty());
        }
    }
}

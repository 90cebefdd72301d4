//! Lists whose elements are spread over attributes: documents, embeddings, prompts, tools.

use super::super::draft::{write_any, write_member};
use super::super::frame::{is_empty, View};
use super::super::messages::{is_whole_tool, split_number, write_documents, Members, Side};
use super::super::Draft;
use super::{Key, CHOICES, DOCUMENTS, EMBEDDINGS, PROMPTS, RERANKER_INPUT, RERANKER_OUTPUT, TOOLS};
use crate::json::{scan, walk, write_array, write_attribute, write_string, Object};
use crate::run::RunType;
use opentelemetry::{Array, Value};
use std::collections::BTreeMap;

pub(super) fn convert(view: &mut View<'_, '_>, draft: &mut Draft<'_>) {
    documents(view, draft);
    embeddings(view, draft);
    completion(view, draft);
}

/// The attributes of each element, by what follows its number and `prefix`, in the order of the numbers.
fn elements<'a>(view: &View<'_, 'a>, family: u8, prefix: &str) -> Vec<Vec<(&'a str, &'a Value)>> {
    let mut elements = BTreeMap::<u64, Vec<_>>::new();
    for (key, value) in view.family(family) {
        if let Some((number, name)) = split_number(key) {
            elements.entry(number).or_default().push((name.strip_prefix(prefix).unwrap_or(name), value));
        }
    }
    elements.into_values().collect()
}

fn find<'a>(fields: &[(&str, &'a Value)], name: &str) -> Option<&'a Value> {
    fields.iter().find(|(other, value)| *other == name && !is_empty(value)).map(|(_, value)| *value)
}

/// `0.embedding.vector` is a vector.
fn last_word(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

fn documents(view: &mut View<'_, '_>, draft: &mut Draft<'_>) {
    // A chain may have found documents, and answered by them.
    let is_answer = draft.run_type() == RunType::Retriever || view.peek(Key::Output).is_none_or(is_empty);
    if is_answer && !draft.has(Side::Outputs) {
        for family in [DOCUMENTS, RERANKER_OUTPUT] {
            let Some(documents) = fuller_list(view, family).or_else(|| document_list(view, family)) else { continue };
            draft.outputs_with(|out| {
                out.push_str("{\"documents\":");
                out.push_str(&documents);
                out.push('}');
                true
            });
            view.take_family(family, |_, _| true);
            break;
        }
    }
    let query = view.peek(Key::RerankerQuery);
    let documents = if draft.has(Side::Inputs) { None } else { document_list(view, RERANKER_INPUT) };
    if query.is_none() && documents.is_none() {
        return;
    }
    let written = draft.inputs_with(|out| {
        let mut inputs = Object::default();
        query.map(|query| inputs.insert_with("query", |out| write_any(out, query)));
        documents.as_deref().map(|documents| inputs.insert_raw("documents", documents));
        inputs.write_to(out);
        true
    });
    if written {
        view.take(Key::RerankerQuery);
        view.take_family(RERANKER_INPUT, |_, _| true);
    }
}

/// Some leave ids out of the attributes, which the whole output has.
fn fuller_list(view: &View<'_, '_>, family: u8) -> Option<String> {
    let documents = elements(view, family, "document.");
    let is_poor = documents.iter().flatten().all(|(name, _)| matches!(*name, "content" | "metadata"));
    let Some(Value::String(output)) = view.peek(Key::Output).filter(|_| is_poor && !documents.is_empty()) else {
        return None;
    };
    let mut count = 0;
    walk::elements(Members::read(scan::object(output.as_str())?)?.get("documents")?, |_| count += 1)?;
    let mut written = String::new();
    (count == documents.len() && write_documents(output.as_str(), &mut written)).then_some(written)
}

/// Documents as LangSmith shows them.
fn document_list(view: &View<'_, '_>, family: u8) -> Option<String> {
    let documents = elements(view, family, "document.");
    let mut json = String::new();
    write_array(&mut json, documents, |out, fields| {
        let mut document = Object::default();
        for (name, value) in fields {
            document.insert(name, value);
        }
        document.write_to(out);
    });
    let mut written = String::new();
    write_documents(&json, &mut written).then_some(written)
}

/// The texts are inputs. The vectors are long, and no one reads them: they are counted.
fn embeddings(view: &mut View<'_, '_>, draft: &mut Draft<'_>) {
    let embeddings = elements(view, EMBEDDINGS, "embedding.");
    let alone = view.peek(Key::EmbeddingText);
    let texts: Vec<_> = embeddings.iter().filter_map(|fields| find(fields, "text")).chain(alone).collect();
    let vectors = embeddings.iter().filter_map(|fields| find(fields, "vector"));
    let vectors: Vec<_> = vectors.chain(view.peek(Key::EmbeddingVector)).collect();
    let mut summary = (!vectors.is_empty())
        .then(|| (vectors.len(), vectors.first().and_then(|vector| dimensions(vector))))
        .or_else(|| {
            let Some(Value::String(output)) = view.peek(Key::Output) else { return None };
            (draft.run_type() == RunType::Embedding).then(|| summary_of(output.as_str())).flatten()
        });
    if !texts.is_empty() && view.peek(Key::Input).is_none_or(is_empty) && !draft.has(Side::Inputs) {
        draft.inputs_with(|out| match &texts[..] {
            [text] => write_member(out, "input", text),
            texts => {
                out.push_str("{\"input\":");
                write_array(out, texts, |out, text| write_attribute(out, text));
                out.push('}');
                true
            }
        });
    }
    if let (Some((count, dimensions)), false) = (summary.take(), draft.has(Side::Outputs)) {
        let mut outputs = Object::default();
        outputs.insert_i64("embeddings", i64::try_from(count).unwrap_or(i64::MAX));
        if let Some(dimensions) = dimensions {
            outputs.insert_i64("dimensions", i64::try_from(dimensions).unwrap_or(i64::MAX));
        }
        draft.outputs_with(|out| {
            outputs.write_to(out);
            true
        });
    }
    let has_inputs = draft.has(Side::Inputs) || view.peek(Key::Input).is_some_and(|input| !is_empty(input));
    view.take_family(EMBEDDINGS, |name, _| has_inputs || last_word(name) == "vector");
    view.take(Key::EmbeddingVector);
    if has_inputs {
        view.take(Key::EmbeddingText);
    }
}

fn dimensions(vector: &Value) -> Option<usize> {
    match vector {
        Value::Array(Array::F64(numbers)) => Some(numbers.len()),
        Value::Array(Array::I64(numbers)) => Some(numbers.len()),
        Value::String(json) => serde_json::from_str::<Vec<serde::de::IgnoredAny>>(json.as_str()).ok().map(|n| n.len()),
        _ => None,
    }
}

/// How many vectors there are in an answer, and how long they are.
fn summary_of(json: &str) -> Option<(usize, Option<usize>)> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Vector {
        Numbers(Vec<f64>),
        Packed(String),
    }
    #[derive(serde::Deserialize)]
    struct Item {
        embedding: Vector,
    }
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Answer {
        OpenAi { data: Vec<Item> },
        Named { embeddings: Vec<Vec<f64>> },
        Bare(Vec<Vec<f64>>),
    }
    let first = |vectors: Vec<Vec<f64>>| (vectors.len(), vectors.first().map(Vec::len));
    let summary = match serde_json::from_str(json).ok()? {
        Answer::OpenAi { data } => {
            // Base64 of four bytes a number.
            let length = data.first().map(|item| match &item.embedding {
                Vector::Numbers(numbers) => numbers.len(),
                Vector::Packed(text) => text.trim_end_matches('=').len() * 3 / 16,
            });
            (data.len(), length)
        }
        Answer::Named { embeddings } => first(embeddings),
        Answer::Bare(vectors) => first(vectors),
    };
    (summary.0 > 0).then_some(summary)
}

/// Prompts and choices of a model that completes text.
fn completion(view: &mut View<'_, '_>, draft: &mut Draft<'_>) {
    for (side, family, prefix, one, many) in [
        (Side::Inputs, PROMPTS, "prompt.", "prompt", "prompts"),
        (Side::Outputs, CHOICES, "completion.", "output", "choices"),
    ] {
        let elements = elements(view, family, prefix);
        if elements.is_empty() {
            continue;
        }
        draft.is_text_completion |= side == Side::Inputs && !draft.has_messages;
        if !draft.has(side) {
            let text = |fields: &[(&str, &Value)]| find(fields, "text").map(|text| text.as_str().into_owned());
            let texts: Vec<_> = elements.iter().filter_map(|fields| text(fields)).collect();
            draft.set_with(side, |out| {
                out.push('{');
                write_string(out, if texts.len() == 1 { one } else { many });
                out.push(':');
                match &texts[..] {
                    [text] => write_string(out, text),
                    texts => write_array(out, texts, |out, text| write_string(out, text)),
                }
                out.push('}');
                !texts.is_empty()
            });
        }
        view.take_family(family, |name, _| last_word(name) == "text");
    }
}

/// The tools that a model was offered, in OpenAI's shape.
pub(super) fn tools(view: &mut View<'_, '_>) -> Option<String> {
    let tools = elements(view, TOOLS, "tool.");
    let mut list = String::new();
    write_array(&mut list, tools, |out, fields| {
        let schema = find(&fields, "json_schema").map(Value::as_str);
        if let Some(schema) = schema.as_deref().and_then(scan::object).filter(|schema| is_whole_tool(schema)) {
            out.push_str(schema);
            return;
        }
        let mut tool = Object::default();
        for (name, value) in fields {
            let name = if matches!(name, "json_schema" | "parameters") { "parameters" } else { name };
            tool.insert_with(name, |out| {
                if name == "parameters" {
                    write_any(out, value)
                } else {
                    write_attribute(out, value)
                }
            });
        }
        tool.write_to(out);
    });
    let tools = super::tools_of(&list)?;
    view.take_family(TOOLS, |_, _| true);
    Some(tools)
}

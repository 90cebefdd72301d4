//! Google's Genkit: `genkit:input` and `genkit:output` of actions, as JSON.

use super::draft::{NameSource, TypeRank};
use super::frame::{attributes, Convention, View};
use super::messages::{write_documents, write_tools, Members, Messages, Side};
use super::usage::Count;
use super::{chat, encoded, provider, Draft};
use crate::json::{scan, walk, write_array};
use crate::run::RunType;
use opentelemetry::Value;

pub(super) const CONVENTION: Convention = Convention { keys: KEYS, families: &[], convert };

attributes! {
    Input = "genkit:input",
    Output = "genkit:output",
    Name = "genkit:name",
    Subtype = "genkit:metadata:subtype",
    Session = "genkit:sessionId",
    State = "genkit:state",
    Type = "genkit:type",
    IsRoot = "genkit:isRoot",
}

fn convert(view: &mut View<'_, '_>, draft: &mut Draft) {
    let subtype = view.peek_text(Key::Subtype).unwrap_or_default();
    // Tools of the second generation are `tool.v2`.
    let subtype = subtype.split('.').next().unwrap_or_default();
    let kind = match subtype {
        "model" | "background-model" => RunType::Llm,
        "tool" => RunType::Tool,
        "retriever" | "reranker" => RunType::Retriever,
        "embedder" => RunType::Embedding,
        "prompt" => RunType::Prompt,
        _ => RunType::Chain,
    };
    draft.set_run_type(TypeRank::Kind, kind);
    draft.is_agent |= subtype == "agent";
    if let Some(name) = view.peek_text(Key::Name) {
        match kind {
            RunType::Tool => draft.set_name(NameSource::Tool, name),
            RunType::Llm | RunType::Embedding => model(name, draft),
            _ => {}
        }
    }
    // What asks a model in the name of an application, and lets it use tools.
    let is_generate = view.peek_text(Key::Type) == Some("util") && view.peek_text(Key::Name) == Some("generate");
    view.take_if(Key::Input, |value| match kind {
        RunType::Llm => request(value, draft),
        RunType::Chain if is_generate => request(value, draft),
        RunType::Retriever => query(value, draft),
        RunType::Embedding => texts(value, draft),
        _ => false,
    } || draft.inputs_with(|out| encoded::write_object(out, "input", value)));
    view.take_if(Key::Output, |value| match kind {
        RunType::Llm => response(value, draft),
        RunType::Chain if is_generate => response(value, draft),
        RunType::Retriever => documents(value, draft),
        RunType::Embedding => vectors(value, draft),
        _ => false,
    } || draft.outputs_with(|out| encoded::write_object(out, "output", value)));
    view.rename(Key::Session, &mut draft.extra.metadata, "thread_id");
    // The run says the same by its type, its error and its place.
    for key in [Key::Type, Key::IsRoot, Key::State] {
        view.take(key);
    }
}

/// `googleai/gemini-2.5-flash`: whose it is, and what it is called there.
fn model(name: &str, draft: &mut Draft) {
    let (plugin, model) = name.split_once('/').unwrap_or(("", name));
    draft.extra.metadata.insert_str("ls_model_name", model);
    draft.extra.invocation_params.insert_str("model", model);
    provider::set(draft, plugin);
}

/// `{"messages","tools","config",…}`
fn request(value: &Value, draft: &mut Draft) -> bool {
    let Some(text) = encoded::text(value) else { return false };
    let Some(request) = scan::object(&text).and_then(Members::read) else { return false };
    let mut messages = Messages::inputs();
    if !request.get("messages").is_some_and(|json| messages.push_contents(json)) {
        return false;
    }
    let mut tools = String::new();
    let list = request.get("tools");
    // A call has them whole; what is around it tells their names.
    let has_tools = list.filter(|json| json.contains('{')).is_some_and(|json| write_tools(json, &mut tools));
    let others = ["docs", "output", "context", "tools", "use", "resume", "maxTurns", "toolChoice"];
    let others = others.into_iter().filter(|name| !(has_tools && *name == "tools"));
    let others = others.filter_map(|name| Some((name, request.get(name)?)));
    let others = others.filter(|(_, json)| !matches!(*json, "{}" | "[]"));
    let beside: Vec<_> = has_tools.then_some(("tools", &*tools)).into_iter().chain(others).collect();
    let written = chat::set(draft, Side::Inputs, &mut messages, &beside);
    if let Some(name) = request.get_text("model") {
        model(&name, draft);
    }
    let extra = &mut *draft.extra;
    if has_tools {
        extra.invocation_params.insert_raw("tools", &tools);
    }
    let config = request.get("config").and_then(Members::read).unwrap_or_default();
    for (name, json) in config.iter() {
        let (name, metadata) = match name {
            "temperature" => ("temperature", "ls_temperature"),
            "maxOutputTokens" => ("max_tokens", "ls_max_tokens"),
            "stopSequences" => ("stop", "ls_stop"),
            "topK" => ("top_k", ""),
            "topP" => ("top_p", ""),
            // A key that a caller brought along.
            "apiKey" => continue,
            other => (other, ""),
        };
        extra.invocation_params.insert_raw(name, json);
        if !metadata.is_empty() {
            extra.metadata.insert_raw(metadata, json);
        }
    }
    written
}

/// `{"message":{…},"finishReason","usage":{…}}`, or candidates that each have a message.
fn response(value: &Value, draft: &mut Draft) -> bool {
    let Some(text) = encoded::text(value) else { return false };
    let Some(response) = scan::object(&text).and_then(Members::read) else { return false };
    if let Some(usage) = response.get("usage") {
        encoded::counts(draft, usage, |name| {
            Some(match name {
                "inputTokens" => Count::InputTokens,
                "outputTokens" => Count::OutputTokens,
                "totalTokens" => Count::TotalTokens,
                "cachedContentTokens" => Count::CacheRead,
                "thoughtsTokens" => Count::Reasoning,
                _ => return None,
            })
        });
        // Where thoughts are counted beside the answer the total tells.
        let count = |count| draft.usage.tokens(count);
        if let [Some(input), Some(output), Some(thoughts), Some(total)] =
            [Count::InputTokens, Count::OutputTokens, Count::Reasoning, Count::TotalTokens].map(count)
        {
            if input.saturating_add(output).saturating_add(thoughts) == total {
                draft.usage.add(Count::OutputTokens, thoughts);
            }
        }
    }
    if let Some(reason) = response.get_text("finishReason") {
        draft.finish_reason.get_or_insert_with(|| reason.into_owned());
    }
    let mut messages = Messages::outputs();
    match (response.get("message"), response.get("candidates")) {
        (Some(message), _) => drop(messages.push_contents(message)),
        (None, Some(candidates)) => {
            walk::elements(candidates, |candidate| {
                let message = Members::read(candidate).and_then(|candidate| candidate.get("message"));
                messages.push_contents(message.unwrap_or_default());
            });
        }
        _ => {}
    }
    // The provider's own answer: its counts say more.
    let raw = response.get("raw").or(response.get("custom")).and_then(Members::read).unwrap_or_default();
    if let Some(usage) = raw.get("usage") {
        encoded::details(draft, usage);
    }
    let metadata = &mut draft.extra.metadata;
    for (name, to) in [("id", "response_id"), ("model", "response_model")] {
        if let Some(text) = raw.get_text(name) {
            metadata.insert_str(to, &text);
        }
    }
    let custom = response.get("custom").filter(|json| *json != "{}").map(|json| ("custom", json));
    chat::set(draft, Side::Outputs, &mut messages, custom.as_slice())
}

/// `{"input":[{"content":[{"text"}]}],"options":{}}`
fn texts(value: &Value, draft: &mut Draft) -> bool {
    let Some(text) = encoded::text(value) else { return false };
    let Some(request) = scan::object(&text).and_then(Members::read) else { return false };
    let mut texts = Vec::new();
    let text_of = |json| super::messages::joined_text(Members::read(json)?.get("content")?);
    let read = request.get("input").and_then(|list| walk::elements(list, |document| texts.push(text_of(document))));
    let Some(texts) = read.and_then(|()| texts.into_iter().collect::<Option<Vec<_>>>()) else { return false };
    for (name, json) in request.get("options").and_then(Members::read).unwrap_or_default().iter() {
        draft.extra.invocation_params.insert_raw(name, json);
    }
    draft.inputs_with(|out| {
        out.push_str("{\"input\":");
        write_array(out, texts, |out, text| out.push_str(&text));
        out.push('}');
        true
    })
}

/// `{"query":{"content":[{"text"}]},"options":{…}}`
fn query(value: &Value, draft: &mut Draft) -> bool {
    let Some(text) = encoded::text(value) else { return false };
    let Some(request) = scan::object(&text).and_then(Members::read) else { return false };
    let content = request.get("query").and_then(Members::read).and_then(|query| query.get("content"));
    let Some(query) = content.and_then(super::messages::joined_text) else { return false };
    draft.inputs_with(|out| {
        out.push_str("{\"query\":");
        out.push_str(&query);
        if let Some(options) = request.get("options") {
            out.push_str(",\"options\":");
            out.push_str(options);
        }
        out.push('}');
        true
    })
}

fn documents(value: &Value, draft: &mut Draft) -> bool {
    let Some(text) = encoded::text(value) else { return false };
    let documents = scan::object(&text).and_then(Members::read).and_then(|response| response.get("documents"));
    draft.outputs_with(|out| {
        out.push_str("{\"documents\":");
        let read = documents.is_some_and(|documents| write_documents(documents, out));
        out.push('}');
        read
    })
}

/// `{"embeddings":[{"embedding":[…]}]}`
fn vectors(value: &Value, draft: &mut Draft) -> bool {
    let Some(text) = encoded::text(value) else { return false };
    let list = scan::object(&text).and_then(Members::read).and_then(|response| response.get("embeddings"));
    let mut vectors = Vec::new();
    let read = list.and_then(|list| {
        walk::elements(list, |item| {
            vectors.push(Members::read(item).and_then(|item| item.get("embedding")).unwrap_or_default())
        })
    });
    read.is_some()
        && draft.outputs_with(|out| {
            encoded::write_vectors(out, vectors.iter().copied());
            true
        })
}

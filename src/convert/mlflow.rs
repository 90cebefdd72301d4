//! The tracing of `MLflow`. Every value is JSON, texts and numbers too.

use super::draft::TypeRank;
use super::encoded;
use super::frame::{attributes, is_empty, Convention, View};
use super::hidden;
use super::messages::{write_documents, write_tools, Members};
use super::tracing_fields::is_argument;
use super::usage::Count;
use super::Draft;
use crate::json::{scan, walk};
use crate::run::RunType;
use opentelemetry::Value;

pub(super) const CONVENTION: Convention = Convention { keys: KEYS, families: &[], convert };

attributes! {
    Inputs = "mlflow.spanInputs",
    Outputs = "mlflow.spanOutputs",
    Type = "mlflow.spanType",
    Usage = "mlflow.chat.tokenUsage",
    Tools = "mlflow.chat.tools",
    RequestId = "mlflow.traceRequestId",
    Model = "mlflow.llm.model",
    Provider = "mlflow.llm.provider",
    Cost = "mlflow.llm.cost",
    Session = "mlflow.trace.session",
    User = "mlflow.trace.user",
    Function = "mlflow.spanFunctionName",
    LogLevel = "mlflow.spanLogLevel",
    Format = "mlflow.message.format",
}

fn convert(view: &mut View<'_, '_>, draft: &mut Draft) {
    let kind = view.take(Key::Type).and_then(encoded::text);
    if let Some(kind) = &kind {
        draft.is_agent |= kind == "AGENT";
        draft.set_run_type(TypeRank::Kind, run_type(kind));
        draft.extra.metadata.insert_str("mlflow.spanType", kind);
    }
    let is_model = matches!(kind.as_deref(), Some("LLM" | "CHAT_MODEL" | "EMBEDDING"));
    let request = view.peek(Key::Inputs).filter(|_| is_model).and_then(encoded::text);
    let request = request.as_deref().and_then(Members::read).unwrap_or_default();
    if let Some(model) = request.get_text("model") {
        super::model::set_model(draft, &Value::from(model.into_owned()));
    }
    view.take_if(Key::Inputs, |value| draft.inputs_with(|out| encoded::write_object(out, "input", value)));
    view.take_if(Key::Outputs, |value| outputs(value, is_model, draft));
    for (key, count) in [(Key::Usage, tokens as fn(&str) -> _), (Key::Cost, cost)] {
        view.take_if(key, |value| encoded::text(value).is_some_and(|json| encoded::counts(draft, &json, count)));
    }
    view.take_if(Key::Tools, |value| {
        let mut tools = String::new();
        let read = encoded::text(value).is_some_and(|json| write_tools(&json, &mut tools));
        read && draft.extra.invocation_params.insert_raw("tools", &tools)
    });
    view.take_if(Key::Provider, |value| {
        encoded::text(value).is_some_and(|provider| super::provider::set(draft, &provider))
    });
    view.take_if(Key::Model, |value| {
        let model = encoded::text(value).map(|model| Value::from(model.into_owned()));
        model.is_some_and(|model| super::model::set_response_model(draft, &model))
    });
    let extra = &mut *draft.extra;
    for (key, name) in [(Key::Session, "thread_id"), (Key::User, "user_id")] {
        view.take_if(key, |value| {
            !is_empty(value) && encoded::text(value).is_some_and(|text| extra.metadata.insert_str(name, &text))
        });
    }
    others(view, &request, draft);
}

/// The values that applications and `MLflow` itself give a span are JSON as well. Those that the request
/// has too are parameters of the call.
fn others(view: &mut View<'_, '_>, request: &Members<'_>, draft: &mut Draft) {
    let hides_arguments = hidden::hides_arguments(draft);
    let extra = &mut *draft.extra;
    let mut insert = |name: &str, value: &Value| {
        let Value::String(text) = value else { return false };
        let json = scan::trim(text.as_str());
        if !scan::value(json) {
            return false;
        }
        match request.get(name) {
            None => extra.metadata.insert_raw(name, json),
            // They stand among the inputs.
            Some(_) if matches!(name, "messages" | "input" | "instructions" | "prompt") => true,
            Some(_) => {
                super::model::insert_parameter(extra, name, json);
                true
            }
        }
    };
    view.take_unknown(None, |name, value| !(hides_arguments && is_argument(name)) && insert(name, value));
    for key in [Key::RequestId, Key::Function, Key::LogLevel, Key::Format] {
        view.take_if(key, |value| insert(KEYS[usize::from(key)], value));
    }
}

/// Documents, the number and the length of vectors, or whatever else was the result.
fn outputs(value: &Value, is_model: bool, draft: &mut Draft) -> bool {
    let Some(text) = encoded::text(value) else { return false };
    let answer = Members::read(&text).filter(|_| is_model).unwrap_or_default();
    if let Some(usage) = answer.get("usage") {
        encoded::counts(draft, usage, |name| match name {
            "prompt_tokens" => Some(Count::InputTokens),
            "completion_tokens" => Some(Count::OutputTokens),
            name => tokens(name),
        });
        encoded::details(draft, usage);
    }
    let mut vectors = Vec::new();
    if draft.run_type() == RunType::Embedding {
        let list = answer.get("data").unwrap_or(&text);
        let add = |item| vectors.extend(Members::read(item).map_or(Some(item), |item| item.get("embedding")));
        walk::elements(list, add);
        // One vector alone.
        if vectors.first().is_some_and(|item| item.parse::<f64>().is_ok()) {
            vectors = vec![list];
        }
        vectors.retain(|vector| vector.starts_with('['));
    }
    let run_type = draft.run_type();
    draft.outputs_with(|out| {
        if !vectors.is_empty() {
            encoded::write_vectors(out, vectors);
            return true;
        }
        out.push_str("{\"documents\":");
        if run_type == RunType::Retriever && write_documents(&text, out) {
            out.push('}');
            return true;
        }
        out.clear();
        encoded::write_object(out, "output", value)
    })
}

fn run_type(kind: &str) -> RunType {
    match kind {
        "LLM" | "CHAT_MODEL" => RunType::Llm,
        "EMBEDDING" => RunType::Embedding,
        "RETRIEVER" | "RERANKER" => RunType::Retriever,
        "TOOL" => RunType::Tool,
        "PARSER" => RunType::Parser,
        _ => RunType::Chain,
    }
}

fn tokens(name: &str) -> Option<Count> {
    Some(match name {
        "input_tokens" => Count::InputTokens,
        "output_tokens" => Count::OutputTokens,
        "total_tokens" => Count::TotalTokens,
        "cache_read_input_tokens" => Count::CacheRead,
        "cache_creation_input_tokens" => Count::CacheCreation,
        _ => return None,
    })
}

fn cost(name: &str) -> Option<Count> {
    Some(match name {
        "input_cost" => Count::InputCost,
        "output_cost" => Count::OutputCost,
        "total_cost" => Count::TotalCost,
        _ => return None,
    })
}

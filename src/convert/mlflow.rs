//! The tracing of `MLflow`. Every value is JSON, texts and numbers too.

use super::draft::TypeRank;
use super::encoded;
use super::frame::{attributes, is_empty, Convention, View};
use super::messages::write_tools;
use super::usage::Count;
use super::Draft;
use crate::run::RunType;

pub(super) const CONVENTION: Convention = Convention { keys: KEYS, families: &[], convert };

attributes! {
    Inputs = "mlflow.spanInputs",
    Outputs = "mlflow.spanOutputs",
    Type = "mlflow.spanType",
    Usage = "mlflow.chat.tokenUsage",
    Tools = "mlflow.chat.tools",
    Model = "mlflow.llm.model",
    Provider = "mlflow.llm.provider",
    Cost = "mlflow.llm.cost",
    Session = "mlflow.trace.session",
    User = "mlflow.trace.user",
}

fn convert(view: &mut View<'_, '_>, draft: &mut Draft) {
    view.take_if(Key::Type, |value| {
        let kind = value.as_str();
        let kind = encoded::decode(&kind);
        draft.is_agent |= kind == "AGENT";
        draft.set_run_type(TypeRank::Kind, run_type(&kind));
        draft.extra.metadata.insert_str("mlflow.spanType", &kind)
    });
    view.take_if(Key::Inputs, |value| draft.inputs_with(|out| encoded::write_object(out, "input", value)));
    view.take_if(Key::Outputs, |value| draft.outputs_with(|out| encoded::write_object(out, "output", value)));
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
    let extra = &mut draft.extra;
    view.take_if(Key::Model, |value| {
        encoded::text(value).is_some_and(|model| {
            extra.invocation_params.insert_str("model", &model);
            extra.metadata.insert_str("ls_model_name", &model)
        })
    });
    for (key, name) in [(Key::Session, "thread_id"), (Key::User, "user_id")] {
        view.take_if(key, |value| {
            !is_empty(value) && encoded::text(value).is_some_and(|text| extra.metadata.insert_str(name, &text))
        });
    }
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

//! `OpenInference`, as Arize's instrumentations write it. `input.value` and `output.value` are
//! written by others too, [`SpanExt`](crate::SpanExt) among them.

mod counts;
mod lists;

use super::chat::{self, set_whole};
use super::draft::{write_any, write_raw_object, NameSource, TypeRank};
use super::frame::{attributes, is_empty, Convention, View};
use super::messages::{write_tools, Messages, Side};
use super::{model, Draft};
use crate::json::{scan, write_string};
use crate::run::RunType;
use opentelemetry::Value;

pub(super) const CONVENTION: Convention = Convention { keys: KEYS, families: FAMILIES, convert };

attributes! {
    Kind = "openinference.span.kind",
    Input = "input.value",
    InputType = "input.mime_type",
    Output = "output.value",
    OutputType = "output.mime_type",
    Provider = "llm.provider",
    System = "llm.system",
    RequestModel = "llm.request.model_name",
    Model = "llm.model_name",
    ResponseModel = "llm.response.model_name",
    EmbeddingModel = "embedding.model_name",
    RerankerModel = "reranker.model_name",
    Parameters = "llm.invocation_parameters",
    EmbeddingParameters = "embedding.invocation_parameters",
    FinishReason = "llm.finish_reason",
    FunctionCall = "llm.function_call",
    /// Lists are spread over attributes; some write them as one.
    InputMessages = "llm.input_messages",
    OutputMessages = "llm.output_messages",
    Prompts = "llm.prompts",
    Template = "llm.prompt_template.template",
    Variables = "llm.prompt_template.variables",
    TemplateVersion = "llm.prompt_template.version",
    EmbeddingText = "embedding.text",
    EmbeddingVector = "embedding.vector",
    RerankerQuery = "reranker.query",
    RerankerTopK = "reranker.top_k",
    ToolName = "tool.name",
    ToolDescription = "tool.description",
    ToolId = "tool.id",
    AgentName = "agent.name",
    GraphNode = "graph.node.id",
    PromptId = "prompt.id",
    Tags = "tag.tags",
    Metadata = "metadata",
}

const FAMILIES: &[&str] = &[
    "llm.input_messages.",
    "llm.output_messages.",
    "llm.tools.",
    "llm.token_count.",
    "llm.cost.",
    "llm.prompts.",
    "llm.choices.",
    "embedding.embeddings.",
    "retrieval.documents.",
    "reranker.input_documents.",
    "reranker.output_documents.",
];
const INPUT_MESSAGES: u8 = 0;
const OUTPUT_MESSAGES: u8 = 1;
const TOOLS: u8 = 2;
const TOKENS: u8 = 3;
const COSTS: u8 = 4;
const PROMPTS: u8 = 5;
const CHOICES: u8 = 6;
const EMBEDDINGS: u8 = 7;
const DOCUMENTS: u8 = 8;
const RERANKER_INPUT: u8 = 9;
const RERANKER_OUTPUT: u8 = 10;

fn convert(view: &mut View<'_, '_>, draft: &mut Draft<'_>) {
    let is_ours = view.peek(Key::Kind).is_some();
    kind(view, draft);
    called(view, draft);
    let others = [draft.has(Side::Inputs), draft.has(Side::Outputs)];
    let tools = messages(view, draft);
    lists::convert(view, draft);
    for (side, others) in [Side::Inputs, Side::Outputs].into_iter().zip(others) {
        let is_told = draft.has(side) && (!others || (is_ours && draft.has_messages));
        whole(view, draft, side, is_told);
    }
    last_resorts(view, draft);
    if let Some(tools) = tools {
        draft.extra.invocation_params.insert_raw("tools", &tools);
    }
    counts::convert(view, draft);
    described(view, draft, is_ours);
}

/// What kind of work it is, and its name.
fn kind(view: &mut View<'_, '_>, draft: &mut Draft<'_>) {
    view.take_if(Key::Kind, |value| {
        let kind = value.as_str().trim().to_ascii_uppercase();
        let Some(run_type) = run_type(&kind) else { return false };
        draft.set_run_type(TypeRank::OpenInference, run_type);
        if kind == "AGENT" {
            draft.set_agent();
        }
        // LangSmith has no word for these.
        !matches!(&*kind, "RERANKER" | "GUARDRAIL" | "EVALUATOR")
    });
    if view.peek(Key::ToolName).is_some() {
        draft.set_run_type(TypeRank::Presence, RunType::Tool);
    }
    if view.family(DOCUMENTS).next().is_some() || view.family(RERANKER_OUTPUT).next().is_some() {
        draft.set_run_type(TypeRank::Presence, RunType::Retriever);
    }
    let is_prompt = view.peek(Key::Variables).is_some() && view.family(INPUT_MESSAGES).next().is_none();
    if is_prompt && !draft.has_messages && view.peek(Key::Model).is_none() {
        draft.set_run_type(TypeRank::Presence, RunType::Prompt);
    }
    if let Some(name) = view.peek_text(Key::ToolName) {
        draft.set_name(NameSource::Tool, name);
    }
    for key in [Key::AgentName, Key::GraphNode] {
        if let Some(name) = view.peek_text(key) {
            draft.set_name(NameSource::Agent, name);
        }
    }
}

fn run_type(kind: &str) -> Option<RunType> {
    Some(match kind {
        "LLM" => RunType::Llm,
        "EMBEDDING" => RunType::Embedding,
        "RETRIEVER" | "RERANKER" => RunType::Retriever,
        "TOOL" => RunType::Tool,
        "PROMPT" => RunType::Prompt,
        "CHAIN" | "AGENT" | "GUARDRAIL" | "EVALUATOR" => RunType::Chain,
        _ => return None,
    })
}

/// The model, its provider and its parameters.
fn called(view: &mut View<'_, '_>, draft: &mut Draft<'_>) {
    let provider = view.peek_text(Key::Provider);
    for key in [Key::Provider, Key::System] {
        view.take_if(key, |value| super::provider::set(draft, &value.as_str()));
    }
    // Mostly the provider once more.
    view.take_if(Key::System, |value| provider == Some(&value.as_str()));
    for key in [Key::RequestModel, Key::Model, Key::EmbeddingModel, Key::RerankerModel] {
        view.take_if(key, |value| model::set_model(draft, value) || model::set_response_model(draft, value));
    }
    view.take_if(Key::ResponseModel, |value| model::set_response_model(draft, value));
    for key in [Key::Parameters, Key::EmbeddingParameters] {
        view.take_if(key, |value| model::set_parameters(draft, value));
    }
    // Where nothing else names the model, its parameters do.
    if let Some(model) = draft.extra.invocation_params.get("model") {
        draft.extra.metadata.insert_raw("ls_model_name", model);
    }
    view.take_if(Key::RerankerTopK, |value| model::set_parameter(draft, "top_k", value));
}

/// Chat messages. Returns the tools that the model was offered.
fn messages(view: &mut View<'_, '_>, draft: &mut Draft<'_>) -> Option<String> {
    let tools = lists::tools(view);
    for (side, family, key) in
        [(Side::Inputs, INPUT_MESSAGES, Key::InputMessages), (Side::Outputs, OUTPUT_MESSAGES, Key::OutputMessages)]
    {
        if draft.has(side) {
            continue;
        }
        let beside = tools.as_deref().filter(|_| side == Side::Inputs).map(|tools| ("tools", tools));
        let mut messages = Messages::on(side);
        if messages.push_open_inference(view.family(family)) {
            if chat::set(draft, side, &mut messages, beside.as_slice()) {
                view.take_family(family, |_, _| true);
            }
        } else if let Some(list) = view.peek_text(key) {
            if messages.push_parts(list) && chat::set(draft, side, &mut messages, beside.as_slice()) {
                view.take(key);
            }
        }
    }
    tools
}

/// `input.value` and `output.value`. Instrumentations repeat there what attributes of their own say
/// one by one, in the provider's shape; once is enough.
fn whole(view: &mut View<'_, '_>, draft: &mut Draft<'_>, side: Side, is_told: bool) {
    let (key, type_key, name) = match side {
        Side::Inputs => (Key::Input, Key::InputType, "input"),
        Side::Outputs => (Key::Output, Key::OutputType, "output"),
    };
    let is_json = view.peek(type_key).is_some_and(|value| value.as_str() == "application/json");
    let taken = view.take_if(key, |value| {
        match value {
            _ if draft.has(side) => is_told,
            // A text that says it is JSON is taken at its word, a number or a string too.
            Value::String(text) if is_json && !is_empty(value) && is_scalar(text.as_str()) => {
                draft.set_with(side, |out| {
                    write_raw_object(out, name, text.as_str().trim());
                    true
                })
            }
            _ => set_whole(draft, side, value),
        }
    });
    if taken {
        view.take(type_key);
    }
}

fn is_scalar(text: &str) -> bool {
    !text.trim_start().starts_with(['{', '[']) && scan::value(text.trim())
}

/// What says something of inputs and outputs where nothing else does.
fn last_resorts(view: &mut View<'_, '_>, draft: &mut Draft<'_>) {
    if draft.inputs.is_none() {
        if let Some(prompts) = view.peek(Key::Prompts).filter(|value| !is_empty(value)) {
            draft.is_text_completion = true;
            draft.inputs_with(|out| super::draft::write_member(out, "prompts", prompts));
            view.take(Key::Prompts);
        }
    }
    let (template, variables) = (view.peek(Key::Template), view.peek(Key::Variables));
    if draft.inputs.is_none() && (template.is_some() || variables.is_some()) {
        draft.inputs_with(|out| {
            for (name, value) in [("template", template), ("variables", variables)] {
                if let Some(value) = value {
                    out.push(if out.is_empty() { '{' } else { ',' });
                    write_string(out, name);
                    out.push(':');
                    write_any(out, value);
                }
            }
            out.push('}');
            true
        });
        view.take(Key::Template);
        view.take(Key::Variables);
    }
    view.take_if(Key::FunctionCall, |value| {
        draft.outputs_with(|out| !is_empty(value) && super::draft::write_member(out, "function_call", value))
    });
}

/// What LangSmith filters by.
fn described(view: &mut View<'_, '_>, draft: &mut Draft<'_>, is_ours: bool) {
    if let Some(reason) = view.take_text(Key::FinishReason) {
        draft.finish_reason.get_or_insert_with(|| reason.to_owned());
    }
    if let Some(tags) = view.take(Key::Tags) {
        draft.tags(tags);
    }
    let metadata = &mut draft.extra.metadata;
    for (key, name) in
        [(Key::ToolName, "tool_name"), (Key::ToolDescription, "tool_description"), (Key::ToolId, "tool_call_id")]
    {
        view.rename(key, metadata, name);
    }
    view.rename(Key::TemplateVersion, metadata, "prompt_version");
    view.take_if(Key::PromptId, |value| model::set_prompt_name(metadata, value));
    // A function may have an argument of that name.
    let is_metadata = is_ours || !draft.is_tracing;
    view.take_if(Key::Metadata, |value| {
        is_metadata && matches!(value, Value::String(json) if metadata.insert_members(json.as_str()))
    });
}

/// Writes tools in OpenAI's shape.
fn tools_of(list: &str) -> Option<String> {
    let mut tools = String::new();
    write_tools(list, &mut tools).then_some(tools)
}

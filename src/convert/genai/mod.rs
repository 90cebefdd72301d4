//! OpenTelemetry's conventions for generative AI, as of 1.37 and newer, `gen_ai.*`.

pub(super) mod counts;
mod parameters;

use super::chat::{self, note};
use super::draft::{float, write_member, write_object, write_raw_object, NameSource, TypeRank};
use super::frame::{attributes, find, is_empty, Convention, View};
use super::messages::{write_documents, write_tools, Side};
use super::Draft;
use crate::json::{name, scan, write_string, Json, Name};
use crate::run::RunType;
use opentelemetry::{KeyValue, Value};

pub(super) const CONVENTION: Convention =
    Convention { keys: KEYS, families: &["gen_ai.usage.details.", "gen_ai.usage."], convert };

// What one function reads stands together: `has_any` asks for whole groups.
attributes! {
    Operation = "gen_ai.operation.name",
    Provider = "gen_ai.provider.name",
    System = "gen_ai.system",
    RequestModel = "gen_ai.request.model",
    ResponseModel = "gen_ai.response.model",
    SystemInstructions = "gen_ai.system_instructions",
    InputMessages = "gen_ai.input.messages",
    OutputMessages = "gen_ai.output.messages",
    ToolDefinitions = "gen_ai.tool.definitions",
    ToolName = "gen_ai.tool.name",
    ToolType = "gen_ai.tool.type",
    ToolDescription = "gen_ai.tool.description",
    ToolCallId = "gen_ai.tool.call.id",
    ToolArguments = "gen_ai.tool.call.arguments",
    ToolResult = "gen_ai.tool.call.result",
    ToolOutcome = "gen_ai.tool.call.outcome",
    ToolErrorType = "gen_ai.tool.error.type",
    ErrorType = "error.type",
    AgentName = "gen_ai.agent.name",
    WorkflowName = "gen_ai.workflow.name",
    RetrievalQuery = "gen_ai.retrieval.query.text",
    RetrievalDocuments = "gen_ai.retrieval.documents",
    MemoryQuery = "gen_ai.memory.query.text",
    MemoryRecords = "gen_ai.memory.records",
    ConversationId = "gen_ai.conversation.id",
    User = "gen_ai.user",
    FinishReasons = "gen_ai.response.finish_reasons",
    ResponseId = "gen_ai.response.id",
    ProviderRequestId = "rig.provider_request_id",
    FirstChunk = "gen_ai.response.time_to_first_chunk",
    ClientFirstChunk = "gen_ai.client.operation.time_to_first_chunk",
    ServerFirstToken = "gen_ai.server.time_to_first_token",
    ApiType = "openai.api.type",
    ServiceTier = "openai.response.service_tier",
    OldServiceTier = "gen_ai.openai.response.service_tier",
    RequestTier = "openai.request.service_tier",
    OldRequestTier = "gen_ai.openai.request.service_tier",
    Fingerprint = "openai.response.system_fingerprint",
    OldFingerprint = "gen_ai.openai.response.system_fingerprint",
    ConversationCompacted = "gen_ai.conversation.compacted",
    Temperature = "gen_ai.request.temperature",
    MaxTokens = "gen_ai.request.max_tokens",
    StopSequences = "gen_ai.request.stop_sequences",
    TopP = "gen_ai.request.top_p",
    TopK = "gen_ai.request.top_k",
    FrequencyPenalty = "gen_ai.request.frequency_penalty",
    PresencePenalty = "gen_ai.request.presence_penalty",
    Seed = "gen_ai.request.seed",
    EncodingFormats = "gen_ai.request.encoding_formats",
    ChoiceCount = "gen_ai.request.choice.count",
    Choices = "gen_ai.request.n",
    Stream = "gen_ai.request.stream",
    ReasoningLevel = "gen_ai.request.reasoning.level",
    ReasoningEffort = "gen_ai.request.reasoning_effort",
    PreviousResponse = "gen_ai.request.previous_response.id",
    MaxCompletionTokens = "gen_ai.request.max_completion_tokens",
    OutputSchema = "gen_ai.request.structured_output_schema",
    OutputType = "gen_ai.output.type",
    Dimensions = "gen_ai.embeddings.dimension.count",
    RetrievalTopK = "gen_ai.retrieval.top_k",
}

const USAGE_DETAILS: u8 = 0;
const USAGE: u8 = 1;

fn convert(view: &mut View<'_, '_>, draft: &mut Draft) {
    operation(view, draft);
    model(view, draft);
    if view.has_any(Key::SystemInstructions, Key::ToolDefinitions) {
        messages(view, draft);
    }
    if view.has_any(Key::ToolName, Key::ErrorType) {
        tool(view, draft);
    }
    if view.has_any(Key::RetrievalQuery, Key::MemoryRecords) {
        retrieval(view, draft);
    }
    counts::convert(view, draft);
    if view.has_any(Key::ToolDefinitions, Key::ToolDefinitions) || view.has_any(Key::Temperature, Key::RetrievalTopK) {
        parameters::convert(view, draft);
    }
    if view.has_any(Key::ConversationId, Key::ConversationCompacted) {
        response(view, draft);
    }
}

/// What kind of work it is, and its name.
fn operation(view: &mut View<'_, '_>, draft: &mut Draft) {
    view.take_if(Key::Operation, |value| {
        let operation = value.as_str();
        draft.is_text_completion |= operation == "text_completion";
        draft.is_agent |= matches!(&*operation, "invoke_agent" | "create_agent" | "invoke_workflow");
        draft.is_invoked_agent |= operation == "invoke_agent";
        let known = run_type(&operation);
        if let Some(run_type) = known {
            draft.set_run_type(TypeRank::Operation, run_type);
        }
        known.is_some() && draft.extra.metadata.insert(name!("gen_ai.operation.name"), value)
    });
    if !view.has_any(Key::ToolName, Key::RetrievalDocuments) {
        return;
    }
    if view.peek(Key::ToolName).is_some() || view.peek(Key::ToolCallId).is_some() {
        draft.set_run_type(TypeRank::Presence, RunType::Tool);
    }
    if view.peek(Key::RetrievalDocuments).is_some() {
        draft.set_run_type(TypeRank::Presence, RunType::Retriever);
    }
    if let Some(name) = view.peek_text(Key::ToolName) {
        draft.set_name(NameSource::Tool, name);
    }
    for key in [Key::AgentName, Key::WorkflowName] {
        if let Some(name) = view.peek_text(key) {
            draft.set_name(NameSource::Agent, name);
        }
    }
}

fn run_type(operation: &str) -> Option<RunType> {
    Some(match operation {
        "chat"
        | "completion"
        | "text_completion"
        | "generate_content"
        | "interactions"
        | "interactions_streaming"
        | "chat_streaming"
        | "transcription"
        | "image_generation"
        | "audio_generation" => RunType::Llm,
        "embeddings" | "embedding" => RunType::Embedding,
        "retrieval" | "rerank" | "search_memory" => RunType::Retriever,
        "execute_tool"
        | "create_memory"
        | "update_memory"
        | "upsert_memory"
        | "delete_memory"
        | "create_memory_store"
        | "delete_memory_store" => RunType::Tool,
        "create_agent" | "invoke_agent" | "invoke_workflow" | "plan" => RunType::Chain,
        _ => return None,
    })
}

fn model(view: &mut View<'_, '_>, draft: &mut Draft) {
    for key in [Key::Provider, Key::System] {
        view.take_if(key, |value| super::provider::set(draft, &value.as_str()));
    }
    let extra = &mut *draft.extra;
    let mut named = false;
    for (key, metadata) in [(Key::RequestModel, None), (Key::ResponseModel, Some(name!("response_model")))] {
        view.take_if(key, |value| {
            if is_empty(value) {
                return false;
            }
            if !named {
                named = true;
                extra.metadata.insert(name!("ls_model_name"), value);
                extra.invocation_params.insert(name!("model"), value);
            }
            metadata.is_none_or(|name| extra.metadata.insert(name, value))
        });
    }
}

fn messages(view: &mut View<'_, '_>, draft: &mut Draft) {
    let tools = view.peek_text(Key::ToolDefinitions);
    let system = view.peek_text(Key::SystemInstructions);
    let input = view.peek_text(Key::InputMessages);
    let output = view.peek_text(Key::OutputMessages);
    let taken = write_messages(draft, system, input, tools, output);
    for (key, taken) in [
        (Key::SystemInstructions, taken.system),
        (Key::InputMessages, taken.input),
        (Key::ToolDefinitions, taken.tools),
        (Key::OutputMessages, taken.output),
    ] {
        if taken {
            view.take(key);
        }
    }
}

/// Which of the four sources were used.
#[derive(Default)]
struct Taken {
    system: bool,
    input: bool,
    tools: bool,
    output: bool,
}

fn write_messages(
    draft: &mut Draft,
    system: Option<&str>,
    input: Option<&str>,
    tools: Option<&str>,
    output: Option<&str>,
) -> Taken {
    let mut taken = Taken::default();
    if draft.inputs.is_none() && input.is_none() {
        // An older convention may have the messages.
        taken.system = system.is_some();
        if let Some(system) = system {
            draft.instructions.get_or_insert_with(|| system.to_owned());
        }
    }
    if let (None, Some(input)) = (&draft.inputs, input) {
        let before = draft.instructions.take();
        let system = system.or(before.as_deref());
        let mut messages = draft.messages(Side::Inputs);
        let is_list = messages.push_parts(input);
        if let Some(system) = system {
            messages.push_system(system);
        }
        (taken.input, taken.system) = (true, system.is_some());
        let mut object = messages.take_object();
        if !is_list {
            // Text that is no list of messages is kept as text.
            if messages.is_empty() {
                object.truncate(1);
            } else {
                object.push(',');
            }
            object.push_str("\"input\":");
            write_string(&mut object, input);
        }
        let mut tool_list = String::new();
        taken.tools = tools.is_some_and(|tools| write_tools(tools, &mut tool_list));
        if taken.tools {
            object.push_str(",\"tools\":");
            object.push_str(&tool_list);
            draft.extra.invocation_params.insert_raw("tools", &tool_list);
        }
        object.push('}');
        draft.inputs = Some(Json::from_trusted(object));
        note(draft, &mut messages);
        draft.memory.history = messages.into_history();
    }
    if let (None, Some(output)) = (&draft.outputs, output) {
        let mut messages = draft.messages(Side::Outputs);
        messages.are_of_agent(draft.is_invoked_agent);
        taken.output = if messages.push_parts(output) {
            chat::set(draft, Side::Outputs, &mut messages, &[])
        } else {
            draft.outputs_with(|out| {
                out.push_str("{\"output\":");
                write_string(out, output);
                out.push('}');
                true
            })
        };
        draft.outputs_are_ours |= taken.output;
        draft.memory.history = messages.into_history();
    }
    taken
}

fn tool(view: &mut View<'_, '_>, draft: &mut Draft) {
    const NAMES: [(Key, Name<'_>); 4] = [
        (Key::ToolName, name!("tool_name")),
        (Key::ToolType, name!("tool_type")),
        (Key::ToolDescription, name!("tool_description")),
        (Key::ToolCallId, name!("tool_call_id")),
    ];
    view.take_if(Key::ToolArguments, |value| draft.set_inputs(value));
    let result = view.peek_text(Key::ToolResult);
    view.take_if(Key::ToolResult, |value| draft.outputs_with(|out| write_result(out, value)));
    if let Some(answer) = draft.outputs.as_ref().filter(|outputs| result == Some(outputs.as_str())) {
        draft.memory.history.keep_answer(answer.as_str());
    }
    let metadata = &mut draft.extra.metadata;
    for (key, name) in NAMES {
        view.rename(key, metadata, name);
    }
    for key in [Key::ErrorType, Key::ToolErrorType] {
        view.take_if(key, |value| {
            if is_empty(value) {
                return false;
            }
            let error_type = draft.error_type.get_or_insert_with(|| value.as_str().into_owned());
            *error_type == value.as_str()
        });
    }
    view.take_if(Key::ToolOutcome, |value| {
        let outcome = value.as_str();
        if !matches!(&*outcome, "" | "success" | "ok") {
            // A tool that failed answers why. `other` is what the conventions call an error without a kind.
            let kind = draft.error_type.as_deref().filter(|kind| !matches!(*kind, "other" | "_OTHER"));
            // What is hidden is no reason.
            let result = result.filter(|_| !draft.hide.outputs);
            let reason = match (kind, result) {
                (Some(kind), Some(result)) => format!("{kind}: {result}"),
                (None, Some(only)) | (Some(only), None) => only.to_owned(),
                (None, None) => draft.error_type.clone().unwrap_or_else(|| outcome.to_string()),
            };
            draft.failed.get_or_insert(reason);
        }
        draft.extra.metadata.insert("tool_call_outcome", value)
    });
}

/// A result is JSON, so that a text may stand in quotes.
fn write_result(out: &mut String, value: &Value) -> bool {
    match value {
        Value::String(text) if text.as_str().starts_with('"') && scan::value(text.as_str()) => {
            write_raw_object(out, "output", text.as_str());
            true
        }
        _ => write_object(out, "output", value),
    }
}

fn retrieval(view: &mut View<'_, '_>, draft: &mut Draft) {
    for (key, name) in [(Key::RetrievalQuery, "query"), (Key::MemoryQuery, "query")] {
        view.take_if(key, |value| draft.inputs_with(|out| !is_empty(value) && write_member(out, name, value)));
    }
    view.take_if(Key::RetrievalDocuments, |value| {
        let Value::String(documents) = value else { return draft.set_outputs(value) };
        draft.outputs_with(|out| {
            out.push_str("{\"documents\":");
            let readable = write_documents(documents.as_str(), out);
            out.push('}');
            readable
        }) || draft.set_outputs(value)
    });
    let is_search = draft.run_type() == RunType::Retriever;
    view.take_if(Key::MemoryRecords, |value| {
        let write = |out: &mut String| !is_empty(value) && write_member(out, "records", value);
        if is_search {
            draft.outputs_with(write)
        } else {
            draft.inputs_with(write)
        }
    });
}

fn response(view: &mut View<'_, '_>, draft: &mut Draft) {
    view.take_if(Key::FinishReasons, |value| finish_reasons(value, draft));
    let metadata = &mut draft.extra.metadata;
    for (key, name) in [
        (Key::ResponseId, "response_id"),
        (Key::ProviderRequestId, "provider_request_id"),
        (Key::ConversationId, "thread_id"),
        (Key::User, "user_id"),
        (Key::ApiType, "api_type"),
        (Key::ServiceTier, "service_tier"),
        (Key::OldServiceTier, "service_tier"),
        (Key::RequestTier, "request_service_tier"),
        (Key::OldRequestTier, "request_service_tier"),
        (Key::Fingerprint, "system_fingerprint"),
        (Key::OldFingerprint, "system_fingerprint"),
        (Key::ConversationCompacted, "conversation_compacted"),
    ] {
        view.rename(key, metadata, name);
    }
    for key in [Key::FirstChunk, Key::ClientFirstChunk, Key::ServerFirstToken] {
        // Strands counts in whole milliseconds where the conventions have seconds.
        let unit = if matches!(view.peek(key), Some(Value::I64(_))) { 1000.0 } else { 1.0 };
        view.take_if(key, |value| float(value).is_some_and(|time| draft.first_token_after(time / unit)));
    }
}

/// One reason is a text, several are a list.
fn finish_reasons(value: &Value, draft: &mut Draft) -> bool {
    let reasons: Vec<String> = match value {
        Value::Array(opentelemetry::Array::String(reasons)) => {
            reasons.iter().map(|reason| reason.as_str().to_owned()).collect()
        }
        Value::String(text) => match scan::document(text.as_str()).and_then(|json| serde_json::from_str(json).ok()) {
            Some(reasons) => reasons,
            None => vec![text.as_str().to_owned()],
        },
        _ => return false,
    };
    match reasons.as_slice() {
        [] => false,
        [reason] => draft.extra.metadata.insert_str("finish_reason", reason),
        reasons => draft.extra.metadata.insert_with("finish_reason", |out| {
            crate::json::write_array(out, reasons, |out, reason| write_string(out, reason));
        }),
    }
}

/// The event `gen_ai.client.inference.operation.details` carries the same attributes as a span.
pub(super) fn details_event(attributes: &[KeyValue], draft: &mut Draft) {
    let text = |key: Key| match find(attributes, KEYS[usize::from(key)]) {
        Some(Value::String(text)) => Some(text.as_str()).filter(|text| !text.trim().is_empty()),
        _ => None,
    };
    write_messages(
        draft,
        text(Key::SystemInstructions),
        text(Key::InputMessages),
        text(Key::ToolDefinitions),
        text(Key::OutputMessages),
    );
}

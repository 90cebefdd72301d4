//! Spans that have the fields of OpenTelemetry's conventions for generative AI declared.
//!
//! A `tracing` span cannot gain fields: what is recorded under a name that it did not declare is
//! lost without a word. Callsites are static, so these have to be macros.

/// A span for a call of a model: an `info_span!` that declares what can be recorded later.
///
/// ```
/// use opentelemetry_langsmith::{llm_span, SpanExt, UsageMetadata};
///
/// let span = llm_span!("answer", model = "gpt-4o-mini", provider = "openai", attempt = 1);
/// span.in_scope(|| {
///     // … ask the model …
///     span.record("gen_ai.response.model", "gpt-4o-mini-2024-07-18");
///     span.record_usage(&UsageMetadata::new(12, 1));
/// });
/// ```
/// After the name, which has to be a constant, come `model`, `provider` and `operation` (`chat` by
/// default), in any order, each only if it is known already; then any fields of your own, as in
/// `info_span!`. `parent: &span` may go first.
///
/// Declared are `gen_ai.operation.name`, `gen_ai.provider.name`, `gen_ai.request.{model,
/// temperature, max_tokens, stream}`, `gen_ai.system_instructions`, `gen_ai.tool.definitions`,
/// `gen_ai.input.messages`, `gen_ai.output.messages`, `gen_ai.response.{id, model,
/// finish_reasons}`, `gen_ai.usage.{input_tokens, output_tokens, cache_read.input_tokens,
/// cache_creation.input_tokens, tool_use_prompt_tokens, reasoning_tokens}` and `error.type`; and
/// `rig.completion_parent` and `rig.provider_request_id`: rig records a completion onto the current
/// span, instead of one of its own, if that has these and the others.
#[macro_export]
macro_rules! llm_span {
    (parent: $parent:expr, $name:expr $(, $($rest:tt)*)?) => {
        $crate::__span!(@llm [parent: $parent, $name] ["chat"] [$crate::__private::Empty] [$crate::__private::Empty] [()] $($($rest)*)?)
    };
    ($name:expr $(, $($rest:tt)*)?) => {
        $crate::__span!(@llm [$name] ["chat"] [$crate::__private::Empty] [$crate::__private::Empty] [()] $($($rest)*)?)
    };
}

/// A span for an agent at work. LangSmith shows it as a chain, under which the calls of models and
/// tools stand.
///
/// ```
/// use opentelemetry_langsmith::{agent_span, SpanExt};
///
/// let span = agent_span!("researcher", model = "claude-sonnet-4-5", gen_ai.conversation.id = "thread-7");
/// span.record_inputs("Who wrote this?");
/// ```
/// As [`llm_span!`], with `agent` for a name that is no constant. Declared are
/// `gen_ai.operation.name` (`invoke_agent`), `gen_ai.agent.{name, id, description}`,
/// `gen_ai.provider.name`, `gen_ai.request.model`, `gen_ai.system_instructions`, `gen_ai.prompt`,
/// `gen_ai.completion`, the counts that [`llm_span!`] has, and `error.type`. rig's agents record
/// onto the current span if there is one, so what it did not declare would be lost. The counts that
/// it records here are sums over its calls, and LangSmith adds up those of the calls.
#[macro_export]
macro_rules! agent_span {
    (parent: $parent:expr, $name:expr $(, $($rest:tt)*)?) => {
        $crate::__span!(@agent [parent: $parent, $name] ["invoke_agent"] [$crate::__private::Empty] [$crate::__private::Empty] [$name] $($($rest)*)?)
    };
    ($name:expr $(, $($rest:tt)*)?) => {
        $crate::__span!(@agent [$name] ["invoke_agent"] [$crate::__private::Empty] [$crate::__private::Empty] [$name] $($($rest)*)?)
    };
}

/// A span for a tool that a model called.
///
/// ```
/// use opentelemetry_langsmith::{tool_span, SpanExt};
///
/// let span = tool_span!("weather", gen_ai.tool.call.id = "call_1");
/// span.record("gen_ai.tool.call.arguments", r#"{"city": "Paris"}"#);
/// span.record_outputs("18 °C");
/// ```
/// As [`llm_span!`], with `tool` for a name that is no constant. Declared are
/// `gen_ai.operation.name` (`execute_tool`), `gen_ai.tool.{name, type, description}`,
/// `gen_ai.tool.call.{id, arguments, result, outcome}`, `gen_ai.tool.error.type` and `error.type`.
#[macro_export]
macro_rules! tool_span {
    (parent: $parent:expr, $name:expr $(, $($rest:tt)*)?) => {
        $crate::__span!(@tool [parent: $parent, $name] ["execute_tool"] [$crate::__private::Empty] [$crate::__private::Empty] [$name] $($($rest)*)?)
    };
    ($name:expr $(, $($rest:tt)*)?) => {
        $crate::__span!(@tool [$name] ["execute_tool"] [$crate::__private::Empty] [$crate::__private::Empty] [$name] $($($rest)*)?)
    };
}

/// A span for a search for documents.
///
/// ```
/// use opentelemetry_langsmith::retriever_span;
///
/// let span = retriever_span!("search", query = "opening hours");
/// span.record("gen_ai.retrieval.documents", r#"[{"id": "7", "content": "Open until nine.", "score": 0.8}]"#);
/// ```
/// As [`llm_span!`], with `query` for what is looked for. Declared are `gen_ai.operation.name`
/// (`retrieval`), `gen_ai.retrieval.{query.text, documents, top_k}`, `gen_ai.data_source.id`,
/// `gen_ai.provider.name`, `gen_ai.request.model` and `error.type`.
#[macro_export]
macro_rules! retriever_span {
    (parent: $parent:expr, $name:expr $(, $($rest:tt)*)?) => {
        $crate::__span!(@retriever [parent: $parent, $name] ["retrieval"] [$crate::__private::Empty] [$crate::__private::Empty] [$crate::__private::Empty] $($($rest)*)?)
    };
    ($name:expr $(, $($rest:tt)*)?) => {
        $crate::__span!(@retriever [$name] ["retrieval"] [$crate::__private::Empty] [$crate::__private::Empty] [$crate::__private::Empty] $($($rest)*)?)
    };
}

/// Fills the slots (operation, model, provider, and what the kind of span has of its own), then
/// makes the span. A name that stood in a span twice would be recorded in its first place only.
#[doc(hidden)]
#[macro_export]
macro_rules! __span {
    (@$kind:ident $head:tt [$operation:expr] $model:tt $provider:tt $own:tt operation = $value:expr $(, $($rest:tt)*)?) => {
        $crate::__span!(@$kind $head [$value] $model $provider $own $($($rest)*)?)
    };
    (@$kind:ident $head:tt $operation:tt [$model:expr] $provider:tt $own:tt model = $value:expr $(, $($rest:tt)*)?) => {
        $crate::__span!(@$kind $head $operation [$value] $provider $own $($($rest)*)?)
    };
    (@$kind:ident $head:tt $operation:tt $model:tt [$provider:expr] $own:tt provider = $value:expr $(, $($rest:tt)*)?) => {
        $crate::__span!(@$kind $head $operation $model [$value] $own $($($rest)*)?)
    };
    (@agent $head:tt $operation:tt $model:tt $provider:tt [$own:expr] agent = $value:expr $(, $($rest:tt)*)?) => {
        $crate::__span!(@agent $head $operation $model $provider [$value] $($($rest)*)?)
    };
    (@tool $head:tt $operation:tt $model:tt $provider:tt [$own:expr] tool = $value:expr $(, $($rest:tt)*)?) => {
        $crate::__span!(@tool $head $operation $model $provider [$value] $($($rest)*)?)
    };
    (@retriever $head:tt $operation:tt $model:tt $provider:tt [$own:expr] query = $value:expr $(, $($rest:tt)*)?) => {
        $crate::__span!(@retriever $head $operation $model $provider [$value] $($($rest)*)?)
    };
    (@llm [$($head:tt)*] [$operation:expr] [$model:expr] [$provider:expr] [$own:expr] $($rest:tt)*) => {
        $crate::__private::tracing::info_span!(
            $($head)*,
            rig.completion_parent = true,
            gen_ai.operation.name = $operation,
            gen_ai.provider.name = $provider,
            gen_ai.request.model = $model,
            gen_ai.request.temperature = $crate::__private::Empty,
            gen_ai.request.max_tokens = $crate::__private::Empty,
            gen_ai.request.stream = $crate::__private::Empty,
            gen_ai.system_instructions = $crate::__private::Empty,
            gen_ai.tool.definitions = $crate::__private::Empty,
            gen_ai.input.messages = $crate::__private::Empty,
            gen_ai.output.messages = $crate::__private::Empty,
            gen_ai.response.id = $crate::__private::Empty,
            gen_ai.response.model = $crate::__private::Empty,
            gen_ai.response.finish_reasons = $crate::__private::Empty,
            gen_ai.usage.input_tokens = $crate::__private::Empty,
            gen_ai.usage.output_tokens = $crate::__private::Empty,
            gen_ai.usage.cache_read.input_tokens = $crate::__private::Empty,
            gen_ai.usage.cache_creation.input_tokens = $crate::__private::Empty,
            gen_ai.usage.tool_use_prompt_tokens = $crate::__private::Empty,
            gen_ai.usage.reasoning_tokens = $crate::__private::Empty,
            rig.provider_request_id = $crate::__private::Empty,
            error.type = $crate::__private::Empty,
            $($rest)*
        )
    };
    (@agent [$($head:tt)*] [$operation:expr] [$model:expr] [$provider:expr] [$own:expr] $($rest:tt)*) => {
        $crate::__private::tracing::info_span!(
            $($head)*,
            gen_ai.operation.name = $operation,
            gen_ai.agent.name = $own,
            gen_ai.agent.id = $crate::__private::Empty,
            gen_ai.agent.description = $crate::__private::Empty,
            gen_ai.provider.name = $provider,
            gen_ai.request.model = $model,
            gen_ai.system_instructions = $crate::__private::Empty,
            gen_ai.prompt = $crate::__private::Empty,
            gen_ai.completion = $crate::__private::Empty,
            gen_ai.usage.input_tokens = $crate::__private::Empty,
            gen_ai.usage.output_tokens = $crate::__private::Empty,
            gen_ai.usage.cache_read.input_tokens = $crate::__private::Empty,
            gen_ai.usage.cache_creation.input_tokens = $crate::__private::Empty,
            gen_ai.usage.tool_use_prompt_tokens = $crate::__private::Empty,
            gen_ai.usage.reasoning_tokens = $crate::__private::Empty,
            error.type = $crate::__private::Empty,
            $($rest)*
        )
    };
    (@tool [$($head:tt)*] [$operation:expr] [$model:expr] [$provider:expr] [$own:expr] $($rest:tt)*) => {
        $crate::__private::tracing::info_span!(
            $($head)*,
            gen_ai.operation.name = $operation,
            gen_ai.tool.name = $own,
            gen_ai.tool.type = $crate::__private::Empty,
            gen_ai.tool.description = $crate::__private::Empty,
            gen_ai.tool.call.id = $crate::__private::Empty,
            gen_ai.tool.call.arguments = $crate::__private::Empty,
            gen_ai.tool.call.result = $crate::__private::Empty,
            gen_ai.tool.call.outcome = $crate::__private::Empty,
            gen_ai.tool.error.type = $crate::__private::Empty,
            error.type = $crate::__private::Empty,
            $($rest)*
        )
    };
    (@retriever [$($head:tt)*] [$operation:expr] [$model:expr] [$provider:expr] [$own:expr] $($rest:tt)*) => {
        $crate::__private::tracing::info_span!(
            $($head)*,
            gen_ai.operation.name = $operation,
            gen_ai.provider.name = $provider,
            gen_ai.request.model = $model,
            gen_ai.data_source.id = $crate::__private::Empty,
            gen_ai.retrieval.query.text = $own,
            gen_ai.retrieval.documents = $crate::__private::Empty,
            gen_ai.retrieval.top_k = $crate::__private::Empty,
            error.type = $crate::__private::Empty,
            $($rest)*
        )
    };
}

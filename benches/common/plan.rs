//! Spans that are to be made, and traces of them.

use super::text::Text;
use opentelemetry::trace::{Span as _, TraceContextExt, Tracer};
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{Context, InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SdkTracer, SpanData, SpanEvents, SpanLinks};
use std::time::{Duration, UNIX_EPOCH};

/// A span of a plan.
#[derive(Clone)]
pub(crate) struct Planned {
    /// How many spans stand above it. The one right above it is the last one before it that has one less.
    pub(crate) depth: usize,
    pub(crate) name: &'static str,
    pub(crate) kind: SpanKind,
    pub(crate) attributes: Vec<KeyValue>,
}

impl Planned {
    fn new(name: &'static str, kind: SpanKind) -> Self {
        Self { depth: 0, name, kind, attributes: Vec::new() }
    }

    fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.attributes.push(KeyValue::new(key, value));
        self
    }

    pub(crate) fn at(mut self, depth: usize) -> Self {
        self.depth = depth;
        self
    }

    /// A call of a function, as `tracing` would have it.
    pub(crate) fn plain() -> Self {
        Self::new("step", SpanKind::Internal).with("code.module.name", "app::agent").with("attempt", 1)
    }

    /// A call of a model without its messages.
    pub(crate) fn small(text: &mut Text) -> Self {
        Self::new("chat", SpanKind::Client)
            .with("gen_ai.operation.name", "chat")
            .with("gen_ai.provider.name", "openai")
            .with("gen_ai.request.model", "gpt-4.1-mini")
            .with("gen_ai.usage.input_tokens", text.count(2000))
            .with("gen_ai.usage.output_tokens", text.count(500))
    }

    /// A call of a model with these messages.
    pub(crate) fn chat(text: &mut Text, input: String, output: String) -> Self {
        Self::small(text)
            .with("gen_ai.request.temperature", 0.3)
            .with("gen_ai.request.max_tokens", 2048)
            .with("gen_ai.input.messages", input)
            .with("gen_ai.output.messages", output)
    }

    /// A call of a tool, with what went in and came out.
    pub(crate) fn tool(text: &mut Text) -> Self {
        Self::bare_tool()
            .with("gen_ai.tool.call.id", text.id())
            .with("gen_ai.tool.call.arguments", text.arguments().to_string())
            .with("gen_ai.tool.call.result", text.hits().to_string())
    }

    pub(crate) fn bare_tool() -> Self {
        Self::new("execute_tool search", SpanKind::Internal)
            .with("gen_ai.operation.name", "execute_tool")
            .with("gen_ai.tool.name", "search")
    }

    /// An agent's work, all of it.
    pub(crate) fn agent() -> Self {
        Self::new("invoke_agent", SpanKind::Internal)
            .with("gen_ai.operation.name", "invoke_agent")
            .with("gen_ai.agent.name", "researcher")
    }

    pub(crate) fn agent_with(input: String, output: String) -> Self {
        Self::agent().with("gen_ai.input.messages", input).with("gen_ai.output.messages", output)
    }

    /// A request of an HTTP client.
    pub(crate) fn http() -> Self {
        Self::new("POST", SpanKind::Client)
            .with("http.request.method", "POST")
            .with("http.response.status_code", 200)
            .with("server.address", "api.openai.com")
            .with("server.port", 443)
            .with("url.full", "https://api.openai.com/v1/chat/completions")
    }

    /// Attributes that no convention knows; every fourth has a short text, the others numbers.
    pub(crate) fn attributes(text: &mut Text, count: usize) -> Self {
        let mut span = Self::new("many", SpanKind::Internal);
        for number in 0..count {
            let key = format!("app.section_{}.value_{number}", number % 7);
            let value = if number % 4 == 0 { text.prose(20).into() } else { Value::from(text.count(1_000_000)) };
            span.attributes.push(KeyValue::new(key, value));
        }
        span
    }

    /// Inputs that are JSON already and stay as they are.
    pub(crate) fn json_input(json: String) -> Self {
        Self::new("load", SpanKind::Internal).with("input.value", json).with("input.mime_type", "application/json")
    }

    /// The span when it has ended, without a tracer.
    pub(crate) fn data(&self, id: u64) -> SpanData {
        let start = UNIX_EPOCH + Duration::from_secs(1_795_000_000) + Duration::from_micros(id);
        SpanData {
            span_context: SpanContext::new(
                TraceId::from(u128::from(id)),
                SpanId::from(id),
                TraceFlags::SAMPLED,
                false,
                TraceState::NONE,
            ),
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: self.kind.clone(),
            name: self.name.into(),
            start_time: start,
            end_time: start + Duration::from_millis(1),
            attributes: self.attributes.clone(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: InstrumentationScope::builder("benches").build(),
        }
    }

    /// How many bytes of text are on it.
    pub(crate) fn bytes(&self) -> usize {
        self.attributes.iter().map(|attribute| attribute.value.as_str().len()).sum()
    }
}

/// Makes a trace as an instrumented application does.
pub(crate) fn make(tracer: &SdkTracer, plan: &[Planned]) {
    let mut open: Vec<Context> = Vec::new();
    let end = |open: &mut Vec<Context>, depth: usize| {
        while open.len() > depth {
            if let Some(last) = open.pop() {
                last.span().end();
            }
        }
    };
    for planned in plan {
        end(&mut open, planned.depth);
        let parent = open.last().cloned().unwrap_or_default();
        let builder = tracer.span_builder(planned.name).with_kind(planned.kind.clone());
        let mut span = builder.start_with_context(tracer, &parent);
        span.set_attributes(planned.attributes.iter().cloned());
        open.push(parent.with_span(span));
    }
    end(&mut open, 0);
}

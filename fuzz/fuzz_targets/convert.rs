//! Spans of any content go all the way to a strict receiver: nothing panics, nothing is lost, no rule is broken.
#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use opentelemetry::trace::{
    Event, Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{Array, InstrumentationScope, KeyValue, StringValue, Value};
use opentelemetry_langsmith::testing::LocalLangSmith;
use opentelemetry_langsmith::{Config, LangSmithExporter};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter, SpanLinks};
use std::cell::RefCell;
use std::sync::LazyLock;
use std::time::{Duration, UNIX_EPOCH};

/// Names that mean something to a convention; the rest of them is up to the fuzzer.
const NAMES: &[&str] = &[
    "gen_ai.operation.name", "gen_ai.system", "gen_ai.provider.name", "gen_ai.request.model", "gen_ai.response.model",
    "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions", "gen_ai.tool.definitions",
    "gen_ai.tool.call.arguments", "gen_ai.tool.call.result", "gen_ai.tool.call.id", "gen_ai.tool.name", "gen_ai.prompt",
    "gen_ai.completion", "gen_ai.prompt.0.content", "gen_ai.prompt.0.role", "gen_ai.completion.0.content",
    "gen_ai.completion.0.tool_calls.0.arguments", "gen_ai.request.temperature", "gen_ai.request.stop_sequences",
    "gen_ai.response.finish_reasons", "gen_ai.conversation.id", "input.value", "input.mime_type", "output.value",
    "output.mime_type", "openinference.span.kind", "llm.model_name", "llm.token_count.prompt", "llm.token_count.completion",
    "llm.input_messages.0.message.content", "llm.output_messages.0.message.tool_calls.0.tool_call.function.name",
    "llm.invocation_parameters", "retrieval.documents.0.document.content", "session.id", "user.id", "metadata", "tag.tags",
    "langsmith.span.kind", "langsmith.span.tags", "langsmith.trace.name", "langsmith.trace.session_name",
    "langsmith.metadata.any", "langsmith.attachments", "langsmith.is_root", "langsmith.usage_metadata",
    "langsmith.reference_example_id", "traceloop.entity.input", "traceloop.entity.output", "traceloop.span.kind",
    "exception.type", "exception.message", "exception.stacktrace", "otel.status_code", "code.module.name", "target", "level",
    "busy_ns", "thread.id", "http.status_code", "error.type", "server.port",
];

#[derive(Arbitrary, Debug)]
struct AnySpan {
    name: String,
    kind: u8,
    start: u64,
    micros: i64,
    status: Option<Option<String>>,
    child: bool,
    attributes: Vec<(AnyName, AnyValue)>,
    events: Vec<(String, u64, Vec<(AnyName, AnyValue)>)>,
    links: u8,
}

#[derive(Arbitrary, Debug)]
enum AnyName {
    Known(u8),
    Below(u8, String),
    Any(String),
}

#[derive(Arbitrary, Debug)]
enum AnyValue {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// A JSON text of some kind, and what may have been cut off its end.
    Json(AnyJson, u8),
    Texts(Vec<String>),
    Ints(Vec<i64>),
    Floats(Vec<f64>),
    Bools(Vec<bool>),
}

#[derive(Arbitrary, Debug)]
enum AnyJson {
    Null,
    Number(f64),
    Text(String),
    List(Vec<AnyJson>),
    Object(Vec<(AnyWord, AnyJson)>),
}

#[derive(Arbitrary, Debug)]
enum AnyWord {
    Role, Content, Parts, Type, ToolCalls, Id, Name, Arguments, Function, InputTokens, OutputTokens, Uri, Data, MimeType,
    Any(String),
}

impl AnyName {
    fn text(&self) -> String {
        let known = |number: &u8| NAMES[usize::from(*number) % NAMES.len()];
        match self {
            Self::Known(number) => known(number).to_owned(),
            Self::Below(number, rest) => format!("{}.{rest}", known(number)),
            Self::Any(name) => name.clone(),
        }
    }
}

impl AnyJson {
    fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Number(number) if number.is_finite() => out.push_str(&number.to_string()),
            Self::Number(_) => out.push_str("true"),
            Self::Text(text) => quote(text, out),
            Self::List(items) => {
                out.push('[');
                for (number, item) in items.iter().enumerate() {
                    out.push_str(if number > 0 { "," } else { "" });
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (number, (name, value)) in members.iter().enumerate() {
                    out.push_str(if number > 0 { ", " } else { "" });
                    quote(name.text(), out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

fn quote(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\0'..='\u{1f}' => out.push_str(&format!("\\u{:04x}", character as u32)),
            _ => out.push(character),
        }
    }
    out.push('"');
}

impl AnyWord {
    fn text(&self) -> &str {
        match self {
            Self::Role => "role",
            Self::Content => "content",
            Self::Parts => "parts",
            Self::Type => "type",
            Self::ToolCalls => "tool_calls",
            Self::Id => "id",
            Self::Name => "name",
            Self::Arguments => "arguments",
            Self::Function => "function",
            Self::InputTokens => "input_tokens",
            Self::OutputTokens => "output_tokens",
            Self::Uri => "uri",
            Self::Data => "data",
            Self::MimeType => "mime_type",
            Self::Any(name) => name,
        }
    }
}

impl AnyValue {
    fn value(&self) -> Value {
        match self {
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) => Value::I64(*value),
            Self::Float(value) => Value::F64(*value),
            Self::Text(value) => Value::String(value.clone().into()),
            Self::Json(json, cut) => {
                let mut text = String::new();
                json.write(&mut text);
                // Mostly whole.
                let cut = if *cut < 224 { 0 } else { usize::from(*cut) - 224 };
                for _ in 0..cut {
                    text.pop();
                }
                Value::String(text.into())
            }
            Self::Texts(values) => {
                Value::Array(Array::String(values.iter().map(|value| StringValue::from(value.clone())).collect()))
            }
            Self::Ints(values) => Value::Array(Array::I64(values.clone())),
            Self::Floats(values) => Value::Array(Array::F64(values.clone())),
            Self::Bools(values) => Value::Array(Array::Bool(values.clone())),
        }
    }
}

fn attributes(any: &[(AnyName, AnyValue)]) -> Vec<KeyValue> {
    any.iter().map(|(name, value)| KeyValue::new(name.text(), value.value())).collect()
}

impl AnySpan {
    fn span(&self, trace: u128, id: u64, parent: u64) -> SpanData {
        let context = |id: u64| {
            SpanContext::new(TraceId::from(trace), SpanId::from(id), TraceFlags::SAMPLED, false, TraceState::NONE)
        };
        // Within what SystemTime can add up, before 1970 excepted.
        let start = UNIX_EPOCH + Duration::from_micros(self.start % (1 << 52));
        let length = Duration::from_micros(self.micros.unsigned_abs() % (1 << 40));
        let mut events = SpanEvents::default();
        events.events.extend(self.events.iter().map(|(name, micros, any)| {
            Event::new(name.clone(), start + Duration::from_micros(micros % (1 << 40)), attributes(any), 0)
        }));
        let mut links = SpanLinks::default();
        links.links.extend((0..self.links % 4).map(|link| Link::new(context(u64::from(link) + 1), Vec::new(), 0)));
        SpanData {
            span_context: context(id),
            parent_span_id: SpanId::from(parent),
            parent_span_is_remote: false,
            span_kind: [SpanKind::Internal, SpanKind::Client, SpanKind::Server, SpanKind::Producer, SpanKind::Consumer]
                [usize::from(self.kind % 5)]
            .clone(),
            name: self.name.clone().into(),
            start_time: start,
            end_time: if self.micros < 0 { start.checked_sub(length).unwrap_or(start) } else { start + length },
            attributes: attributes(&self.attributes),
            dropped_attributes_count: 0,
            events,
            links,
            status: match &self.status {
                None => Status::Unset,
                Some(None) => Status::Ok,
                Some(Some(text)) => Status::error(text.clone()),
            },
            instrumentation_scope: InstrumentationScope::builder("fuzz").build(),
        }
    }
}

struct Way {
    server: LocalLangSmith,
    exporter: LangSmithExporter,
    runtime: tokio::runtime::Runtime,
}

thread_local! {
    static NEXT: RefCell<u64> = const { RefCell::new(1) };
}

static WAY: LazyLock<Way> = LazyLock::new(|| {
    let server = LocalLangSmith::counting().expect("loopback has a free port");
    let config = Config::default()
        .with_api_key("key")
        .with_endpoint(server.endpoint())
        .with_flush_interval(Duration::ZERO)
        .without_compression();
    let exporter = LangSmithExporter::new(config).expect("an exporter");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    Way { server, exporter, runtime }
});

fuzz_target!(|spans: Vec<AnySpan>| {
    let way = &*WAY;
    if spans.is_empty() || spans.len() > 8 {
        return;
    }
    // Children end before their parents: each stands below the first one, or below nobody.
    let first = NEXT.with_borrow_mut(|next| {
        *next += spans.len() as u64;
        *next - spans.len() as u64
    });
    let trace = u128::from(first) << 16 | 1;
    let mut batch: Vec<_> = (first..).zip(&spans).map(|(id, span)| span.span(trace, id, if span.child && id > first { first } else { 0 })).collect();
    batch.reverse();
    let before = way.exporter.client().stats();
    let result = way.runtime.block_on(way.exporter.export(batch));
    let stats = way.exporter.client().stats();
    assert!(result.is_ok(), "{result:?}: {stats:?}");
    assert_eq!(stats.dropped_total(), 0, "{stats:?}");
    assert_eq!(stats.sent - before.sent, spans.len() as u64, "{stats:?}");
    let broken: Vec<_> = way.server.violations();
    assert!(broken.is_empty(), "{broken:#?}");
});

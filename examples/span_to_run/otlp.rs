//! OTLP/JSON, as the spans that the SDK would have handed over.

use crate::Fallible;
use opentelemetry::trace::{Event, Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{Array, InstrumentationScope, KeyValue, StringValue, Value};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1 as common;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1 as otlp;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use opentelemetry_sdk::Resource;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// OTLP's flag for a parent in another process.
const PARENT_IS_REMOTE: u32 = 0x200;

/// What one process sent.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) resource: Resource,
    /// In the order they came: children mostly before their parents.
    pub(crate) spans: Vec<SpanData>,
}

/// Reads an `ExportTraceServiceRequest` with one resource.
pub(crate) fn read(json: &str) -> Fallible<Sent> {
    let request: ExportTraceServiceRequest = serde_json::from_str(json)?;
    let [of_resource] = &request.resource_spans[..] else {
        return Err("the spans of one resource are expected".into());
    };
    let attributes = of_resource.resource.iter().flat_map(|resource| &resource.attributes);
    let resource = Resource::builder_empty().with_attributes(attributes.filter_map(key_value)).build();
    let mut spans = Vec::new();
    for of_scope in &of_resource.scope_spans {
        let scope = scope(of_scope.scope.as_ref());
        for span in &of_scope.spans {
            spans.push(span_data(span, &scope)?);
        }
    }
    Ok(Sent { resource, spans })
}

fn scope(scope: Option<&common::InstrumentationScope>) -> InstrumentationScope {
    let Some(scope) = scope else { return InstrumentationScope::default() };
    let builder = InstrumentationScope::builder(scope.name.clone())
        .with_attributes(scope.attributes.iter().filter_map(key_value));
    if scope.version.is_empty() {
        builder.build()
    } else {
        builder.with_version(scope.version.clone()).build()
    }
}

fn span_data(span: &otlp::Span, scope: &InstrumentationScope) -> Fallible<SpanData> {
    let status = span.status.clone().unwrap_or_default();
    Ok(SpanData {
        span_context: context(&span.trace_id, &span.span_id, &span.trace_state)?,
        parent_span_id: if span.parent_span_id.is_empty() { SpanId::INVALID } else { span_id(&span.parent_span_id)? },
        parent_span_is_remote: span.flags & PARENT_IS_REMOTE != 0,
        span_kind: match span.kind() {
            otlp::span::SpanKind::Unspecified | otlp::span::SpanKind::Internal => SpanKind::Internal,
            otlp::span::SpanKind::Server => SpanKind::Server,
            otlp::span::SpanKind::Client => SpanKind::Client,
            otlp::span::SpanKind::Producer => SpanKind::Producer,
            otlp::span::SpanKind::Consumer => SpanKind::Consumer,
        },
        name: span.name.clone().into(),
        start_time: time(span.start_time_unix_nano),
        end_time: time(span.end_time_unix_nano),
        attributes: span.attributes.iter().filter_map(key_value).collect(),
        dropped_attributes_count: span.dropped_attributes_count,
        events: {
            let mut events = SpanEvents::default();
            events.dropped_count = span.dropped_events_count;
            events.events = span.events.iter().map(event).collect();
            events
        },
        links: {
            let mut links = SpanLinks::default();
            links.links = span.links.iter().map(link).collect::<Fallible<_>>()?;
            links
        },
        status: match status.code() {
            otlp::status::StatusCode::Unset => Status::Unset,
            otlp::status::StatusCode::Ok => Status::Ok,
            otlp::status::StatusCode::Error => Status::error(status.message),
        },
        instrumentation_scope: scope.clone(),
    })
}

/// Python's exporter leaves the flag for sampled spans out, so all count as sampled.
fn context(trace: &[u8], span: &[u8], state: &str) -> Fallible<SpanContext> {
    let trace = TraceId::from_bytes(trace.try_into()?);
    let state = state.parse().unwrap_or(TraceState::NONE);
    Ok(SpanContext::new(trace, span_id(span)?, TraceFlags::SAMPLED, false, state))
}

fn span_id(bytes: &[u8]) -> Fallible<SpanId> {
    Ok(SpanId::from_bytes(bytes.try_into()?))
}

fn time(nanos: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(nanos)
}

fn event(event: &otlp::span::Event) -> Event {
    let attributes = event.attributes.iter().filter_map(key_value).collect();
    Event::new(event.name.clone(), time(event.time_unix_nano), attributes, event.dropped_attributes_count)
}

fn link(link: &otlp::span::Link) -> Fallible<Link> {
    let attributes = link.attributes.iter().filter_map(key_value).collect();
    Ok(Link::new(context(&link.trace_id, &link.span_id, &link.trace_state)?, attributes, link.dropped_attributes_count))
}

/// Nothing for what the SDK has no value for.
fn key_value(attribute: &common::KeyValue) -> Option<KeyValue> {
    let value = value(attribute.value.as_ref()?.value.as_ref()?)?;
    Some(KeyValue::new(attribute.key.clone(), value))
}

fn value(any: &Any) -> Option<Value> {
    Some(match any {
        Any::StringValue(text) => text.clone().into(),
        Any::BoolValue(truth) => (*truth).into(),
        Any::IntValue(number) => (*number).into(),
        Any::DoubleValue(number) => (*number).into(),
        Any::ArrayValue(array) => Value::Array(list(array)?),
        _ => return None,
    })
}

/// OTLP's lists may be mixed, the SDK's are of one type.
fn list(array: &common::ArrayValue) -> Option<Array> {
    let values = array.values.iter().map(|item| value(item.value.as_ref()?)).collect::<Option<Vec<_>>>()?;
    Some(match values.first() {
        None | Some(Value::String(_)) => Array::String(values.iter().map(text).collect::<Option<_>>()?),
        Some(Value::Bool(_)) => Array::Bool(values.iter().map(truth).collect::<Option<_>>()?),
        Some(Value::I64(_)) => Array::I64(values.iter().map(integer).collect::<Option<_>>()?),
        Some(Value::F64(_)) => Array::F64(values.iter().map(float).collect::<Option<_>>()?),
        Some(_) => return None,
    })
}

fn text(value: &Value) -> Option<StringValue> {
    if let Value::String(text) = value {
        Some(text.clone())
    } else {
        None
    }
}

fn truth(value: &Value) -> Option<bool> {
    if let Value::Bool(truth) = value {
        Some(*truth)
    } else {
        None
    }
}

fn integer(value: &Value) -> Option<i64> {
    if let Value::I64(number) = value {
        Some(*number)
    } else {
        None
    }
}

fn float(value: &Value) -> Option<f64> {
    if let Value::F64(number) = value {
        Some(*number)
    } else {
        None
    }
}

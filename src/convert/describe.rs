//! What only describes the span: its ids, its scope and kind, its links, and what it lost.

use super::draft::insert_any;
use crate::json::{write_array, write_hex, Name, Object};
use crate::lineage::Node;
use crate::run::{Extra, Timestamp};
use opentelemetry::trace::{Link, SpanKind, TraceId};
use opentelemetry::KeyValue;
use opentelemetry_sdk::trace::SpanData;
use std::fmt::Write;

/// The text of the id of a trace, for the spans of it that come one after the other.
#[derive(Debug)]
pub(super) struct TraceText {
    id: TraceId,
    json: String,
}

impl Default for TraceText {
    fn default() -> Self {
        Self { id: TraceId::INVALID, json: String::new() }
    }
}

impl TraceText {
    fn of(&mut self, id: TraceId) -> &str {
        if self.id != id || self.json.is_empty() {
            self.id = id;
            self.json.clear();
            write_hex(&mut self.json, id.to_bytes());
        }
        &self.json
    }
}

/// The span's own ids, by which a run is found in other backends and back.
pub(super) fn identify(span: &SpanData, node: &Node, trace_id: &mut TraceText, extra: &mut Extra) {
    let metadata = &mut extra.metadata;
    metadata.insert_raw(const { Name::new("OTEL_TRACE_ID") }, trace_id.of(span.span_context.trace_id()));
    metadata
        .insert_with(const { Name::new("OTEL_SPAN_ID") }, |out| write_hex(out, span.span_context.span_id().to_bytes()));
    let parent = span.parent_span_id.to_bytes();
    if (node.is_root() || node.is_moved()) && parent != [0; 8] {
        metadata.insert_with(const { Name::new("OTEL_PARENT_SPAN_ID") }, |out| write_hex(out, parent));
    }
}

/// What only describes the span.
pub(super) fn describe(span: &SpanData, node: &Node, extra: &mut Extra) {
    let otel = &mut extra.otel;
    let scope = &span.instrumentation_scope;
    if !scope.name().is_empty() {
        otel.insert_str(const { Name::new("scope_name") }, scope.name());
    }
    if let Some(version) = scope.version() {
        otel.insert_str(const { Name::new("scope_version") }, version);
    }
    match span.span_kind {
        SpanKind::Internal => {}
        SpanKind::Client => drop(otel.insert_str(const { Name::new("span_kind") }, "client")),
        SpanKind::Server => drop(otel.insert_str(const { Name::new("span_kind") }, "server")),
        SpanKind::Producer => drop(otel.insert_str(const { Name::new("span_kind") }, "producer")),
        SpanKind::Consumer => drop(otel.insert_str(const { Name::new("span_kind") }, "consumer")),
    }
    if !span.links.is_empty() {
        otel.insert_with("links", |out| write_array(out, &*span.links, write_link));
    }
    for (name, dropped) in [
        ("dropped_attributes_count", span.dropped_attributes_count),
        ("dropped_events_count", span.events.dropped_count),
        ("dropped_links_count", span.links.dropped_count),
    ] {
        if dropped > 0 {
            otel.insert_i64(name, dropped.into());
        }
    }
    // The run takes its parent's start where a clock says that it began before, and the first or the
    // last moment that LangSmith can tell where it lies outside.
    if Timestamp::exactly(span.start_time) != Some(node.start()) {
        let true_start = chrono::DateTime::<chrono::Utc>::from(clamp(span.start_time));
        extra.metadata.insert_with("otel_start_time", |out| {
            let _ = write!(out, "\"{}\"", true_start.to_rfc3339());
        });
    }
}

/// Moments that chrono can tell: within 200,000 years of 1970.
fn clamp(time: std::time::SystemTime) -> std::time::SystemTime {
    use std::time::{Duration, UNIX_EPOCH};
    const FAR: Duration = Duration::from_secs(6_000_000_000_000);
    let (earliest, latest) = (UNIX_EPOCH.checked_sub(FAR), UNIX_EPOCH.checked_add(FAR));
    time.clamp(earliest.unwrap_or(UNIX_EPOCH), latest.unwrap_or(UNIX_EPOCH))
}

fn write_link(out: &mut String, link: &Link) {
    let mut object = Object::default();
    object.insert_str("trace_id", &link.span_context.trace_id().to_string());
    object.insert_str("span_id", &link.span_context.span_id().to_string());
    for KeyValue { key, value, .. } in link.attributes.iter().rev() {
        insert_any(&mut object, key.as_str(), value);
    }
    object.write_to(out);
}

//! What only describes the span: its ids, its scope and kind, its links, and what it lost.

use super::draft::insert_any;
use crate::json::{name, write_array, write_hex, Object};
use crate::lineage::Node;
use crate::run::{Extra, Timestamp};
use opentelemetry::trace::{Link, SpanKind, TraceId};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::SpanData;
use std::fmt::Write;

/// What was written for the spans before: most spans have the trace of the last one, and the scope of the last
/// one of their kind.
#[derive(Debug, Default)]
pub(super) struct Written {
    trace: Option<TraceId>,
    /// The ids of that trace and of a span, up to the value of the latter.
    ids: Object,
    kinds: [Kind; 5],
}

/// A scope, and what describes the spans of one kind in it.
#[derive(Debug, Default)]
struct Kind {
    scope: String,
    version: Option<String>,
    otel: Object,
}

impl Kind {
    /// Becomes that of another scope, unless it is this one.
    fn in_scope(&mut self, scope: &InstrumentationScope, kind: Option<&str>) -> &Object {
        if self.scope == scope.name() && self.version.as_deref() == scope.version() && !self.otel.is_empty() {
            return &self.otel;
        }
        scope.name().clone_into(&mut self.scope);
        self.version = scope.version().map(ToOwned::to_owned);
        self.otel.clear();
        if !self.scope.is_empty() {
            self.otel.insert_str(name!("scope_name"), &self.scope);
        }
        if let Some(version) = &self.version {
            self.otel.insert_str(name!("scope_version"), version);
        }
        if let Some(kind) = kind {
            self.otel.insert_str(name!("span_kind"), kind);
        }
        &self.otel
    }
}

impl Written {
    /// The span's own ids, by which a run is found in other backends and back.
    pub(super) fn identify(&mut self, span: &SpanData, node: &Node, extra: &mut Extra) {
        let trace = span.span_context.trace_id();
        if self.trace != Some(trace) {
            self.trace = Some(trace);
            self.ids.clear();
            self.ids.insert_with(name!("OTEL_TRACE_ID"), |out| write_hex(out, trace.to_bytes()));
            self.ids.insert_raw(name!("OTEL_SPAN_ID"), "");
        }
        let metadata = &mut extra.metadata;
        debug_assert!(metadata.is_empty(), "the ids come first");
        metadata.append(&self.ids);
        metadata.end_last(|out| write_hex(out, span.span_context.span_id().to_bytes()));
        let parent = span.parent_span_id.to_bytes();
        if parent != [0; 8] && (node.is_root() || node.is_moved()) {
            metadata.insert_with(name!("OTEL_PARENT_SPAN_ID"), |out| write_hex(out, parent));
        }
    }

    /// The span's scope and kind.
    fn scope_and_kind(&mut self, span: &SpanData) -> &Object {
        let (place, kind) = match span.span_kind {
            SpanKind::Internal => (0, None),
            SpanKind::Client => (1, Some("client")),
            SpanKind::Server => (2, Some("server")),
            SpanKind::Producer => (3, Some("producer")),
            SpanKind::Consumer => (4, Some("consumer")),
        };
        self.kinds[place].in_scope(&span.instrumentation_scope, kind)
    }
}

/// What only describes the span.
pub(super) fn describe(span: &SpanData, node: &Node, written: &mut Written, extra: &mut Extra) {
    let otel = &mut extra.otel;
    otel.append(written.scope_and_kind(span));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lineage::{self, RunIds};
    use crate::test_span::span;
    use proptest::prelude::*;

    fn scope() -> impl Strategy<Value = InstrumentationScope> {
        (0..3_usize, 0..3_usize).prop_map(|(name, version)| {
            let scope = InstrumentationScope::builder(["", "a", "\"b"][name]);
            match ["", "1", "2"][version] {
                "" => scope.build(),
                version => scope.with_version(version).build(),
            }
        })
    }

    proptest! {
        #[test]
        fn the_spans_before_do_not_show(
            spans in prop::collection::vec((1..3_u128, 1..4_u64, 0..2_u64, scope(), 0..5_usize), 1..40),
        ) {
            let mut written = Written::default();
            for (trace, id, parent, scope, kind) in spans {
                let kinds =
                    [SpanKind::Internal, SpanKind::Client, SpanKind::Server, SpanKind::Producer, SpanKind::Consumer];
                let span = SpanData {
                    span_kind: kinds[kind].clone(),
                    instrumentation_scope: scope,
                    ..span(trace, id, parent)
                };
                let node = lineage::alone(&span, RunIds::default());
                let [kept, fresh] = [&mut written, &mut Written::default()].map(|written| {
                    let mut extra = Extra::default();
                    written.identify(&span, &node, &mut extra);
                    describe(&span, &node, written, &mut extra);
                    [extra.metadata, extra.otel].map(|object| object.members().to_owned())
                });
                prop_assert_eq!(&kept, &fresh);
                let [ids, otel] = kept;
                let (context, scope) = (&span.span_context, &span.instrumentation_scope);
                let own = format!(
                    "\"OTEL_TRACE_ID\":\"{}\",\"OTEL_SPAN_ID\":\"{}\"",
                    context.trace_id(),
                    context.span_id()
                );
                prop_assert!(ids.starts_with(&own));
                prop_assert_eq!(otel.contains("scope_version"), scope.version().is_some());
                prop_assert_eq!(otel.contains("scope_name"), !scope.name().is_empty());
                prop_assert_eq!(otel.contains("span_kind"), kind > 0);
            }
        }
    }
}

//! Which spans become runs.

use opentelemetry::Value;
use opentelemetry_sdk::trace::SpanData;
use std::borrow::Cow;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;

/// Crates whose spans tell how bytes travel, and nothing of the application.
const PLUMBING: [&str; 12] = [
    "h2",
    "hyper",
    "hyper_util",
    "opentelemetry",
    "opentelemetry_http",
    "opentelemetry_langsmith",
    "opentelemetry_otlp",
    "opentelemetry_sdk",
    "reqwest",
    "rustls",
    "tonic",
    "tower",
];

/// Which spans become runs in LangSmith. Other backends still get all of them.
///
/// The default leaves out the spans of `h2`, `hyper`, `hyper_util`, `reqwest`, `rustls`, `tonic`,
/// `tower` and OpenTelemetry's own crates: those whose `tracing` target or module, or else whose
/// instrumentation scope, is one of these or lies within. Runs below a span that is left out stand
/// under the nearest run above it; below one that was the root they are roots themselves.
///
/// Logfire's pending spans, which announce spans that start, never become runs, whatever the filter.
///
/// ```
/// use opentelemetry_langsmith::{Config, SpanFilter};
///
/// let config = Config::default().with_filter(SpanFilter::from_fn(|span| span.name != "healthz"));
/// ```
#[derive(Clone, Default)]
pub struct SpanFilter(Kind);

#[derive(Clone, Default)]
enum Kind {
    #[default]
    WithoutPlumbing,
    All,
    Custom(Arc<dyn Fn(&SpanData) -> bool + Send + Sync>),
}

impl SpanFilter {
    /// Every span becomes a run, but for Logfire's pending ones.
    pub fn all() -> Self {
        Self(Kind::All)
    }

    /// The spans that `keep` says `true` to become runs, plumbing too.
    ///
    /// [`LangSmithSpanProcessor`](crate::LangSmithSpanProcessor) asks when a span starts, on the
    /// application's thread, so `keep` has to be quick, shall not open spans, and sees what the span
    /// has by then. [`LangSmithExporter`](crate::LangSmithExporter) asks when it has ended. If
    /// `keep` panics the span is kept.
    pub fn from_fn(keep: impl Fn(&SpanData) -> bool + Send + Sync + 'static) -> Self {
        Self(Kind::Custom(Arc::new(keep)))
    }

    pub(crate) fn keeps(&self, span: &SpanData) -> bool {
        if is_pending(span) {
            return false;
        }
        match &self.0 {
            Kind::All => true,
            Kind::WithoutPlumbing => !is_plumbing(span),
            Kind::Custom(keep) => catch_unwind(AssertUnwindSafe(|| keep(span))).unwrap_or(true),
        }
    }
}

/// Logfire announces each span that starts by a second one, with an id of its own. It stands for
/// nothing that happened.
fn is_pending(span: &SpanData) -> bool {
    let mut attributes = span.attributes.iter().rev();
    attributes
        .find(|attribute| attribute.key.as_str() == "logfire.span_type")
        .is_some_and(|attribute| matches!(&attribute.value, Value::String(kind) if kind.as_str() == "pending_span"))
}

fn is_plumbing(span: &SpanData) -> bool {
    let origin = ["target", "code.module.name", "code.namespace"].iter().find_map(|name| {
        let attribute = span.attributes.iter().find(|attribute| attribute.key.as_str() == *name)?;
        match &attribute.value {
            Value::String(text) => Some(text.as_str()),
            _ => None,
        }
    });
    let origin = origin.unwrap_or_else(|| span.instrumentation_scope.name());
    let name = origin.split("::").next().unwrap_or(origin);
    let name = if name.contains('-') { Cow::Owned(name.replace('-', "_")) } else { Cow::Borrowed(name) };
    PLUMBING.contains(&&*name)
}

impl std::fmt::Debug for SpanFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Kind::WithoutPlumbing => "SpanFilter(without plumbing)",
            Kind::All => "SpanFilter(all)",
            Kind::Custom(_) => "SpanFilter(custom)",
        })
    }
}

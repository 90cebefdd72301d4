//! Which spans become runs.

mod gen_ai;
mod plumbing;

use crate::hooks::call;
pub(crate) use gen_ai::is_of_convention as is_gen_ai_name;
use opentelemetry::trace::SpanKind;
use opentelemetry::{Key, Value};
use opentelemetry_sdk::trace::SpanData;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// Which spans become runs in LangSmith. Other backends still get all of them.
///
/// Runs below a span that is left out stand under the nearest run above it; where there is none they
/// are roots, or stand under the run of another service that the span was joined to. The project that
/// a span names counts for what is below it even if the span itself is left out.
///
/// Logfire's pending spans, which announce spans that start, never become runs, whatever the filter.
///
/// The default, [`without_plumbing`](Self::without_plumbing), leaves out what tells how bytes travel.
/// Filters are put together with [`and`](Self::and), [`or`](Self::or) and `!`:
///
/// ```
/// use opentelemetry_langsmith::{Config, SpanFilter};
///
/// let wanted = SpanFilter::gen_ai().or(SpanFilter::target("app::agent")).and(!SpanFilter::name("healthz"));
/// let config = Config::default().with_filter(wanted);
/// ```
///
/// # When it is asked
///
/// [`LangSmithExporter`](crate::LangSmithExporter) asks when a span has ended, so a filter sees all of it.
///
/// [`LangSmithSpanProcessor`](crate::LangSmithSpanProcessor) asks when a span starts, because the runs
/// below it are sent before it ends. A filter sees the attributes that the span has by then, not those
/// that are recorded later; neither, with `tracing`, does it see fields that are declared as empty. A
/// span that is left out at its start is asked about once more at its end, and becomes a run after all
/// if the filter wants it then: under the nearest run above it, but beside the runs that began below it.
/// So say at the start what the filter looks for (`llm_span!` and `agent_span!` do, and so does
/// `#[instrument(fields(langsmith.span.kind = "chain"))]`), at least on spans that have others below them,
/// or use the exporter. A span that is kept at its start stays.
#[derive(Clone)]
pub struct SpanFilter(Rule);

#[derive(Clone)]
enum Rule {
    All,
    Plumbing,
    GenAi,
    Scope(Cow<'static, str>),
    Target(Cow<'static, str>),
    Name(Cow<'static, str>),
    Kind(SpanKind),
    Attribute(Key, Option<Value>),
    Custom(Arc<dyn Fn(&SpanData) -> bool + Send + Sync>),
    Not(Arc<Rule>),
    And(Arc<[Rule; 2]>),
    Or(Arc<[Rule; 2]>),
}

impl Default for SpanFilter {
    fn default() -> Self {
        Self::without_plumbing()
    }
}

impl SpanFilter {
    /// Every span becomes a run, but for Logfire's pending ones.
    pub fn all() -> Self {
        Self(Rule::All)
    }

    /// All but the spans of `h2`, `hyper`, `hyper_util`, `reqwest`, `rustls`, `tonic`, `tower` and
    /// OpenTelemetry's own crates: those whose `tracing` target or module, or else whose instrumentation
    /// scope, is one of these or lies within. This is the default.
    pub fn without_plumbing() -> Self {
        !Self(Rule::Plumbing)
    }

    /// The spans that speak a convention of generative AI: those with an attribute of OpenTelemetry's
    /// (`gen_ai.*`), OpenInference's (`openinference.*`, `llm.*`, `input.value`, …), OpenLLMetry's
    /// (`traceloop.*`), LangSmith's (`langsmith.*`), the Vercel AI SDK's (`ai.*`), `MLflow`'s, genkit's or
    /// Langfuse's, and all spans of `rig`. Web servers, databases and queues stay out.
    ///
    /// What [`SpanExt`](crate::SpanExt) records is such an attribute, but is recorded after the start: see
    /// [above](Self#when-it-is-asked).
    #[cfg_attr(not(feature = "tracing"), allow(rustdoc::broken_intra_doc_links))]
    pub fn gen_ai() -> Self {
        Self(Rule::GenAi)
    }

    /// The spans of a tracer of this name, its instrumentation scope.
    pub fn scope(name: impl Into<Cow<'static, str>>) -> Self {
        Self(Rule::Scope(name.into()))
    }

    /// The `tracing` spans of a target or module and of those within: `app` stands for `app::agent` too,
    /// but not for `apple`.
    pub fn target(path: impl Into<Cow<'static, str>>) -> Self {
        Self(Rule::Target(path.into()))
    }

    /// The spans of this name.
    pub fn name(name: impl Into<Cow<'static, str>>) -> Self {
        Self(Rule::Name(name.into()))
    }

    /// The spans of this kind: server, client, producer, consumer or internal.
    pub fn kind(kind: SpanKind) -> Self {
        Self(Rule::Kind(kind))
    }

    /// The spans that have an attribute of this name.
    pub fn attribute(name: impl Into<Key>) -> Self {
        Self(Rule::Attribute(name.into(), None))
    }

    /// The spans whose attribute of this name has this value. They are compared as text: `tracing` hands
    /// some numbers on as text.
    pub fn attribute_value(name: impl Into<Key>, value: impl Into<Value>) -> Self {
        Self(Rule::Attribute(name.into(), Some(value.into())))
    }

    /// The spans that `keep` says `true` to become runs, plumbing too.
    ///
    /// [`LangSmithSpanProcessor`](crate::LangSmithSpanProcessor) asks when a span starts, on the
    /// application's thread, so `keep` has to be quick. Spans that it opens are left alone: they
    /// become no runs, which is warned about once. If `keep` panics the answer is `true`, unless the program is
    /// compiled with `panic = "abort"`, where nothing is contained.
    pub fn from_fn(keep: impl Fn(&SpanData) -> bool + Send + Sync + 'static) -> Self {
        Self(Rule::Custom(Arc::new(keep)))
    }

    /// The spans that both filters keep.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(Rule::And(Arc::new([self.0, other.0])))
    }

    /// The spans that one of the two filters keeps, or both do.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(Rule::Or(Arc::new([self.0, other.0])))
    }

    pub(crate) fn keeps(&self, span: &SpanData) -> bool {
        !is_pending(span) && self.0.keeps(span)
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

impl std::ops::Not for SpanFilter {
    type Output = Self;

    /// The spans that the filter leaves out.
    fn not(self) -> Self {
        Self(Rule::Not(Arc::new(self.0)))
    }
}

impl Rule {
    fn keeps(&self, span: &SpanData) -> bool {
        match self {
            Self::All => true,
            Self::Plumbing => plumbing::is_plumbing(span),
            Self::GenAi => gen_ai::is_gen_ai(span),
            Self::Scope(name) => span.instrumentation_scope.name() == name,
            Self::Target(path) => target(span).is_some_and(|target| lies_within(target, path)),
            Self::Name(name) => span.name == *name,
            Self::Kind(kind) => span.span_kind == *kind,
            Self::Attribute(name, wanted) => {
                let last = span.attributes.iter().rev().find(|attribute| attribute.key == *name);
                last.is_some_and(|is| wanted.as_ref().is_none_or(|wanted| is.value.as_str() == wanted.as_str()))
            }
            Self::Custom(keep) => call(|| keep(span)).unwrap_or(true),
            Self::Not(rule) => !rule.keeps(span),
            Self::And(rules) => rules.iter().all(|rule| rule.keeps(span)),
            Self::Or(rules) => rules.iter().any(|rule| rule.keeps(span)),
        }
    }
}

/// Where in the code a `tracing` span was made. Asked of every span that starts, so it looks at each
/// attribute once.
fn target(span: &SpanData) -> Option<&str> {
    if span.attributes.is_empty() {
        return None;
    }
    let mut by_rank: [Option<&Value>; 3] = [None; 3];
    for attribute in &span.attributes {
        let rank = match attribute.key.as_str() {
            "target" => 0,
            "code.module.name" => 1,
            "code.namespace" => 2,
            _ => continue,
        };
        by_rank[rank].get_or_insert(&attribute.value);
    }
    by_rank.into_iter().flatten().find_map(|value| match value {
        Value::String(text) => Some(text.as_str()),
        _ => None,
    })
}

/// Where a span comes from: its target, or else its scope.
fn origin(span: &SpanData) -> &str {
    target(span).unwrap_or_else(|| span.instrumentation_scope.name())
}

/// Whether a target or a scope is this crate, or lies within. `-` stands for `_`.
fn is_of_crate(origin: &str, name: &str) -> bool {
    let (origin, name) = (origin.as_bytes(), name.as_bytes());
    matches!(origin.get(name.len()), None | Some(b':'))
        && origin.len() >= name.len()
        && origin.iter().zip(name).all(|(is, wanted)| is == wanted || (*is == b'-' && *wanted == b'_'))
}

fn lies_within(target: &str, path: &str) -> bool {
    target.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

impl fmt::Debug for SpanFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpanFilter({:?})", self.0)
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Plumbing => f.write_str("plumbing"),
            Self::GenAi => f.write_str("gen_ai"),
            Self::Scope(name) => write!(f, "scope {name}"),
            Self::Target(path) => write!(f, "target {path}"),
            Self::Name(name) => write!(f, "name {name:?}"),
            Self::Kind(kind) => write!(f, "kind {kind:?}"),
            Self::Attribute(name, None) => write!(f, "attribute {name}"),
            Self::Attribute(name, Some(value)) => write!(f, "attribute {name}={value}"),
            Self::Custom(_) => f.write_str("custom"),
            Self::Not(rule) => write!(f, "not {rule:?}"),
            Self::And(rules) => write!(f, "({:?} and {:?})", rules[0], rules[1]),
            Self::Or(rules) => write!(f, "({:?} or {:?})", rules[0], rules[1]),
        }
    }
}

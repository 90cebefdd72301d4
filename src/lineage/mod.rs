//! Who stands under whom.
//!
//! LangSmith wants the start and the id of each ancestor with every run, but a span ends before its
//! parent does. Two sources know the ancestors all the same: [`Live`] hears of every span when it
//! starts, parent first; [`Held`] hears of ended spans only and keeps them until their parents have
//! ended too. Either way a span comes out with its [`Node`].

mod filter;
mod held;
mod ids;
mod inherited;
mod live;
mod node;
mod overrides;
mod remote;

use ids::Ids;

pub use filter::SpanFilter;
pub(crate) use held::Held;
pub(crate) use inherited::tags;
pub(crate) use live::{Live, Opened};
pub(crate) use node::Node;
pub(crate) use overrides::Overrides;
pub(crate) use remote::{Propagation, Remote, RemoteRun};

use crate::run::{DottedOrder, RunId, Timestamp};
use node::Shared;
use opentelemetry::trace::SpanContext;
use opentelemetry_sdk::trace::SpanData;
use std::sync::Arc;
use uuid::Uuid;

/// How span ids become run ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunIds {
    /// UUIDv7 of the span's start, trace id and span id. LangSmith finds and sorts runs best by
    /// these.
    #[default]
    V7,
    /// The ids that LangSmith's own OTLP endpoint gives: the trace id for the span without a
    /// parent, the span id after 16 zeros for every other. For traces that go there as well.
    Otel,
}

/// What names a span: its trace id and its span id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SpanKey {
    pub(crate) trace_id: u128,
    pub(crate) span_id: u64,
}

impl SpanKey {
    pub(crate) fn of(context: &SpanContext) -> Self {
        Self {
            trace_id: u128::from_be_bytes(context.trace_id().to_bytes()),
            span_id: u64::from_be_bytes(context.span_id().to_bytes()),
        }
    }

    /// The span that `span` says it stands under, in this process. `None` for one that has no
    /// parent, has one elsewhere, or names itself.
    pub(crate) fn of_parent(span: &SpanData, overrides: &Overrides) -> Option<Self> {
        let span_id = match overrides.parent_span {
            Some(span_id) => span_id,
            None if span.parent_span_is_remote => return None,
            None => u64::from_be_bytes(span.parent_span_id.to_bytes()),
        };
        let own = Self::of(&span.span_context);
        (span_id != 0 && span_id != own.span_id && !overrides.is_root).then_some(Self { span_id, ..own })
    }
}

/// A trace deeper than this goes on in a new root: with 59 characters a level, the dotted orders of
/// such a chain would outweigh everything else in it.
const MAX_DEPTH: usize = 2000;

/// Where the runs below a span stand.
#[derive(Clone, Debug, Default)]
struct Place {
    /// The span's own run; of a span that is left out, the nearest run above it, if there is one.
    node: Option<Arc<Node>>,
    /// What they take over, where spans say it that are left out.
    passed: Option<Arc<Shared>>,
}

impl Place {
    fn of(node: Arc<Node>) -> Self {
        Self { node: Some(node), passed: None }
    }

    /// The place of a span that is left out, under `parent`.
    fn of_left_out(parent: Option<&Self>, overrides: &Overrides) -> Self {
        let above = parent.and_then(Self::shared);
        let passed = overrides.inherited.is_some().then(|| overrides.pass_on(above)).flatten();
        let Some(parent) = parent else { return Self { node: None, passed } };
        Self { node: parent.node.clone(), passed: passed.or_else(|| parent.passed.clone()) }
    }

    fn shared(&self) -> Option<&Arc<Shared>> {
        self.passed.as_ref().or_else(|| self.node.as_ref()?.shared())
    }
}

/// Gives a span its place under `parent`, which was placed before, or at the top.
/// `taken` says that the span's own id is in use already, so that a new one has to be drawn;
/// `remote` is what its context says of a trace elsewhere.
fn place(
    ids: &Ids,
    span: &SpanData,
    parent: Option<&Place>,
    overrides: &Overrides,
    taken: bool,
    remote: Remote,
) -> Arc<Node> {
    let own_start = Timestamp::from_system_time(span.start_time);
    let parent = parent.filter(|_| !overrides.is_root);
    let passed = parent.and_then(Place::shared).cloned();
    let parent = parent.and_then(|parent| parent.node.as_ref());
    // The whole trace goes where its root goes.
    let shared = match (parent, &overrides.project) {
        (Some(_), _) => passed,
        (None, Some(project)) => {
            let shared = passed.or(remote.shared).as_deref().cloned().unwrap_or_default();
            Some(Arc::new(Shared { project: Some(project.clone()), ..shared }))
        }
        (None, None) => passed.or(remote.shared),
    };
    let shared = overrides.pass_on(shared.as_ref());
    let parent = parent.filter(|parent| parent.depth() < MAX_DEPTH);

    if let Some(order) = overrides.consistent_order().filter(|order| ids.claim(order.id())) {
        let node = Node::under_order(order.id(), order.start(), order.parent(), shared);
        return Arc::new(node.agent(overrides.is_agent));
    }
    let linked = overrides.parent_order();
    let parent = parent.filter(|_| linked.is_none());
    // A parent that is named by its run id can be any run further up.
    let parent = match overrides.parent_id {
        Some(id) => parent.map(|parent| parent.find_upwards(id).unwrap_or(parent)),
        None => parent,
    };
    let above = linked
        .cloned()
        .or(remote.order)
        .filter(|order| parent.is_none() && !overrides.is_root && order.depth() < MAX_DEPTH);
    let earliest = parent.map(|parent| parent.start()).or_else(|| above.as_ref().map(DottedOrder::start));
    let start = earliest.map_or(own_start, |earliest| own_start.max(earliest));
    let key = SpanKey::of(&span.span_context);
    // A local root has a parent elsewhere, and its sibling there could be one too.
    let is_whole_trace = u64::from_be_bytes(span.parent_span_id.to_bytes()) == 0;
    let trace_id = RunId::from(Uuid::from_u128(key.trace_id));
    let derived = || match ids.scheme {
        _ if taken => RunId::random(start),
        RunIds::V7 => RunId::derived(start, key.trace_id, key.span_id),
        RunIds::Otel if is_whole_trace && ids.claim(trace_id) => trace_id,
        RunIds::Otel => Uuid::from_u128(u128::from(key.span_id)).into(),
    };
    let is_root = parent.is_none() && above.is_none();
    // A root whose parent is named belongs to a trace that has a root of its own.
    let wanted = overrides.id.or(overrides.trace_id.filter(|_| is_root && overrides.parent_id.is_none()));
    let used_above = |id: &RunId| {
        parent.is_some_and(|parent| parent.has_id(*id))
            || above.as_ref().is_some_and(|order| order.ids().any(|other| other == *id))
    };
    let id = match wanted.filter(|id| !used_above(id) && ids.claim(*id)) {
        Some(id) => id,
        None => Some(derived()).filter(|id| !(taken && used_above(id))).unwrap_or_else(|| RunId::random(start)),
    };
    let node = match parent {
        Some(parent) => Node::under(id, start, Arc::clone(parent), shared),
        None => Node::under_order(id, start, above, shared),
    };
    Arc::new(node.agent(overrides.is_agent))
}

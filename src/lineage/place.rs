//! Gives each span its place.

use super::ids::Ids;
use super::local_trace::{self, LocalTrace};
use super::node::{self, Node, Shared};
use super::{Overrides, Remote, RunIds, Sampling, SpanKey};
use crate::hooks::call;
use crate::run::{DottedOrder, Project, RunId, Timestamp};
use opentelemetry_sdk::trace::SpanData;
use std::sync::Arc;
use uuid::Uuid;

/// A trace deeper than this goes on in a new root: with 59 characters a level, the dotted orders of
/// such a chain would outweigh everything else in it.
pub(super) const MAX_DEPTH: usize = 2000;
/// Bytes of a project's name. It stands in every run of the trace.
pub(super) const MAX_PROJECT: usize = 1000;

/// Says which project the traces below a span go to.
#[derive(Clone)]
pub(crate) struct ProjectFor(pub(crate) Arc<ProjectHook>);

type ProjectHook = dyn Fn(&SpanData) -> Option<String> + Send + Sync;

impl std::fmt::Debug for ProjectFor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ProjectFor")
    }
}

impl ProjectFor {
    fn ask(&self, span: &SpanData) -> Option<Project> {
        // A hook that panics has no answer.
        let name = call(|| (self.0)(span)).ok()??;
        let name = name.trim();
        (1..=MAX_PROJECT).contains(&name.len()).then(|| Project::Name(name.into()))
    }
}

/// What a configuration says of places.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) run_ids: RunIds,
    /// The most runs of one trace.
    pub(crate) trace_runs: usize,
    pub(crate) sampling: Sampling,
    pub(crate) project_for: Option<ProjectFor>,
}

/// What a span means for those below it. Small, for there is one for each span that is remembered.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Run(Arc<Node>),
    LeftOut(Arc<LeftOut>),
}

/// What a span means for those below it that is no run itself.
#[derive(Debug)]
pub(super) enum LeftOut {
    Under {
        /// The nearest run above it.
        run: Arc<Node>,
        /// What those below take over, where spans say it that are left out.
        passed: Option<Arc<Shared>>,
    },
    /// There is no run above it. This is handed down to those below.
    Top(Remote),
}

impl LeftOut {
    fn weight(&self) -> u32 {
        let (order, shared) = match self {
            Self::Under { passed, .. } => (None, passed.as_ref()),
            Self::Top(remote) => (remote.order.as_ref(), remote.shared.as_ref()),
        };
        node::weight(order.map_or(0, DottedOrder::capacity) + shared.map_or(0, |shared| shared.bytes()))
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::left_out(LeftOut::Top(Remote::default()))
    }
}

impl Place {
    fn left_out(left_out: LeftOut) -> Self {
        Self::LeftOut(Arc::new(left_out))
    }

    /// What the span counts as in what is remembered: one, or more with much to hand down.
    #[inline]
    pub(super) fn weight(&self) -> u32 {
        match self {
            Self::Run(node) => node.weight(),
            Self::LeftOut(left_out) => left_out.weight(),
        }
    }

    /// What the runs below take over.
    fn shared(&self) -> Option<&Arc<Shared>> {
        self.passed().or_else(|| self.node()?.shared())
    }

    fn passed(&self) -> Option<&Arc<Shared>> {
        match self {
            Self::LeftOut(left_out) => match &**left_out {
                LeftOut::Under { passed, .. } => passed.as_ref(),
                LeftOut::Top(_) => None,
            },
            Self::Run(_) => None,
        }
    }

    fn handed_down(&self) -> Option<&Remote> {
        match self {
            Self::LeftOut(left_out) => match &**left_out {
                LeftOut::Top(remote) => Some(remote),
                LeftOut::Under { .. } => None,
            },
            Self::Run(_) => None,
        }
    }

    /// The run that the span becomes, or the nearest one above it.
    pub(super) fn node(&self) -> Option<&Arc<Node>> {
        match self {
            Self::Run(node) => Some(node),
            Self::LeftOut(left_out) => match &**left_out {
                LeftOut::Under { run, .. } => Some(run),
                LeftOut::Top(_) => None,
            },
        }
    }

    /// The run that the span itself becomes.
    pub(super) fn run(&self) -> Option<&Arc<Node>> {
        match self {
            Self::Run(node) => Some(node),
            Self::LeftOut(_) => None,
        }
    }
}

/// A span that is to be placed.
pub(super) struct Candidate<'a> {
    pub(super) span: &'a SpanData,
    pub(super) overrides: &'a Overrides,
    /// The place of its parent, if that was placed before.
    pub(super) above: Option<&'a Place>,
    /// Whether it becomes a run.
    pub(super) kept: bool,
    /// Its own id is in use already, so that a new one has to be drawn.
    pub(super) taken: bool,
    /// `span` has ended.
    pub(super) ended: bool,
    /// What the hook says of a trace that begins with it; see [`Placer::ask`].
    pub(super) project: Option<Project>,
}

pub(super) struct Placer {
    rules: Rules,
    ids: Ids,
}

impl Placer {
    pub(super) fn new(rules: Rules) -> Self {
        Self { rules, ids: Ids::default() }
    }

    pub(super) fn sampling(&self) -> Sampling {
        self.rules.sampling
    }

    /// Asks the hook for the project of a trace that begins with this span, unless there is one above. Not
    /// to be called with a lock held: the hook is the application's.
    pub(super) fn ask(&self, span: &SpanData, above: Option<&Place>) -> Option<Project> {
        let hook = self.rules.project_for.as_ref()?;
        let is_settled = above.is_some_and(|above| {
            let shared = above.handed_down().and_then(|remote| remote.shared.as_ref());
            above.node().is_some() || shared.is_some_and(|shared| shared.project.is_some())
        });
        if is_settled {
            return None;
        }
        hook.ask(span)
    }

    pub(super) fn has_hook(&self) -> bool {
        self.rules.project_for.is_some()
    }

    /// Gives a span its place under its parent, or at the top; `read` tells what its context says of a
    /// trace elsewhere. `None` for a span of a trace that sampling leaves out. The second value is a root
    /// that goes on with a full trace from this span on.
    pub(super) fn place(
        &self,
        candidate: &Candidate<'_>,
        read: impl FnOnce() -> Remote,
    ) -> Option<(Place, Option<Arc<Node>>)> {
        let Candidate { span, overrides, above, kept, ref project, .. } = *candidate;
        // A span that says it is a root takes nothing over from its parent but that its trace is sent.
        let around = above.and_then(Place::node);
        let above = above.filter(|_| !overrides.is_root);
        if let Some((above, parent)) = above.and_then(|above| Some((above, above.node()?))) {
            let shared = overrides.pass_on(above.shared());
            if kept {
                let (node, new) = if self.is_plain(candidate, parent) {
                    self.plain_node(candidate, parent, shared)
                } else {
                    self.node(candidate, Some(parent), None, shared.as_ref(), false)
                };
                return Some((Place::Run(node), new));
            }
            parent.trace().set_filtered();
            let passed = shared.filter(|_| overrides.inherited.is_some()).or_else(|| above.passed().cloned());
            return Some((Place::left_out(LeftOut::Under { run: Arc::clone(parent), passed }), None));
        }
        let mut remote = match above.and_then(Place::handed_down) {
            Some(handed_down) => handed_down.clone(),
            None => read(),
        };
        let order = overrides.parent_order().cloned();
        let joins =
            order.is_some() || overrides.consistent_order().is_some() || (remote.order.is_some() && !overrides.is_root);
        let is_sampled = joins
            || around.is_some_and(|node| !node.trace().is_undecided())
            || self.rules.sampling.keeps(SpanKey::of(&span.span_context).trace_id);
        if !is_sampled && !self.rules.sampling.keeps_errors() {
            return None;
        }
        // The project of the span's attributes, of the baggage, or of the hook. A trace that began
        // elsewhere stays in its project.
        let is_known = joins || remote.shared.as_ref().is_some_and(|shared| shared.project.is_some());
        if let Some(project) = overrides.project.as_ref().or(project.as_ref().filter(|_| !is_known)) {
            let shared = remote.shared.as_deref().cloned().unwrap_or_default();
            remote.shared = Some(Arc::new(Shared { project: Some(project.clone()), ..shared }));
        }
        let shared = overrides.pass_on(remote.shared.as_ref());
        if kept {
            let (node, new) = self.node(candidate, None, remote.order, shared.as_ref(), !is_sampled);
            if above.is_some_and(|above| above.run().is_none()) {
                node.trace().set_filtered();
            }
            return Some((Place::Run(node), new));
        }
        let own_above = || overrides.consistent_order().and_then(DottedOrder::parent);
        let named = order.or_else(own_above).filter(|order| self.ids.agree(order));
        remote.order = named.or(remote.order.filter(|_| !overrides.is_root));
        remote.shared = shared;
        Some((Place::left_out(LeftOut::Top(remote)), None))
    }

    /// Whether a span stands right under its parent, by an id that is made from its own, as most spans do.
    fn is_plain(&self, candidate: &Candidate<'_>, parent: &Node) -> bool {
        let Overrides { id, parent_id, order, .. } = candidate.overrides;
        let says_nothing = id.is_none() && parent_id.is_none() && order.is_none();
        says_nothing && !candidate.taken && self.rules.run_ids == RunIds::V7 && parent.depth() < MAX_DEPTH
    }

    /// What [`Self::node`] comes to for a span that is plain, without all the questions.
    fn plain_node(
        &self,
        candidate: &Candidate<'_>,
        parent: &Arc<Node>,
        shared: Option<Arc<Shared>>,
    ) -> (Arc<Node>, Option<Arc<Node>>) {
        let (parent, new) = local_trace::room(parent, self.rules.trace_runs);
        let start = Timestamp::from_system_time(candidate.span.start_time).max(parent.start());
        let SpanKey { trace_id, span_id } = SpanKey::of(&candidate.span.span_context);
        let id = RunId::derived(start, trace_id, span_id);
        let node = Node::under(id, start, Arc::clone(parent), shared).agent(candidate.overrides.is_agent);
        (Arc::new(node), new)
    }

    fn node(
        &self,
        candidate: &Candidate<'_>,
        parent: Option<&Arc<Node>>,
        order: Option<DottedOrder>,
        shared: Option<&Arc<Shared>>,
        undecided: bool,
    ) -> (Arc<Node>, Option<Arc<Node>>) {
        let Candidate { span, overrides, taken, ended, .. } = *candidate;
        let ids = &self.ids;
        let own_start = Timestamp::from_system_time(span.start_time);
        let undecided = undecided || parent.is_some_and(|parent| parent.trace().is_undecided());
        // What stands too deep is a trace of its own, in the same project.
        let parent = parent.filter(|parent| parent.depth() < MAX_DEPTH);
        let first = |id, start, above: Option<DottedOrder>| {
            let name = overrides.name.clone().map_or_else(|| span.name.clone(), Into::into);
            let trace = LocalTrace::new(name, id, start, above.as_ref(), shared.cloned()).undecided(undecided);
            if ended {
                trace.set_end(Timestamp::from_system_time(span.end_time));
            }
            Arc::new(Node::under_order(id, start, above, shared.cloned(), trace).agent(overrides.is_agent))
        };

        if let Some(order) = overrides.consistent_order().filter(|order| ids.claim_all(order)) {
            return (first(order.id(), order.start(), order.parent()), None);
        }
        let linked = overrides.parent_order().filter(|order| ids.agree(order));
        let order = order.filter(|order| ids.allow(order));
        let parent = parent.filter(|_| linked.is_none());
        // A parent that is named by its run id can be any run further up.
        let parent = match overrides.parent_id {
            Some(id) => parent.map(|parent| parent.find_upwards(id).unwrap_or(parent)),
            None => parent,
        };
        let (parent, new) = match parent.map(|parent| local_trace::room(parent, self.rules.trace_runs)) {
            Some((parent, new)) => (Some(parent), new),
            None => (None, None),
        };
        let above = linked
            .cloned()
            .or(order)
            .filter(|order| parent.is_none() && !overrides.is_root && order.depth() < MAX_DEPTH);
        let earliest = parent.map(|parent| parent.start()).or_else(|| above.as_ref().map(DottedOrder::start));
        let start = earliest.map_or(own_start, |earliest| own_start.max(earliest));
        let key = SpanKey::of(&span.span_context);
        // A local root has a parent elsewhere, and its sibling there could be one too.
        let is_whole_trace = u64::from_be_bytes(span.parent_span_id.to_bytes()) == 0;
        let trace_id = RunId::from(Uuid::from_u128(key.trace_id));
        let claim = |id: RunId| {
            let mut order = match (parent, &above) {
                (Some(parent), _) => parent.dotted_order(),
                (None, Some(above)) => above.clone(),
                (None, None) => DottedOrder::with_segments(1),
            };
            order.push(id, start);
            ids.claim(&order)
        };
        let derived = || match self.rules.run_ids {
            _ if taken => RunId::random(start),
            RunIds::V7 => RunId::derived(start, key.trace_id, key.span_id),
            RunIds::Otel if is_whole_trace && claim(trace_id) => trace_id,
            RunIds::Otel => Uuid::from_u128(u128::from(key.span_id)).into(),
        };
        let is_root = parent.is_none() && above.is_none();
        // A root whose parent is named belongs to a trace that has a root of its own.
        let wanted = overrides.id.or(overrides.trace_id.filter(|_| is_root && overrides.parent_id.is_none()));
        let used_above = |id: &RunId| {
            parent.is_some_and(|parent| parent.has_id(*id))
                || above.as_ref().is_some_and(|order| order.ids().any(|other| other == *id))
        };
        let id = match wanted.filter(|id| !used_above(id) && claim(*id)) {
            Some(id) => id,
            None => Some(derived()).filter(|id| !(taken && used_above(id))).unwrap_or_else(|| RunId::random(start)),
        };
        let node = match parent {
            Some(parent) => {
                Arc::new(Node::under(id, start, Arc::clone(parent), shared.cloned()).agent(overrides.is_agent))
            }
            None => first(id, start, above),
        };
        (node, new)
    }
}

/// The place of a span that has ended and of which nothing else is known: the top.
#[cfg(feature = "testing")]
pub(crate) fn alone(span: &SpanData, run_ids: RunIds) -> Arc<Node> {
    let rules = Rules { run_ids, trace_runs: usize::MAX, sampling: Sampling::default(), project_for: None };
    let overrides = &Overrides::read(&span.attributes);
    let candidate = Candidate { span, overrides, above: None, kept: true, taken: false, ended: true, project: None };
    let place = Placer::new(rules).place(&candidate, Remote::default);
    place.and_then(|(place, _)| place.node().cloned()).expect("what is kept and not sampled has a node")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_span;
    use opentelemetry::KeyValue;
    use proptest::prelude::*;
    use std::time::{Duration, UNIX_EPOCH};

    fn span(id: u64, parent: u64, start: u64, is_agent: bool) -> SpanData {
        let start_time = UNIX_EPOCH + Duration::from_micros(start);
        let kind = if is_agent { "agent" } else { "tool" };
        SpanData {
            start_time,
            end_time: start_time,
            attributes: vec![KeyValue::new("langsmith.span.kind", kind)],
            ..test_span::span(u128::MAX / 7, id, parent)
        }
    }

    proptest! {
        #[test]
        fn the_short_way_leads_to_where_the_long_one_does(
            spans in prop::collection::vec((any::<prop::sample::Index>(), 0..10_000_u64, any::<bool>()), 1..20),
        ) {
            let rules = Rules {
                run_ids: RunIds::V7,
                trace_runs: usize::MAX,
                sampling: Sampling::default(),
                project_for: None,
            };
            let placer = Placer::new(rules);
            let mut places: Vec<Place> = Vec::new();
            for (number, (above, start, is_agent)) in (1_u64..).zip(spans) {
                let above = (!places.is_empty()).then(|| above.index(places.len()));
                let span = span(number, above.map_or(0, |above| above as u64 + 1), 1_795_000_000_000_000 + start, is_agent);
                let overrides = &Overrides::read(&span.attributes);
                let above = above.map(|above| &places[above]);
                let candidate =
                    Candidate { span: &span, overrides, above, kept: true, taken: false, ended: false, project: None };
                let (place, _) = placer.place(&candidate, Remote::default).expect("all are sent");
                let node = place.run().expect("all are kept");
                if let Some(parent) = above.and_then(Place::run) {
                    prop_assert!(placer.is_plain(&candidate, parent));
                    let (other, _) = placer.node(&candidate, Some(parent), None, None, false);
                    prop_assert_eq!(node.dotted_order(), other.dotted_order());
                    prop_assert_eq!(node.is_under_agent(), other.is_under_agent());
                    prop_assert_eq!((node.depth(), node.start()), (other.depth(), other.start()));
                    prop_assert_eq!(node.depth(), parent.depth() + 1);
                }
                places.push(place);
            }
        }
    }
}

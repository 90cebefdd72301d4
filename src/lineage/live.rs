//! Lineage as it happens: the processor reports every start and every end.

mod traces;

use self::traces::{Entry, Gone, Trace, Traces};
use super::place::{Candidate, Placer};
use super::{Node, Overrides, Propagation, Remote, Rules, SpanFilter, SpanKey};
use crate::hooks::is_inside;
use crate::lock::Lock;
use crate::padded::Padded;
use crate::run::{Project, Timestamp};
use opentelemetry::trace::{SpanContext, TraceContextExt};
use opentelemetry::Context;
use opentelemetry_sdk::trace::SpanData;
use std::collections::hash_map::Entry as Slot;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, MutexGuard};
use std::thread::panicking;
use std::time::{Instant, SystemTime};

/// Traces are spread over this many maps by their ids, so that threads that work on different
/// traces rarely meet at one lock.
const SHARDS: usize = 64;

/// The spans that are open, those that ended while their traces are open, and the traces that
/// ended lately.
pub(crate) struct Live {
    placer: Placer,
    shards: Box<[Shard]>,
    /// What all that is remembered counts as: a span as one or, with much of its own to hand down, as more; a trace
    /// without open spans as one more.
    known: Padded<AtomicUsize>,
    limit: usize,
    propagation: Propagation,
    filter: SpanFilter,
    /// A trace that sampling would leave out belongs to one that is sent.
    has_joined: AtomicBool,
}

type Shard = Padded<Lock<Traces>>;

/// A span that was still open when everything ended.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) span: Box<SpanData>,
    pub(crate) node: Arc<Node>,
    /// Its run was sent before.
    pub(crate) posted: bool,
    /// Roots that went on with its trace.
    pub(crate) roots: Vec<Arc<Node>>,
}

/// What becomes of a span that has ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// It is a run.
    Run {
        node: Arc<Node>,
        /// The span as it was when it started, if that was seen. The box serves once more.
        opened: Option<Box<SpanData>>,
        /// It was sent while the span was open.
        posted: bool,
        /// A panic ended it.
        unwound: bool,
        /// A root that goes on with a full trace from this span on.
        new_root: Option<Arc<Node>>,
        /// Roots that went on with the trace, which is over now.
        roots: Vec<Arc<Node>>,
    },
    /// The filter does not want it.
    LeftOut,
    /// Its trace is not sent.
    NotSampled,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").field("known", &self.known.0).finish_non_exhaustive()
    }
}

impl Live {
    pub(crate) fn new(rules: Rules, limit: usize, filter: SpanFilter) -> Self {
        let shards = (0..SHARDS).map(|_| Shard::default()).collect();
        Self {
            placer: Placer::new(rules),
            shards,
            known: Padded::default(),
            limit,
            propagation: Propagation::default(),
            filter,
            has_joined: AtomicBool::new(false),
        }
    }

    /// Whether a span that starts in this context can be left alone: its trace is not sent. As long as no
    /// trace was joined to one elsewhere this costs no more than a look at the trace id. Only the first span
    /// here may say that its trace began elsewhere.
    pub(crate) fn ignores(&self, span: &SpanContext, context: &Context) -> bool {
        if self.placer.sampling().may_keep(SpanKey::of(span).trace_id) || !context.has_active_span() {
            return false;
        }
        let above = context.span();
        let above = above.span_context();
        let may_join = above.is_remote() || (self.has_joined.load(Ordering::Relaxed) && self.knows(SpanKey::of(above)));
        !may_join
    }

    fn knows(&self, key: SpanKey) -> bool {
        self.lock(key).traces.get(&key.trace_id).is_some_and(|trace| trace.spans.get(key.span_id).is_some())
    }

    /// A span has started; `span` is what it had by then. `watch` is told of its place if it becomes a run.
    /// Returns a root that goes on with a full trace from it on.
    pub(crate) fn start(
        &self,
        span: Box<SpanData>,
        context: &Context,
        watch: impl FnOnce(&Arc<Node>),
    ) -> Option<Arc<Node>> {
        if self.known.0.load(Ordering::Relaxed) >= self.limit {
            // It is placed when it ends, as well as can be told then.
            return None;
        }
        let key = SpanKey::of(&span.span_context);
        let overrides = Overrides::read(&span.attributes);
        let parent = SpanKey::of_parent(&span, &overrides);
        let kept = self.filter.keeps(&span);
        let project = self.ask(&span, parent);
        let mut guard = self.lock(key);
        let Traces { traces, over, spare, .. } = &mut *guard;
        let slot = traces.entry(key.trace_id);
        let trace = match &slot {
            Slot::Occupied(trace) => Some(trace.get()),
            Slot::Vacant(_) => None,
        };
        let above = trace.and_then(|trace| trace.place(parent));
        let taken = trace.is_some_and(|trace| trace.spans.get(key.span_id).is_some());
        let candidate = Candidate { span: &span, overrides: &overrides, above, kept, taken, ended: false, project };
        let (place, new_root) = self.placer.place(&candidate, || self.propagation.read(context))?;
        if !self.placer.sampling().keeps(key.trace_id) && !self.has_joined.load(Ordering::Relaxed) {
            self.has_joined.store(true, Ordering::Relaxed);
        }
        if let Some(node) = place.run() {
            watch(node);
        }
        let weight = place.weight();
        let entry = Entry { place, opened: Some(span), weight, posted: false, unwinding: panicking() };
        let trace = match slot {
            Slot::Occupied(trace) => trace.into_mut(),
            Slot::Vacant(slot) => slot.insert(spare.pop().unwrap_or_default()),
        };
        let had_finished = trace.resume(over);
        let before = trace.start(key.span_id, entry, taken);
        self.known.0.fetch_add(weight as usize, Ordering::Relaxed);
        drop(guard);
        if had_finished || before.is_some() {
            let less = usize::from(had_finished) + before.map_or(0, |before| before.weight as usize);
            self.known.0.fetch_sub(less, Ordering::Relaxed);
        }
        new_root
    }

    /// A span has ended. Its place was settled when it started, unless it was left out and is wanted now;
    /// one whose start was not seen is placed under its parent if that is known.
    pub(crate) fn end(&self, span: &SpanData) -> Ending {
        let key = SpanKey::of(&span.span_context);
        if !self.placer.sampling().may_keep(key.trace_id) && !self.has_joined.load(Ordering::Relaxed) {
            return Ending::NotSampled;
        }
        let settled = self.end_settled(key, span);
        settled.unwrap_or_else(|| {
            // A span that a hook opened is left alone.
            let kept = !is_inside() && self.filter.keeps(span);
            let overrides = Overrides::read(&span.attributes);
            let parent = SpanKey::of_parent(span, &overrides);
            let project = if is_inside() { None } else { self.ask(span, parent) };
            let mut traces = self.lock(key);
            let trace = traces.traces.get_mut(&key.trace_id);
            let candidate =
                Candidate { span, overrides: &overrides, above: None, kept, taken: false, ended: true, project };
            let Some(trace) = trace else { return self.end_unseen(&candidate) };
            let Some(entry) = trace.ending(key.span_id, span).filter(|entry| entry.opened.is_some()) else {
                // Either the start was not seen, or the same ids come once more; then the first span
                // with them has been sent, and this is a run of its own.
                let taken = trace.spans.get(key.span_id).is_some();
                return self.end_unseen(&Candidate { above: trace.place(parent), taken, ..candidate });
            };
            let (opened, weight) = (entry.opened.take(), entry.weight);
            let mut ending = Ending::LeftOut;
            if kept {
                let unwound = panicking() && !entry.unwinding;
                let candidate = Candidate { above: Some(&entry.place), ..candidate };
                if let Some((place, new_root)) = self.placer.place(&candidate, Remote::default) {
                    entry.place = place;
                    if let Some(node) = entry.place.run().cloned() {
                        ending = Ending::Run { node, opened, posted: false, unwound, new_root, roots: Vec::new() };
                    }
                }
            }
            let mut gone = Gone::default();
            let finished = trace.close(key.span_id, &mut gone);
            self.forget(key, weight, finished, gone, traces);
            ending
        })
    }

    /// A span whose start was seen, and that was kept then.
    fn end_settled(&self, key: SpanKey, span: &SpanData) -> Option<Ending> {
        let mut traces = self.lock(key);
        let trace = traces.traces.get_mut(&key.trace_id)?;
        let entry = trace.ending(key.span_id, span)?;
        let node = Arc::clone(entry.place.run()?);
        let opened = entry.opened.take()?;
        let unwound = panicking() && !entry.unwinding;
        let (posted, weight, roots) = (entry.posted, entry.weight, end_trace(&node, span));
        let mut gone = Gone::default();
        let finished = trace.close(key.span_id, &mut gone);
        self.forget(key, weight, finished, gone, traces);
        Some(Ending::Run { node, opened: Some(opened), posted, unwound, new_root: None, roots })
    }

    fn end_unseen(&self, candidate: &Candidate<'_>) -> Ending {
        let Some((place, new_root)) = self.placer.place(candidate, Remote::default) else {
            return Ending::NotSampled;
        };
        match place.run().cloned() {
            Some(node) => {
                let unwound = panicking();
                Ending::Run { node, opened: None, posted: false, unwound, new_root, roots: Vec::new() }
            }
            None => Ending::LeftOut,
        }
    }

    /// A span of this weight has ended, and if `finished` says when, its trace with it. Gives up the lock, and lets
    /// go of what need not be remembered any longer, besides what is `gone` already.
    fn forget(
        &self,
        key: SpanKey,
        weight: u32,
        finished: Option<Instant>,
        mut gone: Gone,
        mut traces: MutexGuard<'_, Traces>,
    ) {
        if finished.is_some() {
            // A finished trace counts as one more.
            self.known.0.fetch_add(1, Ordering::Relaxed);
        }
        let much = self.known.0.load(Ordering::Relaxed) > self.limit / 2;
        if much || finished.is_some() {
            traces.tidy(key.trace_id, weight, finished, much, &mut gone);
        }
        drop(traces);
        let weight = gone.weight();
        if weight > 0 {
            self.known.0.fetch_sub(weight, Ordering::Relaxed);
            // Memory is given back here, without the lock.
            if let Some(spare) = gone.emptied() {
                self.lock(key).keep(spare);
            }
        }
    }

    /// Asks the hook, without a lock, for the project of a trace that begins with this span.
    #[inline]
    fn ask(&self, span: &SpanData, parent: Option<SpanKey>) -> Option<Project> {
        // Most have none.
        self.placer.has_hook().then(|| self.ask_hook(span, parent)).flatten()
    }

    #[cold]
    fn ask_hook(&self, span: &SpanData, parent: Option<SpanKey>) -> Option<Project> {
        let above = parent.and_then(|parent| {
            let traces = self.lock(parent);
            traces.traces.get(&parent.trace_id)?.place(Some(parent)).cloned()
        });
        self.placer.ask(span, above.as_ref())
    }

    /// The span of this run as it was when it started, if it is still open; from now on it counts as sent.
    pub(crate) fn post(&self, key: SpanKey, node: &Arc<Node>) -> Option<SpanData> {
        let mut traces = self.lock(key);
        let entry = traces.traces.get_mut(&key.trace_id)?.open_run(key.span_id, node)?;
        let span = entry.opened.as_deref()?.clone();
        entry.posted = true;
        Some(span)
    }

    /// Whether the span of this run is still open.
    pub(crate) fn is_open(&self, key: SpanKey, node: &Arc<Node>) -> bool {
        let mut traces = self.lock(key);
        traces.traces.get_mut(&key.trace_id).is_some_and(|trace| trace.open_run(key.span_id, node).is_some())
    }

    /// What counts of what other services send.
    pub(crate) fn propagation(&self) -> &Propagation {
        &self.propagation
    }

    /// The place of a span that is open or ended lately; for one that is left out, of the run that it
    /// stands in. `None` while nobody knows whether its trace is sent.
    pub(crate) fn find(&self, context: &SpanContext) -> Option<Arc<Node>> {
        let key = SpanKey::of(context);
        let traces = self.lock(key);
        let node = traces.traces.get(&key.trace_id)?.spans.get(key.span_id)?.place.node().cloned();
        node.filter(|node| !node.trace().is_undecided())
    }

    /// Takes out all spans that are open, parents before children, and forgets the others. They end `now`. Nobody
    /// may start or end spans meanwhile, or later.
    pub(crate) fn take_open(&self, now: SystemTime) -> Vec<Opened> {
        let mut open = Vec::new();
        for shard in &self.shards {
            let mut traces = std::mem::take(&mut *shard.0.lock()).traces;
            traces.retain(|_, trace| trace.is_open());
            for entry in traces.values_mut().flat_map(Trace::entries) {
                if let (Some(mut span), Some(node)) = (entry.opened.take(), entry.place.run()) {
                    span.end_time = now;
                    let roots = end_trace(node, &span);
                    open.push(Opened { span, node: Arc::clone(node), posted: entry.posted, roots });
                }
            }
            // When they end they are known to have been sent.
            shard.0.lock().traces = traces;
        }
        open.sort_by_key(|opened| (opened.node.depth(), opened.node.start()));
        open
    }

    /// Whether a span that ends after all open ones were taken out would have been sent, and was not among them.
    pub(crate) fn would_send(&self, span: &SpanData) -> bool {
        let key = SpanKey::of(&span.span_context);
        let was_taken = || {
            let traces = self.lock(key);
            let entry = traces.traces.get(&key.trace_id).and_then(|trace| trace.spans.get(key.span_id));
            entry.is_some_and(|entry| entry.place.run().is_some())
        };
        self.placer.sampling().may_keep(key.trace_id) && self.filter.keeps(span) && !was_taken()
    }

    fn lock(&self, key: SpanKey) -> MutexGuard<'_, Traces> {
        // Trace ids are random by default, but an application may count them up.
        let mixed = key.trace_id.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835) >> 122;
        self.shards[usize::try_from(mixed).unwrap_or(0)].0.lock()
    }
}

/// If the span is the first of its trace here, the trace ends with it. Returns the roots that went on
/// with it.
fn end_trace(node: &Node, span: &SpanData) -> Vec<Arc<Node>> {
    if node.begins_here() {
        node.trace().set_end(Timestamp::from_system_time(span.end_time))
    } else {
        Vec::new()
    }
}

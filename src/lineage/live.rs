//! Lineage as it happens: the processor reports every start and every end.

use super::by_id::ById;
use super::place::{Candidate, Place, Placer};
use super::{Node, Overrides, Propagation, Remote, Rules, SpanFilter, SpanKey};
use crate::lock::Lock;
use crate::padded::Padded;
use crate::run::{Project, Timestamp};
use opentelemetry::trace::{SpanContext, TraceContextExt};
use opentelemetry::Context;
use opentelemetry_sdk::trace::SpanData;
use rustc_hash::FxHashMap;
use std::collections::hash_map::Entry as Slot;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

/// Traces are spread over this many maps by their ids, so that threads that work on different
/// traces rarely meet at one lock.
const SHARDS: usize = 64;
/// Traces without an open span that are remembered for spans that start late.
const FINISHED_A_SHARD: usize = 8;
const FINISHED_FOR: Duration = Duration::from_secs(600);
/// Forgotten traces whose memory is kept for others, and the most spans that there may be room for in one.
const SPARE_A_SHARD: usize = 2;
const SPARE_SPANS: usize = 64;
/// Most traces have not more spans.
const SPANS: usize = 16;
/// Ended spans of one open trace that are remembered.
const ENDED_A_TRACE: usize = 16_384;

/// The spans that are open, those that ended while their traces are open, and the traces that
/// ended lately.
pub(crate) struct Live {
    placer: Placer,
    shards: Box<[Shard]>,
    /// All spans that are remembered.
    known: Padded<AtomicUsize>,
    limit: usize,
    propagation: Propagation,
    filter: SpanFilter,
    /// A trace that sampling would leave out belongs to one that is sent.
    has_joined: AtomicBool,
}

type Shard = Padded<Lock<Traces>>;

#[derive(Debug, Default)]
struct Traces {
    traces: FxHashMap<u128, Trace>,
    /// Those without an open span, in the order they finished.
    finished: VecDeque<(Instant, u128)>,
    /// What is left of traces that were forgotten: empty, but with room for the spans of others.
    spare: Vec<Trace>,
}

#[derive(Debug, Default)]
struct Trace {
    spans: ById<Entry>,
    open: usize,
    /// In the order they ended.
    ended: VecDeque<u64>,
}

#[derive(Debug)]
struct Entry {
    place: Place,
    /// The span as it was when it started; `None` once it has ended.
    opened: Option<Box<SpanData>>,
    /// Its run was sent while it was open.
    posted: bool,
}

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
        let Traces { traces, finished, spare } = &mut *guard;
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
        let trace = match slot {
            Slot::Occupied(trace) => {
                let trace = trace.into_mut();
                if trace.open == 0 {
                    // It is taken up again.
                    finished.retain(|(_, trace_id)| *trace_id != key.trace_id);
                }
                trace
            }
            Slot::Vacant(slot) => slot.insert(spare.pop().unwrap_or_default()),
        };
        let entry = Entry { place, opened: Some(span), posted: false };
        let before = if taken {
            trace.spans.get_mut(key.span_id).map(|before| std::mem::replace(before, entry))
        } else {
            trace.spans.add(key.span_id, entry);
            self.known.0.fetch_add(1, Ordering::Relaxed);
            None
        };
        if before.as_ref().is_none_or(|before| before.opened.is_none()) {
            trace.open += 1;
        }
        drop(guard);
        drop(before);
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
            let kept = self.filter.keeps(span);
            let overrides = Overrides::read(&span.attributes);
            let parent = SpanKey::of_parent(span, &overrides);
            let project = self.ask(span, parent);
            let mut traces = self.lock(key);
            let trace = traces.traces.get_mut(&key.trace_id);
            let candidate =
                Candidate { span, overrides: &overrides, above: None, kept, taken: false, ended: true, project };
            let Some(trace) = trace else { return self.end_unseen(&candidate) };
            let is_open = trace.spans.get(key.span_id).is_some_and(|entry| entry.opened.is_some());
            if !is_open {
                // Either the start was not seen, or the same ids come once more; then the first span
                // with them has been sent, and this is a run of its own.
                let taken = trace.spans.get(key.span_id).is_some();
                return self.end_unseen(&Candidate { above: trace.place(parent), taken, ..candidate });
            }
            let opened = trace.spans.get_mut(key.span_id).and_then(|entry| entry.opened.take());
            let mut ending = Ending::LeftOut;
            if let Some(entry) = trace.spans.get_mut(key.span_id).filter(|_| kept) {
                let candidate = Candidate { above: Some(&entry.place), ..candidate };
                if let Some((place, new_root)) = self.placer.place(&candidate, Remote::default) {
                    entry.place = place;
                    if let Some(node) = entry.place.run().cloned() {
                        ending = Ending::Run { node, opened, posted: false, new_root, roots: Vec::new() };
                    }
                }
            }
            let closed = self.close(key, trace);
            let is_over = trace.open == 0;
            self.forget(key, traces, is_over, closed.is_some());
            drop(closed);
            ending
        })
    }

    /// A span whose start was seen, and that was kept then.
    fn end_settled(&self, key: SpanKey, span: &SpanData) -> Option<Ending> {
        let mut traces = self.lock(key);
        let trace = traces.traces.get_mut(&key.trace_id)?;
        let entry = trace.spans.get_mut(key.span_id)?;
        let node = Arc::clone(entry.place.run()?);
        let opened = entry.opened.take()?;
        let (posted, roots) = (entry.posted, end_trace(&node, span));
        let closed = self.close(key, trace);
        let is_over = trace.open == 0;
        self.forget(key, traces, is_over, closed.is_some());
        // Memory is given back here, without the lock.
        drop(closed);
        Some(Ending::Run { node, opened: Some(opened), posted, new_root: None, roots })
    }

    fn end_unseen(&self, candidate: &Candidate<'_>) -> Ending {
        let Some((place, new_root)) = self.placer.place(candidate, Remote::default) else {
            return Ending::NotSampled;
        };
        match place.run().cloned() {
            Some(node) => Ending::Run { node, opened: None, posted: false, new_root, roots: Vec::new() },
            None => Ending::LeftOut,
        }
    }

    /// Notes that an open span has ended. Returns one of its trace that need not be remembered any longer.
    fn close(&self, key: SpanKey, trace: &mut Trace) -> Option<Entry> {
        trace.open -= 1;
        if trace.ended.capacity() == 0 {
            trace.ended.reserve(SPANS);
        }
        trace.ended.push_back(key.span_id);
        if trace.ended.len() > ENDED_A_TRACE || self.is_half_full() {
            trace.forget_first()
        } else {
            None
        }
    }

    /// Gives up the lock, and traces that need not be remembered any longer.
    fn forget(&self, key: SpanKey, mut traces: MutexGuard<'_, Traces>, is_over: bool, has_closed: bool) {
        let gone = if is_over { traces.finish(key.trace_id, self.is_half_full()) } else { None };
        drop(traces);
        let count = usize::from(has_closed) + gone.as_ref().map_or(0, |trace| trace.spans.len());
        if count > 0 {
            self.known.0.fetch_sub(count, Ordering::Relaxed);
        }
        if let Some(spare) = gone.and_then(Trace::emptied) {
            let mut traces = self.lock(key);
            if traces.spare.len() < SPARE_A_SHARD {
                traces.spare.push(spare);
            }
        }
    }

    fn is_half_full(&self) -> bool {
        self.known.0.load(Ordering::Relaxed) > self.limit / 2
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

    /// The span as it was when it started, if it is still open; from now on it counts as sent.
    pub(crate) fn post(&self, key: SpanKey) -> Option<SpanData> {
        let mut traces = self.lock(key);
        let entry = traces.traces.get_mut(&key.trace_id)?.spans.get_mut(key.span_id)?;
        let span = entry.opened.as_deref()?.clone();
        entry.posted = true;
        Some(span)
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
            traces.retain(|_, trace| trace.open > 0);
            for entry in traces.values_mut().flat_map(|trace| trace.spans.values_mut()) {
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

impl Traces {
    /// A trace has no open span any more. Returns one that is forgotten for it: one in, one out,
    /// so that the work never piles up.
    fn finish(&mut self, trace_id: u128, much: bool) -> Option<Trace> {
        let now = Instant::now();
        self.finished.push_back((now, trace_id));
        let (since, first) = *self.finished.front()?;
        if self.finished.len() <= FINISHED_A_SHARD && now.duration_since(since) < FINISHED_FOR && !much {
            return None;
        }
        self.finished.pop_front();
        self.traces.remove(&first)
    }
}

impl Trace {
    /// The place of a parent that is known.
    fn place(&self, parent: Option<SpanKey>) -> Option<&Place> {
        Some(&self.spans.get(parent?.span_id)?.place)
    }

    /// The same memory without anything in it, if it is not much. Not to be called with a lock held: spans
    /// let go of their nodes here.
    fn emptied(mut self) -> Option<Self> {
        self.ended.clear();
        Some(Self { spans: self.spans.emptied(SPARE_SPANS)?, ..self })
    }

    /// Forgets the span that ended first. The same id may have been used for one that is open now.
    fn forget_first(&mut self) -> Option<Entry> {
        let first = self.ended.pop_front()?;
        match self.spans.get(first) {
            Some(Entry { opened: None, .. }) => self.spans.remove(first),
            _ => None,
        }
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

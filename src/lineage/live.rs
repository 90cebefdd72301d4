//! Lineage as it happens: the processor reports every start and every end.

use super::{place, Ids, Node, Overrides, Place, Propagation, Remote, RunIds, SpanFilter, SpanKey};
use opentelemetry::trace::SpanContext;
use opentelemetry::Context;
use opentelemetry_sdk::trace::SpanData;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Traces are spread over this many maps by their ids, so that threads that work on different
/// traces rarely meet at one lock.
const SHARDS: usize = 64;
/// Traces without an open span that are remembered for spans that start late.
const FINISHED_A_SHARD: usize = 8;
const FINISHED_FOR: Duration = Duration::from_secs(600);
/// Ended spans of one open trace that are remembered.
const ENDED_A_TRACE: usize = 16_384;

/// The spans that are open, those that ended while their traces are open, and the traces that
/// ended lately.
pub(crate) struct Live {
    ids: Ids,
    shards: Box<[Shard]>,
    /// All spans that are remembered.
    known: AtomicUsize,
    limit: usize,
    propagation: Propagation,
    filter: SpanFilter,
}

/// On cache lines of its own: neighbours are used by other threads.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(Mutex<Traces>);

#[derive(Debug, Default)]
struct Traces {
    traces: FxHashMap<u128, Trace>,
    /// In the order they finished. A trace may have been taken up again since.
    finished: VecDeque<(Instant, u128)>,
}

#[derive(Debug, Default)]
struct Trace {
    spans: FxHashMap<u64, Entry>,
    open: usize,
    /// In the order they ended.
    ended: VecDeque<u64>,
}

#[derive(Debug)]
struct Entry {
    place: Place,
    left_out: bool,
    /// The span as it was when it started; `None` once it has ended.
    opened: Option<Box<SpanData>>,
}

/// A span that was still open when everything ended.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) span: SpanData,
    pub(crate) node: Arc<Node>,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").field("known", &self.known).finish_non_exhaustive()
    }
}

impl Live {
    pub(crate) fn new(run_ids: RunIds, limit: usize, filter: SpanFilter) -> Self {
        let shards = (0..SHARDS).map(|_| Shard::default()).collect();
        let propagation = Propagation::default();
        Self { ids: Ids::new(run_ids), shards, known: AtomicUsize::new(0), limit, propagation, filter }
    }

    /// A span has started; `span` is what it had by then.
    pub(crate) fn start(&self, span: SpanData, context: &Context) {
        if self.known.load(Ordering::Relaxed) >= self.limit {
            // It is placed when it ends, as well as can be told then.
            return;
        }
        let key = SpanKey::of(&span.span_context);
        let overrides = Overrides::read(&span.attributes);
        let parent = SpanKey::of_parent(&span, &overrides);
        let left_out = !self.filter.keeps(&span);
        let mut traces = self.lock(key);
        let trace = traces.traces.entry(key.trace_id).or_default();
        let parent = trace.place(parent);
        let taken = trace.spans.contains_key(&key.span_id);
        let place = if left_out {
            Place::of_left_out(parent, &overrides)
        } else {
            let is_first = parent.is_none_or(|parent| parent.node.is_none());
            let remote = if is_first { self.propagation.read(context) } else { Remote::default() };
            Place::of(place(&self.ids, &span, parent, &overrides, taken, remote))
        };
        let before = trace.spans.insert(key.span_id, Entry { place, left_out, opened: Some(Box::new(span)) });
        match &before {
            None => {
                trace.open += 1;
                self.known.fetch_add(1, Ordering::Relaxed);
            }
            Some(Entry { opened: None, .. }) => trace.open += 1,
            Some(Entry { opened: Some(_), .. }) => {}
        }
        drop(traces);
        drop(before);
    }

    /// A span has ended. Its place was settled when it started; one whose start was not seen is
    /// placed under its parent if that is known. `None` for a span that is left out.
    pub(crate) fn end(&self, span: &SpanData) -> Option<Arc<Node>> {
        let key = SpanKey::of(&span.span_context);
        let mut traces = self.lock(key);
        let Some(trace) = traces.traces.get_mut(&key.trace_id) else {
            drop(traces);
            let overrides = Overrides::read(&span.attributes);
            let kept = self.filter.keeps(span);
            return kept.then(|| place(&self.ids, span, None, &overrides, false, Remote::default()));
        };
        let opened = trace.spans.get_mut(&key.span_id).and_then(|entry| entry.opened.take());
        if opened.is_none() {
            // Either the start was not seen, or the same ids come once more; then the first span
            // with them has been sent, and this is a run of its own.
            if !self.filter.keeps(span) {
                return None;
            }
            let overrides = Overrides::read(&span.attributes);
            let parent = SpanKey::of_parent(span, &overrides);
            let taken = trace.spans.contains_key(&key.span_id);
            return Some(place(&self.ids, span, trace.place(parent), &overrides, taken, Remote::default()));
        }
        let entry = &trace.spans[&key.span_id];
        let node = entry.place.node.clone().filter(|_| !entry.left_out);
        trace.open -= 1;
        trace.ended.push_back(key.span_id);
        let much = self.known.load(Ordering::Relaxed) > self.limit / 2;
        let forgotten = if trace.ended.len() > ENDED_A_TRACE || much { trace.forget_first() } else { None };
        let gone = if trace.open == 0 { traces.finish(key.trace_id, much) } else { None };
        drop(traces);
        let count = usize::from(forgotten.is_some()) + gone.as_ref().map_or(0, |trace| trace.spans.len());
        if count > 0 {
            self.known.fetch_sub(count, Ordering::Relaxed);
        }
        // Memory is given back here, without the lock.
        drop((opened, forgotten, gone));
        node
    }

    /// What counts of what other services send.
    pub(crate) fn propagation(&self) -> &Propagation {
        &self.propagation
    }

    /// The place of a span that is open or ended lately; for one that is left out, of the run that it
    /// stands in.
    pub(crate) fn find(&self, context: &SpanContext) -> Option<Arc<Node>> {
        let key = SpanKey::of(context);
        let traces = self.lock(key);
        traces.traces.get(&key.trace_id)?.spans.get(&key.span_id)?.place.node.clone()
    }

    /// Takes out all spans that are open, parents before children, and forgets the others.
    pub(crate) fn take_open(&self) -> Vec<Opened> {
        let mut open = Vec::new();
        for shard in &self.shards {
            let traces = std::mem::take(&mut *shard.0.lock().unwrap_or_else(PoisonError::into_inner));
            for entry in traces.traces.into_values().flat_map(|trace| trace.spans.into_values()) {
                if let Entry { opened: Some(span), place: Place { node: Some(node), .. }, left_out: false } = entry {
                    open.push(Opened { span: *span, node });
                }
            }
        }
        self.known.store(0, Ordering::Relaxed);
        open.sort_by_key(|opened| (opened.node.depth(), opened.node.start()));
        open
    }

    fn lock(&self, key: SpanKey) -> MutexGuard<'_, Traces> {
        // Trace ids are random by default, but an application may count them up.
        let mixed = key.trace_id.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835) >> 122;
        self.shards[usize::try_from(mixed).unwrap_or(0)].0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Traces {
    /// A trace has no open span any more. Returns one that is forgotten for it: one in, one out,
    /// so that the work never piles up.
    fn finish(&mut self, trace_id: u128, much: bool) -> Option<Trace> {
        self.finished.push_back((Instant::now(), trace_id));
        let (since, first) = *self.finished.front()?;
        if self.finished.len() <= FINISHED_A_SHARD && since.elapsed() < FINISHED_FOR && !much {
            return None;
        }
        self.finished.pop_front();
        // It may have been taken up again; then it will finish once more.
        let is_open = self.traces.get(&first).is_none_or(|trace| trace.open > 0);
        if is_open {
            None
        } else {
            self.traces.remove(&first)
        }
    }
}

impl Trace {
    /// Where the runs below a parent stand that is known.
    fn place(&self, parent: Option<SpanKey>) -> Option<&Place> {
        Some(&self.spans.get(&parent?.span_id)?.place)
    }

    /// Forgets the span that ended first. The same id may have been used for one that is open now.
    fn forget_first(&mut self) -> Option<Entry> {
        let first = self.ended.pop_front()?;
        match self.spans.get(&first) {
            Some(Entry { opened: None, .. }) => self.spans.remove(&first),
            _ => None,
        }
    }
}

//! Lineage as it happens: the processor reports every start and every end.

use super::{place, Node, Overrides, RunIds, SpanKey};
use opentelemetry::trace::SpanContext;
use opentelemetry_sdk::trace::SpanData;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Spans are spread over this many maps by their ids, so that two threads rarely meet at one lock.
const SHARDS: usize = 64;
/// Ended spans that are remembered for children that start late.
const ENDED_A_SHARD: usize = 32_768 / SHARDS;
const ENDED_FOR: Duration = Duration::from_secs(600);

/// The spans that are open, and those that ended lately.
#[derive(Debug)]
pub(crate) struct Live {
    run_ids: RunIds,
    shards: Box<[Shard]>,
    open: AtomicUsize,
    open_limit: usize,
}

/// On cache lines of its own: neighbours are used by other threads.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(Mutex<Spans>);

#[derive(Debug, Default)]
struct Spans {
    entries: FxHashMap<SpanKey, Entry>,
    /// In the order they ended.
    ended: VecDeque<(Instant, SpanKey)>,
}

#[derive(Debug)]
struct Entry {
    node: Arc<Node>,
    /// The span as it was when it started; `None` once it has ended.
    opened: Option<Box<SpanData>>,
}

/// A span that was still open when everything ended.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) span: SpanData,
    pub(crate) node: Arc<Node>,
}

impl Live {
    pub(crate) fn new(run_ids: RunIds, open_limit: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Shard::default()).collect();
        Self { run_ids, shards, open: AtomicUsize::new(0), open_limit }
    }

    /// A span has started; `span` is what it had by then.
    pub(crate) fn start(&self, span: SpanData) {
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.open_limit {
            // It is placed when it ends, as well as can be told then.
            self.open.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let key = SpanKey::of(&span.span_context);
        let taken = self.lock(key).entries.contains_key(&key);
        let node = self.place(&span, taken);
        let opened = Some(Box::new(span));
        let before = self.lock(key).entries.insert(key, Entry { node, opened });
        if before.is_some_and(|entry| entry.opened.is_some()) {
            self.open.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// A span has ended. Its place was settled when it started; one whose start was not seen is
    /// placed under its parent if that is known.
    pub(crate) fn end(&self, span: &SpanData) -> Arc<Node> {
        let key = SpanKey::of(&span.span_context);
        let mut spans = self.lock(key);
        let Some(entry) = spans.entries.get_mut(&key) else {
            drop(spans);
            return self.place(span, false);
        };
        let Some(opened) = entry.opened.take() else {
            // The same ids once more: a run of its own, since the first one has been sent.
            drop(spans);
            return self.place(span, true);
        };
        let node = Arc::clone(&entry.node);
        let forgotten = spans.forget_old();
        spans.ended.push_back((Instant::now(), key));
        drop(spans);
        // Memory is given back without the lock.
        drop((opened, forgotten));
        self.open.fetch_sub(1, Ordering::Relaxed);
        node
    }

    /// The place of a span that is open or ended lately.
    pub(crate) fn find(&self, context: &SpanContext) -> Option<Arc<Node>> {
        let key = SpanKey::of(context);
        self.lock(key).entries.get(&key).map(|entry| Arc::clone(&entry.node))
    }

    /// Takes out all spans that are open, parents before children.
    pub(crate) fn take_open(&self) -> Vec<Opened> {
        let mut open = Vec::new();
        for shard in &self.shards {
            let mut spans = shard.0.lock().unwrap_or_else(PoisonError::into_inner);
            for entry in spans.entries.values_mut() {
                if let Some(span) = entry.opened.take() {
                    open.push(Opened { span: *span, node: Arc::clone(&entry.node) });
                }
            }
            spans.entries.clear();
            spans.ended.clear();
        }
        self.open.store(0, Ordering::Relaxed);
        open.sort_by_key(|opened| (opened.node.depth(), opened.node.start()));
        open
    }

    fn place(&self, span: &SpanData, taken: bool) -> Arc<Node> {
        let overrides = Overrides::read(&span.attributes);
        let parent = SpanKey::of_parent(span, &overrides)
            .and_then(|parent| self.lock(parent).entries.get(&parent).map(|entry| Arc::clone(&entry.node)));
        place(self.run_ids, span, parent.as_ref(), overrides, taken)
    }

    fn lock(&self, key: SpanKey) -> MutexGuard<'_, Spans> {
        // Span ids are random by default, but an application may count them up.
        let shard = (key.span_id.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 58) as usize;
        self.shards[shard].0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Spans {
    /// Forgets the span that ended first, when there are too many or it is too long ago. One in,
    /// one out or two: the work never piles up.
    fn forget_old(&mut self) -> [Option<Entry>; 2] {
        [self.forget_first(), self.forget_first()]
    }

    fn forget_first(&mut self) -> Option<Entry> {
        let (ended, key) = *self.ended.front()?;
        if self.ended.len() < ENDED_A_SHARD && ended.elapsed() < ENDED_FOR {
            return None;
        }
        self.ended.pop_front();
        // The same ids may have been used for a span that is open now.
        if self.entries.get(&key)?.opened.is_some() {
            return None;
        }
        self.entries.remove(&key)
    }
}

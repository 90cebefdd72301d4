//! Traces that sampling leaves out unless there is an error in them: their runs wait here.

use super::queue::{span_bytes, Placed};
use crate::lineage::Node;
use crate::run::RunId;
use opentelemetry::trace::Status;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Traces whose decision is remembered for runs that end late.
const DECIDED: usize = 16_384;
/// About what one that waits costs beside the span: its place, above all.
const WAITING: usize = 512;

#[derive(Debug)]
pub(super) struct Tail {
    time: Duration,
    byte_limit: usize,
    bytes: usize,
    /// How many spans and roots wait.
    items: usize,
    traces: FxHashMap<RunId, Waiting>,
    /// In the order they began. May name traces that are decided.
    order: VecDeque<(Instant, RunId)>,
    /// Traces with an error, or that are over.
    ready: Vec<RunId>,
    decided: FxHashMap<RunId, bool>,
    decided_order: VecDeque<RunId>,
}

#[derive(Debug, Default)]
struct Waiting {
    runs: Vec<Undecided>,
    bytes: usize,
    failed: bool,
}

/// What waits for the decision on its trace.
#[derive(Debug)]
pub(super) enum Undecided {
    Span(Placed),
    /// A root that goes on with a full trace.
    Root(Arc<Node>),
    /// Its trace is over.
    RootEnd(Arc<Node>),
}

impl Undecided {
    fn trace(&self) -> RunId {
        match self {
            Self::Span(placed) => placed.node.trace().id(),
            Self::Root(node) | Self::RootEnd(node) => node.trace().id(),
        }
    }
}

impl Tail {
    pub(super) fn new(byte_limit: usize, time: Duration) -> Self {
        Self {
            time,
            byte_limit,
            bytes: 0,
            items: 0,
            traces: FxHashMap::default(),
            order: VecDeque::new(),
            ready: Vec::new(),
            decided: FxHashMap::default(),
            decided_order: VecDeque::new(),
        }
    }

    /// Takes something of an undecided trace. It comes back, with the decision, if there is one.
    pub(super) fn add(&mut self, item: Undecided, now: Instant) -> Option<(Undecided, bool)> {
        let trace = item.trace();
        if let Some(&kept) = self.decided.get(&trace) {
            return Some((item, kept));
        }
        let order = &mut self.order;
        let waiting = self.traces.entry(trace).or_insert_with(|| {
            order.push_back((now, trace));
            Waiting::default()
        });
        if let Undecided::Span(placed) = &item {
            let bytes = span_bytes(&placed.span);
            waiting.bytes += bytes;
            self.bytes += bytes;
            waiting.failed |= matches!(placed.span.status, Status::Error { .. });
            if waiting.failed || placed.node.begins_here() {
                self.ready.push(trace);
            }
        }
        waiting.runs.push(item);
        self.items += 1;
        None
    }

    /// The next trace that is decided: what waited for it, and whether it is sent.
    pub(super) fn next(&mut self, now: Instant) -> Option<(Vec<Undecided>, bool)> {
        while let Some(trace) = self.ready.pop() {
            if let Some(decided) = self.decide(trace) {
                return Some(decided);
            }
        }
        while self.deadline().is_some_and(|deadline| deadline <= now) || self.bytes > self.byte_limit {
            let (_, trace) = self.order.pop_front()?;
            if let Some(decided) = self.decide(trace) {
                return Some(decided);
            }
        }
        None
    }

    /// When the next trace will have waited too long.
    pub(super) fn deadline(&mut self) -> Option<Instant> {
        while let Some((since, trace)) = self.order.front() {
            if self.traces.contains_key(trace) {
                return since.checked_add(self.time);
            }
            self.order.pop_front();
        }
        None
    }

    /// The memory that all of them take.
    pub(super) fn held_bytes(&self) -> usize {
        self.bytes + self.items * WAITING
    }

    /// How many spans wait for a decision that nobody will make any more.
    pub(super) fn clear(&mut self) -> usize {
        (self.bytes, self.items) = (0, 0);
        std::mem::take(&mut self.traces).into_values().map(|waiting| count(&waiting.runs)).sum()
    }

    fn decide(&mut self, trace: RunId) -> Option<(Vec<Undecided>, bool)> {
        let waiting = self.traces.remove(&trace)?;
        self.bytes -= waiting.bytes;
        self.items -= waiting.runs.len();
        if self.decided.insert(trace, waiting.failed).is_none() {
            self.decided_order.push_back(trace);
        }
        if self.decided_order.len() > DECIDED {
            if let Some(first) = self.decided_order.pop_front() {
                self.decided.remove(&first);
            }
        }
        Some((waiting.runs, waiting.failed))
    }
}

/// How many spans are among these.
pub(super) fn count(items: &[Undecided]) -> usize {
    items.iter().filter(|item| matches!(item, Undecided::Span(_))).count()
}

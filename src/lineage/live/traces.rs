//! The traces of one shard: their spans, and which of them are forgotten first.

use super::super::by_id::ById;
use super::super::place::Place;
use super::super::{Node, SpanKey};
use crate::age_order::AgeOrder;
use opentelemetry_sdk::trace::SpanData;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Traces without an open span are remembered for so long, if there is room for them.
const FINISHED_FOR: Duration = Duration::from_secs(600);
/// Forgotten traces whose memory is kept for others, and the most spans that there may be room for in one.
const SPARE_A_SHARD: usize = 2;
const SPARE_SPANS: usize = 64;
/// Most traces have not more spans.
const SPANS: usize = 16;
/// Ended spans of one open trace that are remembered.
const ENDED_A_TRACE: usize = 16_384;

#[derive(Debug, Default)]
pub(super) struct Traces {
    pub(super) traces: FxHashMap<u128, Trace>,
    /// Those without an open span, in the order they finished.
    finished: AgeOrder<(Instant, u128)>,
    /// How many they are.
    pub(super) over: usize,
    /// What is left of traces that were forgotten: empty, but with room for the spans of others.
    pub(super) spare: Vec<Trace>,
}

#[derive(Debug, Default)]
pub(super) struct Trace {
    pub(super) spans: ById<Entry>,
    /// Open spans whose ids were given once more.
    repeated: Vec<(u64, Entry)>,
    open: usize,
    /// In the order they ended.
    ended: VecDeque<u64>,
    /// Since when it has no open span.
    finished: Option<Instant>,
    /// What its spans count as.
    weight: usize,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) place: Place,
    /// The span as it was when it started; `None` once it has ended.
    pub(super) opened: Option<Box<SpanData>>,
    /// What it counts as.
    pub(super) weight: u32,
    /// Its run was sent while it was open.
    pub(super) posted: bool,
    /// It began in a destructor that a panic ran: its end there is none of the panic's doing.
    pub(super) unwinding: bool,
}

/// What is not remembered any longer, to be let go without a lock. Mostly there is nothing.
#[derive(Debug, Default)]
pub(super) struct Gone(Option<Box<Forgotten>>);

#[derive(Debug, Default)]
struct Forgotten {
    entries: Vec<Entry>,
    traces: Vec<Trace>,
    /// What all of it counted as.
    weight: usize,
}

impl Gone {
    fn add_entry(&mut self, entry: Entry) {
        let Forgotten { entries, weight, .. } = &mut **self.0.get_or_insert_default();
        *weight += entry.weight as usize;
        entries.push(entry);
    }

    fn add_trace(&mut self, trace: Trace) {
        let Forgotten { traces, weight, .. } = &mut **self.0.get_or_insert_default();
        // A finished trace counts as one more.
        *weight += trace.weight + 1;
        traces.push(trace);
    }

    /// What all of it counted as.
    #[inline]
    pub(super) fn weight(&self) -> usize {
        self.0.as_ref().map_or(0, |gone| gone.weight)
    }

    /// Lets go of everything but of memory that another trace may use.
    pub(super) fn emptied(self) -> Option<Trace> {
        self.0?.traces.pop().and_then(Trace::emptied)
    }
}

impl Traces {
    /// A span of this `weight` has ended, and if `finished` says when, its trace with it. Forgets as much as it adds
    /// if `much` is remembered.
    pub(super) fn tidy(&mut self, trace_id: u128, weight: u32, finished: Option<Instant>, much: bool, gone: &mut Gone) {
        if let Some(now) = finished {
            self.over += 1;
            let traces = &self.traces;
            self.finished.push((now, trace_id), self.over, |key| is_finished(traces, key));
        }
        if much {
            while gone.weight() < weight as usize {
                let Some(trace) = self.forget_oldest(None) else { break };
                gone.add_trace(trace);
            }
            // There is no finished trace here any more.
            if let Some(trace) = self.traces.get_mut(&trace_id).filter(|_| gone.weight() < weight as usize) {
                while gone.weight() < weight as usize && trace.forget_first(gone) {}
            }
        } else if let Some(trace) = finished.and_then(|now| self.forget_oldest(Some(now))) {
            gone.add_trace(trace);
        }
    }

    /// Takes out the trace that finished first, if that was long before `now`.
    fn forget_oldest(&mut self, now: Option<Instant>) -> Option<Trace> {
        let traces = &self.traces;
        let (since, trace_id) = *self.finished.first(|key| is_finished(traces, key))?;
        if now.is_some_and(|now| now.duration_since(since) < FINISHED_FOR) {
            return None;
        }
        self.finished.pop();
        self.over -= 1;
        self.traces.remove(&trace_id)
    }

    /// Takes memory that another trace may use.
    pub(super) fn keep(&mut self, spare: Trace) {
        if self.spare.len() < SPARE_A_SHARD {
            self.spare.push(spare);
        }
    }
}

fn is_finished(traces: &FxHashMap<u128, Trace>, (since, trace_id): &(Instant, u128)) -> bool {
    traces.get(trace_id).is_some_and(|trace| trace.finished.as_ref() == Some(since))
}

impl Trace {
    /// The place of a parent that is known.
    pub(super) fn place(&self, parent: Option<SpanKey>) -> Option<&Place> {
        Some(&self.spans.get(parent?.span_id)?.place)
    }

    /// A span starts in it. Says whether it had finished; `over` counts those that have.
    #[inline]
    pub(super) fn resume(&mut self, over: &mut usize) -> bool {
        let had_finished = self.finished.take().is_some();
        *over -= usize::from(had_finished);
        had_finished
    }

    /// Adds a span that has started; `taken` says that its id is known already. Returns the ended one that stood in
    /// its place.
    pub(super) fn start(&mut self, span_id: u64, entry: Entry, taken: bool) -> Option<Entry> {
        self.weight += entry.weight as usize;
        self.open += 1;
        if !taken {
            self.spans.add(span_id, entry);
            return None;
        }
        let before = self.spans.get_mut(span_id).map(|before| std::mem::replace(before, entry))?;
        if before.opened.is_some() {
            self.repeated.push((span_id, before));
            return None;
        }
        self.weight -= before.weight as usize;
        Some(before)
    }

    /// What is known of the span that ends. Of several with its id, it is the one that started as it did.
    #[inline]
    pub(super) fn ending(&mut self, span_id: u64, span: &SpanData) -> Option<&mut Entry> {
        if !self.repeated.is_empty() {
            self.bring_forth(span_id, span);
        }
        self.spans.get_mut(span_id)
    }

    #[cold]
    fn bring_forth(&mut self, span_id: u64, span: &SpanData) {
        let is_it = |entry: &Entry| {
            let opened = entry.opened.as_deref();
            opened.is_some_and(|opened| {
                opened.start_time == span.start_time && opened.parent_span_id == span.parent_span_id
            })
        };
        let Some(here) = self.spans.get_mut(span_id).filter(|here| !is_it(here)) else { return };
        if let Some((_, other)) = self.repeated.iter_mut().find(|(id, other)| *id == span_id && is_it(other)) {
            std::mem::swap(here, other);
        }
    }

    /// The open run of a node.
    pub(super) fn open_run(&mut self, span_id: u64, node: &Arc<Node>) -> Option<&mut Entry> {
        let repeated = self.repeated.iter_mut().filter(|(id, _)| *id == span_id).map(|(_, entry)| entry);
        let mut entries = self.spans.get_mut(span_id).into_iter().chain(repeated);
        entries.find(|entry| entry.opened.is_some() && entry.place.run().is_some_and(|run| Arc::ptr_eq(run, node)))
    }

    /// Notes that an open span has ended. Says when, if it was the last one.
    #[inline]
    pub(super) fn close(&mut self, span_id: u64, gone: &mut Gone) -> Option<Instant> {
        self.open -= 1;
        if self.ended.capacity() == 0 {
            self.ended.reserve(SPANS);
        }
        self.ended.push_back(span_id);
        if !self.repeated.is_empty() {
            self.make_way(span_id, gone);
        }
        if self.ended.len() > ENDED_A_TRACE {
            self.forget_first(gone);
        }
        if self.open == 0 {
            self.finished = Some(Instant::now());
        }
        self.finished
    }

    /// A span that has ended makes way for one of its id that has not.
    #[cold]
    fn make_way(&mut self, span_id: u64, gone: &mut Gone) {
        let Some(other) = self.repeated.iter().rposition(|(id, _)| *id == span_id) else { return };
        let (_, other) = self.repeated.swap_remove(other);
        if let Some(here) = self.spans.get_mut(span_id) {
            let ended = std::mem::replace(here, other);
            self.let_go(ended, gone);
        }
    }

    /// Forgets the span that ended first, if there is one. The same id may have been used for one that is open now.
    fn forget_first(&mut self, gone: &mut Gone) -> bool {
        let Some(first) = self.ended.pop_front() else { return false };
        if self.spans.get(first).is_some_and(|entry| entry.opened.is_none()) {
            if let Some(entry) = self.spans.remove(first) {
                self.let_go(entry, gone);
            }
        }
        true
    }

    fn let_go(&mut self, entry: Entry, gone: &mut Gone) {
        self.weight -= entry.weight as usize;
        gone.add_entry(entry);
    }

    pub(super) fn is_open(&self) -> bool {
        self.open > 0
    }

    pub(super) fn entries(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.spans.values_mut().chain(self.repeated.iter_mut().map(|(_, entry)| entry))
    }

    /// The same memory without anything in it, if it is not much. Not to be called with a lock held: spans
    /// let go of their nodes here.
    fn emptied(mut self) -> Option<Self> {
        self.ended.clear();
        self.repeated.clear();
        Some(Self { spans: self.spans.emptied(SPARE_SPANS)?, open: 0, finished: None, weight: 0, ..self })
    }
}

//! Lineage in hindsight: the exporter sees ended spans only, children before parents.

use super::place::{Candidate, Place, Placer};
use super::{Node, Overrides, Remote, Rules, SpanKey};
use opentelemetry_sdk::trace::SpanData;
use rustc_hash::FxHashMap;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Placed spans that are remembered for children that end after them.
const PLACED: usize = 32_768;

/// About what a waiting span costs beside itself.
const WAITING: usize = 384;

/// Ended spans that wait for their parents.
///
/// A waiting span costs its own memory and a few words. When it waits too long, or when all of
/// them take too much memory, the topmost span above it that is here becomes a root, and what
/// stands under that one comes out with it.
pub(crate) struct Held<T> {
    placer: Placer,
    time: Duration,
    byte_limit: usize,
    bytes: usize,
    /// In boxes: the table is moved when it grows.
    spans: FxHashMap<SpanKey, Box<Waiting<T>>>,
    /// Who waits for whom. May name spans that have left since.
    children: FxHashMap<SpanKey, Children>,
    /// In the order they came. May name spans that have left since.
    order: VecDeque<(Instant, SpanKey)>,
    placed: Placed,
    /// Roots that go on with full traces, until somebody takes them.
    new_roots: Vec<Arc<Node>>,
}

struct Waiting<T> {
    item: T,
    /// Whether it becomes a run. One that does not waits all the same: it knows whom its children
    /// stand under.
    kept: bool,
    overrides: Cow<'static, Overrides>,
    parent: SpanKey,
    bytes: usize,
    since: Instant,
}

#[derive(Default)]
struct Children {
    keys: Vec<SpanKey>,
    /// How many of them still wait.
    waiting: usize,
}

/// A span with its place, and what came along with it.
pub(crate) type Placement<T> = (T, Arc<Node>);

impl<T: AsRef<SpanData>> Held<T> {
    pub(crate) fn new(rules: Rules, byte_limit: usize, time: Duration) -> Self {
        Self {
            placer: Placer::new(rules),
            time,
            byte_limit,
            bytes: 0,
            spans: FxHashMap::default(),
            children: FxHashMap::default(),
            order: VecDeque::new(),
            placed: Placed::default(),
            new_roots: Vec::new(),
        }
    }

    /// Takes an ended span of `bytes` bytes, which becomes a run if it is `kept`. What can be placed
    /// now, parents first, goes to `out`.
    pub(crate) fn add(&mut self, item: T, kept: bool, bytes: usize, now: Instant, out: &mut Vec<Placement<T>>) {
        let span = item.as_ref();
        let key = SpanKey::of(&span.span_context);
        let overrides = Overrides::read(&span.attributes);
        let taken = self.spans.contains_key(&key) || self.placed.get(key).is_some();
        let parent = SpanKey::of_parent(span, &overrides);
        let above = parent.and_then(|parent| self.placed.get(parent)).cloned();
        match parent {
            Some(parent) if above.is_none() && overrides.consistent_order().is_none() && !taken => {
                self.wait(key, Waiting { item, kept, overrides, parent, bytes, since: now });
            }
            _ => {
                let place = self.place(span, kept, above.as_ref(), &overrides, taken);
                if !taken {
                    self.settle(key, item, place, out);
                } else if let Some(node) = place.run() {
                    // The ids stand for the first span that had them.
                    out.push((item, Arc::clone(node)));
                }
            }
        }
        while self.bytes > self.byte_limit && self.release_oldest(out) {}
    }

    /// Lets go of the spans that have waited too long.
    pub(crate) fn expire(&mut self, now: Instant, out: &mut Vec<Placement<T>>) {
        while self.deadline().is_some_and(|deadline| deadline <= now) && self.release_oldest(out) {}
    }

    /// Lets go of everything.
    pub(crate) fn release_all(&mut self, out: &mut Vec<Placement<T>>) {
        while self.release_oldest(out) {}
    }

    /// When the next span will have waited too long.
    pub(crate) fn deadline(&mut self) -> Option<Instant> {
        loop {
            let (since, key) = *self.order.front()?;
            if self.spans.get(&key).is_some_and(|waiting| waiting.since == since) {
                return since.checked_add(self.time);
            }
            self.order.pop_front();
        }
    }

    fn wait(&mut self, key: SpanKey, waiting: Waiting<T>) {
        let children = self.children.entry(waiting.parent).or_default();
        children.keys.push(key);
        children.waiting += 1;
        self.bytes += waiting.bytes;
        self.order.push_back((waiting.since, key));
        self.spans.insert(key, Box::new(waiting));
        // Names of spans that left are dropped when they outnumber the others.
        if self.order.len() > 64 + 2 * self.spans.len() {
            let spans = &self.spans;
            self.order.retain(|(since, key)| spans.get(key).is_some_and(|waiting| waiting.since == *since));
        }
    }

    /// Makes a root of the topmost span above the oldest one. Every step upwards leads to a span
    /// that leaves with it, so that all the climbing together is linear.
    fn release_oldest(&mut self, out: &mut Vec<Placement<T>>) -> bool {
        if self.deadline().is_none() {
            return false;
        }
        let Some(&(_, mut top)) = self.order.front() else { return false };
        // Spans that name each other as parents have no topmost one: any of them will do. Such a
        // circle is noticed by coming back to a mark, which is set anew after 1, 2, 4, … steps.
        let (mut mark, mut steps, mut until_mark) = (top, 0_usize, 1);
        while let Some(above) = self.parent_here(top).filter(|above| *above != mark) {
            top = above;
            steps += 1;
            if steps == until_mark {
                (mark, steps, until_mark) = (top, 0, 2 * until_mark);
            }
        }
        let Some(waiting) = self.leave(top) else { return false };
        let place = self.place(waiting.item.as_ref(), waiting.kept, None, &waiting.overrides, false);
        self.settle(top, waiting.item, place, out);
        true
    }

    fn place(
        &mut self,
        span: &SpanData,
        kept: bool,
        above: Option<&Place>,
        overrides: &Overrides,
        taken: bool,
    ) -> Place {
        let project = self.placer.ask(span, above);
        let candidate = Candidate { span, overrides, above, kept, taken, ended: true, project };
        // What sampling leaves out did not come here.
        let (place, new_root) = self.placer.place(&candidate, Remote::default).unwrap_or_default();
        self.new_roots.extend(new_root);
        place
    }

    /// The memory that waiting spans take.
    pub(crate) fn held_bytes(&self) -> usize {
        self.bytes + self.spans.len() * WAITING
    }

    /// The roots that go on with full traces, those since the last call.
    pub(crate) fn take_new_roots(&mut self) -> Vec<Arc<Node>> {
        std::mem::take(&mut self.new_roots)
    }

    /// The parent of a waiting span, if that one waits too.
    fn parent_here(&self, key: SpanKey) -> Option<SpanKey> {
        let parent = self.spans.get(&key)?.parent;
        self.spans.contains_key(&parent).then_some(parent)
    }

    /// Takes a span out of the waiting ones.
    fn leave(&mut self, key: SpanKey) -> Option<Box<Waiting<T>>> {
        let waiting = self.spans.remove(&key)?;
        self.bytes -= waiting.bytes;
        if let Some(children) = self.children.get_mut(&waiting.parent) {
            children.waiting -= 1;
            if children.waiting == 0 {
                self.children.remove(&waiting.parent);
            }
        }
        Some(waiting)
    }

    /// A span has its place: out it goes, and after it all that waited for it.
    fn settle(&mut self, key: SpanKey, item: T, place: Place, out: &mut Vec<Placement<T>>) {
        self.placed.insert(key, place.clone());
        if let Some(node) = place.run() {
            out.push((item, Arc::clone(node)));
        }
        let mut parents = vec![(key, place)];
        while let Some((key, place)) = parents.pop() {
            let Some(children) = self.children.remove(&key) else { continue };
            for child in children.keys {
                let Some(waiting) = self.spans.get(&child).filter(|waiting| waiting.parent == key) else { continue };
                let bytes = waiting.bytes;
                let Some(waiting) = self.spans.remove(&child) else { continue };
                self.bytes -= bytes;
                let below = self.place(waiting.item.as_ref(), waiting.kept, Some(&place), &waiting.overrides, false);
                self.placed.insert(child, below.clone());
                if let Some(node) = below.run() {
                    out.push((waiting.item, Arc::clone(node)));
                }
                parents.push((child, below));
            }
        }
    }
}

/// The last spans that were placed.
#[derive(Default)]
struct Placed {
    places: FxHashMap<SpanKey, Place>,
    order: VecDeque<SpanKey>,
}

impl Placed {
    fn get(&self, key: SpanKey) -> Option<&Place> {
        self.places.get(&key)
    }

    fn insert(&mut self, key: SpanKey, place: Place) {
        if self.places.insert(key, place).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > PLACED {
            if let Some(first) = self.order.pop_front() {
                self.places.remove(&first);
            }
        }
    }
}

impl<T> std::fmt::Debug for Held<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held").field("spans", &self.spans.len()).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

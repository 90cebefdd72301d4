//! A LangSmith trace, as far as it lies in this process.

use super::node::{Node, Shared};
use crate::prefetch::line;
use crate::run::{DottedOrder, RunId, Timestamp};
use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// What all runs have in common that stand under one first run here. Shared by their nodes.
#[derive(Debug)]
pub(crate) struct LocalTrace {
    /// Of the first run here: what was given for the trace, the name and the start.
    shared: Option<Arc<Shared>>,
    name: Cow<'static, str>,
    start: Timestamp,
    /// The id of the trace; of one that goes on, of its first part.
    id: RunId,
    /// The root of the trace is a span here.
    has_root: bool,
    /// 1 for a trace that is whole or begins.
    part: u32,
    runs: AtomicUsize,
    /// How many of them a hook has left out.
    left_out: AtomicUsize,
    /// A filter has left a span out of it.
    filtered: AtomicBool,
    /// Sampling leaves it out, unless there is an error in it.
    undecided: bool,
    /// It goes on with a trace whose first run here had ended.
    late: bool,
    /// When the first run here ended.
    end: OnceLock<Timestamp>,
    /// The root that goes on when this one is full.
    next: OnceLock<Arc<Node>>,
}

impl LocalTrace {
    /// The trace of a first run, which stands under `above` if that is known.
    pub(super) fn new(
        name: Cow<'static, str>,
        id: RunId,
        start: Timestamp,
        above: Option<&DottedOrder>,
        shared: Option<Arc<Shared>>,
    ) -> Self {
        Self {
            shared,
            name,
            start,
            id: above.map_or(id, DottedOrder::trace_id),
            has_root: above.is_none(),
            part: 1,
            runs: AtomicUsize::new(1),
            left_out: AtomicUsize::new(0),
            filtered: AtomicBool::new(false),
            undecided: false,
            late: false,
            end: OnceLock::new(),
            next: OnceLock::new(),
        }
    }

    /// Asks for the memory of what the sender reads of it for each run, before it is needed.
    #[inline]
    pub(crate) fn prefetch(&self) {
        line(&self.shared);
        line(&self.undecided);
    }

    pub(super) fn undecided(self, undecided: bool) -> Self {
        Self { undecided, ..self }
    }

    /// The id of the trace; of one that goes on in parts, of the first.
    pub(crate) fn id(&self) -> RunId {
        self.id
    }

    /// Whether the root of the trace is a span here, and no run elsewhere.
    pub(crate) fn has_root(&self) -> bool {
        self.has_root
    }

    /// Counts from 1.
    pub(crate) fn part(&self) -> u32 {
        self.part
    }

    /// The name of the first run here.
    pub(crate) fn name(&self) -> &Cow<'static, str> {
        &self.name
    }

    pub(crate) fn is_undecided(&self) -> bool {
        self.undecided
    }

    /// Whether a filter has left a span out of it.
    pub(crate) fn is_filtered(&self) -> bool {
        self.filtered.load(Ordering::Relaxed)
    }

    pub(super) fn set_filtered(&self) {
        self.filtered.store(true, Ordering::Relaxed);
    }

    /// How many runs were left out of it by a hook. As long as it stays the same, nobody moves up.
    pub(super) fn left_out(&self) -> usize {
        self.left_out.load(Ordering::Acquire)
    }

    pub(super) fn note_left_out(&self) {
        self.left_out.fetch_add(1, Ordering::Release);
    }

    /// Whether its first run here had ended before this part of it began.
    pub(crate) fn is_late(&self) -> bool {
        self.late
    }

    /// When its first run here ended, if it has.
    pub(crate) fn end(&self) -> Option<Timestamp> {
        self.end.get().copied()
    }

    /// The first run here has ended. Returns the roots that go on with the trace so far.
    pub(super) fn set_end(&self, end: Timestamp) -> Vec<Arc<Node>> {
        // The first span with its ids counts.
        let _ = self.end.set(end.max(self.start));
        let mut roots = Vec::new();
        let mut next = self.next.get();
        while let Some(node) = next {
            let _ = node.trace().end.set(end.max(self.start));
            roots.push(Arc::clone(node));
            next = node.trace().next.get();
        }
        roots
    }

    fn has_room(&self, limit: usize) -> bool {
        self.runs.fetch_add(1, Ordering::Relaxed) < limit
    }
}

/// Finds room for one more run below `parent`: there, or else below the root that goes on with the trace.
/// The second value is that root, if it is new.
pub(super) fn room(parent: &Arc<Node>, limit: usize) -> (&Arc<Node>, Option<Arc<Node>>) {
    let mut new = None;
    let mut parent = parent;
    while !parent.trace().has_room(limit) {
        let full = parent.trace();
        parent = full.next.get_or_init(|| {
            let node = Arc::new(go_on(full));
            new = Some(Arc::clone(&node));
            node
        });
    }
    (parent, new)
}

/// A root that goes on with a full trace: by the same name, from the same start on, in the same project.
fn go_on(full: &LocalTrace) -> Node {
    let (start, end) = (full.start, full.end());
    let trace = LocalTrace {
        part: full.part + 1,
        id: full.id,
        has_root: false,
        undecided: full.undecided,
        late: end.is_some(),
        ..LocalTrace::new(full.name.clone(), full.id, start, None, full.shared.clone())
    };
    if let Some(end) = end {
        let _ = trace.end.set(end);
    }
    Node::under_order(RunId::random(start), start, None, full.shared.clone(), trace)
}

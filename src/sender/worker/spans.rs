//! How spans come to be runs in a batch: at once, when their parents have ended, when their trace is
//! decided, or before they end.

use super::{HeldSpan, Operation, Worker};
use crate::convert::is_counted;
use crate::lineage::Node;
use crate::run::Run;
use crate::sender::queue::{span_bytes, Ended, Placed};
use crate::sender::tail::{self, Undecided};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;
use std::time::Instant;

impl Worker {
    /// A span from the processor.
    pub(super) fn add_live(&mut self, placed: Placed) {
        if placed.node.trace().is_undecided() {
            self.add_undecided(Undecided::Span(placed));
            self.settle_tail(Instant::now());
        } else {
            self.add_span(&placed.span, &placed.node, placed.interrupted, placed.posted);
            self.queue.take_back(placed);
        }
    }

    /// Spans from the exporter.
    pub(super) fn add_ended(&mut self, spans: Vec<Ended>) {
        let now = Instant::now();
        for Ended { span, kept, undecided } in spans {
            let bytes = span_bytes(&span);
            self.held.add(HeldSpan { span, undecided }, kept, bytes, now, &mut self.placed);
            self.add_placed();
        }
    }

    /// Spans whose parents have ended. Those that waited for one span come together.
    pub(super) fn add_placed(&mut self) {
        if self.placed.is_empty() {
            return;
        }
        let mut placed = std::mem::take(&mut self.placed);
        // A root comes last, as it does behind the processor: the calls below it are known then.
        if !self.parents_first {
            placed.sort_by_key(|(_, node)| node.is_root());
        }
        // Parents may come first here, and have to know what is counted below them.
        if placed.len() > 1 {
            for (_, node) in placed.iter().filter(|(held, _)| is_counted(&held.span)) {
                node.count_for_those_above();
            }
        }
        for (HeldSpan { span, undecided }, node) in placed.drain(..) {
            if node.trace().is_undecided() {
                let placed = Placed::new(Box::new(span), node, false, false);
                self.add_undecided(Undecided::Span(placed));
                continue;
            }
            // What joined a trace elsewhere is sent although its own id says no.
            self.queue.counters.submit(u64::from(undecided));
            self.add_span(&span, &node, false, false);
        }
        self.placed = placed;
        for root in self.held.take_new_roots() {
            self.notices.tell_full(root.trace(), self.trace_runs);
            if root.trace().is_undecided() {
                self.add_undecided(Undecided::Root(root));
            } else {
                self.queue.counters.submit(1);
                self.add_root(&root);
            }
        }
        self.settle_tail(Instant::now());
    }

    pub(super) fn expire_held(&mut self, now: Instant) {
        self.held.expire(now, &mut self.placed);
        self.add_placed();
    }

    /// Sends the spans that have been open for long.
    pub(super) fn post_pending(&mut self, now: Instant) {
        // What is open is in memory already, but would be there twice.
        while self.queue.has_room(0) {
            let Some((span, node)) = self.watch.as_mut().and_then(|watch| watch.next(now)) else { return };
            let run = catch_unwind(AssertUnwindSafe(|| self.converter.convert_open(&span, &node)));
            match run.map(|mut run| (self.checks.early(&mut run, &node), run)) {
                Ok((true, run)) => {
                    node.say();
                    self.add_post(run, false);
                }
                // A span that cannot be converted, or that a hook does not want, is counted when it ends.
                Ok((false, _)) | Err(_) => drop(self.unposted.insert(node.id())),
            }
            self.count();
        }
    }

    /// A span has ended whose run was sent before.
    pub(super) fn complete(&mut self, run: Run) {
        if let Some(run) = self.updates.complete(run) {
            self.add_run(&run, Operation::Patch);
        }
    }

    /// A root that goes on with a full trace.
    pub(super) fn add_root(&mut self, root: &Arc<Node>) {
        let id = root.id();
        let is_over = root.trace().is_late() || self.ended_roots.remove(&id);
        let mut run = self.converter.root(root, is_over);
        let verdict = self.checks.root(&mut run, root);
        if !self.passes(&verdict) {
            return;
        }
        if is_over {
            self.add_run(&run, Operation::Post);
        } else {
            self.open_roots.insert(id);
            self.add_post(run, true);
        }
    }

    /// Its trace is over. The thread that ended it may have been faster than the one that needed the root.
    pub(super) fn end_root(&mut self, root: &Arc<Node>) {
        let mut run = self.converter.root(root, true);
        if !self.open_roots.remove(&run.id()) {
            self.ended_roots.insert(run.id());
            return;
        }
        if !self.checks.update(&mut run) {
            return;
        }
        if let Some(run) = self.updates.update(run) {
            self.add_update(&run, false);
        }
    }

    pub(super) fn add_undecided(&mut self, item: Undecided) {
        if let Some((item, kept)) = self.tail.add(item, Instant::now()) {
            self.add_decided(vec![item], kept);
        }
    }

    /// Sends the traces that turned out to have an error, and lets go of those that have none.
    pub(super) fn settle_tail(&mut self, now: Instant) {
        while let Some((items, kept)) = self.tail.next(now) {
            self.add_decided(items, kept);
        }
    }

    fn add_decided(&mut self, items: Vec<Undecided>, kept: bool) {
        if !kept {
            self.queue.counters.not_sampled(tail::count(&items) as u64);
            return;
        }
        for item in items {
            match item {
                Undecided::Span(placed) => {
                    self.queue.counters.submit(1);
                    self.add_span(&placed.span, &placed.node, placed.interrupted, placed.posted);
                    self.queue.take_back(placed);
                }
                Undecided::Root(root) => {
                    self.queue.counters.submit(1);
                    self.add_root(&root);
                }
                Undecided::RootEnd(root) => self.end_root(&root),
            }
        }
    }
}

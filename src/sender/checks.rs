//! The last look at a run before it is encoded: it may be changed, redacted, or left out. Where one is
//! left out, the tree stays whole.

use super::bubble::{Bubble, Risen};
use super::notice::{Notice, Notices};
use crate::hooks::{Hooks, OnRun};
use crate::lineage::Node;
use crate::run::{Run, RunId};
use crate::stats::DropReason;
use rustc_hash::FxHashSet;
use std::collections::VecDeque;

/// Runs without spans that are remembered, of each kind.
const REMEMBERED: usize = 65_536;

/// What becomes of a run.
#[derive(Debug)]
pub(super) enum Verdict {
    Send,
    /// Something stands under it already. A bare run goes in its place, and is one more run.
    Replace(DropReason),
    Drop(DropReason),
}

#[derive(Debug)]
pub(super) struct Checks {
    hooks: Hooks,
    bubble: Bubble,
    /// Nothing is to be done, so nothing is done.
    idle: bool,
    notices: Notices,
    /// Ids of runs without spans that were left out.
    gone: Recent,
    /// Ids of runs, made elsewhere or by hand, under which something was sent.
    said: Recent,
}

impl Checks {
    /// `bubble_io` is [`Config::with_bubble_io`](crate::Config::with_bubble_io).
    pub(super) fn new(hooks: Hooks, notices: Notices, bubble_io: Option<bool>) -> Self {
        let (idle, bubble) = (hooks.is_empty(), Bubble::new(bubble_io));
        Self { idle, hooks, bubble, notices, gone: Recent::default(), said: Recent::default() }
    }

    /// Looks at the run of a span. What it hands to its root is what is left of it then.
    pub(super) fn span(&mut self, run: &mut Run, node: &Node) -> Verdict {
        let risen = self.bubble.fill(run, node);
        let verdict = self.look(run, node, risen);
        if let Verdict::Send = verdict {
            self.bubble.note(run, node);
        }
        verdict
    }

    fn look(&mut self, run: &mut Run, node: &Node, risen: Risen) -> Verdict {
        if self.idle {
            return Verdict::Send;
        }
        self.move_up(run);
        let verdict = match self.ask(run) {
            None => Verdict::Send,
            Some(reason) if node.leave_out() => return Verdict::Drop(reason),
            Some(reason) => Verdict::Replace(reason),
        };
        self.say(node);
        self.finish(run, &verdict, risen);
        if let (Verdict::Send, Some(_)) = (&verdict, &self.hooks.on_run) {
            if run.is_counted() {
                node.count_for_those_above();
            }
        }
        verdict
    }

    /// Looks at the run of a span that is still open. `false`: it is not shown yet; what becomes of it is said
    /// when the span has ended.
    pub(super) fn early(&mut self, run: &mut Run, node: &Node) -> bool {
        if self.idle {
            return true;
        }
        self.move_up(run);
        if self.ask(run).is_some() {
            return false;
        }
        self.say(node);
        self.finish(run, &Verdict::Send, Risen::default());
        true
    }

    /// Looks at a root that goes on with a full trace. It is there for the runs below it, so it is never left
    /// out, but it may come to say nothing.
    pub(super) fn root(&mut self, run: &mut Run, root: &Node) -> Verdict {
        root.say();
        self.look(run, root, Risen::default())
    }

    /// Looks at a run without a span.
    pub(super) fn run(&mut self, run: &mut Run) -> Verdict {
        if self.idle {
            return Verdict::Send;
        }
        self.move_up(run);
        let verdict = match self.ask(run) {
            None => Verdict::Send,
            Some(reason) if self.said.contains(run.id()) => Verdict::Replace(reason),
            Some(reason) => {
                self.gone.extend([run.id()]);
                return Verdict::Drop(reason);
            }
        };
        if self.hooks.on_run.is_some() {
            // The run itself is among them: a second part of it comes to what was sent.
            self.said.extend(run.dotted_order.ids());
        }
        self.finish(run, &verdict, Risen::default());
        verdict
    }

    /// Looks at more about a run without a span. What was sent of it cannot be called back, so that an
    /// update is never left out, but it may come to say nothing but that the run has ended. `false`:
    /// it belongs to a run that was left out.
    pub(super) fn update(&mut self, run: &mut Run) -> bool {
        if self.idle {
            return true;
        }
        if self.gone.contains(run.id()) {
            return false;
        }
        self.move_up(run);
        let verdict = self.ask(run).map_or(Verdict::Send, Verdict::Replace);
        self.finish(run, &verdict, Risen::default());
        true
    }

    /// Shows the run to the hook. Why it shall not be sent; `None` when it shall.
    fn ask(&self, run: &mut Run) -> Option<DropReason> {
        match self.hooks.on_run.as_ref()?.ask(run) {
            Ok(OnRun::Keep) => None,
            Ok(OnRun::Drop) => Some(DropReason::Hook),
            Err(_) => {
                self.notices.warn(Notice::Panicked, || {
                    format!(
                        "the hook of Config::with_on_run panicked at run {}, which is not sent; it is called again",
                        run.id()
                    )
                });
                Some(DropReason::Panicked)
            }
        }
    }

    /// Something is sent: what it stands under cannot be left out any more.
    fn say(&mut self, node: &Node) {
        if self.hooks.on_run.is_some() {
            if let Some(order) = node.say() {
                self.said.extend(order.ids());
            }
        }
    }

    fn finish(&mut self, run: &mut Run, verdict: &Verdict, risen: Risen) {
        match verdict {
            Verdict::Replace(DropReason::Hook) => run.strip("by the hook of with_on_run"),
            Verdict::Replace(_) => {
                // The hook might have hidden the name as well.
                run.set_name("left out");
                run.strip("the hook of with_on_run panicked");
            }
            Verdict::Send | Verdict::Drop(_) => {}
        }
        if !self.conceal(run, risen) {
            self.notices.warn(Notice::Redaction, || {
                format!(
                    "a rule of the redactor failed at run {}: the field is hidden; further ones are only counted",
                    run.id()
                )
            });
        }
    }

    /// Hides and redacts, but for what has been so already.
    fn conceal(&mut self, run: &mut Run, risen: Risen) -> bool {
        if risen.is_empty() || !self.hooks.conceals() {
            return self.hooks.conceal(run);
        }
        let risen = risen.take_from(run);
        let followed = self.hooks.conceal(run);
        risen.put_into(run);
        followed
    }

    /// Hangs a run under the nearest one that was not left out.
    fn move_up(&self, run: &mut Run) {
        if !self.gone.is_empty() {
            if let Some(order) = run.dotted_order.without(|id| self.gone.contains(id)) {
                run.dotted_order = order;
            }
        }
    }
}

/// The last ids of a kind.
#[derive(Debug, Default)]
struct Recent {
    ids: FxHashSet<RunId>,
    order: VecDeque<RunId>,
}

impl Recent {
    fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    fn contains(&self, id: RunId) -> bool {
        self.ids.contains(&id)
    }

    fn extend(&mut self, ids: impl IntoIterator<Item = RunId>) {
        for id in ids {
            if self.ids.insert(id) {
                self.order.push_back(id);
            }
            if self.order.len() > REMEMBERED {
                if let Some(first) = self.order.pop_front() {
                    self.ids.remove(&first);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut recent = Recent::default();
        let ids = (0..REMEMBERED as u128 + 10).map(|id| RunId::from(uuid::Uuid::from_u128(id)));
        recent.extend(ids.clone());
        recent.extend(ids.clone().skip(20));
        assert_eq!((recent.ids.len(), recent.order.len()), (REMEMBERED, REMEMBERED));
        assert_eq!(ids.filter(|id| !recent.contains(*id)).count(), 10);
    }
}

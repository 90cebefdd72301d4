//! Dotted orders of many runs, one after the other.

use super::Node;
use crate::run::{DottedOrder, RunId, Timestamp};
use std::ptr;
use std::sync::{Arc, Weak};

/// Writes dotted orders. Siblings end one after the other, and then their parent does: what a run's order
/// begins with was nearly always written for the run before, however deep the two stand.
#[derive(Debug)]
pub(crate) struct Orders {
    /// The parent of the last run.
    at: Weak<Node>,
    /// The order of that node; of the nearest one above it when that node was left out.
    order: DottedOrder,
    /// How many runs of its trace had been left out by then.
    left_out: usize,
    /// Memory for the way down from where two branches meet.
    below: Vec<(RunId, Timestamp)>,
    /// Memory for the next order.
    spare: DottedOrder,
}

/// Longer orders, of a thousand levels, do not keep their memory.
const MUCH: usize = 64 << 10;

impl Default for Orders {
    fn default() -> Self {
        let empty = || DottedOrder::with_segments(0);
        Self { at: Weak::new(), order: empty(), left_out: 0, below: Vec::new(), spare: empty() }
    }
}

impl Orders {
    /// The same as [`Node::dotted_order`].
    pub(crate) fn of(&mut self, node: &Node) -> DottedOrder {
        let left_out = node.trace().left_out();
        if self.left_out != left_out {
            // What stood under them has moved up.
            (self.at, self.left_out) = (Weak::new(), left_out);
        }
        let mut order = std::mem::replace(&mut self.spare, DottedOrder::with_segments(0));
        let parent = node.first_parent();
        // It is the parent of the last run.
        if ptr::eq(self.at.as_ptr(), node) && !node.is_left_out() {
            order.become_like(Some(&self.order));
            if let Some(parent) = parent {
                self.order.pop();
                self.at = Arc::downgrade(parent);
            }
            return order;
        }
        if let Some(parent) = parent {
            self.go_to(parent);
        }
        order.become_like(parent.map_or(node.first_order(), |_| Some(&self.order)));
        let (id, start) = node.segment();
        order.push(id, start);
        order
    }

    /// Takes back the memory of an order.
    pub(crate) fn recycle(&mut self, order: &mut DottedOrder) {
        let order = std::mem::replace(order, DottedOrder::with_segments(0));
        if order.capacity() <= MUCH {
            self.spare = order;
        }
    }

    /// Turns the order of one node into that of another, by way of the node where they meet.
    fn go_to(&mut self, to: &Arc<Node>) {
        if ptr::eq(self.at.as_ptr(), Arc::as_ptr(to)) {
            return;
        }
        // Mostly it is one step down.
        if to.first_parent().is_some_and(|parent| ptr::eq(self.at.as_ptr(), Arc::as_ptr(parent))) {
            if !to.is_left_out() {
                let (id, start) = to.segment();
                self.order.push(id, start);
            }
            self.at = Arc::downgrade(to);
            return;
        }
        let (last, next) = (std::mem::take(&mut self.at).upgrade(), Arc::downgrade(to));
        let (mut from, mut to) = (last.as_ref(), to);
        loop {
            while let Some(left) = from.filter(|from| from.depth() > to.depth()) {
                if !left.is_left_out() {
                    self.order.pop();
                }
                from = left.first_parent();
            }
            if from.is_some_and(|from| Arc::ptr_eq(from, to)) {
                break;
            }
            if !to.is_left_out() {
                self.below.push(to.segment());
            }
            let Some(parent) = to.first_parent() else {
                // They do not meet.
                self.order.become_like(to.first_order());
                break;
            };
            to = parent;
        }
        for (id, start) in self.below.drain(..).rev() {
            self.order.push(id, start);
        }
        self.at = next;
    }
}

#[cfg(test)]
mod tests {
    use super::super::LocalTrace;
    use super::*;
    use proptest::prelude::*;

    /// A root, under a run from elsewhere if it is odd.
    fn root(id: u128) -> Arc<Node> {
        let (run, start) = (RunId::from(uuid::Uuid::from_u128(id)), Timestamp::default());
        let above =
            (id % 2 == 1).then(|| DottedOrder::root(uuid::Uuid::from_u128(u128::MAX - id).into(), start.to_datetime()));
        let trace = LocalTrace::new("trace".into(), run, start, above.as_ref(), None);
        Arc::new(Node::under_order(run, start, above, None, trace))
    }

    fn under(id: u128, parent: &Arc<Node>) -> Arc<Node> {
        let start = parent.start().saturating_add(std::time::Duration::from_millis(700));
        Arc::new(Node::under(uuid::Uuid::from_u128(id).into(), start, Arc::clone(parent), None))
    }

    proptest! {
        /// Whatever trees there are, whoever is asked for next, left out, told of or forgotten.
        #[test]
        fn they_are_the_same_as_the_plain_ones(steps in prop::collection::vec((0..12u8, any::<prop::sample::Index>()), 1..300)) {
            let mut orders = Orders::default();
            let mut nodes = vec![root(0)];
            for (id, (step, index)) in (1..).zip(steps) {
                let place = index.index(nodes.len());
                // Deep trees come of those that go on with the last one.
                let (chosen, last) = (Arc::clone(&nodes[place]), Arc::clone(&nodes[nodes.len() - 1]));
                match step {
                    0 => nodes.push(root(id)),
                    1 => nodes.push(under(id, &chosen)),
                    2..=4 => nodes.push(under(id, &last)),
                    5 => drop(chosen.leave_out()),
                    6 => drop(last.say()),
                    7 if nodes.len() > 1 => drop(nodes.swap_remove(place)),
                    8 => prop_assert_eq!(orders.of(&last), last.dotted_order()),
                    9 => {
                        // Up to the root, as a trace ends.
                        let mut ended = Some(&last);
                        while let Some(node) = ended {
                            let mut order = orders.of(node);
                            prop_assert_eq!(&order, &node.dotted_order());
                            orders.recycle(&mut order);
                            ended = node.first_parent();
                        }
                    }
                    _ => prop_assert_eq!(orders.of(&chosen), chosen.dotted_order()),
                }
            }
        }
    }
}

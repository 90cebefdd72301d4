//! That no two runs get one id, and that nobody names a run in two ways.

use crate::lock::Lock;
use crate::run::{DottedOrder, RunId};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hasher};
use std::sync::MutexGuard;

/// Ids that are remembered, of those that are not made from span ids.
const REMEMBERED: usize = 32_768;

/// LangSmith keeps the first run of an id and drops every other, and refuses a run whose dotted order is not
/// its parent's and its own segment. Ids that are made from span ids differ as those do; ids that the
/// application chose, and trace ids, are given away here, once each. What the application's dotted orders say
/// of the runs in them is remembered too: whatever contradicts it later is not used.
#[derive(Debug, Default)]
pub(super) struct Ids {
    known: Lock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    ids: FxHashMap<RunId, Said>,
    order: VecDeque<RunId>,
}

/// What is known of an id.
#[derive(Clone, Copy, Debug)]
struct Said {
    /// The hash of the run's dotted order.
    order: u64,
    /// It was given to a run here.
    given: bool,
}

impl Ids {
    /// Whether the last id of this order is free, and nothing else was said of that run. It is not free
    /// afterwards. The runs above are here, or were asked about before.
    pub(super) fn claim(&self, order: &DottedOrder) -> bool {
        let mut known = self.lock();
        let Some((id, order)) = hashes(order).last() else { return false };
        known.agrees(id, order) && known.give(id, order)
    }

    /// The same for an order of the application's: of the runs above nothing else may be known either.
    pub(super) fn claim_all(&self, order: &DottedOrder) -> bool {
        let mut known = self.lock();
        if known.ids.get(&order.id()).is_some_and(|said| said.given) || !known.note(order) {
            return false;
        }
        hashes(order).last().is_some_and(|(id, order)| known.give(id, order))
    }

    /// Whether nothing else was said of the runs in an order of the application's.
    pub(super) fn agree(&self, order: &DottedOrder) -> bool {
        self.lock().note(order)
    }

    /// Whether nothing else was said of the runs in an order from elsewhere. Not remembered: who sends
    /// headers shall not decide which orders count.
    pub(super) fn allow(&self, order: &DottedOrder) -> bool {
        let known = self.lock();
        known.ids.is_empty() || hashes(order).all(|(id, order)| known.agrees(id, order))
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock()
    }
}

impl Known {
    fn agrees(&self, id: RunId, order: u64) -> bool {
        self.ids.get(&id).is_none_or(|said| said.order == order)
    }

    /// Remembers an order, unless something else was said before.
    fn note(&mut self, order: &DottedOrder) -> bool {
        if !hashes(order).all(|(id, order)| self.agrees(id, order)) {
            return false;
        }
        hashes(order).for_each(|(id, order)| self.say(id, order));
        true
    }

    /// Gives an id away, once.
    fn give(&mut self, id: RunId, order: u64) -> bool {
        self.say(id, order);
        self.ids.get_mut(&id).is_some_and(|said| !std::mem::replace(&mut said.given, true))
    }

    fn say(&mut self, id: RunId, order: u64) {
        if self.ids.contains_key(&id) {
            return;
        }
        self.ids.insert(id, Said { order, given: false });
        self.order.push_back(id);
        if self.order.len() > REMEMBERED {
            if let Some(first) = self.order.pop_front() {
                self.ids.remove(&first);
            }
        }
    }
}

/// The runs of an order from the root down, each with the hash of its own order.
fn hashes(order: &DottedOrder) -> impl Iterator<Item = (RunId, u64)> + '_ {
    let mut hasher = DefaultHasher::new();
    order.segments().map(move |(id, segment)| {
        hasher.write(segment.as_bytes());
        (id, hasher.finish())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Timestamp;

    fn order(ids: &[u128]) -> DottedOrder {
        let mut order = DottedOrder::with_segments(ids.len());
        for id in ids {
            order.push(uuid::Uuid::from_u128(*id).into(), Timestamp::default());
        }
        order
    }

    #[test]
    fn what_was_said_first_counts() {
        let ids = Ids::default();
        assert!(ids.agree(&order(&[1, 2, 3])));
        assert!(ids.agree(&order(&[1, 2, 4])) && ids.allow(&order(&[1, 2])) && ids.allow(&order(&[1, 5])));
        assert!(!ids.agree(&order(&[2])) && !ids.allow(&order(&[2, 9])) && !ids.claim(&order(&[3])));
        assert!(
            ids.claim_all(&order(&[1, 2, 3])) && !ids.claim_all(&order(&[1, 2, 3])) && !ids.claim(&order(&[1, 2, 3])),
            "an id is given once"
        );
        assert!(ids.agree(&order(&[1, 2, 3, 6])), "what stands under it agrees");
        // What was refused left nothing behind, nor did what was only allowed.
        assert!(ids.claim(&order(&[9])) && ids.claim(&order(&[5])));
        // Of runs here, only the one that an id is given to is remembered.
        assert!(ids.claim(&order(&[20, 21])) && ids.agree(&order(&[22, 20])) && !ids.agree(&order(&[21])));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let ids = Ids::default();
        for id in 0..REMEMBERED as u128 + 10 {
            assert!(ids.claim(&order(&[id])));
        }
        let known = ids.lock();
        assert_eq!((known.ids.len(), known.order.len()), (REMEMBERED, REMEMBERED));
    }
}

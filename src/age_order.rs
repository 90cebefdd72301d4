//! The keys of a table in the order of their age, where entries leave the table in any order.

use std::collections::VecDeque;

/// So many keys of entries that have left do not matter.
const FEW: usize = 64;

/// What leaves the table from the middle leaves its key here, until such keys outnumber the others: one entry that
/// stays for long holds none of the others' keys back.
#[derive(Debug)]
pub(crate) struct AgeOrder<K>(VecDeque<K>);

impl<K> Default for AgeOrder<K> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<K> AgeOrder<K> {
    /// Adds the youngest. The table has `entries` entries; `is_there` says whether the entry of a key is one of them.
    #[inline]
    pub(crate) fn push(&mut self, key: K, entries: usize, is_there: impl Fn(&K) -> bool) {
        self.0.push_back(key);
        if self.0.len() > FEW + 2 * entries {
            self.0.retain(is_there);
        }
    }

    /// The oldest whose entry is there.
    pub(crate) fn first(&mut self, is_there: impl Fn(&K) -> bool) -> Option<&K> {
        while !is_there(self.0.front()?) {
            self.0.pop_front();
        }
        self.0.front()
    }

    /// Takes the oldest, whether its entry is there or not.
    pub(crate) fn pop(&mut self) -> Option<K> {
        self.0.pop_front()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn one_that_stays_holds_nothing_back() {
        let mut order = AgeOrder::default();
        let mut table = BTreeSet::from([0]);
        order.push(0, 1, |key| table.contains(key));
        for key in 1..10_000 {
            table.insert(key);
            order.push(key, table.len(), |key| table.contains(key));
            table.remove(&(key - 5));
            table.insert(0);
            assert!(order.len() <= FEW + 2 * 7, "{}", order.len());
            assert_eq!(order.first(|key| table.contains(key)), Some(&0));
        }
        table.remove(&0);
        assert_eq!(order.first(|key| table.contains(key)), Some(&9995));
        assert_eq!(order.pop(), Some(9995));
        assert_eq!(order.first(|_| false), None);
        assert_eq!(order.pop(), None);
    }
}

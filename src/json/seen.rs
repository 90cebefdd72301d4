//! Which names a list has already.

use rustc_hash::FxHashMap;

/// The first so many names are looked through, which is quicker than a table.
const FEW: usize = 32;

/// Finds names of a list by their hashes, however long the list is. The list keeps them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// One bit a name: a clear bit says that a name is new.
    bits: u64,
    /// The first position of each hash, behind the first few. Apart, because few lists are so long.
    table: Option<Box<FxHashMap<u64, usize>>>,
}

impl Seen {
    /// The position of a name in the list.
    #[inline]
    pub(crate) fn find<T>(
        &self,
        list: &[T],
        hash: u64,
        hash_of: impl Fn(&T) -> u64,
        is_same: impl Fn(&T) -> bool,
    ) -> Option<usize> {
        if self.bits & bit(hash) == 0 {
            return None;
        }
        self.find_old(list, hash, |item| hash_of(item) == hash && is_same(item))
    }

    #[inline(never)]
    fn find_old<T>(&self, list: &[T], hash: u64, found: impl Fn(&T) -> bool) -> Option<usize> {
        let (few, many) = list.split_at(list.len().min(FEW));
        few.iter().position(&found).or_else(|| {
            let first = *self.table.as_ref()?.get(&hash)?;
            // Another name may have the same hash.
            let rest = many.get(first - FEW..)?;
            rest.iter().position(&found).map(|further| first + further)
        })
    }

    /// Notes the name that is new in the list, at its end.
    #[inline]
    pub(crate) fn push(&mut self, hash: u64, position: usize) {
        self.bits |= bit(hash);
        if position >= FEW {
            self.push_far(hash, position);
        }
    }

    #[inline(never)]
    fn push_far(&mut self, hash: u64, position: usize) {
        self.table.get_or_insert_default().entry(hash).or_insert(position);
    }

    /// Knows what another one knows, and nothing else.
    #[inline]
    pub(crate) fn become_like(&mut self, other: &Self) {
        self.bits = other.bits;
        if self.table.is_some() || other.table.is_some() {
            self.table.clone_from(&other.table);
        }
    }

    /// Forgets all names.
    pub(crate) fn clear(&mut self) {
        self.bits = 0;
        if let Some(table) = &mut self.table {
            table.clear();
        }
    }
}

fn bit(hash: u64) -> u64 {
    1 << (hash >> 58)
}

#[cfg(test)]
mod tests {
    use super::super::Name;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn finds_what_a_search_finds(names in proptest::collection::vec("[a-d]{0,4}", 0..120), few_hashes: bool) {
            let hash = |name: &String| {
                let hash = Name::new(name).hash();
                if few_hashes { hash % 5 } else { hash }
            };
            let (mut seen, mut list) = (Seen::default(), Vec::<String>::new());
            for _ in 0..2 {
                for name in &names {
                    let found = seen.find(&list, hash(name), hash, |other| other == name);
                    prop_assert_eq!(found, list.iter().position(|other| other == name));
                    if found.is_none() {
                        seen.push(hash(name), list.len());
                        list.push(name.clone());
                    }
                }
                seen.clear();
                list.clear();
            }
        }
    }
}

//! What is known of the spans of one trace, by their ids.

use rustc_hash::FxHashMap;

/// So many are looked through one by one, which is quicker than a table, and much quicker than to make one.
const FEW: usize = 16;

#[derive(Debug)]
pub(super) enum ById<T> {
    /// In any order.
    Few(Vec<(u64, T)>),
    Many(FxHashMap<u64, T>),
}

impl<T> Default for ById<T> {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl<T> ById<T> {
    #[inline]
    pub(super) fn get(&self, id: u64) -> Option<&T> {
        match self {
            // The spans that are asked for are those that started last, or first.
            Self::Few(few) => few.iter().rev().find(|(other, _)| *other == id).map(|(_, value)| value),
            Self::Many(many) => many.get(&id),
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut T> {
        match self {
            Self::Few(few) => few.iter_mut().rev().find(|(other, _)| *other == id).map(|(_, value)| value),
            Self::Many(many) => many.get_mut(&id),
        }
    }

    /// Adds a value under an id that is not there yet.
    #[inline]
    pub(super) fn add(&mut self, id: u64, value: T) {
        match self {
            Self::Few(few) if few.len() < FEW => {
                if few.capacity() == 0 {
                    few.reserve(FEW / 2);
                }
                few.push((id, value));
            }
            Self::Few(few) => *self = Self::Many(few.drain(..).chain([(id, value)]).collect()),
            Self::Many(many) => drop(many.insert(id, value)),
        }
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<T> {
        match self {
            Self::Few(few) => {
                let place = few.iter().position(|(other, _)| *other == id)?;
                Some(few.swap_remove(place).1)
            }
            Self::Many(many) => many.remove(&id),
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(few) => few.len(),
            Self::Many(many) => many.len(),
        }
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        let (few, many) = match self {
            Self::Few(few) => (Some(few), None),
            Self::Many(many) => (None, Some(many)),
        };
        few.into_iter().flatten().map(|(_, value)| value).chain(many.into_iter().flat_map(FxHashMap::values_mut))
    }

    /// The same memory without anything in it, unless there is room for more than `most`.
    pub(super) fn emptied(mut self, most: usize) -> Option<Self> {
        match &mut self {
            Self::Few(few) => few.clear(),
            Self::Many(many) if many.capacity() <= most => many.clear(),
            Self::Many(_) => return None,
        }
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whether there are few or many, and however often there were.
        #[test]
        fn it_is_like_a_plain_map(steps in prop::collection::vec((0..8u8, 0..40u64), 1..300)) {
            let mut plain = FxHashMap::default();
            let mut ours = ById::default();
            for (value, (step, id)) in steps.into_iter().enumerate() {
                match step {
                    0 => prop_assert_eq!(ours.remove(id), plain.remove(&id)),
                    1 => prop_assert_eq!(ours.get(id), plain.get(&id)),
                    2 => prop_assert_eq!(ours.get_mut(id), plain.get_mut(&id)),
                    _ if plain.contains_key(&id) => {}
                    _ => {
                        plain.insert(id, value);
                        ours.add(id, value);
                    }
                }
                prop_assert_eq!(ours.len(), plain.len());
            }
            let sorted = |values: &mut dyn Iterator<Item = usize>| {
                let mut values: Vec<_> = values.collect();
                values.sort_unstable();
                values
            };
            prop_assert_eq!(sorted(&mut ours.values_mut().map(|value| *value)), sorted(&mut plain.into_values()));
        }
    }

    #[test]
    fn what_was_emptied_is_empty_and_not_large() {
        let mut ours = Some(ById::default());
        for spans in [FEW as u64, FEW as u64 + 1, 1] {
            let mut filled = ours.take().expect("it was not large");
            (0..spans).for_each(|id| filled.add(id, id));
            assert_eq!((filled.len() as u64, filled.get(spans - 1)), (spans, Some(&(spans - 1))));
            let emptied = filled.emptied(4 * FEW).expect("it is not large");
            assert_eq!((emptied.len(), emptied.get(0)), (0, None));
            ours = Some(emptied);
        }
        let mut large = ById::default();
        (0..5 * FEW as u64).for_each(|id| large.add(id, id));
        assert!(large.emptied(4 * FEW).is_none());
    }
}

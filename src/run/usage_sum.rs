//! Usage added up.

use super::UsageMetadata;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

impl UsageMetadata {
    /// The sum of both; `None` when a count does not fit 64 bits.
    pub fn checked_add(mut self, other: &Self) -> Option<Self> {
        self.merge(other, |mine, theirs| mine.checked_add(theirs).ok_or(())).ok()?;
        Some(self)
    }

    /// Adds the counts by `add`, and the costs. A cost that only one side knows stays what it is.
    fn merge<E>(&mut self, other: &Self, add: impl Fn(u64, u64) -> Result<u64, E>) -> Result<(), E> {
        self.input_tokens = add(self.input_tokens, other.input_tokens)?;
        self.output_tokens = add(self.output_tokens, other.output_tokens)?;
        self.total_tokens = add(self.total_tokens, other.total_tokens)?;
        merge_details(&mut self.input_token_details, &other.input_token_details, &add)?;
        merge_details(&mut self.output_token_details, &other.output_token_details, &add)?;

        let add_cost = |mine: f64, theirs: f64| Ok(mine + theirs);
        merge_details(&mut self.input_cost_details, &other.input_cost_details, add_cost)?;
        merge_details(&mut self.output_cost_details, &other.output_cost_details, add_cost)?;
        for (mine, theirs) in [
            (&mut self.input_cost, other.input_cost),
            (&mut self.output_cost, other.output_cost),
            (&mut self.total_cost, other.total_cost),
        ] {
            *mine = mine.zip(theirs).map_or(mine.or(theirs), |(mine, theirs)| Some(mine + theirs));
        }
        Ok(())
    }
}

fn merge_details<T: Copy + Default, E>(
    mine: &mut BTreeMap<Cow<'static, str>, T>,
    theirs: &BTreeMap<Cow<'static, str>, T>,
    add: impl Fn(T, T) -> Result<T, E>,
) -> Result<(), E> {
    for (name, value) in theirs {
        let sum = mine.entry(name.clone()).or_default();
        *sum = add(*sum, *value)?;
    }
    Ok(())
}

/// Adds counts and costs; a count that does not fit 64 bits stays at the largest. See
/// [`checked_add`](UsageMetadata::checked_add).
impl AddAssign<&UsageMetadata> for UsageMetadata {
    fn add_assign(&mut self, other: &Self) {
        let Ok(()) = self.merge(other, |mine, theirs| Ok::<_, Infallible>(mine.saturating_add(theirs)));
    }
}

impl AddAssign for UsageMetadata {
    fn add_assign(&mut self, other: Self) {
        *self += &other;
    }
}

impl Add for UsageMetadata {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += &other;
        self
    }
}

impl Sum for UsageMetadata {
    fn sum<I: Iterator<Item = Self>>(usages: I) -> Self {
        usages.fold(Self::default(), Add::add)
    }
}

impl<'a> Sum<&'a UsageMetadata> for UsageMetadata {
    fn sum<I: Iterator<Item = &'a UsageMetadata>>(usages: I) -> Self {
        usages.fold(Self::default(), |mut sum, usage| {
            sum += usage;
            sum
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn usage(counts: impl Strategy<Value = u64> + Clone) -> impl Strategy<Value = UsageMetadata> {
        let name = prop::sample::select(vec!["cache_read", "audio", "reasoning"]);
        let details = prop::collection::btree_map(name, counts.clone(), 0..3);
        // Whole numbers, which add up in any order.
        let cost = prop::option::of((0..1000_i32).prop_map(f64::from));
        (counts.clone(), counts, details.clone(), details, cost).prop_map(
            |(input_tokens, output_tokens, input, output, cost)| UsageMetadata {
                input_token_details: input.into_iter().map(|(name, count)| (name.into(), count)).collect(),
                output_token_details: output.into_iter().map(|(name, count)| (name.into(), count)).collect(),
                total_cost: cost,
                input_cost_details: cost.map(|cost| ("text".into(), cost)).into_iter().collect(),
                ..UsageMetadata::new(input_tokens, output_tokens)
            },
        )
    }

    fn small() -> impl Strategy<Value = UsageMetadata> {
        usage(0..1_000_000_u64)
    }

    proptest! {
        #[test]
        fn the_order_does_not_matter(a in small(), b in small(), c in small()) {
            prop_assert_eq!(a.clone() + b.clone(), b.clone() + a.clone());
            prop_assert_eq!((a.clone() + b.clone()) + c.clone(), a.clone() + (b.clone() + c.clone()));
            prop_assert_eq!([&a, &b, &c].into_iter().sum::<UsageMetadata>(), vec![c, b, a].into_iter().sum());
        }

        #[test]
        fn nothing_adds_nothing(a in usage(any::<u64>())) {
            prop_assert_eq!(a.clone() + UsageMetadata::default(), a.clone());
            prop_assert_eq!(UsageMetadata::default() + a.clone(), a);
        }

        #[test]
        fn a_checked_sum_is_the_sum_or_none(a in usage(any::<u64>()), b in usage(any::<u64>())) {
            let fits = a.input_tokens.checked_add(b.input_tokens).is_some()
                && a.output_tokens.checked_add(b.output_tokens).is_some()
                && a.total_tokens.checked_add(b.total_tokens).is_some()
                && [(&a.input_token_details, &b.input_token_details), (&a.output_token_details, &b.output_token_details)]
                    .into_iter()
                    .all(|(a, b)| a.iter().all(|(name, count)| count.checked_add(*b.get(name).unwrap_or(&0)).is_some()));
            let checked = a.clone().checked_add(&b);
            prop_assert_eq!(checked.is_some(), fits);
            let sum = a + b;
            if let Some(checked) = checked {
                prop_assert_eq!(checked, sum);
            }
        }

        #[test]
        fn a_sum_that_does_not_fit_stays_at_the_largest_and_loses_nothing_else(a in small()) {
            let full = UsageMetadata::new(u64::MAX, 0).with_input_detail("cache_read", u64::MAX);
            let sum = full + a.clone();
            prop_assert_eq!(sum.input_tokens, u64::MAX);
            prop_assert_eq!(sum.output_tokens, a.output_tokens);
            prop_assert_eq!(sum.input_token_details["cache_read"], u64::MAX);
            prop_assert_eq!(sum.output_token_details, a.output_token_details);
            prop_assert_eq!(sum.total_cost, a.total_cost);
        }
    }

    #[test]
    fn a_cost_that_one_side_does_not_know_is_not_forgotten() {
        let known = UsageMetadata { input_cost: Some(0.5), ..UsageMetadata::new(1, 1) };
        let sum = known + UsageMetadata::new(1, 1);
        assert_eq!((sum.input_cost, sum.output_cost, sum.total_tokens), (Some(0.5), None, 4));
    }
}

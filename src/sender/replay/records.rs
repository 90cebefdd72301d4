//! What is known of files that were not taken: in which order they are tried, and when one is given up.
//!
//! That a request is refused may be the fault of what is in it, as with firewalls, or of the key, or of the server. What tells
//! them apart is whether others are taken meanwhile: before that a file is not to blame, and after it no file holds up the
//! others.

use rustc_hash::FxHashMap;

/// A file that failed so often lets the others go first.
const STUCK: u32 = 5;

#[derive(Debug, Default)]
pub(super) struct Records(FxHashMap<String, Record>);

#[derive(Clone, Copy, Debug, Default)]
struct Record {
    /// Failures since something was taken last. A refusal weighs as much as being stuck.
    weight: u32,
    /// How often LangSmith had taken something when this failed last.
    accepted: u64,
    /// The last time it was refused.
    refused: bool,
    /// It failed before others were taken and again afterwards.
    to_blame: bool,
    /// It holds one run, or cannot be taken apart, and was refused by itself.
    alone: bool,
}

impl Records {
    /// Puts names that stand oldest first into the order in which they are to be tried. Says whether refused ones have lost
    /// their place, which is theirs again as soon as something is taken: then it was the key.
    pub(super) fn order(&mut self, names: &mut [String], accepted: u64) -> bool {
        self.0.retain(|name, _| names.binary_search(name).is_ok());
        if self.0.is_empty() {
            return false;
        }
        names.sort_by_key(|name| self.rank(name, accepted));
        self.0.iter().any(|(name, record)| record.refused && self.rank(name, accepted) == 1)
    }

    fn rank(&self, name: &str, accepted: u64) -> u8 {
        match self.0.get(name) {
            Some(record) if record.to_blame => 2,
            Some(record) if record.weight >= STUCK && record.accepted == accepted => 1,
            _ => 0,
        }
    }

    /// Whether a refusal of this file would say something about the file and not about the key.
    pub(super) fn is_suspect(&self, name: &str, accepted: u64) -> bool {
        self.0.get(name).is_some_and(|record| record.to_blame || (record.weight >= STUCK && accepted > record.accepted))
    }

    /// Whether nothing helps this file any more: it was refused again and again, and others were taken before and after.
    pub(super) fn is_given_up(&self, name: &str, accepted: u64) -> bool {
        self.0.get(name).is_some_and(|record| record.to_blame && record.alone && accepted > record.accepted)
    }

    /// It could not be sent, for whatever reason.
    pub(super) fn failed(&mut self, name: String, accepted: u64) {
        self.add(name, 1, false, accepted);
    }

    /// It was refused, though it may be the key that is.
    pub(super) fn refused(&mut self, name: String, accepted: u64) {
        self.add(name, STUCK, true, accepted);
    }

    /// It was refused by itself, though others are taken.
    pub(super) fn refused_alone(&mut self, name: String, accepted: u64) {
        self.0.insert(name, Record { weight: STUCK, accepted, refused: true, to_blame: true, alone: true });
    }

    /// Whether it failed since something was taken last.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn taken(&mut self, name: &str) {
        self.0.remove(name);
    }

    fn add(&mut self, name: String, weight: u32, refused: bool, accepted: u64) {
        let record = self.0.entry(name).or_insert(Record { accepted, ..Record::default() });
        record.to_blame |= record.weight >= STUCK && accepted > record.accepted;
        record.weight = record.weight.saturating_add(weight);
        (record.refused, record.accepted) = (refused, accepted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(records: &mut Records, accepted: u64) -> Vec<String> {
        let mut names: Vec<_> = ["a", "b", "c"].map(str::to_owned).into();
        records.order(&mut names, accepted);
        names
    }

    #[test]
    fn before_anything_is_taken_no_file_is_to_blame() {
        let mut records = Records::default();
        for round in 1..4 {
            for name in ["a", "b", "c"] {
                let first = order(&mut records, 7).remove(0);
                assert_eq!(first, if round == 1 { name } else { "a" });
                assert!(!records.is_suspect(name, 7) && !records.is_given_up(name, 7));
                records.refused(name.into(), 7);
            }
        }
        // One is taken: the others have their old places again.
        records.taken("b");
        assert_eq!(order(&mut records, 8), ["a", "b", "c"]);
        assert!(records.is_suspect("a", 8) && !records.is_given_up("a", 8));
    }

    #[test]
    fn what_is_refused_between_others_goes_last_and_then_away() {
        let mut records = Records::default();
        records.refused("a".into(), 0);
        assert_eq!(order(&mut records, 0), ["b", "c", "a"]);
        assert!(records.is_suspect("a", 1));
        records.refused_alone("a".into(), 1);
        assert_eq!(order(&mut records, 1), ["b", "c", "a"]);
        assert!(!records.is_given_up("a", 1), "nothing was taken after it");
        assert!(records.is_given_up("a", 2));
    }

    #[test]
    fn two_that_always_fail_do_not_take_turns_before_the_others() {
        let mut records = Records::default();
        for name in ["a", "b"] {
            (0..STUCK).for_each(|_| records.failed(name.into(), 0));
        }
        assert_eq!(order(&mut records, 0), ["c", "a", "b"]);
        for name in ["a", "b"] {
            assert_eq!(order(&mut records, 1)[0], name);
            records.failed(name.into(), 1);
        }
        assert_eq!(order(&mut records, 2), ["c", "a", "b"]);
        assert!(!records.is_given_up("a", 3), "it was not refused");
    }
}

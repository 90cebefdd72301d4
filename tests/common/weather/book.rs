//! The account that the server keeps.

use std::collections::{BTreeMap, HashMap, HashSet};
use uuid::Uuid;

#[derive(Default)]
pub(crate) struct Book {
    /// Runs that have come.
    pub(crate) stored: HashSet<Uuid>,
    /// Runs whose coming was answered: to the last byte, or to the end of the head where there is no last byte.
    pub(crate) acknowledged: HashSet<Uuid>,
    /// Runs that came again although they had been acknowledged.
    pub(crate) repeated: HashSet<Uuid>,
    /// Runs that were refused when they came alone, for another reason than that they were compressed.
    pub(crate) refused: HashSet<Uuid>,
    /// The key that each run came with first, whatever the answer was.
    pub(crate) keys: HashMap<Uuid, String>,
    /// Runs that came with another key too.
    pub(crate) strayed: HashSet<Uuid>,
    /// Requests that a forked process has sent.
    pub(crate) from_forks: u64,
    /// What was done to requests, by kind.
    pub(crate) faults: BTreeMap<&'static str, u64>,
    pub(crate) requests: u64,
    /// Requests that may still be left without any answer.
    pub(crate) stalls: u64,
    /// Requests whose key may still be refused.
    pub(crate) refusals: u64,
    /// Answers without an end that the client has not let go yet.
    pub(crate) endless: u64,
    /// The most bytes of one that were sent.
    pub(crate) longest: u64,
}

impl Book {
    pub(super) fn note(&mut self, fault: &'static str) {
        *self.faults.entry(fault).or_default() += 1;
    }

    /// Runs have come with a key, whatever becomes of them.
    pub(super) fn came(&mut self, runs: &[Uuid], key: &str) {
        for run in runs {
            let first = self.keys.entry(*run).or_insert_with(|| key.to_owned());
            if first != key {
                self.strayed.insert(*run);
            }
        }
    }

    pub(super) fn refuse(&mut self, runs: &[Uuid]) {
        if let [run] = runs {
            self.refused.insert(*run);
        }
    }

    /// Says whether all are new.
    pub(super) fn store(&mut self, runs: &[Uuid]) -> bool {
        let mut all_new = true;
        for run in runs {
            if self.acknowledged.contains(run) {
                self.repeated.insert(*run);
            }
            all_new &= self.stored.insert(*run);
        }
        all_new
    }
}

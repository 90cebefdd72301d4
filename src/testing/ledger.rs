//! What is remembered of every run for good: enough to see repeats, lost parents and mixed-up projects.
//!
//! Texts are kept as hashes, so that a million runs take tens of megabytes.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use uuid::Uuid;

use super::invariants::subject;
use super::operation::{Operation, Verb};

/// The hash of an absent text.
const UNKNOWN: u64 = 0;

#[derive(Debug, Default)]
pub(super) struct Ledger {
    runs: HashMap<Uuid, Entry>,
    /// Children by the parent that has not come yet.
    waiting: HashMap<Uuid, Vec<Child>>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    dotted_order: u64,
    project: u64,
    posted: bool,
    /// A 2xx or 409 for the post was delivered.
    answered: bool,
}

#[derive(Debug, Clone, Copy)]
struct Child {
    id: Uuid,
    /// Its dotted order without its own segment.
    above: u64,
    project: u64,
}

/// What an operation turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entered {
    New,
    /// The run had been posted before.
    Repeated,
}

impl Ledger {
    /// How many distinct runs are known.
    pub(super) fn len(&self) -> usize {
        self.runs.len()
    }

    pub(super) fn knows(&self, run: Uuid) -> bool {
        self.runs.contains_key(&run)
    }

    /// Enters one operation. `posted_here` holds the ids that the same request has posted so far.
    pub(super) fn enter(
        &mut self,
        operation: &Operation,
        posted_here: &mut HashSet<Uuid>,
        violations: &mut Vec<String>,
    ) -> Entered {
        match operation.verb {
            Verb::Post => self.post(operation, posted_here, violations),
            Verb::Patch => {
                self.patch(operation, posted_here, violations);
                Entered::New
            }
        }
    }

    /// The answer to these posts was handed to the connection.
    pub(super) fn answered(&mut self, posts: &[Uuid]) {
        for id in posts {
            if let Some(entry) = self.runs.get_mut(id) {
                entry.answered |= entry.posted;
            }
        }
    }

    /// A sentence for every run whose parent was not received so far.
    pub(super) fn orphans(&self) -> Vec<String> {
        let mut sentences: Vec<_> = self
            .waiting
            .iter()
            .flat_map(|(parent, children)| children.iter().map(move |child| (child.id, parent)))
            .map(|(child, parent)| format!("run {child}: its parent {parent} was never received"))
            .collect();
        sentences.sort_unstable();
        sentences
    }

    fn post(
        &mut self,
        operation: &Operation,
        posted_here: &mut HashSet<Uuid>,
        violations: &mut Vec<String>,
    ) -> Entered {
        let id = operation.id;
        if !posted_here.insert(id) {
            violations.push(format!("run {id}: is posted twice in one request"));
            return Entered::Repeated;
        }
        let known = self.runs.get(&id).copied();
        if let Some(known) = known.filter(|known| known.posted) {
            if known.answered {
                violations.push(format!("run {id}: is posted again although its post was answered"));
            }
            return Entered::Repeated;
        }
        let entry = Entry {
            dotted_order: operation.text("dotted_order").map_or(UNKNOWN, digest),
            project: operation.project().map_or(UNKNOWN, digest),
            posted: true,
            answered: false,
        };
        if let Some(patched) = known {
            compare_with_post(operation, entry, patched, violations);
        }
        self.runs.insert(id, entry);
        for child in self.waiting.remove(&id).unwrap_or_default() {
            compare_with_parent(child, id, entry, violations);
        }
        self.place(operation, entry.project, violations);
        Entered::New
    }

    /// Invariants 4 and 5, at once or when the parent comes.
    fn place(&mut self, operation: &Operation, project: u64, violations: &mut Vec<String>) {
        let parent = operation.text("parent_run_id").and_then(|parent| Uuid::try_parse(parent).ok());
        let Some(parent) = parent else { return };
        let above = operation
            .text("dotted_order")
            .and_then(|order| order.rsplit_once('.'))
            .map_or(UNKNOWN, |(above, _)| digest(above));
        let child = Child { id: operation.id, above, project };
        match self.runs.get(&parent).filter(|parent| parent.posted) {
            Some(entry) => compare_with_parent(child, parent, *entry, violations),
            None => self.waiting.entry(parent).or_default().push(child),
        }
    }

    fn patch(&mut self, operation: &Operation, posted_here: &HashSet<Uuid>, violations: &mut Vec<String>) {
        let id = operation.id;
        let patch = Entry {
            dotted_order: operation.text("dotted_order").map_or(UNKNOWN, digest),
            project: operation.project().map_or(UNKNOWN, digest),
            posted: false,
            answered: false,
        };
        let known = *self.runs.entry(id).or_insert(patch);
        if !known.posted {
            violations.push(format!("run {id}: is patched before it was posted"));
        } else if !known.answered && !posted_here.contains(&id) {
            violations.push(format!("run {id}: is patched before its post was answered"));
        }
        compare_with_post(operation, known, patch, violations);
    }
}

fn compare_with_post(operation: &Operation, post: Entry, patch: Entry, violations: &mut Vec<String>) {
    let subject = subject(operation);
    if differ(post.dotted_order, patch.dotted_order) {
        violations.push(format!("{subject}: post and patch have different dotted orders"));
    }
    if differ(post.project, patch.project) {
        violations.push(format!("{subject}: post and patch name different projects"));
    }
}

fn compare_with_parent(child: Child, parent: Uuid, entry: Entry, violations: &mut Vec<String>) {
    let id = child.id;
    if differ(child.above, entry.dotted_order) {
        violations.push(format!("run {id}: its dotted_order is not that of its parent {parent} and its own segment"));
    }
    if differ(child.project, entry.project) {
        violations.push(format!("run {id}: it names another project than its parent {parent}"));
    }
}

fn differ(one: u64, other: u64) -> bool {
    one != UNKNOWN && other != UNKNOWN && one != other
}

fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish().max(UNKNOWN + 1)
}

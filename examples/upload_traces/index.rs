//! Who stands under whom: read in a first pass over the file, in 68 bytes a run however large the runs are.

use std::io::{self, Read};

use chrono::{DateTime, Utc};
use opentelemetry_langsmith::{DottedOrder, RunId};
use uuid::Uuid;

use crate::record::{moment, Head};
use crate::scan::{invalid, Objects};

/// Nothing above, or not known yet.
const NONE: u32 = u32::MAX;
/// On the way up from another run, so that coming here again is a circle.
const CLIMBING: u32 = u32::MAX - 1;
/// A chain longer than this goes on as a trace of its own.
const DEEPEST: u32 = 500;
const NO_START: i64 = i64::MIN;

/// All runs of a file, each under its parent.
pub(crate) struct Index {
    entries: Vec<Entry>,
    /// Trace by trace in the order of the roots in the file; in a trace parents first, then by start.
    order: Vec<u32>,
    /// Microseconds from the file's times to the present.
    pub(crate) shift: i64,
    seed: u64,
    pub(crate) traces: usize,
    pub(crate) notes: Notes,
}

/// What was put right.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    /// Runs whose parent is not in the file: roots of traces of their own.
    pub(crate) without_parent: usize,
    /// Runs that stand under themselves, or too deep: likewise.
    pub(crate) cut: usize,
    /// Runs without a readable start: they take their parent's.
    pub(crate) without_start: usize,
    /// Runs with the id of another one, left out.
    pub(crate) duplicates: usize,
}

struct Entry {
    key: u128,
    parent: u128,
    start: i64,
    offset: u64,
    length: u32,
    above: u32,
    root: u32,
    depth: u32,
}

impl Index {
    /// Reads the places of all runs. The latest time in the file becomes `now`.
    pub(crate) fn read(file: impl Read, now: DateTime<Utc>, seed: u64) -> io::Result<Self> {
        let mut notes = Notes::default();
        let mut entries = Vec::new();
        let mut latest = None;
        let mut objects = Objects::new(file);
        while let Some((offset, object)) = objects.next()? {
            let head: Head<'_> = serde_json::from_slice(object)
                .map_err(|reason| invalid(format!("the run at byte {offset} is no JSON: {reason}")))?;
            let length = u32::try_from(object.len())
                .map_err(|_| invalid(format!("the run at byte {offset} is larger than 4 GiB")))?;
            let start = head.start();
            latest = latest.max(start).max(head.end());
            notes.without_start += usize::from(start.is_none());
            entries.push(Entry {
                key: head.id().map_or(u128::from(offset), |id| key(&id)),
                parent: head.parent().map_or(0, |id| key(&id)),
                start: start.unwrap_or(NO_START),
                offset,
                length,
                above: NONE,
                root: NONE,
                depth: 0,
            });
        }
        if entries.len() >= CLIMBING as usize {
            return Err(invalid("more than 4 billion runs in one file".into()));
        }
        let latest = latest.unwrap_or_else(|| now.timestamp_micros());
        let mut index =
            Self { entries, order: Vec::new(), shift: now.timestamp_micros() - latest, seed, traces: 0, notes };
        index.link(latest);
        Ok(index)
    }

    /// All runs in the order of the upload: where each stands in the file, and what to ask its place by.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (u64, u32, u32)> + '_ {
        self.order.iter().map(|&at| {
            let entry = &self.entries[at as usize];
            (entry.offset, entry.length, at)
        })
    }

    /// The place of a run, from the root down, with the new ids and times.
    pub(crate) fn place(&self, at: u32) -> DottedOrder {
        let mut path = Vec::new();
        let mut next = at;
        while next != NONE {
            let entry = &self.entries[next as usize];
            path.push(self.identity(entry));
            next = entry.above;
        }
        // Step by step, `DottedOrder::child` would go over all ancestors again at each.
        let segments = path.iter().rev().map(|(id, start)| format!("{}{id}", start.format("%Y%m%dT%H%M%S%6fZ")));
        let text = segments.collect::<Vec<_>>().join(".");
        // It cannot be refused: starts never decrease downwards, and the ids are as different as those in the file.
        text.parse().unwrap_or_else(|_| DottedOrder::root(path[0].0, path[0].1))
    }

    /// A UUIDv7 of the new start. All else in it follows from the seed and the id that the run had.
    fn identity(&self, entry: &Entry) -> (RunId, DateTime<Utc>) {
        let start = moment(entry.start.saturating_add(self.shift));
        let hash = Uuid::new_v5(&Uuid::from_u128(entry.key), &self.seed.to_be_bytes()).into_bytes();
        let mut random = [0; 10];
        random.copy_from_slice(&hash[..10]);
        let milliseconds = u64::try_from(start.timestamp_millis()).unwrap_or(0);
        (uuid::Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid().into(), start)
    }

    fn link(&mut self, latest: i64) {
        self.entries.sort_unstable_by_key(|entry| (entry.key, entry.offset));
        let all = self.entries.len();
        self.entries.dedup_by_key(|entry| entry.key);
        self.notes.duplicates = all - self.entries.len();

        for at in 0..self.entries.len() {
            let Entry { parent, key, .. } = self.entries[at];
            if parent == 0 {
                continue;
            }
            match self.entries.binary_search_by_key(&parent, |entry| entry.key) {
                Ok(above) if parent != key => self.entries[at].above = u32::try_from(above).unwrap_or(NONE),
                Ok(_) => self.notes.cut += 1,
                Err(_) => self.notes.without_parent += 1,
            }
        }
        let mut path = Vec::new();
        for at in 0..u32::try_from(self.entries.len()).unwrap_or(NONE) {
            self.climb(at, latest, &mut path);
        }
        self.order = (0..u32::try_from(self.entries.len()).unwrap_or(NONE)).collect();
        let entries = &self.entries;
        self.order.sort_unstable_by_key(|&at| {
            let entry = &entries[at as usize];
            (entries[entry.root as usize].offset, entry.depth, entry.start, entry.offset)
        });
        self.traces = entries.iter().filter(|entry| entry.above == NONE).count();
    }

    /// Settles root, depth and start of a run and of all above it.
    fn climb(&mut self, from: u32, latest: i64, path: &mut Vec<u32>) {
        let mut at = from;
        while at != NONE && self.entries[at as usize].root == NONE {
            self.entries[at as usize].root = CLIMBING;
            path.push(at);
            at = self.entries[at as usize].above;
        }
        if at != NONE && self.entries[at as usize].root == CLIMBING {
            // The topmost of the path stands under one further down: it becomes a root.
            if let Some(&top) = path.last() {
                self.entries[top as usize].above = NONE;
                self.notes.cut += 1;
            }
        }
        while let Some(at) = path.pop() {
            let above = self.entries[at as usize].above;
            let over = (above != NONE).then(|| &self.entries[above as usize]);
            let over = over.map(|entry| (entry.root, entry.depth + 1, entry.start));
            let (root, depth, earliest) = match over {
                Some(place) if place.1 < DEEPEST => place,
                Some(_) => {
                    self.notes.cut += 1;
                    (at, 0, NO_START)
                }
                None => (at, 0, NO_START),
            };
            let entry = &mut self.entries[at as usize];
            if root == at {
                entry.above = NONE;
            }
            (entry.root, entry.depth) = (root, depth);
            // LangSmith refuses a child that starts before its parent.
            entry.start = entry.start.max(earliest);
            if entry.start == NO_START {
                entry.start = latest;
            }
        }
    }
}

/// Ids are UUIDs; whatever else a file has becomes one.
fn key(id: &str) -> u128 {
    Uuid::try_parse(id).unwrap_or_else(|_| Uuid::new_v5(&Uuid::NAMESPACE_OID, id.as_bytes())).as_u128()
}

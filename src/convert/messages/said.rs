//! What messages said, and may say again: an answer goes into the next call and may be what an agent answers, and what
//! an agent is asked its model is asked. What stands beside the parts may differ, so they are what is known.

use super::common::{self, Shape};
use crate::json::walk::Walk;
use std::collections::VecDeque;
use std::ops::RangeInclusive;

/// How many lists of parts are kept.
const MOST: usize = 16;
/// How long they are. Shorter ones are read again sooner than they are found.
const LENGTHS: RangeInclusive<usize> = 128..=32 << 10;

/// The last lists of parts, and what they became.
#[derive(Debug, Default)]
pub(super) struct Said {
    known: VecDeque<Parts>,
    /// The one that is read now.
    new: Parts,
}

#[derive(Debug, Default)]
pub(super) struct Parts {
    /// The list as it came.
    list: String,
    /// What stands in it where lists that begin alike should differ.
    probe: Probe,
    /// The members of a message that it became.
    pub(super) written: String,
    pub(super) shape: Shape,
}

type Probe = [u8; 8];

fn probe(list: &[u8]) -> Option<&Probe> {
    list.get(..*LENGTHS.start())?.last_chunk()
}

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Known(usize),
    New,
}

impl Said {
    pub(super) fn get(&self, which: Which) -> &Parts {
        match which {
            Which::Known(number) => &self.known[number],
            Which::New => &self.new,
        }
    }

    /// Goes past the list of parts that comes next, if it is known.
    pub(super) fn find(&self, walk: &mut Walk<'_>) -> Option<Which> {
        let mut found = None;
        walk.known(|text| {
            let probe = probe(text)?;
            let is_next = |parts: &Parts| parts.probe == *probe && text.starts_with(parts.list.as_bytes());
            let number = self.known.iter().position(is_next)?;
            found = Some(Which::Known(number));
            Some(self.known[number].list.len())
        })?;
        found
    }

    /// Reads and writes the list of parts that comes next, if all of them are common. Which of them are new is known
    /// until the next are read.
    pub(super) fn read(&mut self, walk: &mut Walk<'_>) -> Option<Which> {
        self.new.written.clear();
        self.new.shape = common::write(walk, &mut self.new.written)?;
        Some(Which::New)
    }

    /// Keeps the new ones.
    pub(super) fn keep(&mut self, list: &str) {
        if !LENGTHS.contains(&list.len()) || self.new.written.len() > *LENGTHS.end() {
            return;
        }
        let Some(probe) = probe(list.as_bytes()) else { return };
        self.new.probe = *probe;
        list.clone_into(&mut self.new.list);
        // The oldest has to go, and leaves its memory.
        let oldest = if self.known.len() == MOST { self.known.pop_front() } else { None };
        let new = std::mem::replace(&mut self.new, oldest.unwrap_or_default());
        self.known.push_back(new);
    }

    /// Keeps parts that were written elsewhere.
    pub(super) fn keep_written(&mut self, list: &str, written: &str, shape: Shape) {
        written.clone_into(&mut self.new.written);
        self.new.shape = shape;
        self.keep(list);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{History, Messages, Side};
    use super::*;

    /// How many lists of parts are known after this one was read as well.
    fn known(history: &mut History, side: Side, role: &str, text: &str) -> usize {
        let mut messages = Messages::on(side).with_memory(String::new(), std::mem::take(history));
        let list = format!(r#"[{{"role":"{role}","parts":[{{"type":"text","content":"{text}"}}]}}]"#);
        assert!(messages.push_parts(&list));
        *history = messages.into_history();
        history.said.known.len()
    }

    #[test]
    fn what_is_known_is_not_read_again() {
        let [question, answer] = ["?", "!"].map(|text| text.repeat(200));
        let mut history = History::default();
        let mut known = |side, role, text: &str| known(&mut history, side, role, text);
        assert_eq!(known(Side::Inputs, "user", &question), 1);
        assert_eq!(known(Side::Outputs, "assistant", &answer), 2);
        // The same is not kept twice, so it was found.
        assert_eq!(known(Side::Outputs, "model", &answer), 2);
        assert_eq!(known(Side::Inputs, "user", &question), 2);
        // It goes on in another way.
        assert_eq!(known(Side::Outputs, "assistant", &format!("{answer} ")), 3);
        // These come with their conversation.
        assert_eq!(known(Side::Inputs, "system", &"s".repeat(200)), 3);
        assert_eq!(known(Side::Inputs, "assistant", &"a".repeat(200)), 3);
    }

    #[test]
    fn keeps_the_last_ones_and_not_much() {
        let mut history = History::default();
        let mut known = |text: &str| known(&mut history, Side::Outputs, "assistant", text);
        assert_eq!(known("short"), 0);
        assert_eq!(known(&"long ".repeat(10_000)), 0);
        for number in 0..40 {
            assert_eq!(known(&format!("{number} ").repeat(100)), MOST.min(number + 1));
        }
        let is_known = |history: &History, number| {
            let text = format!("{number} ").repeat(100);
            history.said.known.iter().any(|parts| parts.list.contains(&text))
        };
        assert!(is_known(&history, 39) && is_known(&history, 40 - MOST) && !is_known(&history, 39 - MOST));
    }
}

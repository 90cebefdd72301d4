//! What messages said, and may say again: an answer goes into the next call and may be what an agent answers, what an
//! agent is asked its model is asked, what a tool answers goes to the model, and instructions stay the same. What stands
//! beside may differ, so whole lists of parts are known, and what tools answered.

use super::common::{self, Shape};
use crate::json::walk::Walk;
use std::ops::RangeInclusive;

/// How many texts are kept.
const MOST: usize = 32;
/// How long they are. Shorter ones are read again sooner than they are found.
const LENGTHS: RangeInclusive<usize> = 128..=32 << 10;

#[derive(Debug, Default)]
pub(super) struct Said {
    known: Known,
    /// What is read now.
    new: Piece,
}

/// The last pieces.
#[derive(Debug, Default)]
pub(super) struct Known {
    pieces: Vec<Piece>,
    /// Of each piece, where texts that begin alike should differ.
    probes: Vec<u64>,
    /// Once there are as many as may be.
    oldest: usize,
}

#[derive(Debug, Default)]
pub(super) struct Piece {
    /// Known to be one whole value.
    text: String,
    /// The members of a message that it became.
    pub(super) written: String,
    pub(super) shape: Shape,
}

/// Which of the pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Known(usize),
    New,
}

impl Said {
    pub(super) fn get(&self, which: Which) -> &Piece {
        match which {
            Which::Known(number) => &self.known.pieces[number],
            Which::New => &self.new,
        }
    }

    /// Goes past the list of parts that comes next, if it is known.
    pub(super) fn find(&self, walk: &mut Walk<'_>) -> Option<Which> {
        let mut found = None;
        walk.known(|text| {
            let number = self.known.find(text, |shape| shape != Shape::Value)?;
            found = Some(Which::Known(number));
            Some(self.known.pieces[number].text.len())
        })?;
        found
    }

    /// Reads and writes the list of parts that comes next, if all of them are common. It is the new one until the next
    /// is read.
    pub(super) fn read(&mut self, walk: &mut Walk<'_>) -> Option<Which> {
        self.new.written.clear();
        self.new.shape = common::write(walk, &self.known, &mut self.new.written)?;
        Some(Which::New)
    }

    /// Keeps the new one, which was read from this text.
    pub(super) fn keep(&mut self, text: &str) {
        if self.new.written.len() > *LENGTHS.end() || text.len() > *LENGTHS.end() {
            return;
        }
        let Some(probe) = probe(text.as_bytes()) else { return };
        text.clone_into(&mut self.new.text);
        let Known { pieces, probes, oldest } = &mut self.known;
        if pieces.len() < MOST {
            pieces.push(std::mem::take(&mut self.new));
            probes.push(probe);
        } else {
            // It leaves its memory.
            std::mem::swap(&mut pieces[*oldest], &mut self.new);
            probes[*oldest] = probe;
            *oldest = (*oldest + 1) % MOST;
        }
    }

    /// Lets go of what one huge message needed.
    pub(super) fn keep_little(&mut self) {
        if self.new.written.capacity() > 2 * LENGTHS.end() {
            self.new.written = String::new();
        }
    }

    /// Keeps a list of parts that was written elsewhere.
    pub(super) fn keep_written(&mut self, list: &str, written: &str, shape: Shape) {
        written.clone_into(&mut self.new.written);
        self.new.shape = shape;
        self.keep(list);
    }

    /// Keeps a value that may come in a message.
    pub(super) fn keep_value(&mut self, json: &str) {
        self.keep_written(json, "", Shape::Value);
    }
}

impl Piece {
    /// Whether it says nothing, which an empty list does not even say.
    pub(super) fn is_empty(&self) -> bool {
        self.written.ends_with(":\"\"")
    }
}

impl Known {
    /// Goes past the value that comes next, if it is known.
    pub(super) fn value<'a>(&self, walk: &mut Walk<'a>) -> Option<&'a str> {
        walk.known(|text| Some(self.pieces[self.find(text, |_| true)?].text.len()))
    }

    /// The piece that a text begins with.
    fn find(&self, text: &[u8], is_right: impl Fn(Shape) -> bool) -> Option<usize> {
        let probe = probe(text)?;
        let is_next = |piece: &Piece| is_right(piece.shape) && text.starts_with(piece.text.as_bytes());
        let mut number = 0;
        loop {
            number += self.probes[number..].iter().position(|other| *other == probe)?;
            if is_next(&self.pieces[number]) {
                return Some(number);
            }
            number += 1;
        }
    }
}

fn probe(text: &[u8]) -> Option<u64> {
    text.get(..*LENGTHS.start())?.last_chunk().copied().map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::super::{History, Messages, Side};
    use super::*;

    /// How many pieces are known after this one was read as well.
    fn known(history: &mut History, side: Side, role: &str, text: &str) -> usize {
        let mut messages = Messages::on(side).with_memory(String::new(), std::mem::take(history));
        let list = format!(r#"[{{"role":"{role}","parts":[{{"type":"text","content":"{text}"}}]}}]"#);
        assert!(messages.push_parts(&list));
        *history = messages.into_history();
        history.said().known.pieces.len()
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
    fn a_huge_message_leaves_no_memory() {
        let mut history = History::default();
        assert_eq!(known(&mut history, Side::Inputs, "user", &"long ".repeat(100_000)), 0);
        assert!(history.said().new.written.capacity() <= 2 * LENGTHS.end());
    }

    #[test]
    fn keeps_the_last_ones_and_not_much() {
        let mut history = History::default();
        let mut known = |text: &str| known(&mut history, Side::Outputs, "assistant", text);
        assert_eq!(known("short"), 0);
        assert_eq!(known(&"long ".repeat(10_000)), 0);
        for number in 0..60 {
            assert_eq!(known(&format!("{number} ").repeat(100)), MOST.min(number + 1));
        }
        let mut is_known = |number| {
            let text = format!("{number} ").repeat(100);
            history.said().known.pieces.iter().any(|piece| piece.text.contains(&text))
        };
        assert!(is_known(59) && is_known(60 - MOST) && !is_known(59 - MOST));
    }
}

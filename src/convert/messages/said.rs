//! What messages said, and may say again: an answer goes into the next call and may be what an agent answers, and what
//! an agent is asked its model is asked. What stands beside the parts may differ, so they are what is known.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

/// How many lists of parts are kept.
const MOST: usize = 16;
/// How long they are. Shorter ones are read again sooner than they are found.
const LENGTHS: RangeInclusive<usize> = 128..=32 << 10;

/// The last lists of parts, the latest at the end.
#[derive(Debug, Default)]
pub(super) struct Said(VecDeque<Piece>);

#[derive(Debug, Default)]
pub(super) struct Piece {
    /// The list as it came.
    parts: String,
    /// The members of a message that it became: content, and calls of tools.
    pub(super) written: String,
    pub(super) has_calls: bool,
}

impl Said {
    /// The list that a text begins with, if it is known: its number, and how long it is.
    pub(super) fn find(&self, text: &[u8]) -> Option<(usize, usize)> {
        // Few texts have a bracket just where a list of another ends.
        let is_known = |parts: &[u8]| text.get(parts.len() - 1) == Some(&b']') && text.starts_with(parts);
        let number = self.0.iter().position(|piece| is_known(piece.parts.as_bytes()))?;
        Some((number, self.0[number].parts.len()))
    }

    pub(super) fn get(&self, number: usize) -> Option<&Piece> {
        self.0.get(number)
    }

    /// Keeps a list of parts that was read as a whole.
    pub(super) fn keep(&mut self, parts: &str, written: &str, has_calls: bool) {
        if !LENGTHS.contains(&parts.len()) || written.len() > *LENGTHS.end() {
            return;
        }
        // The oldest has to go, and leaves its memory.
        let oldest = if self.0.len() == MOST { self.0.pop_front() } else { None };
        let mut piece = oldest.unwrap_or_default();
        parts.clone_into(&mut piece.parts);
        written.clone_into(&mut piece.written);
        piece.has_calls = has_calls;
        self.0.push_back(piece);
    }
}

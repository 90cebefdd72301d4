//! Whether a refusal is about one piece of a batch, about how it was sent, or about everything.

use super::{Delivery, Outcome};
use crate::sender::batch::Batch;
use crate::sender::circuit::{Pass, Refused, Suspect, LAST_PROBES};
use crate::sender::in_flight::{Flight, Piece, Refusal};
use crate::stats::DropReason;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// A piece that the server fails at so often is sent in parts.
pub(super) const FAILURES: u32 = 4;
/// One run is given up when it was refused so often, with growing waits in between, and others were accepted.
const REFUSALS: u32 = 4;
/// So many single runs find out whether it is about what one of them says.
const SCOUTS: usize = 3;

/// The server has failed at a piece.
#[derive(Debug)]
pub(super) struct Failure {
    /// Requests that had been accepted when it was sent.
    pub(super) accepted: u64,
    /// When the next try is due, and how many flushes had begun before.
    pub(super) next: Instant,
    pub(super) flushes: u64,
}

/// What the next try waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    No,
    /// It fails, as far as is known, at everything.
    ForServer,
    /// It takes what others say.
    ForLuck,
}

/// A piece is sent in parts.
#[derive(Debug)]
pub(super) struct Split {
    pub(super) too_large: bool,
    /// So many of them have one run; otherwise there are two halves.
    pub(super) scouts: usize,
    pub(super) words: String,
}

impl Split {
    pub(super) fn halves(words: String) -> Self {
        Self { too_large: false, scouts: 0, words }
    }

    pub(super) fn scouts(words: String) -> Self {
        Self { scouts: SCOUTS, ..Self::halves(words) }
    }
}

impl Delivery {
    /// What becomes of a piece, before it is sent again, when others tell that it is to blame.
    ///
    /// `accepted` is how many requests were accepted by now, and `before` when it was sent first.
    pub(super) fn is_to_blame(&self, piece: &Piece, accepted: u64, before: u64, tries: u32) -> Option<Outcome> {
        let is_one = piece.batch.runs <= 1;
        if let Some(refusal) = piece.refusal.as_ref().filter(|refusal| !refusal.is_about_key) {
            let words = || refusal.words.clone();
            if !is_one {
                // Single runs tell whether it is the key, and then halves which run it is.
                let split = if piece.refusals == 1 { Split::scouts(words()) } else { Split::halves(words()) };
                return Some(Outcome::Split(split));
            }
            // When others are accepted, it is to blame.
            if accepted > refusal.accepted && refusal.times >= REFUSALS {
                return Some(Outcome::Split(Split::halves(words())));
            }
            if refusal.last_times >= LAST_PROBES {
                return Some(Outcome::GivenUp(DropReason::Unauthorized));
            }
        }
        // What breaks connections at this batch alone may do so because of one run.
        if tries >= FAILURES && !is_one && accepted > before {
            return Some(Outcome::Split(Split::halves(self.notices.last_failure().unwrap_or_default())));
        }
        None
    }

    /// The server has failed at the first piece, for whatever reason. It is sent once more, in parts after some failures,
    /// and after the others of its batch. Says what it waits for.
    pub(super) fn after_failure(&self, flight: &mut Flight, piece: Piece, failure: &Failure) -> Wait {
        let failures = piece.failures + 1;
        let failed_at = piece.failed_at.unwrap_or(failure.accepted);
        let piece = Piece { failures, failed_at: Some(failed_at), was_tried: true, ..piece };
        let many = failures >= FAILURES;
        if many && self.is_zstd_unknown(&piece.batch) {
            if let Ok(batch) = piece.batch.uncompressed() {
                flight.replace(vec![Piece { batch, was_compressed: true, ..piece }]);
                return Wait::ForServer;
            }
        }
        // To split it is to unpack it, so that is not done before it is asked for.
        match many.then(|| piece.split(0, self.level)).flatten() {
            Some(halves) => flight.replace(halves),
            None => flight.put_last(piece),
        }
        // Where others are accepted it is no outage, and what was not tried need not wait.
        match self.circuit.accepted() > failed_at {
            false => Wait::ForServer,
            true if flight.next().is_some_and(|next| next.was_tried) => Wait::ForLuck,
            true => Wait::No,
        }
    }

    /// The key or the workspace is refused for everybody, or this piece for what it says.
    pub(super) fn suspected(&self, pass: Pass<'_>, piece: &Piece, status: u16, words: &str) -> Refusal {
        let (times, last_times) = piece.refusal.as_ref().map_or((0, 0), |refusal| (refusal.times, refusal.last_times));
        let refused = Refused {
            status,
            runs: piece.batch.runs,
            suspected: piece.refusal.is_some(),
            has_siblings: piece.has_siblings,
        };
        let flushes = pass.flushes;
        let (wait, accepted) = self.unauthorized(pass, refused, words, times);
        let is_about_key = status == 401;
        let is_many = piece.batch.runs > 1 && !is_about_key;
        let is_decided = is_many || times + 1 >= REFUSALS;
        Refusal {
            // Its parts need not wait for anything.
            suspect: Suspect {
                until: Instant::now() + if is_many { Duration::ZERO } else { wait },
                flushes,
                accepted: is_decided.then_some(accepted),
            },
            words: format!("{status}: {words}"),
            is_about_key,
            accepted,
            times: times + 1,
            last_times: last_times + u32::from(self.hurry.borrow().last),
        }
    }

    /// Whether a refusal may be about the compression: no run is named in it, and nothing that was compressed is known
    /// to have been accepted. One of many servers may read no zstd, so one run alone is never given up for what it was
    /// told by a 400 when it was compressed.
    pub(in crate::sender) fn may_be_zstd(&self, batch: &Batch, words: &str) -> bool {
        let is_unknown =
            self.is_zstd_unknown(batch) && ["400", "406", "422"].iter().any(|code| words.starts_with(code));
        let is_one = batch.compressed && batch.runs == 1 && words.starts_with("400");
        (is_unknown || is_one) && !batch.is_named_in(words)
    }

    /// Whether a batch is compressed, and it is not known whether the server reads that.
    pub(super) fn is_zstd_unknown(&self, batch: &Batch) -> bool {
        batch.compressed && !self.transport.features.zstd_works.load(Ordering::Relaxed)
    }

    /// A piece was accepted.
    pub(in crate::sender) fn learned_of_zstd(&self, piece: &Piece) {
        if piece.batch.compressed {
            self.transport.features.zstd_works.store(true, Ordering::Relaxed);
        } else if piece.was_compressed {
            // As it was, it had been refused.
            self.transport.features.no_zstd();
        }
    }
}

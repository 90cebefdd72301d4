//! Whether a refusal is about one piece of a batch, about how it was sent, or about everything.

use super::{Delivery, Outcome};
use crate::run::RunId;
use crate::sender::batch::Batch;
use crate::sender::circuit::{Pass, Refused, Suspect, LAST_PROBES};
use crate::sender::in_flight::{Piece, Refusal};
use crate::stats::DropReason;
use std::sync::atomic::Ordering;
use tokio::time::Instant;

/// A piece that fails so often while others are accepted is sent in parts.
const FAILURES: u32 = 4;
/// One run is given up when it, and what it was a part of, was refused so often while others were accepted.
const REFUSALS: u32 = 3;

impl Delivery {
    /// What becomes of a piece, before it is sent again, when others tell that it is to blame.
    ///
    /// `accepted` is how many requests were accepted by now, and `before` when it was sent first.
    pub(super) fn is_to_blame(&self, piece: &Piece, accepted: u64, before: u64, tries: u32) -> Option<Outcome> {
        let is_one = piece.batch.runs <= 1;
        let split = |words| Some(Outcome::Split { too_large: false, words });
        if let Some(refusal) = &piece.refusal {
            // Its halves tell more. And when others are accepted, it is to blame.
            let is_proven = accepted > refusal.accepted && piece.refusals >= REFUSALS;
            if !is_one || is_proven {
                return split(refusal.words.clone());
            }
            if refusal.last_times >= LAST_PROBES {
                return Some(Outcome::GivenUp(DropReason::Unauthorized));
            }
        }
        // A server that fails at this batch alone may do so because of one run.
        if tries >= FAILURES && !is_one && accepted > before {
            return split(self.notices.last_failure().unwrap_or_default());
        }
        None
    }

    /// The key or the workspace is refused for everybody, or this piece for what it says.
    pub(super) fn suspected(&self, pass: Pass<'_>, piece: &Piece, status: u16, words: &str) -> Refusal {
        let (times, last_times) = piece.refusal.as_ref().map_or((0, 0), |refusal| (refusal.times, refusal.last_times));
        let refused = Refused { status, runs: piece.batch.runs, suspected: piece.refusal.is_some() };
        let flushes = pass.flushes;
        let (wait, accepted) = self.unauthorized(pass, refused, words, times);
        let refusals = piece.refusals + 1;
        let is_decided = piece.batch.runs > 1 || refusals >= REFUSALS;
        Refusal {
            suspect: Suspect { until: Instant::now() + wait, flushes, accepted: is_decided.then_some(accepted) },
            words: format!("{status}: {words}"),
            accepted,
            times: times + 1,
            last_times: last_times + u32::from(self.hurry.borrow().last),
        }
    }

    /// Whether a refusal may be about the compression: no run is named in it, and nothing that was compressed is known
    /// to have been accepted. One of many servers may read no zstd, so one run alone is never given up for what it was
    /// told when it was compressed.
    pub(in crate::sender) fn may_be_zstd(&self, batch: &Batch, words: &str) -> bool {
        let works = self.transport.features.zstd_works.load(Ordering::Relaxed);
        batch.compressed && (!works || batch.runs == 1) && words.starts_with("400") && !names_a_run(words)
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

/// Whether an answer says which run it is about.
fn names_a_run(words: &str) -> bool {
    let mut ids = words.split(|c: char| !c.is_ascii_hexdigit() && c != '-');
    ids.any(|id| id.len() == 36 && id.parse::<RunId>().is_ok())
}

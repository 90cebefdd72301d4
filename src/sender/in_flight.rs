//! A batch that is on its way, in the pieces that are still to be delivered.

use super::batch::Batch;
use super::circuit::Suspect;
use super::queue::Queue;
use super::share::Share;
use crate::stats::DropReason;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// A part of a batch; the whole of it at first.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) batch: Batch,
    /// Its one run has lost its largest fields already.
    pub(super) was_cut: bool,
    /// It was refused before, when it was compressed.
    pub(super) was_compressed: bool,
    /// What was said when it was refused by a 401 or a 403, or by another answer that may be about one run.
    pub(super) refusal: Option<Refusal>,
    /// How often the pieces were refused that it was a part of, and itself.
    pub(super) refusals: u32,
    /// How often the server failed at those, and how many requests had been accepted when it did so first.
    pub(super) failures: u32,
    pub(super) failed_at: Option<u64>,
    /// The server failed at itself.
    pub(super) was_tried: bool,
    /// There are other pieces of its batch.
    pub(super) has_siblings: bool,
}

/// The last refusal of a piece.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) words: String,
    /// It is about the key, whatever the piece says.
    pub(super) is_about_key: bool,
    pub(super) suspect: Suspect,
    /// Requests that had been accepted by then.
    pub(super) accepted: u64,
    /// How often it was refused, and how often of that during the last flush.
    pub(super) times: u32,
    pub(super) last_times: u32,
}

impl Piece {
    pub(super) fn new(batch: Batch) -> Self {
        Self {
            batch,
            was_cut: false,
            was_compressed: false,
            refusal: None,
            refusals: 0,
            failures: 0,
            failed_at: None,
            was_tried: false,
            has_siblings: false,
        }
    }

    /// The parts of its batch that [`Batch::split`] gives.
    pub(super) fn split(&self, scouts: usize, level: Option<i32>) -> Option<Vec<Self>> {
        let batches = self.batch.split(scouts, level)?.into_iter();
        Some(
            batches
                .map(|batch| Self { batch, was_compressed: false, refusal: None, was_tried: false, ..self.clone() })
                .collect(),
        )
    }
}

/// A batch that is on its way. Whatever ends the delivery, a panic and an abort included, each run is counted and the
/// batch is reported as done.
pub(crate) struct Flight {
    pub(crate) number: u64,
    pieces: VecDeque<Piece>,
    /// When the batch was finished.
    pub(super) finished: Instant,
    /// It has to be behind others that are on disk.
    pub(crate) to_disk: bool,
    /// Some of its runs are on disk.
    kept: bool,
    pub(super) queue: Arc<Queue>,
    /// Its memory, which counts until the last run is done.
    share: Share,
    done: mpsc::UnboundedSender<Done>,
}

/// What a batch costs beside its body.
const BESIDE: usize = 512;

/// A batch's delivery has ended.
pub(crate) struct Done {
    pub(crate) number: u64,
    /// Some of its runs are on disk.
    pub(crate) kept: bool,
    /// What it did not come to. These runs are counted as dropped.
    pub(crate) left: Vec<Batch>,
    /// What for.
    pub(crate) reason: DropReason,
}

impl Flight {
    pub(crate) fn new(number: u64, batch: Batch, queue: Arc<Queue>, done: mpsc::UnboundedSender<Done>) -> Self {
        let (pieces, finished) = (VecDeque::from([Piece::new(batch)]), Instant::now());
        let share = Share::new(Arc::clone(&queue));
        let mut flight = Self { number, pieces, finished, to_disk: false, kept: false, queue, share, done };
        flight.count();
        flight
    }

    /// Counts the memory that it takes now.
    fn count(&mut self) {
        self.share.set(self.bytes());
    }

    /// The memory that it takes.
    fn bytes(&self) -> usize {
        BESIDE + self.pieces.iter().map(|piece| piece.batch.body.len()).sum::<usize>()
    }

    /// What is to be delivered next; it stays here until it is known what became of it.
    pub(super) fn next(&self) -> Option<Piece> {
        let piece = self.pieces.front()?.clone();
        Some(Piece { has_siblings: self.pieces.len() > 1, ..piece })
    }

    pub(super) fn replace(&mut self, pieces: Vec<Piece>) {
        self.pieces.pop_front();
        pieces.into_iter().rev().for_each(|piece| self.pieces.push_front(piece));
        self.count();
    }

    /// The first piece was refused, perhaps for what it says: the others go first.
    pub(super) fn suspect(&mut self, refusal: Refusal) {
        if let Some(mut piece) = self.pieces.pop_front() {
            piece.refusals += 1;
            piece.refusal = Some(refusal);
            self.pieces.push_back(piece);
        }
    }

    /// The first piece is sent again after the others.
    pub(super) fn put_last(&mut self, piece: Piece) {
        self.pieces.pop_front();
        self.pieces.push_back(piece);
    }

    pub(super) fn sent(&mut self) {
        if let Some(piece) = self.pieces.pop_front() {
            self.queue.counters.sent(piece.batch.runs);
            self.count();
        }
    }

    /// The spool has counted them.
    pub(super) fn kept(&mut self) {
        self.kept = true;
        self.pieces.pop_front();
        self.count();
    }

    /// It is dropped, but there is a file of it.
    pub(super) fn quarantined(&mut self) {
        drop(self.dropped(DropReason::Refused));
    }

    pub(super) fn dropped(&mut self, reason: DropReason) -> Option<Batch> {
        let piece = self.pieces.pop_front()?;
        self.queue.counters.drop_taken(reason, piece.batch.runs);
        self.count();
        Some(piece.batch)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let left: Vec<_> = std::mem::take(&mut self.pieces).into_iter().map(|piece| piece.batch).collect();
        let reason = if std::thread::panicking() { DropReason::Panicked } else { DropReason::ShutDown };
        self.queue.counters.drop_taken(reason, left.iter().map(|batch| batch.runs).sum());
        // Nobody listens any more when the sender has ended.
        let _ = self.done.send(Done { number: self.number, kept: self.kept, left, reason });
    }
}

//! Counters that add up at any moment.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why a run was not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// The queue held as many bytes as it may.
    QueueFull,
    /// It came after the shutdown, or the shutdown's time ran out.
    ShutDown,
    /// The key or the workspace was not accepted (401, 403).
    Unauthorized,
    /// The server refused this very run (400, 413, 422 or another lasting answer).
    Refused,
    /// The server could not be reached, or kept failing, until the retry deadline.
    Unreachable,
    /// Converting it panicked.
    Panicked,
}

impl DropReason {
    /// All reasons there are.
    pub const ALL: [Self; 6] =
        [Self::QueueFull, Self::ShutDown, Self::Unauthorized, Self::Refused, Self::Unreachable, Self::Panicked];

    /// A word or two for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue full",
            Self::ShutDown => "shut down",
            Self::Unauthorized => "unauthorized",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Panicked => "panicked",
        }
    }
}

/// Where all runs are that were ever handed in. Each is counted in exactly one place:
/// `submitted == queued + in_flight + sent + spooled + dropped_total()`, at any moment.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// All runs handed in: sampled spans that ended, and runs submitted by hand.
    pub submitted: u64,
    /// Waiting in the queue, or for a parent.
    pub queued: u64,
    /// In a batch that fills up, is on its way or waits for another try.
    pub in_flight: u64,
    /// Taken by the server.
    pub sent: u64,
    /// Written to disk.
    pub spooled: u64,
    dropped: [u64; DropReason::ALL.len()],
}

impl Stats {
    /// Runs that were given up for a reason.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize]
    }

    /// Runs that were given up for any reason.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// What was dropped since `before`, in words.
    pub(crate) fn dropped_text(&self, before: &Self) -> String {
        let counts = DropReason::ALL.into_iter().filter_map(|reason| {
            let dropped = self.dropped(reason) - before.dropped(reason);
            (dropped > 0).then(|| format!("{dropped} {}", reason.as_str()))
        });
        counts.collect::<Vec<_>>().join(", ")
    }
}

impl std::fmt::Display for Stats {
    /// `7 submitted: 2 queued, 1 in flight, 3 sent, 1 refused`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { submitted, queued, in_flight, sent, spooled, .. } = self;
        write!(f, "{submitted} submitted: {queued} queued, {in_flight} in flight, {sent} sent")?;
        if *spooled > 0 {
            write!(f, ", {spooled} spooled")?;
        }
        if self.dropped_total() > 0 {
            write!(f, ", {}", self.dropped_text(&Self::default()))?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Stats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stats({self})")
    }
}

/// The counters behind [`Stats`]. All of them only grow, and a run passes them in one order:
/// submitted, taken off the queue, done. Read in the opposite order they cannot contradict each
/// other, so no lock is needed.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    submitted: AtomicU64,
    taken: AtomicU64,
    sent: AtomicU64,
    spooled: AtomicU64,
    dropped: [AtomicU64; DropReason::ALL.len()],
}

impl Counters {
    pub(crate) fn submit(&self, runs: u64) {
        self.submitted.fetch_add(runs, Ordering::SeqCst);
    }

    pub(crate) fn take(&self, runs: u64) {
        self.taken.fetch_add(runs, Ordering::SeqCst);
    }

    pub(crate) fn sent(&self, runs: u64) {
        self.sent.fetch_add(runs, Ordering::SeqCst);
    }

    /// Gives up runs that were taken off the queue.
    pub(crate) fn drop_taken(&self, reason: DropReason, runs: u64) {
        self.dropped[reason as usize].fetch_add(runs, Ordering::SeqCst);
    }

    /// Gives up runs that never reached the queue. The first time for a reason says so.
    pub(crate) fn drop_submitted(&self, reason: DropReason, runs: u64) -> bool {
        self.submit(runs);
        self.take(runs);
        self.dropped[reason as usize].fetch_add(runs, Ordering::SeqCst) == 0
    }

    pub(crate) fn stats(&self) -> Stats {
        let dropped = std::array::from_fn(|reason| self.dropped[reason].load(Ordering::SeqCst));
        let sent = self.sent.load(Ordering::SeqCst);
        let spooled = self.spooled.load(Ordering::SeqCst);
        let taken = self.taken.load(Ordering::SeqCst);
        let submitted = self.submitted.load(Ordering::SeqCst);
        let done = sent + spooled + dropped.iter().sum::<u64>();
        Stats {
            submitted,
            queued: submitted.saturating_sub(taken),
            in_flight: taken.saturating_sub(done),
            sent,
            spooled,
            dropped,
        }
    }
}

//! Counters that add up at any moment.

use crate::padded::Padded;
use std::sync::atomic::{AtomicU64, Ordering};

/// Why a run was not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// The queue held as many bytes as it may.
    QueueFull,
    /// It came after the shutdown, or the shutdown's time ran out.
    ShutDown,
    /// The key or the workspace was not accepted (401, 403) until the retry deadline.
    Unauthorized,
    /// LangSmith took no more because of a rate limit or a quota (429) until the retry deadline.
    RateLimited,
    /// The server refused this very run (400, 413, 422 or another lasting answer).
    Refused,
    /// The server could not be reached, or kept failing, until the retry deadline.
    Unreachable,
    /// Converting it panicked, or the hook of [`Config::with_on_run`](crate::Config::with_on_run) did.
    Panicked,
    /// The hook of [`Config::with_on_run`](crate::Config::with_on_run) did not want it. That is no
    /// loss: no flush and no shutdown complains of it.
    Hook,
    /// It should have been kept on disk, but there were as many bytes as may be.
    SpoolFull,
    /// It was handed over in a process that was forked after the client was made: the thread that sends
    /// stayed behind. What the first process had not sent by the fork counts there, and in the copy here too.
    Forked,
}

impl DropReason {
    /// All reasons there are.
    pub const ALL: [Self; 10] = [
        Self::QueueFull,
        Self::ShutDown,
        Self::Unauthorized,
        Self::RateLimited,
        Self::Refused,
        Self::Unreachable,
        Self::Panicked,
        Self::Hook,
        Self::SpoolFull,
        Self::Forked,
    ];

    /// Whether the run should have been delivered.
    pub(crate) fn is_loss(self) -> bool {
        self != Self::Hook
    }

    /// A word or two for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue full",
            Self::ShutDown => "shut down",
            Self::Unauthorized => "unauthorized",
            Self::RateLimited => "rate limited",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Panicked => "panicked",
            Self::Hook => "dropped by the hook",
            Self::SpoolFull => "spool full",
            Self::Forked => "in a forked process",
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
    /// Kept on disk by this client. A run that it delivers from there later moves to `sent`; one that another
    /// client delivers stays here.
    pub spooled: u64,
    /// Spans of traces that sampling left out. They were not submitted, and are not part of the sum.
    pub not_sampled: u64,
    /// Fields, attachments and rows of feedback that runs were sent without: they were larger than the server takes,
    /// or it has only `/runs/batch`, which takes neither attachments nor feedback. In the place of a field stands how
    /// large it was. They are no runs, and not part of the sum.
    pub left_out: u64,
    dropped: [u64; DropReason::ALL.len()],
    /// Came after the shutdown had begun. Whoever shuts down has not lost it.
    late: u64,
}

impl Stats {
    /// Runs that were given up for a reason.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize] + if reason == DropReason::ShutDown { self.late } else { 0 }
    }

    /// Runs that were given up for any reason.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().sum::<u64>() + self.late
    }

    /// Runs that should have been delivered and were not.
    pub(crate) fn lost(&self) -> u64 {
        DropReason::ALL.into_iter().map(|reason| self.lost_for(reason)).sum()
    }

    fn lost_for(&self, reason: DropReason) -> u64 {
        if reason.is_loss() {
            self.dropped[reason as usize]
        } else {
            0
        }
    }

    /// What was lost since `before`, in words.
    pub(crate) fn lost_text(&self, before: &Self) -> String {
        Self::counts(|reason| self.lost_for(reason) - before.lost_for(reason))
    }

    fn counts(count: impl Fn(DropReason) -> u64) -> String {
        let counts = DropReason::ALL.into_iter().map(|reason| (reason, count(reason)));
        let words =
            counts.filter(|(_, count)| *count > 0).map(|(reason, count)| format!("{count} {}", reason.as_str()));
        words.collect::<Vec<_>>().join(", ")
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
            write!(f, ", {}", Self::counts(|reason| self.dropped(reason)))?;
        }
        if self.not_sampled > 0 {
            write!(f, "; {} not sampled", self.not_sampled)?;
        }
        if self.left_out > 0 {
            write!(f, "; {} fields and files left out", self.left_out)?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Stats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stats({self})")
    }
}

/// What is kept on disk, and what became of it; from [`Client::spool`](crate::Client::spool).
///
/// Files that came from elsewhere, such as an earlier process or LangSmith's SDK for Python, are counted here
/// and not in [`Stats`], which tells of runs that were handed to this client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpoolStats {
    /// Files that wait for this client, or are being sent by anybody, at this moment.
    pub waiting: u64,
    /// Files that are meant for another destination, which this client leaves where they are: for another key, workspace or
    /// endpoint. See [`Config::with_previous_api_keys`](crate::Config::with_previous_api_keys).
    pub other_destination: u64,
    /// Files that this client does not send and leaves where they are: those of a later version, those that take more memory
    /// than a batch may, those of other users where these may write to the directory, and those that should have been set
    /// aside but for want of room.
    pub skipped: u64,
    /// Files that this client has delivered.
    pub delivered: u64,
    /// The runs in those.
    pub delivered_runs: u64,
    /// Files that this client has set aside: damaged ones, and runs that LangSmith refused.
    pub rejected: u64,
}

/// The counters behind [`Stats`]. All of them only grow, and a run passes them in one order:
/// submitted, taken off the queue, perhaps onto the disk and off it again, done. Read in the opposite
/// order they cannot contradict each other, so no lock is needed.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Counted on the application's threads, all others on the sender's.
    submitted: Padded<AtomicU64>,
    taken: AtomicU64,
    sent: AtomicU64,
    spooled: AtomicU64,
    /// Was on disk and is no more.
    unspooled: AtomicU64,
    not_sampled: AtomicU64,
    left_out: AtomicU64,
    dropped: [AtomicU64; DropReason::ALL.len()],
    late: AtomicU64,
}

impl Counters {
    pub(crate) fn submit(&self, runs: u64) {
        self.submitted.0.fetch_add(runs, Ordering::SeqCst);
    }

    pub(crate) fn take(&self, runs: u64) {
        self.taken.fetch_add(runs, Ordering::SeqCst);
    }

    pub(crate) fn sent(&self, runs: u64) {
        self.sent.fetch_add(runs, Ordering::SeqCst);
    }

    pub(crate) fn spooled(&self, runs: u64) {
        self.spooled.fetch_add(runs, Ordering::SeqCst);
    }

    /// Runs that were on disk are in memory again, on their last way to `sent` or `dropped`.
    pub(crate) fn unspooled(&self, runs: u64) {
        self.unspooled.fetch_add(runs, Ordering::SeqCst);
    }

    /// Spans that sampling leaves out. Nothing adds them up with other counts.
    pub(crate) fn not_sampled(&self, spans: u64) {
        self.not_sampled.fetch_add(spans, Ordering::Relaxed);
    }

    /// What runs were sent without.
    pub(crate) fn left_out(&self, parts: u64) {
        self.left_out.fetch_add(parts, Ordering::Relaxed);
    }

    /// Gives up runs that were taken off the queue.
    pub(crate) fn drop_taken(&self, reason: DropReason, runs: u64) {
        self.dropped[reason as usize].fetch_add(runs, Ordering::SeqCst);
    }

    /// Gives up runs that never reached the queue.
    pub(crate) fn drop_submitted(&self, reason: DropReason, runs: u64) {
        self.submit(runs);
        self.take(runs);
        self.dropped[reason as usize].fetch_add(runs, Ordering::SeqCst);
    }

    /// Gives up runs that came after the shutdown had begun. The first time says so.
    pub(crate) fn drop_late(&self, runs: u64) -> bool {
        self.submit(runs);
        self.take(runs);
        self.late.fetch_add(runs, Ordering::SeqCst) == 0
    }

    pub(crate) fn stats(&self) -> Stats {
        let late = self.late.load(Ordering::SeqCst);
        let dropped = std::array::from_fn(|reason| self.dropped[reason].load(Ordering::SeqCst));
        let sent = self.sent.load(Ordering::SeqCst);
        let unspooled = self.unspooled.load(Ordering::SeqCst);
        let spooled = self.spooled.load(Ordering::SeqCst).saturating_sub(unspooled);
        let taken = self.taken.load(Ordering::SeqCst);
        let submitted = self.submitted.0.load(Ordering::SeqCst);
        let done = sent + spooled + late + dropped.iter().sum::<u64>();
        Stats {
            submitted,
            queued: submitted.saturating_sub(taken),
            in_flight: taken.saturating_sub(done),
            sent,
            spooled,
            not_sampled: self.not_sampled.load(Ordering::Relaxed),
            left_out: self.left_out.load(Ordering::Relaxed),
            dropped,
            late,
        }
    }
}

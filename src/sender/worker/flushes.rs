//! Flushes and the end: who waits is answered, and what is left goes to disk or is counted as dropped.

use super::{Pending, Worker, PATIENCE};
use crate::error::FlushError;
use crate::sender::in_flight::Done;
use crate::sender::queue::Flush;
use crate::stats::{DropReason, Stats};
use std::time::{Duration, Instant};

/// So long a shutdown waits at its end until it is told what was left behind.
const NAMING: Duration = Duration::from_millis(20);
/// The part of the last flush's time, and the most of it, that is kept for writing to disk what could not
/// be delivered in the rest.
const WRITING_PART: u32 = 5;
const WRITING_TIME: Duration = Duration::from_millis(500);
/// How long writing may go on when whoever asked for the last flush waits no more.
const LATE_WRITING: Duration = Duration::from_secs(5);

impl Worker {
    pub(super) fn begin_flush(&mut self, flush: Flush) {
        if flush.last {
            self.held.release_all(&mut self.placed);
            self.add_placed();
            let left = self.tail.clear();
            self.queue.counters.not_sampled(left as u64);
            let deadline = self.sending_deadline(flush.deadline);
            self.last_flush = Some(self.last_flush.map_or(deadline, |earlier| earlier.min(deadline)));
        }
        self.finish_batch();
        self.hurry.send_modify(|hurry| {
            // Who has other things to do does not make the server's trouble worse.
            hurry.flushes += u64::from(!flush.impatient);
            hurry.last |= flush.last;
        });
        self.flushes.push(Pending { flush, before: self.next_number });
    }

    /// When to stop sending, so that there is time to write what is left to disk.
    pub(super) fn sending_deadline(&self, deadline: Instant) -> Instant {
        if self.delivery.spool.is_none() {
            return deadline;
        }
        let time = deadline.saturating_duration_since(Instant::now());
        deadline.checked_sub((time / WRITING_PART).min(WRITING_TIME)).unwrap_or(deadline)
    }

    pub(super) fn answer_flushes(&mut self) {
        if self.flushes.is_empty() {
            return;
        }
        let oldest = self.unfinished.first().copied().unwrap_or(u64::MAX);
        let (done, pending): (Vec<_>, Vec<_>) = std::mem::take(&mut self.flushes)
            .into_iter()
            .partition(|pending| pending.before <= oldest && self.updates.waiting() == 0);
        let stats = self.queue.counters.stats();
        for Pending { flush, .. } in done {
            // The last one tells of everything that was ever lost.
            let before = if flush.last { Stats::default() } else { self.told };
            let dropped = FlushError::dropped_since(&before, &stats, self.notices.last_failure());
            (flush.reply)(dropped.map_or(Ok(()), Err));
            self.told = stats;
        }
        let open = self.delivery.circuit.open();
        let failing = self.delivery.circuit.failing_since().is_some_and(|since| since.elapsed() >= PATIENCE);
        for pending in pending {
            let reason = match &open {
                Some(open) if self.is_told(&pending.flush) => open.advice.clone(),
                None if failing && pending.flush.impatient => self.notices.last_failure().unwrap_or_default(),
                _ => {
                    self.flushes.push(pending);
                    continue;
                }
            };
            (pending.flush.reply)(Err(FlushError::Delayed { reason }));
        }
    }

    /// Whether a flush is answered when the circuit opens: it would wait for long, unless what it waits for goes to disk.
    pub(super) fn is_told(&self, flush: &Flush) -> bool {
        !flush.last && (flush.impatient || self.delivery.spool.is_none())
    }

    /// Time is up: what is not delivered by now goes to disk.
    pub(super) async fn keep_the_rest(&mut self) {
        if self.delivery.spool.is_none() {
            return;
        }
        self.hurry.send_modify(|hurry| hurry.over = true);
        let end = tokio::time::sleep(WRITING_TIME + LATE_WRITING);
        tokio::pin!(end);
        loop {
            self.finish_batch();
            while let Some(flight) = self.backlog.pop_front() {
                self.see_off(flight);
            }
            if self.unfinished.is_empty() && self.updates.waiting() == 0 {
                return;
            }
            tokio::select! {
                Some(done) = self.done.1.recv() => self.batch_done(done),
                () = &mut end => return,
            }
        }
    }

    /// What is left now is counted as dropped.
    pub(super) async fn give_up_the_rest(&mut self) {
        self.flights.shutdown().await;
        self.finish_batch();
        self.backlog.clear();
        self.unfinished.clear();
        while let Ok(Done { left, .. }) = self.done.1.try_recv() {
            self.left.extend(left);
        }
        let updates = self.updates.clear();
        let (waiting, counted) = (updates.len() as u64, updates.iter().filter(|(_, counted)| *counted).count() as u64);
        self.queue.counters.submit(waiting - counted);
        self.queue.counters.take(waiting);
        self.queue.counters.drop_taken(DropReason::ShutDown, waiting);
        self.queue.end();
        for (update, _) in &updates {
            self.delivery.tell_dropped_run(update.id(), DropReason::ShutDown);
        }
        self.tell_left(Some(Instant::now() + NAMING));
    }

    /// Tells the hook for dropped runs what a shutdown has left behind.
    pub(super) fn tell_left(&mut self, until: Option<Instant>) {
        while until.is_none_or(|until| Instant::now() < until) {
            let Some(batch) = self.left.pop() else { return };
            self.delivery.tell_dropped(&batch, DropReason::ShutDown);
        }
    }
}

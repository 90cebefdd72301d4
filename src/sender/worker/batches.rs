//! How runs fill batches, and batches leave.

use super::Worker;
use crate::run::Run;
use crate::sender::delivery::{Done, Flight};
use crate::sender::encode::Operation;
use crate::sender::updates::Counted;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::Instant;

/// So many batches may be on their way to the disk because memory is full.
const SPILLS: usize = 2;

impl Worker {
    /// A run that has not ended is kept until its batch is due: its end may still meet it.
    pub(super) fn add_post(&mut self, run: Run, is_counted: bool) {
        self.updates.post(run, is_counted);
        self.due.get_or_insert(Instant::now() + self.flush_interval);
        if self.updates.posts() as u64 >= self.limits.runs || self.updates.open_bytes() >= self.batch_bytes {
            self.finish_batch();
        }
    }

    pub(super) fn add_run(&mut self, run: &Run, operation: Operation) {
        self.queue.counters.take(1);
        self.write_run(run, operation);
        if self.batch.runs() >= self.limits.runs || self.batch.raw_bytes() >= self.batch_limit() {
            self.finish_batch();
        } else if self.due.is_none() {
            self.due = Some(Instant::now() + self.flush_interval);
        }
    }

    /// An update that did not meet its post is counted from now on.
    pub(super) fn add_update(&mut self, run: &Run, is_counted: bool) {
        self.queue.counters.submit(u64::from(!is_counted));
        self.add_run(run, Operation::Patch);
    }

    /// Writes a run into the batch, or into the next one where it does not fit.
    pub(super) fn write_run(&mut self, run: &Run, operation: Operation) {
        self.batch.prepare(run, operation, &self.shared, self.limits.bytes);
        if self.batch.runs() > 0 && self.batch.raw_bytes() + self.batch.next_bytes() > self.batch_limit() {
            self.seal();
        }
        self.batch.add();
        self.follows_disk |= operation == Operation::Patch && self.updates.is_on_disk(run);
    }

    /// The most bytes in a batch of more than one run.
    fn batch_limit(&self) -> usize {
        self.limits.bytes.min(self.batch_bytes)
    }

    /// Finishes the batch, posts that were kept back included.
    pub(super) fn finish_batch(&mut self) {
        self.due = None;
        for Counted { run: post, is_counted } in self.updates.take_posts() {
            self.queue.counters.submit(u64::from(!is_counted));
            self.queue.counters.take(1);
            if self.batch.runs() >= self.limits.runs {
                self.seal();
            }
            self.write_run(&post, Operation::Post);
            self.updates.posted(&post, self.next_number);
        }
        self.seal();
    }

    pub(super) fn seal(&mut self) {
        if self.batch.runs() == 0 {
            return;
        }
        let batch = self.batch.finish(self.delivery.compression.load(Ordering::Relaxed));
        self.unfinished.insert(self.next_number);
        let (queue, done) = (Arc::clone(&self.queue), self.done.0.clone());
        let mut flight = Flight::new(self.next_number, batch, queue, done);
        flight.to_disk = std::mem::take(&mut self.follows_disk);
        if flight.to_disk && self.delivery.spool.as_ref().is_none_or(|spool| spool.has_none_of_ours()) {
            self.updates.disk_is_empty();
            flight.to_disk = false;
        }
        self.backlog.push_back(flight);
        self.count();
        self.next_number += 1;
    }

    pub(super) fn send_batches(&mut self) {
        while self.under_way < self.concurrency {
            let Some(flight) = self.backlog.pop_front() else { return };
            if flight.number == 0 {
                // What the server wants is asked for when it is needed first, and waited for by nobody.
                let delivery = Arc::clone(&self.delivery);
                self.info = Some(tokio::spawn(async move {
                    let body = delivery.transport.info().await?;
                    serde_json::from_slice(&body).ok()
                }));
            }
            self.see_off(flight);
        }
    }

    pub(super) fn see_off(&mut self, flight: Flight) {
        self.under_way += 1;
        let delivery = Arc::clone(&self.delivery);
        self.flights.spawn(async move {
            if flight.to_disk {
                delivery.put_aside(flight).await;
            } else {
                delivery.deliver(flight).await;
            }
        });
    }

    /// Memory is full of batches because requests fail: the oldest go to disk, so that the queue need not
    /// fill up.
    pub(super) fn spill(&mut self) {
        let Some(spool) = self.delivery.spool.clone() else { return };
        while self.is_full()
            && self.under_way < self.concurrency + SPILLS
            && self.delivery.circuit.failing_since().is_some()
            && !spool.is_full()
        {
            let Some(mut flight) = self.backlog.pop_front() else { return };
            flight.to_disk = true;
            self.see_off(flight);
        }
    }

    pub(super) fn batch_done(&mut self, Done { number, kept, left, reason }: Done) {
        for batch in &left {
            self.delivery.tell_dropped(batch, reason);
        }
        self.under_way = self.under_way.saturating_sub(1);
        self.unfinished.remove(&number);
        while self.flights.try_join_next().is_some() {}
        let updates = self.updates.batch_done(number, kept);
        if !updates.is_empty() {
            for Counted { run, is_counted } in updates {
                self.add_update(&run, is_counted);
            }
            if !self.flushes.is_empty() {
                // Who flushes waits for these too.
                self.finish_batch();
                self.flushes.iter_mut().for_each(|pending| pending.before = self.next_number);
            }
        }
    }
}

//! The sender's thread: takes work off the queue, makes batches and sees them off.

mod spans;

use super::batch::{Batch, OpenBatch};
use super::checks::{Checks, Verdict};
use super::delivery::{Delivery, Done, Flight, Hurry};
use super::encode::{Operation, Shared};
use super::info::{Info, Limits};
use super::notice::{Notice, Notices};
use super::pending::Watch;
use super::queue::{Flush, Queue, Work};
use super::replay::Replay;
use super::tail::{Tail, Undecided};
use super::updates::{Counted, Updates};
use crate::config::Config;
use crate::convert::Converter;
use crate::error::FlushError;
use crate::lineage::{Held, Node};
use crate::run::{Run, RunId};
use crate::stats::{DropReason, Stats};
use opentelemetry_sdk::trace::SpanData;
use rustc_hash::FxHashSet;
use std::collections::{BTreeSet, VecDeque};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// After so many runs the network gets its turn.
const TURN: usize = 64;
/// How long requests may keep failing before an impatient flush is answered.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a batch may be left alone while it fills up: pushes wake nobody for single runs.
const LOOK: Duration = Duration::from_millis(500);
/// So long a shutdown waits at its end until it is told what was left behind.
const NAMING: Duration = Duration::from_millis(20);
/// Finished batches that wait for their turn may take this part of the queue's bytes; then the
/// queue is left to fill up.
const BACKLOG_PART: usize = 4;
/// So many batches may be on their way to the disk because memory is full.
const SPILLS: usize = 2;
/// The part of the last flush's time, and the most of it, that is kept for writing to disk what could not
/// be delivered in the rest.
const WRITING_PART: u32 = 5;
const WRITING_TIME: Duration = Duration::from_millis(500);
/// How long writing may go on when whoever asked for the last flush waits no more.
const LATE_WRITING: Duration = Duration::from_secs(5);

pub(crate) struct Worker {
    queue: Arc<Queue>,
    delivery: Arc<Delivery>,
    hurry: watch::Sender<Hurry>,
    notices: Notices,
    converter: Converter,
    checks: Checks,
    shared: Shared,
    limits: Limits,
    flush_interval: Duration,
    concurrency: usize,
    backlog_limit: usize,

    held: Held<HeldSpan>,
    /// Spans that are sent while they are open; `None` when none are.
    watch: Option<Watch>,
    tail: Tail,
    trace_runs: usize,
    /// A hook may drop runs, and has to see them before those below.
    parents_first: bool,
    /// Open spans that a check kept from being sent before they end.
    unposted: FxHashSet<RunId>,
    /// Roots that go on with full traces: those that were sent without an end, and those whose end came first.
    open_roots: FxHashSet<RunId>,
    ended_roots: FxHashSet<RunId>,
    placed: Vec<(HeldSpan, Arc<Node>)>,
    batch: OpenBatch,
    /// When the batch is finished at the latest.
    due: Option<Instant>,
    /// Updates in the batch have their posts on disk.
    follows_disk: bool,
    backlog: VecDeque<Flight>,
    backlog_bytes: usize,
    under_way: usize,
    /// Numbers of the batches that are not done.
    unfinished: BTreeSet<u64>,
    flights: JoinSet<()>,
    updates: Updates,
    next_number: u64,
    flushes: Vec<Pending>,
    last_flush: Option<Instant>,
    done: (mpsc::UnboundedSender<Done>, mpsc::UnboundedReceiver<Done>),
    info: Option<tokio::task::JoinHandle<Option<Info>>>,
    /// What had been dropped when the last flush was answered.
    told: Stats,
    /// What a shutdown has left behind and the hook for dropped runs has not heard of.
    left: Vec<Batch>,
}

/// A flush that waits for the batches before it.
struct Pending {
    flush: Flush,
    /// All batches with smaller numbers have to be done.
    before: u64,
}

/// A span that waits for its parent.
struct HeldSpan {
    span: SpanData,
    /// It is not counted as submitted yet.
    undecided: bool,
}

impl AsRef<SpanData> for HeldSpan {
    fn as_ref(&self) -> &SpanData {
        &self.span
    }
}

impl Worker {
    pub(crate) fn new(
        config: &Config,
        queue: Arc<Queue>,
        delivery: Delivery,
        hurry: watch::Sender<Hurry>,
        notices: Notices,
        converter: Converter,
        checks: Checks,
    ) -> std::io::Result<Self> {
        Ok(Self {
            queue,
            delivery: Arc::new(delivery),
            hurry,
            notices,
            converter,
            checks,
            shared: Shared::new(&config.project),
            limits: Limits { runs: config.batch_runs as u64, bytes: config.batch_bytes },
            flush_interval: config.flush_interval,
            concurrency: config.concurrency,
            backlog_limit: config.queue_bytes / BACKLOG_PART,
            held: Held::new(config.rules(), config.held.bytes, config.held.time),
            watch: None,
            tail: Tail::new(config.held.bytes, config.held.time),
            trace_runs: config.rules().trace_runs,
            parents_first: config.on_run.is_some(),
            unposted: FxHashSet::default(),
            open_roots: FxHashSet::default(),
            ended_roots: FxHashSet::default(),
            placed: Vec::new(),
            batch: OpenBatch::new(config.compression_level)?,
            due: None,
            follows_disk: false,
            backlog: VecDeque::new(),
            backlog_bytes: 0,
            under_way: 0,
            unfinished: BTreeSet::new(),
            flights: JoinSet::new(),
            updates: Updates::default(),
            next_number: 0,
            flushes: Vec::new(),
            last_flush: None,
            done: mpsc::unbounded_channel(),
            info: None,
            told: Stats::default(),
            left: Vec::new(),
        })
    }

    /// Sends spans while they are open, those that `watch` has an eye on.
    pub(crate) fn watching(self, watch: Option<Watch>) -> Self {
        Self { watch, ..self }
    }

    /// Works until the last flush is answered.
    pub(crate) async fn run(mut self) {
        let mut replay =
            self.delivery.spool.clone().map(|spool| {
                tokio::spawn(Replay::new(spool, Arc::clone(&self.delivery), self.hurry.subscribe()).run())
            });
        loop {
            let more = self.take_work();
            let now = Instant::now();
            self.expire_held(now);
            self.post_pending(now);
            self.settle_tail(now);
            if self.due.is_some_and(|due| due <= now) {
                self.finish_batch();
            }
            self.send_batches();
            self.spill();
            if self.last_flush.is_some_and(|deadline| deadline <= now) {
                self.keep_the_rest().await;
                self.give_up_the_rest().await;
            }
            if let Some(replay) = replay.take_if(|_| self.last_flush.is_some()) {
                // It ends at once, and leaves no file in its hands; unless the disk is slow.
                let _ = tokio::time::timeout(Duration::from_millis(50), replay).await;
            }
            self.answer_flushes();
            if self.last_flush.is_some() && self.flushes.is_empty() {
                // What was pushed while the queue was being closed came after the marker, and goes out too.
                self.finish_batch();
                self.send_batches();
                if !more && self.unfinished.is_empty() {
                    break;
                }
            }
            if more {
                tokio::task::yield_now().await;
            } else {
                self.wait().await;
            }
            while let Ok(done) = self.done.1.try_recv() {
                self.batch_done(done);
            }
        }
        self.queue.counters.not_sampled(self.tail.clear() as u64);
        self.queue.end();
        self.tell_left(None);
    }

    pub(crate) fn queue(&self) -> Arc<Queue> {
        Arc::clone(&self.queue)
    }

    /// There is no runtime to work in.
    pub(crate) fn fail(self, reason: &std::io::Error) {
        self.notices
            .warn(Notice::Unreachable, || format!("runs are being dropped: no runtime could be made: {reason}"));
        self.queue.end();
    }

    /// Takes a turn's worth of work. Says whether there may be more.
    fn take_work(&mut self) -> bool {
        for _ in 0..TURN {
            // What a flush waits for is taken even when there is much to send already.
            if self.backlog_bytes > self.backlog_limit && !self.queue.has_flush() {
                return false;
            }
            let Some(work) = self.queue.pop() else { return false };
            let bytes = work.bytes();
            match work {
                Work::Placed(placed) => self.add_live(placed),
                Work::Ended(spans) => self.add_ended(spans),
                Work::Start(start) => {
                    if let Some(watch) = &mut self.watch {
                        watch.add(start);
                    }
                }
                Work::Root(root) if root.trace().is_undecided() => self.add_undecided(Undecided::Root(root)),
                Work::Root(root) => self.add_root(&root),
                Work::RootEnd(root) if root.trace().is_undecided() => self.add_undecided(Undecided::RootEnd(root)),
                Work::RootEnd(root) => self.end_root(&root),
                Work::Run(run) => self.add_submitted(*run),
                Work::Update(run) => self.update(*run),
                Work::Flush(flush) => self.begin_flush(flush),
            }
            self.queue.release(bytes);
        }
        true
    }

    /// Sleeps until there is something to do.
    async fn wait(&mut self) {
        let full = self.backlog_bytes > self.backlog_limit;
        let watched = self.watch.as_ref().and_then(Watch::deadline);
        if !full && !self.queue.rest(self.due.is_some() || watched.is_some()) {
            return;
        }
        let waits = self.flushes.iter().any(|pending| self.is_told(&pending.flush));
        let impatient = self.flushes.iter().any(|pending| pending.flush.impatient);
        let failing = impatient.then(|| Instant::now() + PATIENCE / 4);
        // A batch may be full before it is due; and what ends while spans are watched wakes nobody either.
        let look = self.due.map(|due| due.min(Instant::now() + LOOK));
        // Requests may begin to fail while memory is full.
        let spill = (full && self.delivery.spool.is_some()).then(|| Instant::now() + LOOK);
        let watched = watched.map(|watched| watched.min(Instant::now() + self.flush_interval.min(LOOK)));
        let held = [self.held.deadline(), self.tail.deadline()];
        let deadline = [look, watched, self.last_flush, failing, spill].into_iter().chain(held).flatten().min();
        let sleep = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        let opens = async {
            if waits {
                self.delivery.circuit.opens().await;
            } else {
                std::future::pending().await
            }
        };
        let info = async {
            match &mut self.info {
                Some(info) => info.await.ok().flatten(),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.queue.woken.notified() => {}
            () = sleep => {}
            () = opens => {}
            Some(done) = self.done.1.recv() => self.batch_done(done),
            info = info => {
                self.info = None;
                self.apply(info);
            }
        }
        self.queue.awake();
    }

    /// Converts a span. A panic in the converter costs this span and nothing else.
    fn add_span(&mut self, span: &SpanData, node: &Arc<Node>, interrupted: bool, posted: bool) {
        let posted = posted && !self.unposted.remove(&node.dotted_order().id());
        if let Ok(mut run) = catch_unwind(AssertUnwindSafe(|| self.converter.convert(span, node, interrupted))) {
            let verdict = self.checks.span(&mut run, node);
            match self.passes(&verdict) {
                true if posted => self.complete(run),
                true => {
                    self.add_run(&run, Operation::Post);
                    self.converter.recycle(run);
                }
                false => self.converter.recycle(run),
            }
            return;
        }
        self.queue.counters.take(1);
        self.queue.counters.drop_taken(DropReason::Panicked, 1);
        self.notices.warn(Notice::Panicked, || {
            // Its name might have been redacted.
            let (trace, span) = (span.span_context.trace_id(), span.span_context.span_id());
            format!(
                "converting the span {span} of trace {trace} panicked; it is dropped, further ones are only counted"
            )
        });
    }

    /// Counts a run that is not sent. Says whether there is one to send all the same.
    fn passes(&self, verdict: &Verdict) -> bool {
        let (Verdict::Replace(reason) | Verdict::Drop(reason)) = verdict else { return true };
        self.queue.counters.take(1);
        self.queue.counters.drop_taken(*reason, 1);
        let replaced = matches!(verdict, Verdict::Replace(_));
        self.queue.counters.submit(u64::from(replaced));
        replaced
    }

    /// A run without a span.
    fn add_submitted(&mut self, mut run: Run) {
        let verdict = self.checks.run(&mut run);
        match self.passes(&verdict) {
            true if run.end.is_none() => self.add_post(run, true),
            true => self.add_run(&run, Operation::Post),
            false => {}
        }
    }

    fn update(&mut self, mut run: Run) {
        if !self.checks.update(&mut run) {
            return;
        }
        if let Some(run) = self.updates.update(run) {
            self.add_update(&run, false);
        }
    }

    /// A run that has not ended is kept until its batch is due: its end may still meet it.
    fn add_post(&mut self, run: Run, is_counted: bool) {
        self.updates.post(run, is_counted);
        self.due.get_or_insert(Instant::now() + self.flush_interval);
        if self.updates.posts() as u64 >= self.limits.runs {
            self.finish_batch();
        }
    }

    fn add_run(&mut self, run: &Run, operation: Operation) {
        self.queue.counters.take(1);
        self.write_run(run, operation);
        if self.batch.runs() >= self.limits.runs || self.batch.raw_bytes() >= self.limits.bytes {
            self.finish_batch();
        } else if self.due.is_none() {
            self.due = Some(Instant::now() + self.flush_interval);
        }
    }

    /// An update that did not meet its post is counted from now on.
    fn add_update(&mut self, run: &Run, is_counted: bool) {
        self.queue.counters.submit(u64::from(!is_counted));
        self.add_run(run, Operation::Patch);
    }

    /// Writes a run into the batch, or into the next one where it does not fit.
    fn write_run(&mut self, run: &Run, operation: Operation) {
        self.batch.prepare(run, operation, &self.shared, self.limits.bytes);
        if self.batch.runs() > 0 && self.batch.raw_bytes() + self.batch.next_bytes() > self.limits.bytes {
            self.seal();
        }
        self.batch.add();
        self.follows_disk |= operation == Operation::Patch && self.updates.is_on_disk(run);
    }

    /// Finishes the batch, posts that were kept back included.
    fn finish_batch(&mut self) {
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

    fn seal(&mut self) {
        if self.batch.runs() == 0 {
            return;
        }
        let batch = self.batch.finish(self.delivery.compression.load(Ordering::Relaxed));
        self.backlog_bytes += batch.body.len();
        self.unfinished.insert(self.next_number);
        let (queue, done) = (Arc::clone(&self.queue), self.done.0.clone());
        let mut flight = Flight::new(self.next_number, batch, queue, done);
        flight.to_disk = std::mem::take(&mut self.follows_disk);
        if flight.to_disk && self.delivery.spool.as_ref().is_none_or(|spool| spool.has_none_of_ours()) {
            self.updates.disk_is_empty();
            flight.to_disk = false;
        }
        self.backlog.push_back(flight);
        self.next_number += 1;
    }

    fn send_batches(&mut self) {
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

    fn see_off(&mut self, flight: Flight) {
        self.under_way += 1;
        self.backlog_bytes -= flight.bytes();
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
    fn spill(&mut self) {
        let Some(spool) = self.delivery.spool.clone() else { return };
        while self.backlog_bytes > self.backlog_limit
            && self.under_way < self.concurrency + SPILLS
            && self.delivery.circuit.failing_since().is_some()
            && !spool.is_full()
        {
            let Some(mut flight) = self.backlog.pop_front() else { return };
            flight.to_disk = true;
            self.see_off(flight);
        }
    }

    fn batch_done(&mut self, Done { number, kept, left, reason }: Done) {
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

    fn apply(&mut self, info: Option<Info>) {
        let Some(info) = info else { return };
        self.limits = info.limit(self.limits);
        if info.has_no_multipart() {
            self.delivery.transport.use_multipart(false);
        }
        if info.has_no_zstd() {
            self.delivery.compression.store(false, Ordering::Relaxed);
        }
    }

    fn begin_flush(&mut self, flush: Flush) {
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
    fn sending_deadline(&self, deadline: Instant) -> Instant {
        if self.delivery.spool.is_none() {
            return deadline;
        }
        let time = deadline.saturating_duration_since(Instant::now());
        deadline.checked_sub((time / WRITING_PART).min(WRITING_TIME)).unwrap_or(deadline)
    }

    fn answer_flushes(&mut self) {
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
    fn is_told(&self, flush: &Flush) -> bool {
        !flush.last && (flush.impatient || self.delivery.spool.is_none())
    }

    /// Time is up: what is not delivered by now goes to disk.
    async fn keep_the_rest(&mut self) {
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
    async fn give_up_the_rest(&mut self) {
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
    fn tell_left(&mut self, until: Option<Instant>) {
        while until.is_none_or(|until| Instant::now() < until) {
            let Some(batch) = self.left.pop() else { return };
            self.delivery.tell_dropped(&batch, DropReason::ShutDown);
        }
    }
}

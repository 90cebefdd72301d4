//! The sender's thread: takes work off the queue, makes batches and sees them off.

mod batches;
mod flushes;
mod spans;

use super::batch::{Batch, OpenBatch};
use super::checks::{Checks, Verdict};
use super::delivery::{Delivery, Done, Flight, Hurry};
use super::encode::{Operation, Shared};
use super::hand::Hand;
use super::info::{Info, Limits};
use super::notice::{Notice, Notices};
use super::pending::Watch;
use super::queue::{Flush, Queue, Work};
use super::replay::Replay;
use super::share::Share;
use super::tail::{Tail, Undecided};
use super::updates::Updates;
use crate::config::Config;
use crate::convert::Converter;
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
/// So many bytes of work that is done, and no more than this part of the queue's, may count as waiting until the turn
/// is over.
const RELEASE: usize = 64 << 10;
const RELEASE_PART: usize = 16;
/// How long requests may keep failing before an impatient flush is answered.
const PATIENCE: Duration = Duration::from_secs(1);
/// A batch that fills up, posts that are kept back and spans that are watched each take this part of the queue's bytes
/// at the most.
const BATCH_PART: usize = 8;
/// And so do spans that wait for their parents, and traces that are not decided.
const HELD_PART: usize = 2;
const TAIL_PART: usize = 4;
/// How long a batch may be left alone while it fills up: pushes wake nobody for single runs.
const LOOK: Duration = Duration::from_millis(500);
/// How soon it looks again whether spans that are still open have room.
const AGAIN: Duration = Duration::from_millis(50);
/// Finished batches may take this part of the queue's bytes when some wait for their turn; then the queue is left to
/// fill up.
const BACKLOG_PART: usize = 4;

pub(crate) struct Worker {
    queue: Arc<Queue>,
    hand: Hand,
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
    release: usize,
    /// A batch with so many bytes is finished, though more might go into a request.
    batch_bytes: usize,
    /// The memory of what is held here, without batches that are finished.
    share: Share,

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
        let share = Share::new(Arc::clone(&queue));
        Ok(Self {
            hand: Hand::new(Arc::clone(&queue)),
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
            release: RELEASE.min(config.queue_bytes / RELEASE_PART),
            batch_bytes: config.queue_bytes / BATCH_PART,
            share,
            held: Held::new(config.rules(), config.held.bytes.min(config.queue_bytes / HELD_PART), config.held.time),
            watch: None,
            tail: Tail::new(config.held.bytes.min(config.queue_bytes / TAIL_PART), config.held.time),
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
        let bytes = self.batch_bytes;
        Self { watch: watch.map(|watch| watch.within(bytes)), ..self }
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
            self.count();
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
        // The application's threads count the same bytes: each time it waits for them, and they for it.
        let mut bytes = 0;
        let mut more = true;
        for _ in 0..TURN / Hand::SIZE {
            // What a flush waits for is taken even when there is much to send already.
            let is_enough = self.is_full() && !self.queue.has_flush();
            more = !is_enough && self.hand.fill();
            while let Some(work) = self.hand.next() {
                bytes += work.bytes();
                self.take(work);
                if bytes >= self.release {
                    self.count();
                    self.queue.release(std::mem::take(&mut bytes));
                }
            }
            if !more {
                break;
            }
        }
        self.count();
        self.queue.release(bytes);
        more
    }

    /// Finished batches wait for their turn, and take as much memory, with those that are on their way, as they may.
    fn is_full(&self) -> bool {
        !self.backlog.is_empty() && self.queue.held_bytes() - self.share.bytes() > self.backlog_limit
    }

    /// Counts the memory of what is held here now. It is done before what came in is released, so that nothing is ever
    /// counted nowhere.
    fn count(&mut self) {
        let watched = self.watch.as_ref().map_or(0, Watch::held_bytes);
        let held = self.held.held_bytes() + self.tail.held_bytes() + self.updates.held_bytes() + watched;
        self.share.set(self.batch.held_bytes() + held);
    }

    fn take(&mut self, work: Work) {
        match work {
            Work::Placed(placed) => self.add_live(placed),
            Work::Ended(spans) => self.add_ended(spans),
            Work::Start(start) => {
                if let Some(watch) = &mut self.watch {
                    watch.add(*start);
                }
            }
            Work::Root(root) if root.trace().is_undecided() => self.add_undecided(Undecided::Root(root)),
            Work::Root(root) => self.add_root(&root),
            Work::RootEnd(root) if root.trace().is_undecided() => self.add_undecided(Undecided::RootEnd(root)),
            Work::RootEnd(root) => self.end_root(&root),
            Work::Run(run) => self.add_submitted(*run),
            Work::Update(run) => self.update(*run),
            Work::Flush(flush) => self.begin_flush(*flush),
        }
    }

    /// Sleeps until there is something to do.
    async fn wait(&mut self) {
        let full = self.is_full();
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
        // What is due and has no room waits for some.
        let watched = watched.map(|watched| if self.queue.has_room(0) { watched } else { Instant::now() + AGAIN });
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
        let posted = posted && !self.unposted.remove(&node.id());
        if let Ok(mut run) = catch_unwind(AssertUnwindSafe(|| self.converter.convert(span, node, interrupted))) {
            let verdict = self.checks.span(&mut run, node);
            match self.passes(&verdict) {
                true if posted => self.complete(*run),
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
}

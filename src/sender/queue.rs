//! The bounded queue between the application's threads and the sender's.
//!
//! A push is a few atomic operations: no lock, no system call. The sender's thread is woken when
//! the first item comes after a rest, and when much has piled up; in between it looks by itself.

use super::wake::Wake;
use crate::error::{FlushError, SubmitError};
use crate::lineage::{Node, SpanKey};
use crate::padded::Padded;
use crate::run::{Feedback, Run};
use crate::stats::{Counters, DropReason};
use crossbeam_queue::{ArrayQueue, SegQueue};
use opentelemetry_sdk::trace::SpanData;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Notify;

/// What the sender's thread is asked to do. Small, and what it says of a span is in it: the thread that takes
/// it has not seen the span yet, and would wait for it.
pub(crate) enum Work {
    /// A span whose place is known.
    Placed(Placed),
    /// Ended spans whose places are not known.
    Ended(Vec<Ended>),
    /// A span that may have to be sent while it is open.
    Start(Box<Start>),
    /// A root that goes on with a full trace.
    Root(Arc<Node>),
    /// The trace of such a root has ended.
    RootEnd(Arc<Node>),
    Run(Box<Run>),
    /// More about a run that was submitted before.
    Update(Box<Run>),
    /// Answer when all that came before is delivered or given up.
    Flush(Box<Flush>),
}

impl Work {
    /// How many runs it stands for. An update counts when it is known to be sent, or lost, by
    /// itself: it may join its post. So do the runs of a trace that sampling may leave out.
    #[inline]
    fn runs(&self) -> u64 {
        match self {
            Self::Placed(placed) => is_counted(&placed.node),
            Self::Root(node) => is_counted(node),
            Self::Run(_) => 1,
            Self::Ended(spans) => spans.iter().filter(|ended| ended.kept && !ended.undecided).count() as u64,
            Self::Update(_) | Self::RootEnd(_) | Self::Start(_) | Self::Flush(_) => 0,
        }
    }

    /// How many runs are lost with it: also what would have counted later, by itself.
    fn lost(&self) -> u64 {
        match self {
            Self::Placed(_) | Self::Update(_) | Self::RootEnd(_) => 1,
            Self::Ended(spans) => spans.iter().filter(|ended| ended.kept).count() as u64,
            Self::Root(_) | Self::Run(_) | Self::Start(_) | Self::Flush(_) => self.runs(),
        }
    }

    /// About how much memory it takes. The same before and after its time in the queue.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Placed(placed) => placed.bytes,
            Self::Ended(spans) => spans.iter().map(|ended| span_bytes(&ended.span)).sum(),
            Self::Run(run) | Self::Update(run) => run_bytes(run),
            Self::Start(_) => size_of::<Self>() + size_of::<Start>(),
            // Without these a whole trace could not be shown, and there is one in thousands of runs.
            Self::Root(_) | Self::RootEnd(_) | Self::Flush(_) => 0,
        }
    }
}

fn is_counted(node: &Node) -> u64 {
    u64::from(!node.trace().is_undecided())
}

/// Spans that were sent and whose boxes are kept.
const SPARE: usize = 1024;
/// They may take this part of the limit.
const SPARE_PART: usize = 8;
/// Bytes of a span that may stay in a box until it is used again.
const SMALL: usize = 8 << 10;

/// An ended span whose place is not known.
pub(crate) struct Ended {
    pub(crate) span: SpanData,
    /// Whether it becomes a run.
    pub(crate) kept: bool,
    /// Sampling leaves it out unless something in its trace says otherwise.
    pub(crate) undecided: bool,
}

/// A span that has started.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) at: Instant,
    pub(crate) key: SpanKey,
    pub(crate) node: Arc<Node>,
}

/// An ended span whose place is known.
///
/// It is in the box that it was put into when it started. A new box for each would be made by one thread and
/// freed by another, which costs both of them much; so the boxes go back and are used again.
#[derive(Debug)]
pub(crate) struct Placed {
    /// About how much memory the span takes.
    bytes: usize,
    pub(crate) span: Box<SpanData>,
    pub(crate) node: Arc<Node>,
    /// The span never ended: it is sent as interrupted.
    pub(crate) interrupted: bool,
    /// Its run was sent while it was open.
    pub(crate) posted: bool,
}

impl Placed {
    pub(crate) fn new(span: Box<SpanData>, node: Arc<Node>, interrupted: bool, posted: bool) -> Self {
        Self { bytes: span_bytes(&span), span, node, interrupted, posted }
    }
}

pub(crate) struct Flush {
    /// Spans that wait for their parents are let go, and nothing more is taken afterwards.
    pub(crate) last: bool,
    /// Answered early, with an error, while requests keep failing: who asks has other things to do.
    pub(crate) impatient: bool,
    /// After this what is left is given up, if it is the last flush.
    pub(crate) deadline: Instant,
    pub(crate) reply: Reply,
}

pub(crate) type Reply = Box<dyn FnOnce(Result<(), FlushError>) + Send>;

/// What counts against the limit. Side by side: who adds to the one reads the other.
#[derive(Debug, Default)]
struct Bytes {
    /// In the queue.
    waiting: AtomicUsize,
    /// With the sender: in batches, on their way, and whatever waits there.
    held: AtomicUsize,
}

/// This much in the queue wakes a gathering sender.
const WAKE_BYTES: usize = 1 << 20;

#[derive(Debug)]
pub(crate) struct Queue {
    items: SegQueue<Work>,
    spare: ArrayQueue<Placed>,
    bytes: Padded<Bytes>,
    byte_limit: usize,
    wake: Wake,
    /// Markers in the queue, which are taken however much waits.
    flushes: AtomicUsize,
    closed: AtomicBool,
    pub(super) woken: Notify,
    pub(super) counters: Counters,
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Placed(_) => "Placed",
            Self::Ended(_) => "Ended",
            Self::Start(_) => "Start",
            Self::Root(_) => "Root",
            Self::RootEnd(_) => "RootEnd",
            Self::Run(_) => "Run",
            Self::Update(_) => "Update",
            Self::Flush(_) => "Flush",
        })
    }
}

/// Whether a drop was the first for its reason, so that it should be told.
pub(crate) struct Dropped {
    pub(crate) error: SubmitError,
    pub(crate) first: bool,
}

impl Queue {
    pub(crate) fn new(byte_limit: usize) -> Self {
        Self {
            items: SegQueue::new(),
            spare: ArrayQueue::new((byte_limit / SPARE_PART / SMALL).clamp(1, SPARE)),
            bytes: Padded::default(),
            byte_limit,
            wake: Wake::new(),
            flushes: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            woken: Notify::new(),
            counters: Counters::default(),
        }
    }

    /// A box for another span. What is in it may be overwritten.
    #[inline]
    pub(crate) fn spare_box(&self) -> Option<Box<SpanData>> {
        self.spare.pop().map(|placed| placed.span)
    }

    /// Takes a box back. The span stays in it until the box is used again, so that its memory is freed
    /// where memory is asked for next: the allocator locks out one thread that frees what another one is
    /// asking for. What is large, or too many, is let go.
    pub(super) fn take_back(&self, placed: Placed) {
        if placed.bytes <= SMALL {
            drop(self.spare.push(placed));
        }
    }

    /// Takes work, or drops and counts it.
    pub(crate) fn push(&self, work: Work) -> Result<(), Dropped> {
        let (runs, bytes, lost) = (work.runs(), work.bytes(), work.lost());
        self.add(work, bytes, runs, lost)
    }

    /// The same for a span, of which most is known.
    #[inline]
    pub(crate) fn push_placed(&self, placed: Placed) -> Result<(), Dropped> {
        let (bytes, runs) = (placed.bytes, is_counted(&placed.node));
        self.add(Work::Placed(placed), bytes, runs, 1)
    }

    #[inline]
    fn add(&self, work: Work, bytes: usize, runs: u64, lost: u64) -> Result<(), Dropped> {
        if self.closed.load(Ordering::Acquire) {
            return Err(self.refuse(DropReason::ShutDown, SubmitError::ShutDown, lost));
        }
        let before = self.bytes.0.waiting.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > self.room() {
            self.bytes.0.waiting.fetch_sub(bytes, Ordering::Relaxed);
            return Err(self.refuse(DropReason::QueueFull, SubmitError::QueueFull, lost));
        }
        self.counters.submit(runs);
        self.items.push(work);
        self.tell_sender(before + bytes >= WAKE_BYTES);
        Ok(())
    }

    /// Something was added, and `much` waits already.
    fn tell_sender(&self, much: bool) {
        let added = self.wake.added();
        if added.wakes(much) {
            self.woken.notify_one();
        }
        // The end may have come while it was added; nobody else would take it then.
        if added.is_late() {
            self.answer_ended();
        }
    }

    /// Takes a span that has started, if there is room. Nothing is lost where there is none.
    pub(super) fn push_start(&self, start: Start) {
        let work = Work::Start(Box::new(start));
        if !self.closed.load(Ordering::Acquire) && self.has_room(work.bytes()) {
            self.bytes.0.waiting.fetch_add(work.bytes(), Ordering::Relaxed);
            self.items.push(work);
            self.tell_sender(false);
        }
    }

    /// Whether so much more would be taken at this moment.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.bytes.0.waiting.load(Ordering::Relaxed).saturating_add(bytes) <= self.room()
    }

    /// How much may wait here: what the sender holds is not left for that.
    #[inline]
    fn room(&self) -> usize {
        self.byte_limit.saturating_sub(self.held_bytes())
    }

    /// What the sender holds.
    pub(super) fn held_bytes(&self) -> usize {
        self.bytes.0.held.load(Ordering::Relaxed)
    }

    /// The sender, or something of its, holds `after` bytes where it held `before`.
    pub(super) fn hold(&self, before: usize, after: usize) {
        if after >= before {
            self.bytes.0.held.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.bytes.0.held.fetch_sub(before - after, Ordering::Relaxed);
        }
    }

    /// Pushes a marker, which no limit holds back.
    pub(crate) fn push_flush(&self, flush: Flush) {
        self.flushes.fetch_add(1, Ordering::SeqCst);
        self.items.push(Work::Flush(Box::new(flush)));
        self.woken.notify_one();
        if self.wake.added().is_late() {
            self.answer_ended();
        }
    }

    pub(super) fn has_flush(&self) -> bool {
        self.flushes.load(Ordering::SeqCst) > 0
    }

    /// The sender's thread is no more: whoever asks from now on is told so at once.
    pub(super) fn end(&self) {
        self.close();
        self.wake.end();
        self.answer_ended();
    }

    /// The sender's thread has panicked, which is a defect of this crate. What it had in its hands
    /// is lost, and counted.
    pub(super) fn fail(&self) {
        self.end();
        self.counters.drop_taken(DropReason::Panicked, self.counters.stats().in_flight);
    }

    /// Counts what is left as dropped and answers the markers.
    fn answer_ended(&self) {
        while let Some(work) = self.pop() {
            self.give_up(work, DropReason::ShutDown);
        }
    }

    /// Counts something that came out of the queue as dropped, or answers it.
    pub(super) fn give_up(&self, work: Work, reason: DropReason) {
        self.release(work.bytes());
        match work {
            Work::Flush(flush) => (flush.reply)(Err(FlushError::ShutDown)),
            other => {
                let (runs, lost) = (other.runs(), other.lost());
                self.counters.take(runs);
                self.counters.drop_taken(reason, runs);
                self.counters.drop_submitted(reason, lost - runs);
            }
        }
    }

    /// Nothing more is taken but markers.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// The oldest item. Its bytes count until [`Self::release`].
    pub(super) fn pop(&self) -> Option<Work> {
        let work = self.items.pop()?;
        if matches!(work, Work::Flush(_)) {
            self.flushes.fetch_sub(1, Ordering::SeqCst);
        }
        Some(work)
    }

    pub(super) fn release(&self, bytes: usize) {
        self.bytes.0.waiting.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// The sender is about to sleep. `false` when something came in the meantime.
    pub(super) fn rest(&self, gathering: bool) -> bool {
        let little = || self.bytes.0.waiting.load(Ordering::Relaxed) < WAKE_BYTES;
        self.wake.rest(gathering, || if gathering { little() } else { self.items.is_empty() })
    }

    pub(super) fn awake(&self) {
        self.wake.awake();
    }

    fn refuse(&self, reason: DropReason, error: SubmitError, runs: u64) -> Dropped {
        Dropped { error, first: self.counters.drop_submitted(reason, runs) }
    }
}

/// About how much memory a span takes, itself and its texts.
pub(crate) fn span_bytes(span: &SpanData) -> usize {
    const SPAN: usize = size_of::<SpanData>() + 128;
    const ATTRIBUTE: usize = size_of::<opentelemetry::KeyValue>();
    const EVENT: usize = 128;
    let attributes = |attributes: &[opentelemetry::KeyValue]| {
        attributes.iter().map(|attribute| ATTRIBUTE + value_bytes(&attribute.value)).sum::<usize>()
    };
    let events = span.events.iter().map(|event| EVENT + attributes(&event.attributes)).sum::<usize>();
    let links = span.links.iter().map(|link| EVENT + attributes(&link.attributes)).sum::<usize>();
    SPAN + span.name.len() + attributes(&span.attributes) + events + links
}

/// About how much memory a run takes.
pub(super) fn run_bytes(run: &Run) -> usize {
    let json = |json: &Option<crate::json::Json>| json.as_ref().map_or(0, |json| json.as_str().len());
    let attachments: usize = run.attachments.iter().map(|attachment| attachment.content.len()).sum();
    size_of::<Run>()
        + run.name.len()
        + run.tags.iter().map(|tag| size_of_val(tag) + tag.len()).sum::<usize>()
        + run.extra.otel.members().len()
        + run.extra.runtime.members().len()
        + json(&run.inputs)
        + json(&run.outputs)
        + json(&run.events)
        + run.extra.metadata.members().len()
        + run.extra.invocation_params.members().len()
        + run.error.as_ref().map_or(0, String::len)
        + run.dotted_order.as_str().len()
        + attachments
        + run.feedback.iter().map(Feedback::bytes).sum::<usize>()
}

fn value_bytes(value: &opentelemetry::Value) -> usize {
    use opentelemetry::{Array, Value};
    match value {
        Value::String(text) => text.as_str().len(),
        Value::Array(Array::String(texts)) => texts.iter().map(|text| 24 + text.as_str().len()).sum(),
        Value::Array(Array::I64(numbers)) => 8 * numbers.len(),
        Value::Array(Array::F64(numbers)) => 8 * numbers.len(),
        Value::Array(Array::Bool(flags)) => flags.len(),
        _ => 0,
    }
}

//! What is told to the person who runs the application: each thing once an outage, in one line.

use crate::error::FORKED;
use crate::lineage::LocalTrace;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// So many outages, and so many runs that were cut, are told in so much time.
const OUTAGES: usize = 5;
const CUTS: usize = 20;
const TIME: Duration = Duration::from_secs(600);

/// The things that are worth a line.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Notice {
    QueueFull,
    ShutDown,
    Refused,
    Trying,
    Unreachable,
    OldServer,
    Panicked,
    Redaction,
    Spooling,
    SpoolFull,
    SpoolFailed,
    Rejected,
    OtherDestination,
    Skipped,
    NoLocks,
    TraceFull,
    DeepHeader,
    InnerSpan,
}

impl Notice {
    /// What an outage brings about, and what is told again when there is another one.
    const OUTAGE: [Self; 6] =
        [Self::Refused, Self::Trying, Self::Unreachable, Self::Spooling, Self::SpoolFull, Self::SpoolFailed];

    fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// Remembers what has been told. Everything later in the same outage is only counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notices(Arc<Told>);

#[derive(Debug, Default)]
struct Told {
    /// One bit a [`Notice`].
    notices: AtomicU32,
    /// When outages ended whose end was told lately.
    ends: Mutex<VecDeque<Instant>>,
    /// When runs were cut and that was told lately.
    cuts: Mutex<VecDeque<Instant>>,
    /// A hook has opened a span.
    inner_span: AtomicBool,
    /// Lines that may not be written yet.
    writing: Mutex<Vec<JoinHandle<()>>>,
    /// Why the last request failed.
    last_failure: Mutex<Option<String>>,
}

impl Notices {
    /// Logs a warning, the first time this is called for `notice`.
    ///
    /// It is safe anywhere: `tracing` may hold a lock of the application's when a span ends, and
    /// the sender's thread has no subscriber, so the line is logged by a thread of its own.
    pub(crate) fn warn(&self, notice: Notice, text: impl FnOnce() -> String) {
        let (told, bit) = (&self.0.notices, notice.bit());
        if told.load(Ordering::Relaxed) & bit != 0 || told.fetch_or(bit, Ordering::Relaxed) & bit != 0 {
            return;
        }
        let text = text();
        self.write(move || log(&text));
    }

    /// Logs a warning each time: the caller sees to it that there are few.
    pub(crate) fn warn_again(&self, text: String) {
        self.write(move || log(&text));
    }

    /// Requests are accepted after they were not. Says whether that is worth a line: something was told of the outage.
    ///
    /// The next outage is told again. An endpoint that fails now and then would fill the log with that: five outages
    /// in ten minutes are told, no more.
    pub(crate) fn outage_is_over(&self) -> bool {
        let bits = Notice::OUTAGE.into_iter().map(Notice::bit).fold(0, std::ops::BitOr::bitor);
        if self.0.notices.load(Ordering::Relaxed) & bits == 0 || !self.may_tell_again() {
            return false;
        }
        self.0.notices.fetch_and(!bits, Ordering::Relaxed);
        true
    }

    /// Nothing waits and nothing is on its way: when the queue is full again that is told again.
    pub(crate) fn all_is_sent(&self) {
        let bit = Notice::QueueFull.bit();
        if self.0.notices.load(Ordering::Relaxed) & bit != 0 && self.may_tell_again() {
            self.0.notices.fetch_and(!bit, Ordering::Relaxed);
        }
    }

    /// Logs that a run is sent without some of its fields; beyond a number of lines in some minutes these are only
    /// counted.
    pub(crate) fn cut(&self, text: impl FnOnce() -> String) {
        if may_tell(&self.0.cuts, CUTS) {
            let text = text();
            self.write(move || log(&text));
        }
    }

    fn may_tell_again(&self) -> bool {
        may_tell(&self.0.ends, OUTAGES)
    }

    /// Logs that something is well again.
    pub(crate) fn info(&self, text: String) {
        self.write(move || tracing::info!(target: "opentelemetry_langsmith", "{text}"));
    }

    fn write(&self, line: impl FnOnce() + Send + 'static) {
        let thread = write(line);
        let mut writing = lock(&self.0.writing);
        writing.retain(|thread| !thread.is_finished());
        writing.extend(thread);
    }

    /// A trace has as many runs as it may.
    pub(crate) fn tell_full(&self, trace: &LocalTrace, runs: usize) {
        self.warn(Notice::TraceFull, || {
            // Its name might have been redacted.
            format!(
                "the trace {} has more than {runs} runs and goes on below another root, which names it as \
                 continues_trace_id; further such traces are not told",
                trace.id(),
            )
        });
    }

    /// A hook has opened a span. This is told when the sender's thread comes by.
    pub(crate) fn note_inner_span(&self) {
        self.0.inner_span.store(true, Ordering::Relaxed);
    }

    pub(crate) fn tell_inner_span(&self) {
        if self.0.inner_span.load(Ordering::Relaxed) {
            self.warn(Notice::InnerSpan, || {
                "a hook opens spans, such as that of SpanFilter::from_fn or Config::with_project_for: those are left \
                 alone and become no runs; take the instrumentation out of what the hook calls"
                    .into()
            });
        }
    }

    /// Waits a moment until all lines are written: a program that ends takes its threads with it.
    pub(crate) fn wait(&self) {
        let writing = std::mem::take(&mut *lock(&self.0.writing));
        let deadline = Instant::now() + Duration::from_millis(50);
        while writing.iter().any(|thread| !thread.is_finished()) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    pub(crate) fn failed(&self, why: &str) {
        *lock(&self.0.last_failure) = Some(why.to_owned());
    }

    pub(crate) fn last_failure(&self) -> Option<String> {
        lock(&self.0.last_failure).clone()
    }
}

/// Logs what to do in a process that was forked. Nothing is locked for it that a thread of the first process may have
/// locked when it was forked.
pub(super) fn tell_forked() {
    drop(write(|| log(FORKED)));
}

fn write(line: impl FnOnce() + Send + 'static) -> Option<JoinHandle<()>> {
    let suppressed = move || {
        let _suppressed = opentelemetry::Context::enter_telemetry_suppressed_scope();
        line();
    };
    // Without a thread there is no line; the counters still tell.
    std::thread::Builder::new().name("langsmith-log".into()).spawn(suppressed).ok()
}

/// Whether this was told less than so often lately. Then it is now.
fn may_tell(told: &Mutex<VecDeque<Instant>>, most: usize) -> bool {
    let mut told = lock(told);
    told.retain(|at| at.elapsed() < TIME);
    let may = told.len() < most;
    if may {
        told.push_back(Instant::now());
    }
    may
}

/// Logs from the application's own thread, when it shuts down.
pub(crate) fn log(text: &str) {
    let _suppressed = opentelemetry::Context::enter_telemetry_suppressed_scope();
    tracing::warn!(target: "opentelemetry_langsmith", "{text}");
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

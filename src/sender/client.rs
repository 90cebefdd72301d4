//! The sender's public face.

use super::checks::Checks;
use super::delivery::{Delivery, Hurry};
use super::gate::Pass;
use super::notice::{self, Notice, Notices};
use super::pending::Watch;
use super::queue::{span_bytes, Dropped, Ended, Flush, Placed, Queue, Start, Work};
use super::spool::Spool;
use super::transport::Transport;
use super::worker::Worker;
use crate::config::{Config, FOREVER};
use crate::convert::{Converter, Counts, Origin};
use crate::error::{ConfigError, FlushError, SubmitError};
use crate::hooks::{contain, is_inside, silence, BuiltUnder};
use crate::lineage::{Live, Node, Opened, Sampling, SpanFilter, SpanKey};
use crate::run::Run;
use crate::stats::{DropReason, SpoolStats, Stats};
use opentelemetry_sdk::trace::SpanData;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{sync_channel, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::watch;

/// Sends runs to LangSmith. Clones share one queue and one thread.
///
/// Exporters and processors have one inside; by itself it sends runs that were made by hand. A run
/// that has ended is submitted once. One that takes its time is submitted when it starts, so that
/// LangSmith shows it, and updated when it has ended:
///
/// ```no_run
/// use opentelemetry_langsmith::{Client, Config, Run, RunType, UsageMetadata};
/// use std::time::Duration;
///
/// let client = Client::new(Config::from_env()?)?;
/// let parent = Run::builder("plan a trip", RunType::Chain).inputs("Where to?").build()?;
/// client.submit(parent.clone())?;
///
/// let child = Run::builder("ask the model", RunType::Llm)
///     .child_of(&parent)
///     .inputs(&serde_json::json!({"messages": [{"role": "user", "content": "Where to?"}]}))
///     .metadata("ls_provider", "openai")
///     .metadata("ls_model_name", "gpt-4o-mini");
/// // … ask …
/// let child = child.outputs("Paris").usage(&UsageMetadata::new(12, 1)).end_now().build()?;
/// client.submit(child)?;
///
/// client.update(parent.edit().outputs("Paris").end_now().build()?)?;
/// client.shutdown(Duration::from_secs(5))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Nothing here blocks but [`flush`](Self::flush) and [`shutdown`](Self::shutdown), and these need
/// no runtime and disturb none: the network has a thread of its own.
#[derive(Clone)]
pub struct Client {
    /// `None`: tracing is switched off.
    inner: Option<Arc<Inner>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

struct Inner {
    queue: Arc<Queue>,
    notices: Notices,
    origin: Arc<OnceLock<Origin>>,
    shut_down: AtomicBool,
    filter: SpanFilter,
    spool: Option<Arc<Spool>>,
    sampling: Sampling,
    trace_runs: usize,
    /// Spans that are open; `None` where there are none, or nobody knows of them.
    live: Option<Arc<Live>>,
}

/// How much longer than its deadline an answer may take to arrive.
const GRACE: Duration = Duration::from_millis(60);
/// How long dropping the last clone may take.
const DROP_TIMEOUT: Duration = Duration::from_secs(5);
/// A shutdown may wait for this part of its time until others have finished pushing.
const PUSHING_PART: u32 = 2;

impl Client {
    /// Checks the configuration and starts the sender's thread. The network is not touched before
    /// there is something to send. Files that an earlier process kept on disk are such a thing.
    ///
    /// # Errors
    /// [`ConfigError`] names what to set or to correct.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        Self::start(config, None)
    }

    /// A client that sends the runs of `live`, those that are pending too.
    pub(crate) fn watching(config: Config, live: &Arc<Live>) -> Result<Self, ConfigError> {
        Self::start(config, Some(live))
    }

    fn start(config: Config, live: Option<&Arc<Live>>) -> Result<Self, ConfigError> {
        if !config.tracing {
            return Ok(Self { inner: None });
        }
        config.check()?;
        let config = config.tame();
        let transport = Transport::new(&config)?;
        let queue = Arc::new(Queue::new(config.queue_bytes));
        let notices = Notices::default();
        let origin = Arc::new(OnceLock::new());
        let (hurry, hurried) = watch::channel(Hurry::default());
        let spool = Spool::open(&config, &queue, &notices)?;
        let delivery = Delivery::new(transport, &config, Arc::clone(&queue), notices.clone(), hurried, spool.clone());
        let counts = if config.on_run.is_some() { Counts::Open } else { Counts::Certain };
        let converter = Converter::new(Arc::clone(&origin), config.conversion.clone(), config.hide, counts)
            .with_event_limits(config.events);
        let checks = Checks::new(config.hooks(), notices.clone(), config.selection.bubble_io);
        let pending = config.selection.pending();
        let watch = live.zip(pending).map(|(live, (after, _))| Watch::new(Arc::clone(live), after));
        let thread = |reason: std::io::Error| ConfigError::Thread(reason.to_string());
        let worker = Worker::new(&config, Arc::clone(&queue), delivery, hurry, notices.clone(), converter, checks)
            .map_err(thread)?
            .watching(watch);
        let subscriber = BuiltUnder::now();
        std::thread::Builder::new().name("langsmith".into()).spawn(move || work(worker, subscriber)).map_err(thread)?;
        let inner = Inner {
            queue,
            notices,
            origin,
            shut_down: AtomicBool::new(false),
            spool,
            sampling: config.selection.sampling(),
            trace_runs: config.rules().trace_runs,
            filter: config.selection.filter,
            live: live.cloned(),
        };
        Ok(Self { inner: Some(Arc::new(inner)) })
    }

    /// Hands a run over. Returns at once; a run that is not taken is counted as dropped.
    ///
    /// # Errors
    /// When the queue is full, or the client was shut down, or this process was forked after the client was
    /// made.
    pub fn submit(&self, run: Run) -> Result<(), SubmitError> {
        self.hand_over([Work::Run(Box::new(run))])
    }

    /// Hands over more about a run that was submitted before it ended: the run with its outputs and
    /// its end, from [`Run::edit`]. It never overtakes the first part, and where both are still here
    /// they are sent as one. LangSmith refuses more about a run that nobody submitted.
    ///
    /// # Errors
    /// When the queue is full, or the client was shut down, or this process was forked after the client was
    /// made.
    pub fn update(&self, run: Run) -> Result<(), SubmitError> {
        self.hand_over([Work::Update(Box::new(run))])
    }

    /// Waits until everything submitted so far is delivered, kept on disk or given up.
    ///
    /// # Errors
    /// [`FlushError::Timeout`] when that takes longer than `timeout`; [`FlushError::Dropped`] when
    /// runs were lost since the last flush; [`FlushError::Delayed`], at once, while LangSmith refuses
    /// the key or a quota is used up, unless runs are then kept on disk; [`FlushError::Forked`], at once, in a
    /// process that was forked after the client was made; [`FlushError::InHook`], at once, in a hook.
    pub fn flush(&self, timeout: Duration) -> Result<(), FlushError> {
        let Some(inner) = &self.inner else { return Ok(()) };
        inner.may_wait()?;
        let result = inner.wait_for(timeout, false);
        if result.is_err() {
            inner.notices.wait();
        }
        result
    }

    /// Like [`flush`](Self::flush), for async code.
    ///
    /// # Errors
    /// As [`flush`](Self::flush), but for the time: wrap it in your runtime's timeout.
    pub async fn flush_async(&self) -> Result<(), FlushError> {
        self.wait_until_delivered(false).await
    }

    /// An impatient one gets [`FlushError::Delayed`] when requests keep failing.
    pub(crate) async fn wait_until_delivered(&self, impatient: bool) -> Result<(), FlushError> {
        let Some(inner) = &self.inner else { return Ok(()) };
        inner.may_wait()?;
        let (answer, answered) = tokio::sync::oneshot::channel();
        inner.queue.push_flush(Flush {
            last: false,
            impatient,
            deadline: Instant::now(),
            // Who no longer waits needs no answer.
            reply: Box::new(move |result| drop(answer.send(result))),
        });
        answered.await.unwrap_or(Err(FlushError::ShutDown))
    }

    /// Delivers what it can within `timeout`, then stops. What other threads are handing over when it is called is waited
    /// for. What is left is counted as dropped, and so is whatever comes later, which is no error of the shutdown's. Spans
    /// that are open behind a [`LangSmithSpanProcessor`](crate::LangSmithSpanProcessor) are sent as interrupted. While LangSmith refuses the key or a quota is used up it asks once
    /// more and does not wait for better times. With [`Config::with_spool_dir`] it delivers for four
    /// fifths of the time, or all but half a second, and writes to disk what is left then.
    ///
    /// # Errors
    /// [`FlushError::Dropped`] counts what was lost; [`FlushError::ShutDown`] at a second call; [`FlushError::Forked`], at
    /// once, in a process that was forked after the client was made: the first process goes on as if nothing was;
    /// [`FlushError::InHook`], at once, in a hook.
    pub fn shutdown(&self, timeout: Duration) -> Result<(), FlushError> {
        let Some(inner) = &self.inner else { return Ok(()) };
        inner.may_wait()?;
        if inner.shut_down.swap(true, Ordering::SeqCst) {
            return Err(FlushError::ShutDown);
        }
        let result = inner.end(timeout);
        if let Err(error @ FlushError::Dropped { .. }) = &result {
            notice::log(&format!("not all of {} runs reached LangSmith: {error}", self.stats().submitted));
        }
        inner.notices.wait();
        result
    }

    /// Where all runs are at this moment.
    pub fn stats(&self) -> Stats {
        self.inner.as_ref().map_or_else(Stats::default, |inner| inner.queue.counters.stats())
    }

    /// What is kept on disk, and what became of it: for [`Config::with_spool_dir`]. It looks at the directory,
    /// so ask it now and then, not all the time. [`flush`](Self::flush) does not wait for these files.
    pub fn spool(&self) -> SpoolStats {
        let spool = self.inner.as_ref().and_then(|inner| inner.spool.as_ref());
        spool.map_or_else(SpoolStats::default, |spool| spool.stats())
    }

    /// Whether it does anything: `false` when tracing is switched off.
    pub fn is_enabled(&self) -> bool {
        self.inner.is_some()
    }

    /// What is told to the person who runs the application.
    pub(crate) fn notices(&self) -> Option<Notices> {
        self.inner.as_ref().map(|inner| inner.notices.clone())
    }

    /// Says what describes the process; the first call counts.
    pub(crate) fn set_origin(&self, origin: Origin) {
        if let Some(inner) = &self.inner {
            inner.origin.get_or_init(|| origin);
        }
    }

    /// Hands ended spans over. Where they do not fit into the queue all together, as many as do.
    pub(crate) fn push_ended(&self, mut spans: Vec<SpanData>) -> Result<(), SubmitError> {
        let Some(inner) = &self.inner else { return Ok(()) };
        let is_sampled = |span: &SpanData| inner.sampling.keeps(SpanKey::of(&span.span_context).trace_id);
        if !inner.sampling.keeps_errors() {
            let all = spans.len();
            spans.retain(is_sampled);
            self.count_not_sampled(all - spans.len());
        }
        if spans.is_empty() {
            return Ok(());
        }
        // A filter that opens spans would be asked about them, too.
        let _no_spans = opentelemetry::Context::enter_telemetry_suppressed_scope();
        let fits = spans.len() == 1 || inner.queue.has_room(spans.iter().map(span_bytes).sum());
        let ended = spans.into_iter().map(|span| Ended {
            kept: inner.filter.keeps(&span),
            undecided: !is_sampled(&span),
            span,
        });
        if fits {
            return self.hand_over([Work::Ended(ended.collect())]);
        }
        self.hand_over(ended.map(|ended| Work::Ended(vec![ended])))
    }

    /// Lets in a thread that tells of a span. `None` after a shutdown, or where tracing is switched off.
    #[inline]
    pub(crate) fn enter(&self) -> Option<Pass<'_>> {
        self.inner.as_ref()?.queue.enter()
    }

    /// Hands over a root that goes on with a full trace.
    pub(crate) fn push_root(&self, pass: &Pass<'_>, root: Arc<Node>) {
        let Some(inner) = &self.inner else { return };
        inner.notices.tell_full(root.trace(), inner.trace_runs);
        inner.push(pass, Work::Root(root));
    }

    /// The traces of these roots, which went on with them, have ended.
    pub(crate) fn push_root_ends(&self, pass: &Pass<'_>, roots: &[Arc<Node>]) {
        let Some(inner) = &self.inner else { return };
        for root in roots {
            inner.push(pass, Work::RootEnd(Arc::clone(root)));
        }
    }

    /// Has an eye on a span that has just started: it may be sent while it is open.
    pub(crate) fn watch(&self, pass: &Pass<'_>, key: SpanKey, node: Arc<Node>) {
        // What cannot be watched is sent when it ends.
        let Some(inner) = self.inner.as_ref().filter(|_| !node.trace().is_undecided()) else { return };
        inner.queue.push_start(pass, Start { at: Instant::now(), key, node });
    }

    /// A span has ended after the shutdown had begun. If it was open then, its run was sent as interrupted.
    #[cold]
    pub(crate) fn come_late(&self, span: &SpanData) {
        let Some(inner) = &self.inner else { return };
        if inner.live.as_ref().is_some_and(|live| live.would_send(span)) {
            inner.tell_drop(&inner.queue.refuse_late(1));
        }
    }

    /// A hook has opened a span, which is left alone. A span may start under locks of the application's, so that
    /// the sender's thread tells of it.
    #[cold]
    pub(crate) fn note_inner_span(&self) {
        if let Some(inner) = &self.inner {
            inner.notices.note_inner_span();
        }
    }

    /// Counts spans that sampling leaves out.
    pub(crate) fn count_not_sampled(&self, spans: usize) {
        if let Some(inner) = self.inner.as_ref().filter(|_| spans > 0) {
            inner.queue.counters.not_sampled(spans as u64);
        }
    }

    /// A box for a span that has started. What is in it may be overwritten.
    #[inline]
    pub(crate) fn spare_box(&self) -> Option<Box<SpanData>> {
        self.inner.as_ref()?.queue.spare_box()
    }

    /// Hands over a span that has ended. What is not taken is counted where it is not taken.
    #[inline]
    pub(crate) fn push_span(&self, pass: &Pass<'_>, span: Box<SpanData>, node: Arc<Node>, posted: bool) {
        let Some(inner) = &self.inner else { return };
        if let Err(dropped) = inner.queue.push_placed(pass, Placed::new(span, node, false, posted)) {
            inner.tell_drop(&dropped);
        }
    }

    /// Hands over what belongs together: all of it before a shutdown, or all of it after.
    fn hand_over(&self, works: impl IntoIterator<Item = Work>) -> Result<(), SubmitError> {
        let Some(inner) = &self.inner else { return Ok(()) };
        inner.queue.is_forked();
        let pass = inner.queue.enter();
        let taken = works.into_iter().map(|work| match &pass {
            Some(pass) => inner.queue.push(pass, work),
            None => Err(inner.queue.refuse_late(work.lost())),
        });
        let tell = |dropped| {
            inner.tell_drop(&dropped);
            dropped.error
        };
        taken.map(|taken| taken.map_err(tell)).fold(Ok(()), Result::and)
    }
}

impl Inner {
    /// What is not taken is counted there.
    fn push(&self, pass: &Pass<'_>, work: Work) {
        if let Err(dropped) = self.queue.push(pass, work) {
            self.tell_drop(&dropped);
        }
    }

    fn look_for_fork(&self) -> Result<(), FlushError> {
        if self.queue.is_forked() {
            Err(FlushError::Forked)
        } else {
            Ok(())
        }
    }

    /// Closes the queue, lets those finish who are pushing, adds the spans that are open and delivers it all.
    ///
    /// A span that ended before is in the queue by then, and one that ends later is either among those that are open or
    /// is not sent: so no run lacks one above it.
    fn end(&self, timeout: Duration) -> Result<(), FlushError> {
        let timeout = timeout.min(FOREVER);
        let start = Instant::now();
        self.queue.close();
        self.queue.wait_for_pushes(start + timeout / PUSHING_PART);
        self.push_open();
        self.wait_for(timeout.saturating_sub(start.elapsed()), true)
    }

    /// The same without a wait, for whoever is waited for by the sender.
    fn end_unattended(&self, timeout: Duration) {
        self.queue.close();
        self.push_open();
        let deadline = Instant::now() + timeout;
        self.queue.push_flush(Flush { last: true, impatient: false, deadline, reply: Box::new(drop) });
    }

    fn push_open(&self) {
        let open = self.live.as_ref().map(|live| live.take_open(SystemTime::now())).unwrap_or_default();
        for Opened { span, node, posted, roots } in open {
            self.queue.push_last(Work::Placed(Placed::new(span, node, true, posted)));
            for root in roots {
                self.queue.push_last(Work::RootEnd(root));
            }
        }
    }

    /// Whether this thread may wait for the sender's.
    fn may_wait(&self) -> Result<(), FlushError> {
        self.look_for_fork()?;
        if is_inside() {
            return Err(FlushError::InHook);
        }
        Ok(())
    }

    fn wait_for(&self, timeout: Duration, last: bool) -> Result<(), FlushError> {
        let (answer, answered) = sync_channel(1);
        let timeout = timeout.min(FOREVER);
        let deadline = Instant::now() + timeout;
        self.queue.push_flush(Flush {
            last,
            impatient: false,
            deadline,
            reply: Box::new(move |result| drop(answer.try_send(result))),
        });
        answered.recv_timeout(timeout + GRACE).unwrap_or_else(|reason| match reason {
            RecvTimeoutError::Disconnected => Err(FlushError::ShutDown),
            RecvTimeoutError::Timeout => {
                let stats = self.queue.counters.stats();
                Err(FlushError::Timeout { timeout, undelivered: stats.queued + stats.in_flight })
            }
        })
    }

    /// Tells of a drop, once for each reason and each time that the queue is full.
    #[cold]
    fn tell_drop(&self, &Dropped { error }: &Dropped) {
        let (reason, notice) = match error {
            SubmitError::QueueFull => (DropReason::QueueFull, Notice::QueueFull),
            SubmitError::ShutDown => (DropReason::ShutDown, Notice::ShutDown),
            // It was told when it was noticed.
            SubmitError::Forked => return,
        };
        self.notices.warn(notice, || {
            format!("a run was dropped ({}): {error}; further drops are only counted", reason.as_str())
        });
    }
}

impl Drop for Inner {
    /// The last clone waits a while for what is still on its way.
    fn drop(&mut self) {
        if self.queue.is_forked() {
            // Threads that are not here may have been amid a change of these. So they are left as they are.
            std::mem::forget((Arc::clone(&self.queue), self.live.clone()));
        } else if !self.shut_down.load(Ordering::SeqCst) {
            // A drop has nobody to answer to.
            if is_inside() {
                self.end_unattended(DROP_TIMEOUT);
            } else {
                let _ = self.end(DROP_TIMEOUT);
            }
        }
    }
}

/// The sender's thread. Nothing that happens on it is traced: neither by OpenTelemetry nor by
/// `tracing`, so that the exporter never exports itself. The application's hooks alone have a subscriber there.
fn work(worker: Worker, subscriber: BuiltUnder) {
    let _no_spans = opentelemetry::Context::enter_telemetry_suppressed_scope();
    let _no_events = silence(subscriber);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => {
            let queue = worker.queue();
            let ended = contain(|| runtime.block_on(worker.run()));
            // A name that is being looked up would hold a plain drop back. What is on its way is counted here.
            runtime.shutdown_background();
            if ended.is_err() {
                queue.fail();
            }
        }
        Err(reason) => worker.fail(&reason),
    }
}

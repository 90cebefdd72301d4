//! Getting one batch to the server: tries, waits, splits. The only place that tries again.

use super::batch::Batch;
use super::notice::{Notice, Notices};
use super::oversize;
use super::queue::Queue;
use super::spool::Spool;
use super::transport::{Answer, Transport};
use crate::config::{Config, OnDrop, Retry};
use crate::secret::Endpoint;
use crate::stats::DropReason;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep_until, Instant};

/// What all deliveries share.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) transport: Transport,
    retry: Retry,
    level: Option<i32>,
    endpoint: Endpoint,
    notices: Notices,
    /// The server reads zstd, as far as is known.
    pub(crate) compression: AtomicBool,
    /// After a 429 nobody sends before this.
    held_until: Mutex<Option<Instant>>,
    /// Milliseconds from `began` to the first failure after the last success; 0 for none.
    failing_since: AtomicU64,
    began: Instant,
    hurry: watch::Receiver<Hurry>,
    on_drop: Option<OnDrop>,
    /// Where batches go that would be given up.
    pub(crate) spool: Option<Arc<Spool>>,
}

/// Cuts waits short: somebody waits for a flush.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hurry {
    /// Counts the flushes.
    pub(crate) flushes: u64,
    /// It is the last one.
    pub(crate) last: bool,
    /// Its time is over: what is not delivered goes to disk.
    pub(crate) over: bool,
}

/// What became of one request and its repetitions.
enum Outcome {
    Delivered,
    GivenUp(DropReason),
    Split { too_large: bool, words: String },
    Uncompressed,
}

impl Delivery {
    pub(crate) fn new(
        transport: Transport,
        config: &Config,
        notices: Notices,
        hurry: watch::Receiver<Hurry>,
        spool: Option<Arc<Spool>>,
    ) -> Self {
        Self {
            transport,
            retry: config.retry,
            level: config.compression_level,
            endpoint: config.endpoint.clone(),
            notices,
            compression: AtomicBool::new(true),
            held_until: Mutex::new(None),
            failing_since: AtomicU64::new(0),
            began: Instant::now(),
            hurry,
            on_drop: config.on_drop.clone(),
            spool,
        }
    }

    /// Delivers a batch, or gives up what cannot be delivered, run by run if need be.
    pub(crate) async fn deliver(&self, batch: Batch, mut flight: Flight) {
        let deadline = Instant::now() + self.retry.deadline;
        let mut waiting = vec![(batch, false)];
        while let Some((batch, was_cut)) = waiting.pop() {
            let outcome = tokio::select! {
                biased;
                () = self.time_is_over() => Outcome::GivenUp(DropReason::ShutDown),
                outcome = self.deliver_one(&batch, deadline) => outcome,
            };
            match outcome {
                Outcome::Delivered => {
                    flight.sent(batch.runs);
                    self.spool.iter().for_each(|spool| spool.delivered());
                }
                Outcome::GivenUp(reason) => self.keep_or_give_up(&mut flight, reason, &batch).await,
                Outcome::Uncompressed => match batch.uncompressed() {
                    Ok(batch) => waiting.push((batch, was_cut)),
                    Err(_) => self.give_up(&mut flight, DropReason::Refused, &batch),
                },
                Outcome::Split { too_large, words } => {
                    if let Some([first, second]) = batch.split(self.level) {
                        waiting.extend([(second, was_cut), (first, was_cut)]);
                    } else if let Some(smaller) = (too_large && !was_cut).then(|| self.cut(&batch)).flatten() {
                        waiting.push((smaller, true));
                    } else {
                        self.tell_refused(&batch, &words);
                        self.give_up(&mut flight, DropReason::Refused, &batch);
                    }
                }
            }
        }
    }

    /// Puts a batch onto the disk without trying to deliver it, as long as it can be kept there.
    pub(crate) async fn put_aside(&self, batch: Batch, mut flight: Flight) {
        let Some(spool) = &self.spool else { return self.deliver(batch, flight).await };
        match spool.keep(&batch, DropReason::Unreachable, false).await {
            Ok(()) => flight.kept(batch.runs),
            Err(_) => self.deliver(batch, flight).await,
        }
    }

    /// What cannot be delivered at this time, though nothing is wrong with it, is kept if there is a place for it.
    async fn keep_or_give_up(&self, flight: &mut Flight, reason: DropReason, batch: &Batch) {
        let Some(spool) = &self.spool else { return self.give_up(flight, reason, batch) };
        let over = self.hurry.borrow().over;
        match spool.keep(batch, reason, over).await {
            Ok(()) => flight.kept(batch.runs),
            Err(reason) => self.give_up(flight, reason, batch),
        }
    }

    async fn time_is_over(&self) {
        let over = self.hurry.clone().wait_for(|hurry| hurry.over).await.is_ok();
        if !over {
            std::future::pending().await
        }
    }

    pub(super) fn tell_refused(&self, batch: &Batch, words: &str) {
        self.notices.failed(words);
        self.notices.warn(Notice::Refused, || refused(batch, words));
    }

    pub(super) fn level(&self) -> Option<i32> {
        self.level
    }

    /// What happens to runs that are given up.
    fn fate(&self) -> &'static str {
        if self.spool.is_some() {
            "kept on disk"
        } else {
            "dropped"
        }
    }

    fn give_up(&self, flight: &mut Flight, reason: DropReason, batch: &Batch) {
        flight.dropped(reason, batch.runs);
        let Some(OnDrop(hook)) = &self.on_drop else { return };
        let Ok(raw) = batch.raw() else { return };
        let parts = super::multipart::read(&raw).unwrap_or_default();
        for part in parts.iter().filter(|part| part.field.is_empty() && part.operation != "attachment") {
            let Ok(id) = part.id.parse() else { continue };
            if catch_unwind(AssertUnwindSafe(|| hook(id, reason))).is_err() {
                self.notices.warn(Notice::Panicked, || "the hook for dropped runs panicked; it is called again".into());
            }
        }
    }

    async fn deliver_one(&self, batch: &Batch, deadline: Instant) -> Outcome {
        let mut tries = 0;
        loop {
            self.wait_while_held().await;
            let flushes = self.hurry.borrow().flushes;
            let (why, after, rate_limited) = match self.transport.post(batch).await {
                Answer::Delivered => {
                    self.failing_since.store(0, Ordering::Relaxed);
                    return Outcome::Delivered;
                }
                Answer::TooLarge { words } => return Outcome::Split { too_large: true, words },
                Answer::Refused { words } => return Outcome::Split { too_large: false, words },
                Answer::RefusedWhole { words } => {
                    self.notices.failed(&words);
                    self.notices.warn(Notice::Refused, || {
                        let fate = self.fate();
                        format!("{} answered {words}; runs are being {fate}; check LANGSMITH_ENDPOINT", self.endpoint)
                    });
                    return Outcome::GivenUp(DropReason::Refused);
                }
                Answer::NoCompression => {
                    self.compression.store(false, Ordering::Relaxed);
                    return Outcome::Uncompressed;
                }
                Answer::NoMultipart => {
                    self.transport.use_multipart(false);
                    self.notices.warn(Notice::OldServer, || {
                        format!(
                            "{} has no /runs/multipart; runs go to /runs/batch from now on, without attachments",
                            self.endpoint
                        )
                    });
                    continue;
                }
                Answer::Unauthorized { status, words } => {
                    self.notices.failed(&format!("{status} {words}"));
                    self.notices
                        .warn(Notice::Unauthorized, || unauthorized(&self.endpoint, status, &words, self.fate()));
                    return Outcome::GivenUp(DropReason::Unauthorized);
                }
                Answer::Passing { why, after, rate_limited } => (why, after, rate_limited),
            };
            let now = Instant::now();
            let wait = self.wait_before(tries, after, rate_limited);
            self.fail(&why, now);
            if now + wait > deadline {
                if self.spool.is_none() {
                    self.notices.warn(Notice::Unreachable, || {
                        format!(
                            "runs are being dropped: {} did not take them: {why}; further drops are only counted",
                            self.endpoint
                        )
                    });
                }
                return Outcome::GivenUp(DropReason::Unreachable);
            }
            if !rate_limited {
                self.wait_until(now + wait, flushes).await;
            } else if !self.hurry.borrow().last {
                self.hold_until(now + wait);
            } else {
                // There is no time to wait as long as the server asks for, but it is not flooded either.
                let wait = wait.min(self.wait_before(tries, None, false));
                self.wait_until(now + wait, flushes).await;
            }
            tries += 1;
        }
    }

    /// A try has failed in a way that may pass.
    fn fail(&self, why: &str, now: Instant) {
        self.notices.failed(why);
        let milliseconds = now.duration_since(self.began).as_millis().try_into().unwrap_or(u64::MAX).max(1);
        // Nothing else stands in for the first failure since the last success.
        let _ = self.failing_since.compare_exchange(0, milliseconds, Ordering::Relaxed, Ordering::Relaxed);
        self.notices.warn(Notice::Trying, || {
            format!(
                "{} does not take runs: {why}; they are kept and tried again for {:?}",
                self.endpoint, self.retry.deadline
            )
        });
    }

    /// When requests began to fail; `None` while they do not.
    pub(crate) fn failing_since(&self) -> Option<std::time::Instant> {
        let milliseconds = self.failing_since.load(Ordering::Relaxed);
        (milliseconds > 0).then(|| (self.began + Duration::from_millis(milliseconds)).into_std())
    }

    /// How long to wait before the next try: what the server says, or a random part of a time that
    /// doubles, so that clients that failed together do not come back together.
    pub(super) fn wait_before(&self, tries: u32, after: Option<Duration>, rate_limited: bool) -> Duration {
        let retry = &self.retry;
        let wait = match after {
            Some(after) => after,
            None if rate_limited => retry.rate_limit_wait,
            None => {
                let ceiling = retry.first_wait.saturating_mul(1 << tries.min(20)).min(retry.longest_wait);
                ceiling.mul_f64(fastrand::f64())
            }
        };
        wait.min(retry.longest_wait)
    }

    fn hold_until(&self, until: Instant) {
        let mut held = self.held_until.lock().unwrap_or_else(PoisonError::into_inner);
        *held = (*held).max(Some(until));
    }

    /// Waits while the endpoint wants to be left alone. Only the last flush does not wait.
    pub(super) async fn wait_while_held(&self) {
        loop {
            let held = *self.held_until.lock().unwrap_or_else(PoisonError::into_inner);
            match held.filter(|until| *until > Instant::now()) {
                Some(until) if !self.hurry.borrow().last => {
                    let flushes = self.hurry.borrow().flushes;
                    self.wait_until(until, flushes).await;
                }
                _ => return,
            }
        }
    }

    /// Sleeps, but no longer than until a flush begins after the first `flushes` ones. One that
    /// began while the request was under way counts, so the wait may be none at all.
    async fn wait_until(&self, until: Instant, flushes: u64) {
        let mut hurry = self.hurry.clone();
        tokio::select! {
            () = sleep_until(until) => {}
            Ok(_) = hurry.wait_for(|hurry| hurry.flushes > flushes) => {}
        }
    }

    /// The batch's one run with its largest fields cut to a quarter of what it was.
    pub(super) fn cut(&self, batch: &Batch) -> Option<Batch> {
        let raw = batch.raw().ok()?;
        let smaller = oversize::cut(&raw, raw.len() / 4)?;
        self.notices.warn(Notice::TooLarge, || {
            "a run was larger than the server takes: its largest fields were left out and say how large they were"
                .into()
        });
        Some(batch.of_one(&smaller, self.level))
    }
}

fn refused(batch: &Batch, words: &str) -> String {
    let run = batch.raw().ok().and_then(|raw| {
        let parts = super::multipart::read(&raw)?;
        let main = parts.first()?;
        let fields: serde_json::Value = serde_json::from_slice(&raw[main.content.clone()]).ok()?;
        Some(format!("{} ({})", main.id, fields.get("name")?))
    });
    let run = run.unwrap_or_else(|| "a run".into());
    format!("LangSmith refused run {run}: {words}; it is dropped, further ones are only counted")
}

fn unauthorized(endpoint: &Endpoint, status: u16, words: &str, fate: &str) -> String {
    if words.contains("org_scoped_key_requires_workspace") {
        return format!("{endpoint} answered {status}: the key belongs to an organisation; set LANGSMITH_WORKSPACE_ID or call Config::with_workspace_id; runs are being {fate}");
    }
    format!(
        "{endpoint} answered {status} ({words}); check LANGSMITH_API_KEY, and LANGSMITH_ENDPOINT: a key works in its own region only \
         (api., eu.api., apac.api. or aws.api.smith.langchain.com); runs are being {fate}"
    )
}

/// The runs of a batch that is on its way. Whatever ends the delivery, a panic and an abort
/// included, each run is counted and the batch is reported as done.
pub(crate) struct Flight {
    number: u64,
    runs: u64,
    /// Some of them are on disk.
    kept: bool,
    queue: Arc<Queue>,
    done: mpsc::UnboundedSender<Done>,
}

/// A batch is done with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    pub(crate) number: u64,
    /// Some of its runs are on disk.
    pub(crate) kept: bool,
}

impl Flight {
    pub(crate) fn new(number: u64, runs: u64, queue: Arc<Queue>, done: mpsc::UnboundedSender<Done>) -> Self {
        Self { number, runs, kept: false, queue, done }
    }

    fn sent(&mut self, runs: u64) {
        self.queue.counters.sent(runs);
        self.runs = self.runs.saturating_sub(runs);
    }

    /// The spool has counted them.
    fn kept(&mut self, runs: u64) {
        self.kept = true;
        self.runs = self.runs.saturating_sub(runs);
    }

    fn dropped(&mut self, reason: DropReason, runs: u64) {
        self.queue.counters.drop_taken(reason, runs);
        self.runs = self.runs.saturating_sub(runs);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if self.runs > 0 {
            let reason = if std::thread::panicking() { DropReason::Panicked } else { DropReason::ShutDown };
            self.queue.counters.drop_taken(reason, self.runs);
        }
        // Nobody listens any more when the sender has ended.
        let _ = self.done.send(Done { number: self.number, kept: self.kept });
    }
}

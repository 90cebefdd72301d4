//! Getting one batch to the server: tries, waits, splits. The only place that tries again.

use super::batch::Batch;
use super::circuit::{Circuit, Open, Pass, Patience};
use super::concurrency::Slot;
use super::notice::{Notice, Notices};
use super::oversize;
use super::queue::Queue;
use super::share::Share;
use super::spool::Spool;
use super::transport::{Answer, Transport};
use crate::config::{Config, OnDrop, Retry, FOREVER};
use crate::run::RunId;
use crate::secret::Endpoint;
use crate::stats::DropReason;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
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
    /// Whether the endpoint takes anything.
    pub(crate) circuit: Circuit,
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
            circuit: Circuit::new(config.retry.probe_interval, config.retry.deadline),
            hurry,
            on_drop: config.on_drop.clone(),
            spool,
        }
    }

    /// Delivers a batch, or gives up what cannot be delivered, run by run if need be.
    pub(crate) async fn deliver(&self, mut flight: Flight) {
        let tries = Instant::now() + self.retry.deadline;
        // What has a place on disk need not wait in memory for better times.
        let waits = if self.spool.is_some() { Duration::ZERO } else { self.retry.deadline };
        let patience = Patience { tries, open: flight.finished + waits };
        while let Some((batch, was_cut)) = flight.next() {
            let outcome = tokio::select! {
                biased;
                () = self.time_is_over() => Outcome::GivenUp(DropReason::ShutDown),
                outcome = self.deliver_one(&batch, patience) => outcome,
            };
            match outcome {
                Outcome::Delivered => {
                    flight.sent();
                    self.spool.iter().for_each(|spool| spool.delivered());
                }
                Outcome::GivenUp(reason) => self.keep_or_give_up(&mut flight, reason, &batch).await,
                Outcome::Uncompressed => match batch.uncompressed() {
                    Ok(batch) => flight.replace([(batch, was_cut)]),
                    Err(_) => self.give_up(&mut flight, DropReason::Refused),
                },
                Outcome::Split { too_large, words } => {
                    if let Some([first, second]) = batch.split(self.level) {
                        flight.replace([(second, was_cut), (first, was_cut)]);
                    } else if let Some(smaller) = (too_large && !was_cut).then(|| self.cut(&batch)).flatten() {
                        flight.replace([(smaller, true)]);
                    } else {
                        self.tell_refused(&batch, &words);
                        self.give_up(&mut flight, DropReason::Refused);
                    }
                }
            }
        }
    }

    /// Puts a batch onto the disk without trying to deliver it, as long as it can be kept there.
    pub(crate) async fn put_aside(&self, mut flight: Flight) {
        if let (Some(spool), Some((batch, _))) = (&self.spool, flight.next()) {
            if spool.keep(&batch, DropReason::Unreachable, false).await.is_ok() {
                return flight.kept();
            }
        }
        self.deliver(flight).await;
    }

    /// What cannot be delivered at this time, though nothing is wrong with it, is kept if there is a place for it.
    async fn keep_or_give_up(&self, flight: &mut Flight, reason: DropReason, batch: &Batch) {
        let Some(spool) = &self.spool else { return self.give_up(flight, reason) };
        let over = self.hurry.borrow().over;
        match spool.keep(batch, reason, over).await {
            Ok(()) => flight.kept(),
            Err(reason) => self.give_up(flight, reason),
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

    /// The leave to send something that may wait as long as it takes.
    pub(super) async fn enter(&self) -> Pass<'_> {
        let never = Instant::now() + FOREVER;
        let patience = Patience { tries: never, open: never };
        match self.circuit.enter(patience, &mut self.hurry.clone()).await {
            Ok(pass) => pass,
            // The last flush has no more hope for it, and whoever waits here ends with that.
            Err(_) => std::future::pending().await,
        }
    }

    fn give_up(&self, flight: &mut Flight, reason: DropReason) {
        if let Some(batch) = flight.dropped(reason) {
            self.tell_dropped(&batch, reason);
        }
    }

    /// Calls the hook for each run of a batch that was given up.
    pub(crate) fn tell_dropped(&self, batch: &Batch, reason: DropReason) {
        if self.on_drop.is_none() {
            return;
        }
        let Ok(raw) = batch.raw() else { return };
        let parts = super::multipart::read(&raw).unwrap_or_default();
        for part in parts.iter().filter(|part| part.field.is_empty() && part.operation != "attachment") {
            if let Ok(id) = part.id.parse() {
                self.tell_dropped_run(id, reason);
            }
        }
    }

    pub(crate) fn tell_dropped_run(&self, id: RunId, reason: DropReason) {
        let Some(OnDrop(hook)) = &self.on_drop else { return };
        if catch_unwind(AssertUnwindSafe(|| hook(id, reason))).is_err() {
            self.notices.warn(Notice::Panicked, || "the hook for dropped runs panicked; it is called again".into());
        }
    }

    /// The leave to send one request, and room for it among those that are on their way.
    async fn leave(
        &self,
        patience: &mut Patience,
        hurry: &mut watch::Receiver<Hurry>,
    ) -> Result<(Pass<'_>, Slot<'_>), DropReason> {
        let concurrency = &self.transport.concurrency;
        // Those before it get their time, and as long as they are taken it may still have its own.
        let first = Instant::now() + self.retry.timeout + self.retry.deadline;
        loop {
            let pass = self.circuit.enter(*patience, hurry).await?;
            if let Some(slot) = concurrency.enter() {
                return Ok((pass, slot));
            }
            // Whoever has room can use it.
            drop(pass);
            let delivered = concurrency.delivered().map(|delivered| delivered + self.retry.deadline);
            patience.tries = delivered.map_or(patience.tries, |delivered| delivered.max(patience.tries));
            let slot = tokio::select! {
                slot = concurrency.wait() => slot,
                () = sleep_until(first.max(patience.tries)) => return Err(DropReason::Unreachable),
            };
            // Who has to wait for the endpoint now keeps nobody else from finding out how it is.
            tokio::select! {
                biased;
                pass = self.circuit.enter(*patience, hurry) => return Ok((pass?, slot)),
                () = std::future::ready(()) => {}
            }
        }
    }

    async fn deliver_one(&self, batch: &Batch, mut patience: Patience) -> Outcome {
        let mut tries = 0;
        let mut hurry = self.hurry.clone();
        loop {
            let (pass, slot) = match self.leave(&mut patience, &mut hurry).await {
                Ok(leave) => leave,
                Err(reason) => return Outcome::GivenUp(reason),
            };
            let flushes = pass.flushes;
            let answer = self.transport.post(batch).await;
            drop(slot);
            let (why, wait) = match answer {
                Answer::Delivered => {
                    self.answered(pass, true);
                    return Outcome::Delivered;
                }
                Answer::TooLarge { words } => {
                    self.answered(pass, false);
                    return Outcome::Split { too_large: true, words };
                }
                Answer::Refused { words } => {
                    self.answered(pass, false);
                    return Outcome::Split { too_large: false, words };
                }
                Answer::RefusedWhole { words } => {
                    self.answered(pass, false);
                    self.notices.failed(&words);
                    self.notices.warn(Notice::Refused, || {
                        let fate = self.fate();
                        format!("{} answered {words}; runs are being {fate}; check LANGSMITH_ENDPOINT", self.endpoint)
                    });
                    return Outcome::GivenUp(DropReason::Refused);
                }
                Answer::NoCompression => {
                    self.answered(pass, false);
                    self.compression.store(false, Ordering::Relaxed);
                    return Outcome::Uncompressed;
                }
                Answer::NoMultipart => {
                    self.answered(pass, false);
                    self.transport.use_multipart(false);
                    self.notices.warn(Notice::OldServer, || {
                        format!(
                            "{} has no /runs/multipart; runs go to /runs/batch from now on, without attachments and feedback",
                            self.endpoint
                        )
                    });
                    continue;
                }
                Answer::Unauthorized { status, words } => {
                    self.unauthorized(pass, status, &words, tries);
                    tries += 1;
                    continue;
                }
                Answer::RateLimited { words, after } => {
                    self.rate_limited(pass, &words, after, tries);
                    tries += 1;
                    continue;
                }
                Answer::Passing { why, after } => (why, self.wait_before(tries, after)),
            };
            pass.failed(wait);
            self.notices.failed(&why);
            self.tell_trying(&why);
            let next = Instant::now() + wait;
            if next > patience.tries {
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
            self.wait_until(next, flushes).await;
            tries += 1;
        }
    }

    /// The server speaks to us.
    pub(super) fn answered(&self, pass: Pass<'_>, success: bool) {
        if pass.answered(success) {
            self.notices.info(format!("{} takes runs again", self.endpoint));
        }
    }

    /// The key or the workspace is refused, for everybody.
    pub(super) fn unauthorized(&self, pass: Pass<'_>, status: u16, words: &str, tries: u32) {
        self.notices.failed(&format!("{status} {words}"));
        let wait = self.wait_before(tries, None);
        self.tell_open(pass.unauthorized(wait, unauthorized(&self.endpoint, status, words)));
    }

    /// A 429, for everybody.
    pub(super) fn rate_limited(&self, pass: Pass<'_>, words: &str, after: Option<Duration>, tries: u32) {
        self.notices.failed(words);
        let mut wait = self.wait_before(0, Some(after.unwrap_or(self.retry.rate_limit_wait)));
        if self.hurry.borrow().last {
            // There is no time to wait as long as the server asks for, but it is not flooded either.
            wait = wait.min(self.wait_before(tries, None));
        }
        let quota = after.is_none() && is_quota(words);
        let opened = pass.rate_limited(wait, quota, || rate_limited(&self.endpoint, quota, words));
        if opened.is_none() && self.circuit.open().is_none() {
            self.tell_trying(words);
        }
        self.tell_open(opened);
    }

    fn tell_trying(&self, why: &str) {
        self.notices.warn(Notice::Trying, || {
            format!(
                "{} does not take runs: {why}; they are kept and tried again for {:?}",
                self.endpoint, self.retry.deadline
            )
        });
    }

    fn tell_open(&self, opened: Option<Open>) {
        let Some(open) = opened else { return };
        let until_then = if self.spool.is_some() {
            "until then they are kept on disk".to_owned()
        } else {
            format!("until then each waits for {:?} and is dropped", self.retry.deadline)
        };
        self.notices.warn_again(format!(
            "{}; one request every {:?} finds out whether runs are taken again; {until_then}",
            open.advice,
            self.circuit.probe_interval(),
        ));
    }

    /// How long to wait before the next try: what the server says, or a random part of a time that
    /// doubles, so that clients that failed together do not come back together.
    pub(super) fn wait_before(&self, tries: u32, after: Option<Duration>) -> Duration {
        let retry = &self.retry;
        let ceiling = || retry.first_wait.saturating_mul(1 << tries.min(20)).min(retry.longest_wait);
        after.unwrap_or_else(|| ceiling().mul_f64(fastrand::f64())).min(retry.longest_wait)
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
        let main = parts.iter().find(|part| part.operation != super::multipart::FEEDBACK)?;
        let fields: serde_json::Value = serde_json::from_slice(&raw[main.content.clone()]).ok()?;
        Some(format!("{} ({})", main.id, fields.get("name")?))
    });
    let run = run.unwrap_or_else(|| "a run".into());
    format!("LangSmith refused run {run}: {words}; it is dropped, further ones are only counted")
}

fn unauthorized(endpoint: &Endpoint, status: u16, words: &str) -> String {
    if words.contains("org_scoped_key_requires_workspace") {
        return format!(
            "{endpoint} answered {status}: the key belongs to an organisation; set LANGSMITH_WORKSPACE_ID or call \
             Config::with_workspace_id"
        );
    }
    format!(
        "{endpoint} answered {status} ({words}); check LANGSMITH_API_KEY, and LANGSMITH_ENDPOINT: a key works in its own region only \
         (api., eu.api., apac.api. or aws.api.smith.langchain.com)"
    )
}

/// A limit on what is bought, or what was set as a limit on that, and not on the speed.
fn is_quota(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    ["usage limit", "quota", "monthly"].iter().any(|word| words.contains(word))
}

fn rate_limited(endpoint: &Endpoint, quota: bool, words: &str) -> String {
    if quota {
        format!("{endpoint} answered {words}: the plan's quota or a usage limit is used up; see LangSmith's settings for usage and billing")
    } else {
        format!("{endpoint} has answered {words} for too long: more runs are sent than the plan's rate limit allows; send fewer, for instance by sampling")
    }
}

/// A batch that is on its way, in the pieces that are still to be delivered. Whatever ends the delivery, a panic and
/// an abort included, each run is counted and the batch is reported as done.
pub(crate) struct Flight {
    pub(crate) number: u64,
    /// The next one last; whether it was cut.
    pieces: Vec<(Batch, bool)>,
    /// When the batch was finished.
    finished: Instant,
    /// It has to be behind others that are on disk.
    pub(crate) to_disk: bool,
    /// Some of its runs are on disk.
    kept: bool,
    queue: Arc<Queue>,
    /// Its memory, which counts until the last run is done.
    share: Share,
    done: mpsc::UnboundedSender<Done>,
}

/// What a batch costs beside its body.
const BESIDE: usize = 512;

/// A batch's delivery has ended.
pub(crate) struct Done {
    pub(crate) number: u64,
    /// Some of its runs are on disk.
    pub(crate) kept: bool,
    /// What it did not come to. These runs are counted as dropped.
    pub(crate) left: Vec<Batch>,
    /// What for.
    pub(crate) reason: DropReason,
}

impl Flight {
    pub(crate) fn new(number: u64, batch: Batch, queue: Arc<Queue>, done: mpsc::UnboundedSender<Done>) -> Self {
        let (pieces, finished) = (vec![(batch, false)], Instant::now());
        let share = Share::new(Arc::clone(&queue));
        let mut flight = Self { number, pieces, finished, to_disk: false, kept: false, queue, share, done };
        flight.count();
        flight
    }

    /// Counts the memory that it takes now.
    fn count(&mut self) {
        self.share.set(self.bytes());
    }

    /// The memory that it takes.
    fn bytes(&self) -> usize {
        BESIDE + self.pieces.iter().map(|(batch, _)| batch.body.len()).sum::<usize>()
    }

    /// What is to be delivered next; it stays here until it is known what became of it.
    fn next(&self) -> Option<(Batch, bool)> {
        self.pieces.last().cloned()
    }

    fn replace<const N: usize>(&mut self, pieces: [(Batch, bool); N]) {
        self.pieces.pop();
        self.pieces.extend(pieces);
        self.count();
    }

    fn sent(&mut self) {
        if let Some((batch, _)) = self.pieces.pop() {
            self.queue.counters.sent(batch.runs);
            self.count();
        }
    }

    /// The spool has counted them.
    fn kept(&mut self) {
        self.kept = true;
        self.pieces.pop();
        self.count();
    }

    fn dropped(&mut self, reason: DropReason) -> Option<Batch> {
        let (batch, _) = self.pieces.pop()?;
        self.queue.counters.drop_taken(reason, batch.runs);
        self.count();
        Some(batch)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let left: Vec<_> = std::mem::take(&mut self.pieces).into_iter().map(|(batch, _)| batch).collect();
        let reason = if std::thread::panicking() { DropReason::Panicked } else { DropReason::ShutDown };
        self.queue.counters.drop_taken(reason, left.iter().map(|batch| batch.runs).sum());
        // Nobody listens any more when the sender has ended.
        let _ = self.done.send(Done { number: self.number, kept: self.kept, left, reason });
    }
}

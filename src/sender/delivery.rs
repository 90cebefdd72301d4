//! Getting one batch to the server: tries, waits, splits. What waits on disk is tried again in `replay`.

mod blame;

use self::blame::{Failure, Split, Wait};
use super::advice;
use super::batch::Batch;
use super::circuit::{Circuit, Open, Pass, Patience, Refused, Suspect};
use super::concurrency::Slot;
use super::in_flight::{Flight, Piece, Refusal};
use super::notice::{Notice, Notices};
use super::oversize::{self, Cut};
use super::queue::Queue;
use super::spool::Spool;
use super::transport::{Answer, Transport};
use crate::config::{Config, OnDrop, Retry, FOREVER};
use crate::run::RunId;
use crate::secret::Endpoint;
use crate::stats::DropReason;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep_until, Instant};

/// What all deliveries share.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) transport: Transport,
    retry: Retry,
    level: Option<i32>,
    endpoint: Endpoint,
    queue: Arc<Queue>,
    notices: Notices,
    /// Batches that were refused and wait for others to be accepted.
    suspended: AtomicUsize,
    /// Batches that the server failed at, and that wait for their next try.
    failing: AtomicUsize,
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
    /// Something in it is not accepted: it is sent in parts.
    Split(Split),
    /// The server could not take it, which may be about what it says.
    Failed(Failure),
    /// Something in it may be the reason, or the key is.
    Suspected(Refusal),
    Uncompressed,
}

impl Delivery {
    pub(crate) fn new(
        transport: Transport,
        config: &Config,
        queue: Arc<Queue>,
        notices: Notices,
        hurry: watch::Receiver<Hurry>,
        spool: Option<Arc<Spool>>,
    ) -> Self {
        Self {
            transport,
            retry: config.retry,
            level: config.compression_level,
            endpoint: config.endpoint.clone(),
            queue,
            notices,
            suspended: AtomicUsize::new(0),
            failing: AtomicUsize::new(0),
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
        while let Some(piece) = flight.next() {
            // While it waits another batch may go, which shows whether it is to blame.
            let suspended = piece.refusal.is_some().then(|| Counted::new(&self.suspended));
            if suspended.is_some() {
                flight.queue.woken.notify_one();
            }
            let outcome = tokio::select! {
                biased;
                () = self.time_is_over() => Outcome::GivenUp(DropReason::ShutDown),
                outcome = self.deliver_one(&piece, patience) => outcome,
            };
            drop(suspended);
            match outcome {
                Outcome::Delivered => {
                    flight.sent();
                    self.spool.iter().for_each(|spool| spool.delivered());
                }
                Outcome::GivenUp(reason) => self.keep_or_give_up(&mut flight, reason, &piece.batch).await,
                Outcome::Suspected(refusal) => flight.suspect(refusal),
                Outcome::Uncompressed => match piece.batch.uncompressed() {
                    Ok(batch) => flight.replace(vec![Piece { batch, was_compressed: true, ..piece }]),
                    Err(_) => self.give_up(&mut flight, DropReason::Refused),
                },
                Outcome::Failed(failure) => {
                    let wait = self.after_failure(&mut flight, piece, &failure);
                    self.rest(&failure, wait).await;
                }
                Outcome::Split(Split { too_large, scouts, words }) => {
                    let piece = Piece { refusals: piece.refusals + u32::from(scouts > 0), ..piece };
                    if let Some(parts) = piece.split(scouts, self.level) {
                        flight.replace(parts);
                    } else if let Some(batch) = (too_large && !piece.was_cut).then(|| self.cut(&piece.batch)).flatten()
                    {
                        flight.replace(vec![Piece { batch, was_cut: true, ..piece }]);
                    } else {
                        self.tell_refused(&piece.batch, &words);
                        self.quarantine_or_give_up(&mut flight, &piece.batch).await;
                    }
                }
            }
        }
    }

    /// Puts a batch onto the disk without trying to deliver it, as long as it can be kept there.
    pub(crate) async fn put_aside(&self, mut flight: Flight) {
        if let (Some(spool), Some(piece)) = (&self.spool, flight.next()) {
            if spool.keep(&piece.batch, DropReason::Unreachable, false).await.is_ok() {
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

    /// What was refused for what it is: it is dropped, or written to where somebody may look at it.
    async fn quarantine_or_give_up(&self, flight: &mut Flight, batch: &Batch) {
        match &self.spool {
            Some(spool) if spool.quarantine(batch).await => flight.quarantined(),
            _ => self.give_up(flight, DropReason::Refused),
        }
    }

    async fn time_is_over(&self) {
        let over = self.hurry.clone().wait_for(|hurry| hurry.over).await.is_ok();
        if !over {
            std::future::pending().await
        }
    }

    /// Runs were sent without so many of their parts.
    pub(super) fn note_left_out(&self, parts: u64) {
        self.queue.counters.left_out(parts);
    }

    /// A run is sent without some of its fields.
    pub(super) fn tell_cut(&self, cut: &Cut) {
        self.note_left_out(cut.fields.len() as u64);
        self.notices.cut(|| cut.to_string());
    }

    pub(super) fn tell_refused(&self, batch: &Batch, words: &str) {
        self.notices.failed(words);
        self.notices.warn(Notice::Refused, || advice::refused(batch, words));
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
        // What is sent now comes first, and finds out sooner how things are.
        let behind = Suspect { until: Instant::now(), flushes: 0, accepted: None };
        match self.circuit.enter(patience, Some(behind), &mut self.hurry.clone()).await {
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
        if crate::hooks::call(|| hook(id, reason)).is_err() {
            self.notices.warn(Notice::Panicked, || "the hook for dropped runs panicked; it is called again".into());
        }
    }

    /// The leave to send one request, and room for it among those that are on their way.
    async fn leave(
        &self,
        patience: &mut Patience,
        suspect: Option<Suspect>,
        hurry: &mut watch::Receiver<Hurry>,
    ) -> Result<(Pass<'_>, Slot<'_>), DropReason> {
        let concurrency = &self.transport.concurrency;
        // Those before it get their time, and as long as they are taken it may still have its own.
        let first = Instant::now() + self.retry.timeout + self.retry.deadline;
        loop {
            let pass = self.circuit.enter(*patience, suspect, hurry).await?;
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
                pass = self.circuit.enter(*patience, suspect, hurry) => return Ok((pass?, slot)),
                () = std::future::ready(()) => {}
            }
        }
    }

    async fn deliver_one(&self, piece: &Piece, mut patience: Patience) -> Outcome {
        let mut tries = 0;
        let mut accepted = None;
        let mut hurry = self.hurry.clone();
        let batch = &piece.batch;
        loop {
            let suspect = piece.refusal.as_ref().map(|refusal| refusal.suspect);
            let (pass, slot) = match self.leave(&mut patience, suspect, &mut hurry).await {
                Ok(leave) => leave,
                Err(reason) => return Outcome::GivenUp(reason),
            };
            let flushes = pass.flushes;
            let before = *accepted.get_or_insert(pass.accepted);
            if let Some(outcome) = self.is_to_blame(piece, pass.accepted, before, tries) {
                return outcome;
            }
            let answer = self.transport.post(batch).await;
            drop(slot);
            let (why, wait) = match answer {
                Answer::Delivered { left_out } => {
                    self.answered(pass, true);
                    self.note_left_out(left_out);
                    self.learned_of_zstd(piece);
                    return Outcome::Delivered;
                }
                Answer::TooLarge { words } => {
                    self.answered(pass, false);
                    return Outcome::Split(Split { too_large: true, ..Split::halves(words) });
                }
                // Some servers read no zstd and say just that the request is bad.
                Answer::Refused { words } | Answer::RefusedWhole { words } if self.may_be_zstd(batch, &words) => {
                    self.answered(pass, false);
                    return Outcome::Uncompressed;
                }
                Answer::Refused { words } => {
                    self.answered(pass, false);
                    return Outcome::Split(Split::halves(words));
                }
                // A run cannot make an address vanish: the server is being replaced.
                Answer::RefusedWhole { words } if pass.accepted > 0 && words.starts_with("404") => {
                    self.transport.features.multipart_again();
                    (words, self.wait_before(tries, None))
                }
                // Where others are accepted it is about a run, too.
                Answer::RefusedWhole { words } if pass.accepted > 0 => {
                    self.answered(pass, false);
                    return Outcome::Split(Split::halves(words));
                }
                // Where nothing is known yet, single runs find out.
                Answer::RefusedWhole { words }
                    if batch.runs > 1 && piece.refusals == 0 && !words.starts_with("404") =>
                {
                    self.answered(pass, false);
                    return Outcome::Split(Split::scouts(words));
                }
                Answer::RefusedWhole { words } => {
                    self.answered(pass, false);
                    self.tell_wrong_endpoint(&words);
                    return Outcome::GivenUp(DropReason::Refused);
                }
                Answer::NoCompression => {
                    self.answered(pass, false);
                    self.transport.features.no_zstd();
                    return Outcome::Uncompressed;
                }
                Answer::NoMultipart => {
                    self.answered(pass, false);
                    self.transport.features.no_multipart();
                    self.notices.warn(Notice::OldServer, || {
                        format!(
                            "{} has no /runs/multipart; runs go to /runs/batch from now on, without attachments and feedback",
                            self.endpoint
                        )
                    });
                    continue;
                }
                Answer::Unauthorized { status, words } => {
                    return Outcome::Suspected(self.suspected(pass, piece, status, &words));
                }
                Answer::RateLimited { words, after } => {
                    self.rate_limited(pass, &words, after, tries);
                    tries += 1;
                    continue;
                }
                Answer::Passing { why, is_failure: true, .. } => {
                    return self.failed(pass, piece, &why, patience);
                }
                Answer::Passing { why, after, .. } => (why, self.wait_before(tries, after)),
            };
            pass.failed(wait);
            let next = Instant::now() + wait;
            if !self.has_time(&why, next, patience) {
                return Outcome::GivenUp(DropReason::Unreachable);
            }
            self.wait_until(next, flushes).await;
            tries += 1;
        }
    }

    fn tell_wrong_endpoint(&self, words: &str) {
        self.notices.failed(words);
        self.notices.warn(Notice::Refused, || {
            let fate = self.fate();
            format!("{} answered {words}; runs are being {fate}; check LANGSMITH_ENDPOINT", self.endpoint)
        });
    }

    /// The server could not take a piece.
    fn failed(&self, pass: Pass<'_>, piece: &Piece, why: &str, patience: Patience) -> Outcome {
        let (accepted, flushes) = (pass.accepted, pass.flushes);
        let wait = self.wait_before(piece.failures, None);
        pass.failed(wait);
        let next = Instant::now() + wait;
        if self.has_time(why, next, patience) {
            Outcome::Failed(Failure { accepted, next, flushes })
        } else {
            Outcome::GivenUp(DropReason::Unreachable)
        }
    }

    /// A try has failed, and another one is due at this time. Says whether there will be one.
    fn has_time(&self, why: &str, next: Instant, patience: Patience) -> bool {
        self.notices.failed(why);
        self.tell_trying(why);
        let has_time = next <= patience.tries;
        if !has_time && self.spool.is_none() {
            self.notices.warn(Notice::Unreachable, || {
                format!(
                    "runs are being dropped: {} did not take them: {why}; further drops are only counted",
                    self.endpoint
                )
            });
        }
        has_time
    }

    /// Waits for the next try. What the server failed at keeps its place meanwhile, so another one is let in beside it:
    /// is it the server, or what this says?
    async fn rest(&self, failure: &Failure, wait: Wait) {
        let count = match wait {
            Wait::No => return,
            Wait::ForServer => &self.failing,
            Wait::ForLuck => &self.suspended,
        };
        let counted = Counted::new(count);
        self.queue.woken.notify_one();
        tokio::select! {
            () = self.wait_until(failure.next, failure.flushes) => {}
            () = self.time_is_over() => {}
        }
        drop(counted);
    }

    /// The server speaks to us.
    pub(super) fn answered(&self, pass: Pass<'_>, success: bool) {
        let recovered = success && self.circuit.failing_since().is_some();
        // In this order: both are to be asked.
        let closed = pass.answered(success);
        if (recovered && self.notices.outage_is_over()) || closed {
            self.notices.info(format!("{} takes runs again", self.endpoint));
        }
    }

    /// A 401 or a 403. Says how long to wait before the next try, and how many requests had been accepted by then.
    pub(super) fn unauthorized(&self, pass: Pass<'_>, refused: Refused, words: &str, tries: u32) -> (Duration, u64) {
        let status = refused.status;
        self.notices.failed(&format!("{status} {words}"));
        let wait = self.wait_before(tries, None);
        let refusal = pass.refused(refused, wait, || advice::unauthorized(&self.endpoint, status, words));
        self.tell_open(refusal.opened);
        (wait, refusal.accepted)
    }

    /// How many batches may be under way, if that is `most`. What was refused waits for others to be accepted, and what
    /// the server fails at for its next try: neither may keep all others from being sent.
    pub(crate) fn places(&self, most: usize) -> usize {
        let all_fail = self.failing.load(Ordering::Relaxed) >= most;
        (most + usize::from(all_fail)).max(self.suspended.load(Ordering::Relaxed) + 1)
    }

    /// A 429, for everybody.
    pub(super) fn rate_limited(&self, pass: Pass<'_>, words: &str, after: Option<Duration>, tries: u32) {
        self.notices.failed(words);
        let mut wait = self.wait_before(tries, Some(after.unwrap_or(self.retry.rate_limit_wait)));
        if self.hurry.borrow().last {
            // There is no time to wait as long as the server asks for, but it is not flooded either.
            wait = wait.min(self.wait_before(tries, None));
        }
        let quota = after.is_none() && advice::is_quota(words);
        let opened = pass.rate_limited(wait, quota, || advice::rate_limited(&self.endpoint, quota, words));
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

    /// How long to wait before the next try: a random time that doubles, so that clients that failed together do not
    /// come back together, or longer where the server says so.
    pub(super) fn wait_before(&self, tries: u32, after: Option<Duration>) -> Duration {
        let retry = &self.retry;
        let backoff = retry.first_wait.saturating_mul(1 << tries.min(20)).min(retry.longest_wait);
        let backoff = backoff.mul_f64(0.5 + 0.5 * fastrand::f64());
        after.unwrap_or_default().min(retry.longest_wait).max(backoff)
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
        let cut = oversize::cut(&raw, &batch.boundary, raw.len() / 4)?;
        self.tell_cut(&cut);
        batch.of_one(&cut.body, self.level)
    }
}

/// Counts a batch that waits, as long as it does.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

//! Whether the endpoint takes anything at all.
//!
//! After a 429 nobody sends for a while. Then one request finds out how things stand, and all others wait for its
//! answer. Where only a person or much time helps (a key that is refused, a quota that is used up, a rate limit that
//! does not end), the circuit opens: now and then one request is all that goes out, until one is taken.
//!
//! A 403 may also be about one batch: a firewall refuses what one run says. So a batch that was refused lets the others
//! go first, and the circuit opens when several batches were refused and none was accepted in between.

use super::delivery::Hurry;
use crate::stats::DropReason;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep_until, Instant};

/// A key that has worked may be refused by mistake: so often the last flush has it tried.
pub(super) const LAST_PROBES: u32 = 3;
/// When so many single runs in a row were refused, it is not about what they say: the second where others were
/// accepted before.
const REFUSED_RUNS: [u32; 2] = [3, 10];
/// When requests were refused for so long and none was accepted, somebody has to be told. So long a key that was
/// accepted is believed to be good.
const REFUSED_TIME: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Circuit {
    state: watch::Sender<State>,
    /// Between two probes of an open circuit.
    probe_interval: Duration,
    /// A rate limit that lasts longer opens the circuit.
    patience: Duration,
}

#[derive(Debug, Default)]
struct State {
    /// While nobody sends.
    hold: Option<Hold>,
    /// The first failure after the last success.
    failing_since: Option<Instant>,
    /// The first 429 after the last success.
    limited_since: Option<Instant>,
    /// How many requests were accepted.
    accepted: u64,
    accepted_at: Option<Instant>,
    /// Single runs that were refused since then, each counted once.
    refused: u32,
    /// Requests that are not answered.
    under_way: u32,
    /// Those who wait for leave to send.
    waiting: u32,
    /// Those among them whose batches were not refused before.
    waiting_unsuspected: u32,
}

impl State {
    /// What was refused in a row may have been refused for what it says.
    fn may_be_content(&self) -> bool {
        self.refused < REFUSED_RUNS[usize::from(self.accepted > 0)]
    }
}

#[derive(Debug)]
struct Hold {
    /// Then one request probes.
    until: Instant,
    /// When the last flush, which has no time for that, may have it probed again.
    again: Instant,
    /// So many flushes had begun before the request that was answered last: a newer one need not wait.
    flushes: u64,
    /// How often it was said since then that nothing is taken.
    refusals: u32,
    probing: bool,
    /// What who waits too long is given up for, unless the circuit is open.
    reason: DropReason,
    open: Option<Open>,
}

/// Why the circuit is open.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    /// What waits too long is given up for this.
    pub(crate) reason: DropReason,
    /// What happened, and what to do about it.
    pub(crate) advice: String,
}

/// The leave to send one request. Its answer decides how things go on.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    circuit: &'a Circuit,
    probe: bool,
    /// Flushes that had begun when it was given.
    pub(crate) flushes: u64,
    /// Requests that had been accepted when it was given.
    pub(crate) accepted: u64,
}

/// A batch that was refused by a 403, and asks to be sent again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Suspect {
    /// Until then it waits, unless a flush begins.
    pub(crate) until: Instant,
    /// How many flushes had begun before.
    pub(crate) flushes: u64,
    /// It waits no longer than until more requests were accepted than these.
    pub(crate) accepted: Option<u64>,
}

/// A 401 or a 403.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refused {
    pub(crate) status: u16,
    /// How many runs the batch has.
    pub(crate) runs: u64,
    /// The same batch was refused before.
    pub(crate) suspected: bool,
    /// There are other parts of the batch that it is a part of.
    pub(crate) has_siblings: bool,
}

/// What a 401 or a 403 has done.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// Requests that had been accepted by then.
    pub(crate) accepted: u64,
    /// The circuit has opened, which is to be told.
    pub(crate) opened: Option<Open>,
}

/// How long a batch may wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For all its tries.
    pub(crate) tries: Instant,
    /// For an open circuit to close: counted from when the batch was finished, so that what piles up grows old too.
    pub(crate) open: Instant,
}

enum Look<'a> {
    Go(Pass<'a>),
    Wait(Instant),
    GiveUp(DropReason),
}

impl Circuit {
    pub(crate) fn new(probe_interval: Duration, patience: Duration) -> Self {
        Self { state: watch::Sender::default(), probe_interval, patience }
    }

    /// Waits until a request may be sent.
    ///
    /// # Errors
    /// The reason why there is no more waiting for that.
    pub(crate) async fn enter(
        &self,
        patience: Patience,
        suspect: Option<Suspect>,
        hurry: &mut watch::Receiver<Hurry>,
    ) -> Result<Pass<'_>, DropReason> {
        let mut changes = self.state.subscribe();
        let mut waiter = None;
        loop {
            let asked = *hurry.borrow_and_update();
            changes.borrow_and_update();
            match self.look(patience, suspect.as_ref(), asked) {
                Look::Go(pass) => return Ok(pass),
                Look::GiveUp(reason) => return Err(reason),
                Look::Wait(until) => {
                    waiter.get_or_insert_with(|| Waiter::new(self, suspect.is_some()));
                    tokio::select! {
                        () = sleep_until(until) => {}
                        Ok(()) = changes.changed() => {}
                        Ok(()) = hurry.changed() => {}
                    }
                }
            }
        }
    }

    fn look(&self, patience: Patience, suspect: Option<&Suspect>, hurry: Hurry) -> Look<'_> {
        let mut look = Look::GiveUp(DropReason::Unauthorized);
        self.state.send_if_modified(|state| {
            look = self.look_at(state, patience, suspect, hurry);
            state.under_way += u32::from(matches!(look, Look::Go(_)));
            false
        });
        look
    }

    fn look_at(&self, state: &mut State, patience: Patience, suspect: Option<&Suspect>, hurry: Hurry) -> Look<'_> {
        let accepted = state.accepted;
        let pass = |probe| Look::Go(Pass { circuit: self, probe, flushes: hurry.flushes, accepted });
        let now = Instant::now();
        let may_be_content = state.may_be_content();
        let Some(hold) = &mut state.hold else {
            let Some(suspect) = suspect else { return pass(false) };
            let is_decided = suspect.accepted.is_some_and(|before| accepted > before);
            return match suspect.until.min(patience.tries) {
                _ if is_decided || hurry.flushes > suspect.flushes => pass(false),
                _ if now >= patience.tries => Look::GiveUp(DropReason::Unauthorized),
                until if now < until => Look::Wait(until),
                _ => pass(false),
            };
        };
        let (deadline, reason) = match &hold.open {
            Some(open) => (patience.open.min(patience.tries), open.reason),
            // Another batch was refused, and this one has no more time to wait for what that was about.
            None if suspect.is_none() && hold.reason == DropReason::Unauthorized => {
                (patience.tries, DropReason::Unreachable)
            }
            None => (patience.tries, hold.reason),
        };
        // An open circuit is no matter of seconds: only the last flush has it probed, and no more than once where
        // the key has never worked or the quota is used up.
        let open = hold.open.is_some();
        let asked = hurry.flushes > hold.flushes && (hurry.last || !open);
        let is_refused = hold.reason == DropReason::Unauthorized;
        let flaky = accepted > 0 && is_refused;
        let again = open && hurry.last && hold.refusals < if flaky { LAST_PROBES } else { 1 };
        // Whether the key is refused, or what some batches say, is found out by others soon.
        let is_news = is_refused && suspect.is_none() && may_be_content;
        let until = match (asked, again || is_news) {
            (true, _) => now,
            (false, true) => hold.again.min(hold.until),
            (false, false) => hold.until,
        };
        let hopeless = open && hurry.last && !asked && !again;
        // What has no time left is given up; but when an open circuit is to be probed, it may serve for that.
        let over = now >= deadline && !(open && !hold.probing && now >= until);
        if over || (hopeless && !hold.probing) {
            return Look::GiveUp(reason);
        }
        // A batch that was refused before may be the reason for all of this.
        if hold.probing || (suspect.is_some() && state.waiting_unsuspected > 0 && now < deadline) {
            return Look::Wait(deadline);
        }
        hold.probing = now >= until;
        if hold.probing {
            pass(true)
        } else {
            Look::Wait(until.min(deadline))
        }
    }

    /// When requests began to fail; `None` while they do not.
    pub(crate) fn failing_since(&self) -> Option<std::time::Instant> {
        self.state.borrow().failing_since.map(Instant::into_std)
    }

    /// How many requests were accepted.
    pub(crate) fn accepted(&self) -> u64 {
        self.state.borrow().accepted
    }

    /// Why nothing is sent for the time being, if that is so.
    pub(crate) fn open(&self) -> Option<Open> {
        self.state.borrow().hold.as_ref().and_then(|hold| hold.open.clone())
    }

    /// Waits until the circuit has opened.
    pub(crate) async fn opens(&self) {
        let is_open = |state: &State| state.hold.as_ref().is_some_and(|hold| hold.open.is_some());
        // The sender of changes lives as long as this does.
        let _ = self.state.subscribe().wait_for(is_open).await;
    }

    /// How often it is tried whether an open circuit may close.
    pub(crate) fn probe_interval(&self) -> Duration {
        self.probe_interval
    }
}

impl Pass<'_> {
    /// The server took the batch, or has said something about that very batch. Says whether this closed an open circuit.
    pub(crate) fn answered(mut self, success: bool) -> bool {
        let (probe, mut closed) = (std::mem::take(&mut self.probe), false);
        self.circuit.state.send_if_modified(|state| {
            if success {
                state.failing_since = None;
                state.limited_since = None;
                state.accepted += 1;
                state.accepted_at = Some(Instant::now());
                state.refused = 0;
            }
            // What was sent before the hold began says nothing about it.
            let ended = if probe { state.hold.take() } else { None };
            closed = ended.as_ref().is_some_and(|hold| hold.open.is_some());
            // Who was refused before waits to hear of it.
            success || ended.is_some()
        });
        closed
    }

    /// No answer, or one that may pass. While others wait for it, they do for so much longer.
    pub(crate) fn failed(mut self, wait: Duration) {
        let probe = std::mem::take(&mut self.probe);
        self.circuit.state.send_if_modified(|state| {
            state.failing_since.get_or_insert_with(Instant::now);
            let Some(hold) = state.hold.as_mut().filter(|_| probe) else { return false };
            let now = Instant::now();
            hold.reason = DropReason::Unreachable;
            hold.probing = false;
            hold.until = now + if hold.open.is_some() { self.circuit.probe_interval } else { wait };
            hold.again = now + wait;
            if self.flushes > hold.flushes {
                (hold.flushes, hold.refusals) = (self.flushes, 0);
            }
            true
        });
    }

    /// A 429: everybody waits. Where it is no matter of seconds the circuit opens, which is to be told.
    pub(crate) fn rate_limited(self, wait: Duration, quota: bool, advice: impl FnOnce() -> String) -> Option<Open> {
        let since = self.circuit.state.borrow().limited_since;
        let opens = quota || since.is_some_and(|since| since.elapsed() >= self.circuit.patience);
        let open = opens.then(|| Open { reason: DropReason::RateLimited, advice: advice() });
        self.hold(wait, DropReason::RateLimited, open)
    }

    /// A 401 or a 403. It is about the key or the workspace, or about what one batch says.
    ///
    /// A 401 is about the key. So is a 403 that several single runs got in a row, or the only one there is while none was
    /// ever accepted.
    pub(crate) fn refused(self, refused: Refused, wait: Duration, advice: impl FnOnce() -> String) -> Refusal {
        let mut opens = false;
        let mut holds = false;
        let mut accepted = 0;
        self.circuit.state.send_if_modified(|state| {
            accepted = state.accepted;
            // The key was good all the while: it is about this batch, and the others go on.
            if accepted > self.accepted {
                return false;
            }
            let since = *state.failing_since.get_or_insert_with(Instant::now);
            let is_one = refused.runs <= 1;
            state.refused += match refused.status {
                401 => REFUSED_RUNS[1],
                _ => u32::from(is_one && !refused.suspected),
            };
            let is_alone = is_one && !refused.has_siblings && state.under_way == 1 && state.waiting == 0;
            let is_good = state.accepted_at.is_some_and(|at| at.elapsed() < REFUSED_TIME);
            opens = state.hold.as_ref().is_some_and(|hold| hold.open.is_some())
                || !state.may_be_content()
                || (is_alone && accepted == 0)
                || since.elapsed() >= REFUSED_TIME;
            holds = !is_good && (self.probe || !refused.suspected);
            false
        });
        let open = opens.then(|| Open { reason: DropReason::Unauthorized, advice: advice() });
        // Dropped otherwise, which lets another one probe.
        let opened = if opens || holds { self.hold(wait, DropReason::Unauthorized, open) } else { None };
        Refusal { accepted, opened }
    }

    fn hold(mut self, wait: Duration, reason: DropReason, open: Option<Open>) -> Option<Open> {
        let probe = std::mem::take(&mut self.probe);
        let mut opened = None;
        self.circuit.state.send_modify(|state| {
            let now = Instant::now();
            state.failing_since.get_or_insert(now);
            if reason == DropReason::RateLimited {
                state.limited_since.get_or_insert(now);
            }
            let (flushes, refusals) = (self.flushes, 0);
            let new = Hold { until: now, again: now, flushes, refusals, probing: false, reason, open: None };
            let is_new = state.hold.is_none();
            let hold = state.hold.get_or_insert(new);
            hold.reason = reason;
            if let Some(open) = open {
                if hold.open.as_ref().is_none_or(|before| before.reason != open.reason) {
                    opened = Some(open.clone());
                }
                hold.open = Some(open);
            }
            hold.until = hold.until.max(now + if hold.open.is_some() { self.circuit.probe_interval } else { wait });
            hold.again = now + wait;
            if self.flushes > hold.flushes {
                (hold.flushes, hold.refusals) = (self.flushes, 0);
            }
            // What was under way all the time says no more than the first one.
            hold.refusals += u32::from(probe || is_new);
            hold.probing &= !probe;
        });
        opened
    }
}

impl Drop for Pass<'_> {
    /// Who probes and comes to no answer leaves that to somebody else.
    fn drop(&mut self) {
        self.circuit.state.send_if_modified(|state| {
            state.under_way -= 1;
            self.probe && state.hold.as_mut().map(|hold| hold.probing = false).is_some()
        });
    }
}

/// Counts who waits, as long as that lasts.
struct Waiter<'a> {
    circuit: &'a Circuit,
    suspected: bool,
}

impl<'a> Waiter<'a> {
    fn new(circuit: &'a Circuit, suspected: bool) -> Self {
        circuit.state.send_if_modified(|state| {
            state.waiting += 1;
            state.waiting_unsuspected += u32::from(!suspected);
            false
        });
        Self { circuit, suspected }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.circuit.state.send_if_modified(|state| {
            state.waiting -= 1;
            state.waiting_unsuspected -= u32::from(!self.suspected);
            // Then those that were refused before have their turn.
            !self.suspected && state.waiting_unsuspected == 0
        });
    }
}

//! All that the receiver knows, behind one lock.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use uuid::Uuid;

use super::body::Decoded;
use super::faults::Script;
use super::invariants;
use super::ledger::{Entered, Ledger};
use super::operation::Verb;
use super::run::ReceivedRequest;
use super::store::Store;

/// More violations than this are only counted: a million bad runs are one mistake.
const KEPT_VIOLATIONS: usize = 1000;

/// The state, and a way to wait for it to change.
#[derive(Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    pub(super) fn new(keep_content: bool) -> Self {
        let state = State { store: keep_content.then(Store::default), ..State::default() };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn notify(&self) {
        self.changed.notify_all();
    }

    /// Gives the lock up until something changes or the time is over.
    pub(super) fn wait<'a>(&self, guard: MutexGuard<'a, State>, timeout: Duration) -> MutexGuard<'a, State> {
        let (guard, _) = self.changed.wait_timeout(guard, timeout).unwrap_or_else(PoisonError::into_inner);
        guard
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// Nothing where only counts are kept.
    pub(super) store: Option<Store>,
    pub(super) ledger: Ledger,
    pub(super) ingest_script: Script,
    pub(super) info_script: Script,
    pub(super) latency: Duration,
    violations: Vec<String>,
    violations_left_out: usize,
    /// With the number that it was given when it came in.
    requests: Vec<(u64, ReceivedRequest)>,
    requests_seen: u64,
}

/// What became of a request's operations.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) status: StatusCode,
    pub(super) posts: Vec<Uuid>,
    /// Why the body could not be read.
    pub(super) fault: Option<String>,
}

impl State {
    /// Takes operations and feedback that are answered as received.
    pub(super) fn admit(&mut self, decoded: Decoded) -> Admitted {
        let mut violations = Vec::new();
        let mut posts = HashSet::new();
        let mut status = StatusCode::ACCEPTED;
        for mut operation in decoded.operations {
            violations.extend(invariants::check(&operation));
            if let Some(store) = &self.store {
                store.fill_in(&mut operation);
            }
            let entered = self.ledger.enter(&operation, &mut posts, &mut violations);
            if entered == Entered::Repeated && operation.verb == Verb::Post {
                status = StatusCode::CONFLICT;
            }
            if let Some(store) = &mut self.store {
                store.merge(operation, entered);
            }
        }
        for feedback in decoded.feedback {
            let subject = format!("feedback {}", feedback.id);
            let run_id = feedback.run_id;
            if !self.ledger.knows(run_id) {
                violations.push(format!("{subject}: its run {run_id} was not received before it or with it"));
            } else if self.store.as_mut().is_some_and(|store| !store.add_feedback(feedback)) {
                violations.push(format!("{subject}: names another trace than its run {run_id}"));
            }
        }
        self.complain(violations);
        Admitted { status, posts: posts.into_iter().collect(), fault: None }
    }

    pub(super) fn complain(&mut self, sentences: impl IntoIterator<Item = String>) {
        for sentence in sentences {
            if self.violations.len() < KEPT_VIOLATIONS {
                self.violations.push(sentence);
            } else {
                self.violations_left_out += 1;
            }
        }
    }

    pub(super) fn violations(&self) -> Vec<String> {
        let mut violations = self.violations.clone();
        violations.extend(self.ledger.orphans().into_iter().take(KEPT_VIOLATIONS));
        if self.violations_left_out > 0 {
            violations.push(format!("and {} more", self.violations_left_out));
        }
        violations
    }

    /// Gives the request a number, and keeps it unless only counts are kept.
    pub(super) fn record(&mut self, request: ReceivedRequest) -> u64 {
        self.requests_seen += 1;
        if self.store.is_some() {
            self.requests.push((self.requests_seen, request));
        }
        self.requests_seen
    }

    /// The answer, good for these posts too, was handed to the connection.
    pub(super) fn answered(&mut self, number: u64, status: StatusCode, posts: &[Uuid]) {
        self.ledger.answered(posts);
        // Found from the back, where it mostly is; not at all after a `clear`.
        let request = self.requests.iter_mut().rev().find(|(n, _)| *n == number);
        if let Some((_, request)) = request {
            request.status = Some(status.as_u16());
        }
    }

    pub(super) fn requests(&self) -> Vec<ReceivedRequest> {
        self.requests.iter().map(|(_, r)| r.clone()).collect()
    }

    /// Forgets all that was received; scripts and latency stay.
    pub(super) fn clear(&mut self) {
        self.store = self.store.is_some().then(Store::default);
        self.ledger = Ledger::default();
        self.violations.clear();
        self.violations_left_out = 0;
        self.requests.clear();
    }
}

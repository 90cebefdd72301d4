//! Answers that a test asks for in advance.

use std::collections::VecDeque;
use std::iter::Once;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, StatusCode};

/// One scripted answer, good for one request unless [`times`](Self::times) or [`forever`](Self::forever) says more.
///
/// # Example
/// ```
/// use std::time::Duration;
/// use opentelemetry_langsmith::testing::{Fault, LocalLangSmith};
///
/// let local = LocalLangSmith::start()?;
/// // Two refusals, then an answer that is lost on its way, then all is well again.
/// local.respond([
///     Fault::status(429).header("retry-after", "1").times(2),
///     Fault::close_after_storing().delay(Duration::from_millis(5)),
/// ]);
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "a fault does nothing until it is given to `respond`"]
pub struct Fault {
    pub(super) action: Action,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Option<Vec<u8>>,
    pub(super) delay: Duration,
    /// How many requests are left; nothing is no limit.
    left: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Take,
    Answer(StatusCode),
    CloseBeforeAnswer,
    CloseAfterStoring,
    ResetBeforeBody,
}

impl Fault {
    /// The normal answer; a place holder between faults, or the carrier of a [`delay`](Self::delay).
    ///
    /// A delayed request is stored first, so a client that gives up waiting has in fact delivered its runs.
    pub fn ok() -> Self {
        Self::new(Action::Take)
    }

    /// Answers this status. The runs are stored only if it is 2xx or 409.
    ///
    /// # Panics
    /// If the status is not between 100 and 999.
    pub fn status(status: u16) -> Self {
        let status = StatusCode::from_u16(status).expect("a status between 100 and 999");
        Self::new(Action::Answer(status))
    }

    /// Reads the body, then closes the connection without an answer. The runs are not stored.
    pub fn close_before_answer() -> Self {
        Self::new(Action::CloseBeforeAnswer)
    }

    /// Stores the runs, then closes the connection without an answer, so that a resend finds them there.
    pub fn close_after_storing() -> Self {
        Self::new(Action::CloseAfterStoring)
    }

    /// Resets the connection when the headers are in and the body is unread.
    pub fn reset_before_body() -> Self {
        Self::new(Action::ResetBeforeBody)
    }

    /// Adds a header to the answer.
    ///
    /// # Panics
    /// If the name or the value cannot stand in a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::try_from(name).expect("a header name");
        let value = HeaderValue::try_from(value).expect("a header value");
        self.headers.push((name, value));
        self
    }

    /// The answer's body, instead of a line of JSON that names the status.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Waits this long before the answer or the close.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Holds for this many requests; for none at all if 0.
    pub fn times(mut self, requests: usize) -> Self {
        self.left = Some(requests);
        self
    }

    /// Holds until another script takes its place.
    pub fn forever(mut self) -> Self {
        self.left = None;
        self
    }

    /// Whether the connection closes where an answer is due.
    pub(super) fn hangs_up(&self) -> bool {
        matches!(self.action, Action::CloseBeforeAnswer | Action::CloseAfterStoring)
    }

    fn new(action: Action) -> Self {
        Self { action, headers: Vec::new(), body: None, delay: Duration::ZERO, left: Some(1) }
    }
}

/// A single fault is a script of one.
impl IntoIterator for Fault {
    type Item = Self;
    type IntoIter = Once<Self>;

    fn into_iter(self) -> Once<Self> {
        std::iter::once(self)
    }
}

/// The faults that are still to come.
#[derive(Debug, Default)]
pub(super) struct Script(VecDeque<Fault>);

impl Script {
    pub(super) fn new(faults: impl IntoIterator<Item = Fault>) -> Self {
        Self(faults.into_iter().filter(|fault| fault.left != Some(0)).collect())
    }

    /// What the next request gets.
    pub(super) fn next(&mut self) -> Fault {
        let Some(fault) = self.0.front_mut() else {
            return Fault::ok();
        };
        match &mut fault.left {
            Some(left) if *left > 1 => *left -= 1,
            Some(_) => return self.0.pop_front().unwrap_or_else(Fault::ok),
            None => {}
        }
        fault.clone()
    }
}

//! How many requests are on their way at once: few at first, more as long as answers do not take longer for it, half as
//! many when they do or when requests time out.
//!
//! It is an additive increase and a multiplicative decrease, as TCP and Vector's adaptive request concurrency have it.
//! Answers are compared by the time for a byte, since bodies differ much in size. On a link or an endpoint that is used
//! to the full, one request more makes all others slower and delivers nothing sooner.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

/// So many requests may be on their way before there was an answer.
const FIRST: usize = 4;
/// An answer that takes so many times as long as usual is slow, …
const SLOW: f64 = 1.5;
/// … unless it comes within this time: then there is nothing to gain.
const FAST: Duration = Duration::from_millis(100);
/// What a request costs beside its body, as bytes.
const HEAD: usize = 64 << 10;
/// How soon what is usual follows answers that are faster, and slower, than that.
const FASTER: f64 = 0.25;
const SLOWER: f64 = 1.0 / 64.0;

#[derive(Debug)]
pub(super) struct Concurrency {
    /// As many as are configured.
    most: usize,
    state: Mutex<State>,
    /// Who came first has room first: what is put onto the disk instead is to stand there in its order.
    room: Semaphore,
}

#[derive(Debug)]
struct State {
    limit: usize,
    /// So many more are on their way, since it was lowered meanwhile.
    excess: usize,
    /// It has never been lowered: each good answer makes room for one more.
    is_new: bool,
    /// Seconds for a byte.
    usual: Option<f64>,
    lowered: Option<Instant>,
    delivered: Option<Instant>,
    round: Round,
}

/// As many answers as requests might be on their way when it began.
#[derive(Debug)]
struct Round {
    size: usize,
    answers: usize,
    slow: usize,
    /// More could have been sent.
    is_full: bool,
}

/// A request that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It was taken, and says how long that takes.
    Delivered,
    /// It made no progress, or was told that there is too much.
    Overloaded,
}

/// The room that one request takes.
#[derive(Debug)]
pub(super) struct Slot<'a> {
    concurrency: &'a Concurrency,
    permit: Option<SemaphorePermit<'a>>,
}

impl Concurrency {
    pub(super) fn new(most: usize) -> Self {
        let limit = FIRST.min(most);
        let state = State {
            limit,
            excess: 0,
            is_new: true,
            usual: None,
            lowered: None,
            delivered: None,
            round: Round::of(limit),
        };
        Self { most, state: Mutex::new(state), room: Semaphore::new(limit) }
    }

    /// Room for a request, if there is any and nobody waits for it.
    pub(super) fn enter(&self) -> Option<Slot<'_>> {
        let permit = self.room.try_acquire().ok();
        if permit.is_none() {
            self.state().round.is_full = true;
        }
        permit.map(|permit| self.slot(permit))
    }

    /// Waits for room.
    pub(super) async fn wait(&self) -> Slot<'_> {
        match self.room.acquire().await {
            Ok(permit) => self.slot(permit),
            // Nobody closes it.
            Err(_) => std::future::pending().await,
        }
    }

    fn slot<'a>(&'a self, permit: SemaphorePermit<'a>) -> Slot<'a> {
        Slot { concurrency: self, permit: Some(permit) }
    }

    /// When a request was taken last.
    pub(super) fn delivered(&self) -> Option<Instant> {
        self.state().delivered
    }

    /// A request with so many bytes has ended, which began at that time.
    pub(super) fn ended(&self, began: Instant, bytes: usize, ended: Ended) {
        let mut state = self.state();
        if ended == Ended::Delivered {
            state.delivered = Some(Instant::now());
        }
        // What began before the limit was lowered says nothing about the limit of now.
        if state.lowered.is_some_and(|lowered| began < lowered) {
            return;
        }
        let before = state.limit;
        match ended {
            Ended::Overloaded => state.lower(),
            Ended::Delivered => state.answered(began.elapsed(), bytes, self.most),
        }
        if state.limit < before {
            let less = before - state.limit;
            state.excess += less - self.room.forget_permits(less);
        } else {
            let more = state.limit - before;
            let kept = more.min(state.excess);
            state.excess -= kept;
            self.room.add_permits(more - kept);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    #[allow(clippy::cast_precision_loss, reason = "these are no exact numbers")]
    fn answered(&mut self, elapsed: Duration, bytes: usize, most: usize) {
        let cost = elapsed.as_secs_f64() / (bytes + HEAD) as f64;
        let usual = self.usual.unwrap_or(cost);
        let is_slow = elapsed > FAST && cost > SLOW * usual;
        self.usual = Some(usual + (cost - usual) * if cost < usual { FASTER } else { SLOWER });
        self.round.answers += 1;
        self.round.slow += usize::from(is_slow);
        if self.is_new && self.round.is_full && !is_slow {
            self.limit = (self.limit + 1).min(most);
        }
        if self.round.answers < self.round.size {
            return;
        }
        if 2 * self.round.slow > self.round.answers {
            return self.lower();
        }
        if self.round.is_full && !self.is_new {
            self.limit = (self.limit + 1).min(most);
        }
        self.round = Round::of(self.limit);
    }

    fn lower(&mut self) {
        self.limit = (self.limit / 2).max(1);
        self.is_new = false;
        self.lowered = Some(Instant::now());
        self.round = Round::of(self.limit);
    }
}

impl Round {
    fn of(size: usize) -> Self {
        Self { size, answers: 0, slow: 0, is_full: false }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut state = self.concurrency.state();
        if state.excess > 0 {
            state.excess -= 1;
            self.permit.take().into_iter().for_each(SemaphorePermit::forget);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 64;
    const BYTES: usize = 1 << 20;

    /// Answers come all the time, after so many seconds with so many requests on their way. What the limit was.
    fn limits(concurrency: &Concurrency, answers: usize, seconds: impl Fn(f64) -> f64) -> Vec<usize> {
        let mut state = concurrency.state();
        let answer = |_| {
            state.round.is_full = true;
            let under_way = f64::from(u32::try_from(state.limit).unwrap());
            state.answered(Duration::from_secs_f64(seconds(under_way)), BYTES, MOST);
            state.limit
        };
        (0..answers).map(answer).collect()
    }

    #[test]
    fn it_grows_while_answers_take_no_longer() {
        let concurrency = Concurrency::new(MOST);
        assert_eq!(limits(&concurrency, 60, |_| 0.2).last(), Some(&MOST));
        // The same where answers are fast and differ only because of that.
        let concurrency = Concurrency::new(MOST);
        assert_eq!(limits(&concurrency, 60, |under_way| under_way / 1000.0).last(), Some(&MOST));
    }

    #[test]
    fn few_share_a_narrow_link() {
        let concurrency = Concurrency::new(MOST);
        let limits = limits(&concurrency, 2000, |under_way| under_way / 4.0);
        assert!(limits.iter().all(|limit| (1..=8).contains(limit)), "{limits:?}");
        assert!(limits[1000..].iter().any(|limit| *limit > 1), "{limits:?}");
    }

    #[test]
    fn what_is_slower_for_another_reason_becomes_usual() {
        let concurrency = Concurrency::new(MOST);
        limits(&concurrency, 200, |_| 0.2);
        let limits = limits(&concurrency, 4000, |_| 1.0);
        assert!(limits.contains(&(MOST / 2)) && limits.last() == Some(&MOST), "{limits:?}");
    }

    #[test]
    fn a_request_that_times_out_halves_it_once() {
        let concurrency = Concurrency::new(MOST);
        limits(&concurrency, 60, |_| 0.2);
        let began = Instant::now();
        for _ in 0..MOST {
            concurrency.ended(began, BYTES, Ended::Overloaded);
        }
        assert_eq!(concurrency.state().limit, MOST / 2, "all of them began before it was lowered");
        for limit in [16, 8, 4, 2, 1, 1] {
            concurrency.ended(Instant::now(), BYTES, Ended::Overloaded);
            assert_eq!(concurrency.state().limit, limit);
        }
    }

    #[test]
    fn there_is_room_for_as_many_as_the_limit_says() {
        for (most, first) in [(1, 1), (3, 3), (1000, FIRST)] {
            let concurrency = Concurrency::new(most);
            let mut slots: Vec<_> = std::iter::from_fn(|| concurrency.enter()).collect();
            assert_eq!(slots.len(), first);
            slots.pop();
            slots.extend(concurrency.enter());
            assert!(slots.len() == first && concurrency.enter().is_none());
        }
    }

    #[test]
    fn what_is_on_its_way_when_it_is_lowered_leaves_no_room_behind() {
        let concurrency = Concurrency::new(MOST);
        let mut slots: Vec<_> = std::iter::from_fn(|| concurrency.enter()).take(3).collect();
        concurrency.ended(Instant::now(), BYTES, Ended::Overloaded);
        concurrency.ended(Instant::now(), BYTES, Ended::Overloaded);
        for _ in 0..2 {
            assert!(concurrency.enter().is_none(), "there may be one, and {} are on their way", slots.len());
            slots.pop();
        }
        assert!(concurrency.enter().is_none());
        slots.pop();
        assert!(concurrency.enter().is_some());
    }
}

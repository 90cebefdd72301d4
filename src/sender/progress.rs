//! A request's body that tells how far it has come, and how long a request is waited for.

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{sleep_until, Instant};

/// So much of a body is handed over at once, and counts as progress.
const STEP: usize = 16 << 10;
/// What the system has taken is not on its way yet: it keeps up to so many bytes for a connection, …
const SYSTEM_BUFFER: usize = 8 << 20;
/// … and gets so many of them through in a second, however narrow the link is.
const NARROW_LINK: usize = 128 << 10;
/// A request that is slower than so many bytes a second, all in all, is given up though it makes progress.
const SLOWEST: usize = 16 << 10;
/// Beside that, a request may take so often the time that it may take without progress.
const STALLS: u32 = 4;

/// How far a request has come.
#[derive(Debug)]
pub(super) struct Progress {
    began: Instant,
    /// Milliseconds from the beginning to the last step.
    last: AtomicU64,
    /// The system has taken the whole body.
    is_taken: AtomicBool,
    /// The longest time without progress.
    timeout: Duration,
    /// How much longer than that an answer may take, because the body is still on its way.
    arrival: Duration,
    /// The bound over all.
    whole: Duration,
}

impl Progress {
    pub(super) fn new(bytes: usize, timeout: Duration) -> Self {
        let seconds = |bytes: usize, rate: usize| Duration::from_millis((bytes as u64 * 1000) / rate as u64);
        Self {
            began: Instant::now(),
            last: AtomicU64::new(0),
            is_taken: AtomicBool::new(bytes == 0),
            timeout,
            arrival: seconds(bytes.min(SYSTEM_BUFFER), NARROW_LINK),
            whole: timeout.saturating_mul(STALLS).saturating_add(seconds(bytes, SLOWEST)),
        }
    }

    pub(super) fn began(&self) -> Instant {
        self.began
    }

    pub(super) fn is_taken(&self) -> bool {
        self.is_taken.load(Ordering::Relaxed)
    }

    /// Waits until there was no progress for too long, or until it has taken too long altogether.
    pub(super) async fn stalls(&self) {
        loop {
            let deadline = self.deadline();
            sleep_until(deadline).await;
            if self.deadline() <= deadline {
                return;
            }
        }
    }

    fn deadline(&self) -> Instant {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        let arrival = if self.is_taken() { self.arrival } else { Duration::ZERO };
        self.began + (last + self.timeout + arrival).min(self.whole)
    }

    fn step(&self, is_taken: bool) {
        let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(millis, Ordering::Relaxed);
        self.is_taken.store(is_taken, Ordering::Relaxed);
    }
}

/// A body that is handed over in steps. Its length is known, so it is sent with one.
#[derive(Debug)]
pub(super) struct Steps {
    rest: Bytes,
    progress: Arc<Progress>,
}

impl Steps {
    pub(super) fn new(body: Bytes, progress: Arc<Progress>) -> Self {
        Self { rest: body, progress }
    }
}

impl http_body::Body for Steps {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let step = STEP.min(self.rest.len());
        let step = self.rest.split_to(step);
        self.progress.step(self.rest.is_empty());
        Poll::Ready(Some(Ok(Frame::data(step))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body::Body;

    const SECOND: Duration = Duration::from_secs(1);

    fn next(body: &mut Steps) -> Option<Bytes> {
        match Pin::new(body).poll_frame(&mut Context::from_waker(std::task::Waker::noop())) {
            Poll::Ready(frame) => frame.map(|frame| frame.unwrap().into_data().unwrap()),
            Poll::Pending => panic!("it has all it needs"),
        }
    }

    #[test]
    fn a_body_comes_in_steps_and_says_how_much_is_left() {
        let content: Bytes = (0..=255).cycle().take(2 * STEP + 7).collect::<Vec<u8>>().into();
        let progress = Arc::new(Progress::new(content.len(), SECOND));
        let mut body = Steps::new(content.clone(), Arc::clone(&progress));
        let mut received = Vec::new();
        for left in [STEP + 7, 7, 0] {
            assert!(!progress.is_taken() && !body.is_end_stream());
            received.extend(next(&mut body).unwrap());
            assert_eq!(body.size_hint().exact(), Some(left as u64));
        }
        assert!(progress.is_taken() && body.is_end_stream() && next(&mut body).is_none());
        assert_eq!(received, content);
    }

    #[test]
    fn each_step_gives_time_up_to_the_bound_over_all() {
        let progress = Progress::new(SYSTEM_BUFFER, 10 * SECOND);
        let at = |seconds: u64| {
            progress.last.store(1000 * seconds, Ordering::Relaxed);
            (progress.deadline() - progress.began).as_secs()
        };
        assert_eq!([at(0), at(20), at(500)], [10, 30, 510]);
        // Eight megabytes at the slowest, and four times ten seconds.
        assert_eq!(at(600), 512 + 40);
        progress.is_taken.store(true, Ordering::Relaxed);
        assert_eq!([at(0), at(20)], [10 + 64, 30 + 64]);
    }
}

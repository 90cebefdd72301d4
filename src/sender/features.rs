//! What the server can do, as far as is known: multipart bodies, and zstd.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Something that a server may lack. It is believed for a while only: servers are replaced, and what stands before
/// them speaks for them.
#[derive(Debug)]
pub(crate) struct Feature {
    started: Instant,
    /// Milliseconds from the start until it is tried again; 0 while it is there.
    missing_until: AtomicU64,
}

/// However short intervals are configured to be: what was tried in vain is not tried again at once.
const SHORTEST: Duration = Duration::from_millis(100);

/// What all deliveries know of the server.
#[derive(Debug)]
pub(crate) struct Features {
    pub(crate) multipart: Feature,
    pub(crate) zstd: Feature,
    /// A compressed body was accepted.
    pub(crate) zstd_works: AtomicBool,
    /// `/info` should be asked again: it may know more.
    ask: AtomicBool,
    /// For so long something is believed to be missing.
    time: Duration,
}

impl Feature {
    fn new() -> Self {
        Self { started: Instant::now(), missing_until: AtomicU64::new(0) }
    }

    pub(crate) fn is_there(&self) -> bool {
        let until = self.missing_until.load(Ordering::Relaxed);
        until == 0 || self.started.elapsed().as_millis() >= u128::from(until)
    }

    fn is_missing(&self, time: Duration) {
        let until = (self.started.elapsed() + time).as_millis().max(1);
        self.missing_until.store(u64::try_from(until).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Features {
    pub(crate) fn new(time: Duration) -> Self {
        Self {
            multipart: Feature::new(),
            zstd: Feature::new(),
            zstd_works: AtomicBool::new(false),
            ask: AtomicBool::new(false),
            time: time.max(SHORTEST),
        }
    }

    /// An answer says that the server has no `/runs/multipart`.
    pub(crate) fn no_multipart(&self) {
        self.multipart.is_missing(self.time);
        self.ask.store(true, Ordering::Relaxed);
    }

    /// The server has neither way at the moment.
    pub(crate) fn multipart_again(&self) {
        self.multipart.missing_until.store(0, Ordering::Relaxed);
    }

    /// An answer says that the server does not read zstd.
    pub(crate) fn no_zstd(&self) {
        self.zstd.is_missing(self.time);
        self.zstd_works.store(false, Ordering::Relaxed);
        self.ask.store(true, Ordering::Relaxed);
    }

    /// What the server says of itself. That it can do what it has just failed to do changes nothing.
    pub(crate) fn told(&self, multipart: Option<bool>, zstd: Option<bool>) {
        if multipart == Some(false) {
            self.multipart.is_missing(self.time);
        }
        if zstd == Some(false) {
            self.zstd.is_missing(self.time);
        }
    }

    /// For so long it is believed that something is missing; `None` when nothing is.
    pub(crate) fn missing_for(&self) -> Option<Duration> {
        (!self.multipart.is_there() || !self.zstd.is_there()).then_some(self.time)
    }

    /// Whether `/info` should be asked again. Says so once.
    pub(crate) fn should_ask(&self) -> bool {
        self.ask.swap(false, Ordering::Relaxed)
    }
}

//! When the sender's thread sleeps, and who has to wake it.
//!
//! Whoever adds something to the queue and the sender that is about to sleep, or to end, look at what the other one has
//! written, each after having written itself. A fence in between makes sure that one of them sees the other. The crate in
//! `models/` includes this file and goes through all orders in which the two may meet.

use super::atomic::{fence, AtomicBool, AtomicU8, Ordering};

/// The sender's thread sleeps until something comes.
const RESTING: u8 = 0;
/// It sleeps until its batch is due, unless much comes.
const GATHERING: u8 = 1;
/// It is awake, or about to be.
const AWAKE: u8 = 2;

#[derive(Debug)]
pub(crate) struct Wake {
    state: AtomicU8,
    ended: AtomicBool,
}

/// Something was added, and everybody who looks after this sees it.
#[derive(Debug)]
pub(crate) struct Added<'a>(&'a Wake);

impl Wake {
    pub(crate) fn new() -> Self {
        Self { state: AtomicU8::new(RESTING), ended: AtomicBool::new(false) }
    }

    /// To be called when something was added.
    pub(crate) fn added(&self) -> Added<'_> {
        fence(Ordering::SeqCst);
        Added(self)
    }

    /// The sender is about to sleep. `false` when `idle` says that something came in the meantime.
    pub(crate) fn rest(&self, gathering: bool, idle: impl FnOnce() -> bool) -> bool {
        self.state.store(if gathering { GATHERING } else { RESTING }, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let idle = idle();
        if !idle {
            self.awake();
        }
        idle
    }

    pub(crate) fn awake(&self) {
        self.state.store(AWAKE, Ordering::Relaxed);
    }

    /// The sender is no more. What was added before, and nobody took, is to be taken now; what comes later is taken by
    /// whoever adds it.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }
}

impl Added<'_> {
    /// Whether the sender sleeps and nobody else wakes it.
    pub(crate) fn wakes(&self, much: bool) -> bool {
        let state = self.0.state.load(Ordering::Relaxed);
        (state == RESTING || (state == GATHERING && much)) && self.0.state.swap(AWAKE, Ordering::Relaxed) != AWAKE
    }

    /// Whether the sender may have ended without seeing it.
    pub(crate) fn is_late(&self) -> bool {
        self.0.ended.load(Ordering::Relaxed)
    }
}

//! Who may add something to the queue, and who is waited for before it closes.
//!
//! Whoever comes in writes first and then looks whether the gate is closed; whoever closes it writes first and then looks
//! who is inside. One of the two sees the other. The crate in `models/` includes this file and goes through all orders in
//! which they may meet.

use super::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::padded::Padded;

/// Threads are counted at so many places, so that they rarely write to the same one.
const PLACES: usize = 16;

#[derive(Debug)]
pub(crate) struct Gate {
    closed: AtomicBool,
    inside: [Padded<AtomicUsize>; PLACES],
}

/// Somebody is inside. Who closes the gate waits until this is dropped.
#[derive(Debug)]
pub(crate) struct Pass<'a>(&'a AtomicUsize);

impl Gate {
    pub(crate) fn new() -> Self {
        Self { closed: AtomicBool::new(false), inside: std::array::from_fn(|_| Padded(AtomicUsize::new(0))) }
    }

    /// Comes in, unless the gate is closed.
    #[inline]
    pub(crate) fn enter(&self) -> Option<Pass<'_>> {
        // Who is late does not make those wait who wait for others.
        if self.is_closed() {
            return None;
        }
        let place = &self.inside[place()].0;
        place.fetch_add(1, Ordering::SeqCst);
        let pass = Pass(place);
        (!self.closed.load(Ordering::SeqCst)).then_some(pass)
    }

    /// Nobody comes in any more.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Whether all who came in before it was closed have left. What they added is there to be seen.
    pub(crate) fn is_empty(&self) -> bool {
        self.inside.iter().all(|place| place.0.load(Ordering::SeqCst) == 0)
    }
}

impl Drop for Pass<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Where this thread is counted.
#[inline]
fn place() -> usize {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicUsize, Ordering};

    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static PLACE: Cell<usize> = const { Cell::new(usize::MAX) });
    PLACE.with(|place| {
        if place.get() == usize::MAX {
            place.set(THREADS.fetch_add(1, Ordering::Relaxed) % PLACES);
        }
        // The compiler sees that it is in range.
        place.get() % PLACES
    })
}

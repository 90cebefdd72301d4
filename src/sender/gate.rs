//! Who may add something to the queue, and who is waited for before it closes.
//!
//! A thread comes in and looks whether the gate is closed in one step, and so does who closes it and looks who is inside.
//! The crate in `models/` includes this file and goes through all orders in which they may meet.

use super::atomic::{AtomicUsize, Ordering};
use crate::padded::Padded;

/// Threads are counted at so many places, so that they rarely write to the same one.
const PLACES: usize = 16;
/// The gate is closed.
const CLOSED: usize = 1;
/// A thread is inside.
const ONE: usize = 2;

#[derive(Debug)]
pub(crate) struct Gate {
    places: [Padded<AtomicUsize>; PLACES],
}

/// Somebody is inside. Who closes the gate waits until this is dropped.
#[derive(Debug)]
pub(crate) struct Pass<'a>(&'a AtomicUsize);

impl Gate {
    pub(crate) fn new() -> Self {
        Self { places: std::array::from_fn(|_| Padded(AtomicUsize::new(0))) }
    }

    /// Comes in, unless the gate is closed.
    #[inline]
    pub(crate) fn enter(&self) -> Option<Pass<'_>> {
        let place = &self.places[place()].0;
        // Who is late does not make those wait who wait for others.
        if place.load(Ordering::Relaxed) & CLOSED != 0 {
            return None;
        }
        let before = place.fetch_add(ONE, Ordering::Acquire);
        let pass = Pass(place);
        (before & CLOSED == 0).then_some(pass)
    }

    /// Nobody comes in any more.
    pub(crate) fn close(&self) {
        for Padded(place) in &self.places {
            place.fetch_or(CLOSED, Ordering::AcqRel);
        }
    }

    /// Whether all who came in before it was closed have left. What they added is there to be seen.
    pub(crate) fn is_empty(&self) -> bool {
        self.places.iter().all(|Padded(place)| place.load(Ordering::Acquire) < ONE)
    }
}

impl Drop for Pass<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.fetch_sub(ONE, Ordering::Release);
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

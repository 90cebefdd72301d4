//! How the sender falls asleep, is woken and ends while others add work, and how the queue is closed: `src/sender/wake.rs`
//! and `src/sender/gate.rs`, in all orders.
//!
//! The queue itself stands here as a number: the real one, of `crossbeam`, orders more than these relaxed operations do.

#![cfg(test)]

use loom::sync::atomic::{self, AtomicUsize, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

#[path = "../../src/sender/gate.rs"]
mod gate;
#[path = "../../src/padded.rs"]
mod padded;
#[path = "../../src/sender/wake.rs"]
mod wake;

use gate::Gate;
use wake::Wake;

struct Queue {
    items: AtomicUsize,
    wake: Wake,
    woken: Notify,
}

/// As tokio's: a notification that nobody waits for is kept, but not more than one.
struct Notify {
    kept: Mutex<bool>,
    changed: Condvar,
}

impl Notify {
    fn notify(&self) {
        *self.kept.lock().unwrap() = true;
        self.changed.notify_one();
    }

    fn wait(&self) {
        let mut kept = self.kept.lock().unwrap();
        while !std::mem::take(&mut *kept) {
            kept = self.changed.wait(kept).unwrap();
        }
    }
}

/// So many items are much.
const MUCH: usize = 2;

impl Queue {
    fn new() -> Arc<Self> {
        let woken = Notify { kept: Mutex::new(false), changed: Condvar::new() };
        Arc::new(Self { items: AtomicUsize::new(0), wake: Wake::new(), woken })
    }

    fn push(&self) {
        let before = self.items.fetch_add(1, Ordering::Relaxed);
        let added = self.wake.added();
        if added.wakes(before + 1 >= MUCH) {
            self.woken.notify();
        }
        if added.is_late() {
            self.take();
        }
    }

    fn take(&self) -> usize {
        // A look first, as at a real queue: a read-modify-write would always see the newest value.
        if self.items.load(Ordering::Relaxed) == 0 {
            return 0;
        }
        self.items.swap(0, Ordering::Relaxed)
    }

    /// One turn of the sender's: what is there is taken, or else it sleeps until it is woken.
    fn turn(&self) -> usize {
        let taken = self.take();
        if taken == 0 && self.wake.rest(false, || self.items.load(Ordering::Relaxed) == 0) {
            // Loom fails when nobody ever wakes it.
            self.woken.wait();
            self.wake.awake();
        }
        taken
    }
}

fn pushing(queue: &Arc<Queue>, items: usize) -> thread::JoinHandle<()> {
    let queue = Arc::clone(queue);
    thread::spawn(move || (0..items).for_each(|_| queue.push()))
}

/// All orders with up to three switches from a thread that could have gone on: more take minutes and show no more.
fn in_all_orders(model: impl Fn() + Send + Sync + 'static) {
    let mut orders = loom::model::Builder::new();
    orders.preemption_bound = Some(3);
    orders.check(model);
}

#[test]
fn a_resting_sender_hears_of_what_comes() {
    in_all_orders(|| {
        let queue = Queue::new();
        let push = pushing(&queue, 1);
        while queue.turn() == 0 {}
        push.join().unwrap();
    });
}

#[test]
fn a_sender_that_rests_again_hears_of_what_comes_then() {
    in_all_orders(|| {
        let queue = Queue::new();
        let push = pushing(&queue, 2);
        let mut taken = 0;
        while taken < 2 {
            taken += queue.turn();
        }
        push.join().unwrap();
    });
}

#[test]
fn a_gathering_sender_hears_when_it_is_much() {
    in_all_orders(|| {
        let queue = Queue::new();
        queue.wake.awake();
        let pushes = [pushing(&queue, 1), pushing(&queue, 1)];
        if queue.wake.rest(true, || queue.items.load(Ordering::Relaxed) < MUCH) {
            queue.woken.wait();
            queue.wake.awake();
        }
        pushes.into_iter().for_each(|push| push.join().unwrap());
    });
}

#[test]
fn nothing_stays_behind_when_the_sender_ends() {
    in_all_orders(|| {
        let queue = Queue::new();
        let pushes = [pushing(&queue, 1), pushing(&queue, 1)];
        queue.wake.end();
        queue.take();
        pushes.into_iter().for_each(|push| push.join().unwrap());
        assert_eq!(queue.items.load(Ordering::Relaxed), 0, "somebody has taken each item");
    });
}

/// Whoever came in before the gate was closed has added its item when the gate is seen to be empty, and no other does later.
#[test]
fn what_comes_in_is_there_when_the_gate_is_empty() {
    in_all_orders(|| {
        let gate = Arc::new(Gate::new());
        let items = Arc::new(AtomicUsize::new(0));
        let pushes: Vec<_> = (0..2)
            .map(|_| {
                let (gate, items) = (Arc::clone(&gate), Arc::clone(&items));
                thread::spawn(move || {
                    if let Some(_pass) = gate.enter() {
                        items.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        gate.close();
        while !gate.is_empty() {
            thread::yield_now();
        }
        let seen = items.load(Ordering::Relaxed);
        pushes.into_iter().for_each(|push| push.join().unwrap());
        assert_eq!(items.load(Ordering::Relaxed), seen, "nothing comes later");
    });
}

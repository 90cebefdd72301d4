//! A lock that nobody waits for in vain.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};

/// A mutex that is never stuck in a process that was forked: there the threads are gone that held it, and whoever finds it
/// held gets an empty value of its own instead.
#[derive(Debug)]
pub(crate) struct Lock<T> {
    value: Mutex<T>,
    /// The process that it was made in.
    process: u32,
    forked: OnceLock<Box<Mutex<T>>>,
}

impl<T: Default> Default for Lock<T> {
    fn default() -> Self {
        Self { value: Mutex::default(), process: std::process::id(), forked: OnceLock::new() }
    }
}

impl<T: Default> Lock<T> {
    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        match self.value.try_lock() {
            Ok(value) => value,
            Err(TryLockError::Poisoned(value)) => value.into_inner(),
            Err(TryLockError::WouldBlock) => self.wait(),
        }
    }

    #[cold]
    fn wait(&self) -> MutexGuard<'_, T> {
        let is_forked = self.process != std::process::id();
        let value = if is_forked { self.forked.get_or_init(Box::default) } else { &self.value };
        value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use fork::{fork, waitpid, Fork};

    #[test]
    fn a_forked_process_does_not_wait_for_a_thread_of_the_first() {
        let lock: &Lock<u32> = Box::leak(Box::default());
        let (held, is_held) = std::sync::mpsc::channel();
        let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
        let holder = std::thread::spawn(move || {
            let mut value = lock.lock();
            *value = 7;
            held.send(()).unwrap();
            let _ = may_go_on.recv();
        });
        is_held.recv().unwrap();
        match fork().expect("a second process") {
            Fork::Child => {
                let before = std::mem::replace(&mut *lock.lock(), 9);
                std::process::exit(i32::from(before != 0 || *lock.lock() != 9));
            }
            Fork::Parent(child) => {
                // It ends while the lock is held here.
                assert_eq!(waitpid(child).unwrap(), 0);
                drop(go_on);
                holder.join().unwrap();
                assert_eq!(*lock.lock(), 7);
            }
        }
    }
}

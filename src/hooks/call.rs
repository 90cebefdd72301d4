//! Calling what is the application's own. A hook's panic is contained. It runs under the application's subscriber,
//! also on the thread where nothing else is traced, and the spans that it opens come to no hook: neither to itself
//! nor to another client's.

use std::cell::{Cell, RefCell};
use std::panic::{catch_unwind, AssertUnwindSafe};
use tracing::dispatcher::{self, DefaultGuard, Dispatch, WeakDispatch};
use tracing::subscriber::NoSubscriber;

thread_local! {
    static IS_INSIDE: Cell<bool> = const { Cell::new(false) };
    static SILENCE: RefCell<Option<Silence>> = const { RefCell::new(None) };
}

/// It panicked.
#[derive(Debug)]
pub(crate) struct Panicked;

/// Calls a hook.
pub(crate) fn call<T>(hook: impl FnOnce() -> T) -> Result<T, Panicked> {
    contain(|| within(hook))
}

/// Does something that may panic.
pub(crate) fn contain<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        // What an application panics with may panic once more when it is dropped.
        if let Err(once_more) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(once_more);
        }
        Panicked
    })
}

/// The same for work that calls hooks and contains their panics itself.
pub(crate) fn within<T>(work: impl FnOnce() -> T) -> T {
    let _inside = Inside(IS_INSIDE.replace(true));
    let Some(silence) = SILENCE.take() else { return work() };
    let again = Again(silence.subscriber.clone());
    // Behind it is the subscriber of the whole process.
    drop(silence);
    match again.0.upgrade() {
        Some(subscriber) => dispatcher::with_default(&subscriber, work),
        None => work(),
    }
}

/// Whether a hook is being called on this thread.
#[inline]
pub(crate) fn is_inside() -> bool {
    IS_INSIDE.get()
}

struct Inside(bool);

impl Drop for Inside {
    fn drop(&mut self) {
        IS_INSIDE.set(self.0);
    }
}

/// The subscriber that a client was built under, as long as it is there. Most are built before there is any, and
/// then it is that of the whole process.
#[derive(Clone, Debug)]
pub(crate) struct BuiltUnder(Option<WeakDispatch>);

impl BuiltUnder {
    /// That of this thread, at this moment.
    pub(crate) fn now() -> Self {
        Self(dispatcher::get_default(|now| (!now.is::<NoSubscriber>()).then(|| now.downgrade())))
    }

    fn upgrade(&self) -> Option<Dispatch> {
        self.0.as_ref()?.upgrade()
    }
}

/// A thread on which nothing is traced but by hooks, which are called under this subscriber.
struct Silence {
    subscriber: BuiltUnder,
    _none: DefaultGuard,
}

/// Makes this thread one on which nothing is traced, until what it returns is dropped.
#[must_use]
pub(crate) fn silence(subscriber: BuiltUnder) -> Silent {
    let silence = Silence { subscriber, _none: dispatcher::set_default(&Dispatch::none()) };
    SILENCE.set(Some(silence));
    Silent(())
}

/// As long as it is there, nothing is traced on its thread.
pub(crate) struct Silent(());

impl Drop for Silent {
    fn drop(&mut self) {
        drop(SILENCE.take());
    }
}

/// The thread falls silent again, however the hook ended.
struct Again(BuiltUnder);

impl Drop for Again {
    fn drop(&mut self) {
        std::mem::forget(silence(self.0.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listens() -> bool {
        dispatcher::get_default(|now| !now.is::<NoSubscriber>())
    }

    #[test]
    fn hooks_alone_are_heard_on_a_silent_thread() {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let subscriber = Dispatch::new(tracing_subscriber::registry());
                let silent = silence(dispatcher::with_default(&subscriber, BuiltUnder::now));
                assert!(!listens() && !is_inside());
                assert!(call(|| listens() && is_inside() && call(is_inside).unwrap() && is_inside()).unwrap());
                assert!(!listens() && !is_inside());
                assert!(call(|| panic!("on purpose")).is_err());
                assert!(!listens() && !is_inside());
                drop(subscriber);
                assert!(!call(listens).unwrap(), "it is not kept alive");
                drop(silent);
                assert!(!listens() && SILENCE.take().is_none());
            });
            thread.join().unwrap();
        });
    }
}

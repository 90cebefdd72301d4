//! Processor time, which other programs on the machine disturb less than they disturb elapsed time.

use std::time::Duration;

/// What this thread has spent.
#[cfg(unix)]
pub(crate) fn thread_time() -> Duration {
    read(rustix::time::ClockId::ThreadCPUTime)
}

/// What all threads of this process have spent.
#[cfg(unix)]
pub(crate) fn process_time() -> Duration {
    read(rustix::time::ClockId::ProcessCPUTime)
}

#[cfg(unix)]
fn read(clock: rustix::time::ClockId) -> Duration {
    rustix::time::clock_gettime(clock).try_into().expect("time spent is not negative")
}

/// Elsewhere the time that passes has to do.
#[cfg(not(unix))]
pub(crate) fn thread_time() -> Duration {
    elapsed_time()
}

/// Elsewhere the time that passes has to do.
#[cfg(not(unix))]
pub(crate) fn process_time() -> Duration {
    elapsed_time()
}

/// What has passed since somebody asked first.
pub(crate) fn elapsed_time() -> Duration {
    static FIRST: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    FIRST.get_or_init(std::time::Instant::now).elapsed()
}

/// What `work` takes by a clock.
pub(crate) fn time(clock: fn() -> Duration, work: impl FnOnce()) -> Duration {
    let before = clock();
    work();
    clock().saturating_sub(before)
}

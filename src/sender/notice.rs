//! What is told to the person who runs the application: each thing once, in one line.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;

/// The things that are worth a line.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Notice {
    QueueFull,
    Unauthorized,
    Refused,
    Unreachable,
    TooLarge,
    OldServer,
    Panicked,
}

/// Remembers what has been told. Everything later is only counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notices(Arc<AtomicU32>);

impl Notices {
    /// Logs a warning, the first time this is called for `notice`.
    ///
    /// It is safe anywhere: `tracing` may hold a lock of the application's when a span ends, and
    /// the sender's thread has no subscriber, so the line is logged by a thread of its own.
    pub(crate) fn warn(&self, notice: Notice, text: impl FnOnce() -> String) {
        let bit = 1 << notice as u32;
        if self.0.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
            let text = text();
            log(move || tracing::warn!(target: "opentelemetry_langsmith", "{text}"));
        }
    }
}

/// Logs how much was lost altogether. Called where the application shuts down, so it can log here.
pub(crate) fn total(text: &str) {
    let _suppressed = opentelemetry::Context::enter_telemetry_suppressed_scope();
    tracing::warn!(target: "opentelemetry_langsmith", "{text}");
}

fn log(write: impl FnOnce() + Send + 'static) {
    let suppressed = move || {
        let _guard = opentelemetry::Context::enter_telemetry_suppressed_scope();
        write();
    };
    // Without a thread there is no line; the counters still tell.
    let _ = std::thread::Builder::new().name("langsmith-log".into()).spawn(suppressed);
}

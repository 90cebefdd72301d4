//! What building, submitting, flushing and shutting down can answer.

use crate::stats::Stats;
use opentelemetry_sdk::error::OTelSdkError;
use std::path::PathBuf;
use std::time::Duration;

/// Why no exporter, processor or client could be built. Each text names the variable and the
/// setter that mend it.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is no key.
    #[error("LANGSMITH_API_KEY is not set; set it or call Config::with_api_key (or set LANGSMITH_TRACING=false to switch tracing off)")]
    MissingApiKey,
    /// The key has characters that no HTTP header can carry. The key itself is not shown.
    #[error("LANGSMITH_API_KEY has characters that do not belong in a key; check it for line breaks and quotes, or call Config::with_api_key")]
    InvalidApiKey,
    /// The endpoint is no http or https URL.
    #[error("LANGSMITH_ENDPOINT is {value:?}, which is no URL: {reason}; use one like https://api.smith.langchain.com or call Config::with_endpoint")]
    InvalidEndpoint {
        /// What was given, without any user name and password in it.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The workspace id cannot be a header's value.
    #[error("LANGSMITH_WORKSPACE_ID is {0:?}, which cannot be a workspace id; set it to the id that LangSmith's settings page shows or call Config::with_workspace_id")]
    InvalidWorkspaceId(String),
    /// A variable holds something else than what it takes.
    #[error("{variable} is {value:?}, but has to be {expected}; correct it, unset it or call Config::{setter}")]
    InvalidVariable {
        /// The variable's name.
        variable: &'static str,
        /// What it holds.
        value: String,
        /// What it takes.
        expected: &'static str,
        /// The setter that does the same.
        setter: &'static str,
    },
    /// A setter was given a value out of its range.
    #[error("{setter} was given {value}, but has to be {expected}")]
    OutOfRange {
        /// The setter's name.
        setter: &'static str,
        /// What it was given.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
    /// Failed traces cannot be kept in the directory that is meant for them.
    #[error("LANGSMITH_FAILED_TRACES_DIR is {directory:?}, where no file can be written: {reason}; make it writable, unset it, or give another directory to Config::with_spool_dir")]
    SpoolDirectory {
        /// The directory that was given.
        directory: PathBuf,
        /// What the operating system says.
        reason: String,
    },
    /// A setting that works behind the processor only was given to an exporter.
    #[error("Config::{setter} needs LangSmithSpanProcessor, because an exporter hears of spans when they have ended; use the processor, or leave the setting out")]
    NeedsProcessor {
        /// The setter's name.
        setter: &'static str,
    },
    /// The operating system gave no thread.
    #[error("the sender's thread could not be started: {0}")]
    Thread(String),
}

/// Why [`Client::submit`](crate::Client::submit) did not take a run. It was counted as dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The queue holds as many bytes as it may.
    #[error("the queue is full; raise Config::with_queue_bytes or send less")]
    QueueFull,
    /// The client was shut down.
    #[error("the client was shut down")]
    ShutDown,
    /// This process was forked after the client was made. The thread that sends stayed in the first one.
    #[error("{FORKED}")]
    Forked,
}

/// What to do in a process that was forked.
pub(crate) const FORKED: &str = "this process was forked after the client was made, and the thread that sends stayed \
    in the first one: nothing is sent from here; make the client, or the provider, after the fork";

/// Why [`Client::flush`](crate::Client::flush) or [`Client::shutdown`](crate::Client::shutdown)
/// did not deliver everything.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlushError {
    /// Time ran out.
    #[error("{undelivered} runs were not delivered within {timeout:?}")]
    Timeout {
        /// The time that was given.
        timeout: Duration,
        /// Runs still waiting or on their way.
        undelivered: u64,
    },
    /// The server refused runs, or they were given up, since the last flush.
    #[error("{dropped} runs were given up: {reasons}")]
    Dropped {
        /// How many, since the last flush.
        dropped: u64,
        /// The counts by reason, and what the last request failed for.
        reasons: String,
    },
    /// The server does not take runs at the moment. They are kept and tried again.
    #[error("the runs are not delivered yet, and are tried again: {reason}")]
    Delayed {
        /// What the last try failed for.
        reason: String,
    },
    /// The client was shut down before.
    #[error("the client was shut down before")]
    ShutDown,
    /// A hook asked for it, such as that of [`Config::with_on_run`](crate::Config::with_on_run): the sender waits for the
    /// hook, so that the hook cannot wait for the sender.
    #[error("a hook cannot flush or shut down the client that waits for it; do so elsewhere")]
    InHook,
    /// This process was forked after the client was made. The thread that sends stayed in the first one,
    /// which sends what was handed over before.
    #[error("{FORKED}")]
    Forked,
}

impl FlushError {
    /// The error for what was dropped between two looks at the counters, if anything was.
    pub(crate) fn dropped_since(before: &Stats, now: &Stats, last_failure: Option<String>) -> Option<Self> {
        let dropped = now.lost().saturating_sub(before.lost());
        let mut reasons = now.lost_text(before);
        if let Some(failure) = last_failure {
            reasons.push_str("; the last request failed: ");
            reasons.push_str(&failure);
        }
        (dropped > 0).then_some(Self::Dropped { dropped, reasons })
    }
}

/// The SDK's word for it.
pub(crate) fn sdk_error(error: FlushError) -> OTelSdkError {
    match error {
        FlushError::ShutDown => OTelSdkError::AlreadyShutdown,
        other => OTelSdkError::InternalFailure(other.to_string()),
    }
}

/// A `main` that returns an error prints its `Debug`: that shall be the sentence too.
macro_rules! debug_is_display {
    ($($error:ident),*) => {
        $(impl std::fmt::Debug for $error {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        })*
    };
}
debug_is_display!(ConfigError, FlushError);

//! What can be configured, and the checks on it.

mod conversion;
mod privacy;
mod selection;
mod sending;
mod spool;

pub use selection::PendingRuns;
pub(crate) use selection::Selection;

use crate::convert::{self, EventLimits};
use crate::env;
use crate::error::ConfigError;
use crate::hooks::{Hide, Hook};
use crate::lineage::RunIds;
#[cfg(feature = "redact")]
use crate::redact::Redactor;
use crate::run::RunId;
use crate::secret::{Endpoint, Secret};
use crate::stats::DropReason;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Where LangSmith stands. A key works in its own region only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Region {
    /// `api.smith.langchain.com`
    #[default]
    Us,
    /// `eu.api.smith.langchain.com`
    Eu,
    /// `apac.api.smith.langchain.com`
    Apac,
    /// `aws.api.smith.langchain.com`
    AwsUs,
}

impl Region {
    /// The API's base URL.
    pub fn endpoint(self) -> &'static str {
        match self {
            Self::Us => "https://api.smith.langchain.com",
            Self::Eu => "https://eu.api.smith.langchain.com",
            Self::Apac => "https://apac.api.smith.langchain.com",
            Self::AwsUs => "https://aws.api.smith.langchain.com",
        }
    }
}

/// Settings for an exporter, a processor or a client.
///
/// [`Config::from_env`] reads the environment; setters beat it. What is wrong is told when the
/// exporter, processor or client is built.
///
/// ```
/// use opentelemetry_langsmith::Config;
/// use std::time::Duration;
///
/// let config = Config::default()
///     .with_api_key("lsv2_…")
///     .with_project("support-agent")
///     .with_flush_interval(Duration::from_millis(200));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Config {
    pub(crate) tracing: bool,
    pub(crate) api_key: Option<Secret>,
    pub(crate) endpoint: Endpoint,
    pub(crate) workspace_id: Option<String>,
    pub(crate) project: String,
    pub(crate) run_ids: RunIds,
    pub(crate) conversion: convert::Options,
    pub(crate) events: EventLimits,
    pub(crate) batch_runs: usize,
    pub(crate) batch_bytes: usize,
    pub(crate) flush_interval: Duration,
    pub(crate) queue_bytes: usize,
    pub(crate) concurrency: usize,
    pub(crate) compression_level: Option<i32>,
    pub(crate) retry: Retry,
    pub(crate) held: HeldLimits,
    pub(crate) open_spans: usize,
    pub(crate) on_drop: Option<OnDrop>,
    pub(crate) spool_dir: Option<PathBuf>,
    pub(crate) spool_bytes: u64,
    pub(crate) previous_api_keys: Vec<Secret>,
    pub(crate) adopted_spool: bool,
    pub(crate) selection: Selection,
    pub(crate) on_run: Option<Hook>,
    pub(crate) hide: Hide,
    #[cfg(feature = "redact")]
    pub(crate) redactor: Option<Redactor>,
}

/// Told of runs that are given up.
#[derive(Clone)]
pub(crate) struct OnDrop(pub(crate) Arc<dyn Fn(RunId, DropReason) + Send + Sync>);

impl std::fmt::Debug for OnDrop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnDrop")
    }
}

/// How long and how often a request is tried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retry {
    /// Over all tries of a batch, waits included.
    pub(crate) deadline: Duration,
    /// For one answer.
    pub(crate) timeout: Duration,
    /// The first wait is a random part of this; each later one of twice as much.
    pub(crate) first_wait: Duration,
    /// No wait is longer, whatever `Retry-After` says.
    pub(crate) longest_wait: Duration,
    /// After a 429 that does not say how long to wait.
    pub(crate) rate_limit_wait: Duration,
    /// Between two requests while the key is refused or a quota is used up.
    pub(crate) probe_interval: Duration,
}

/// How much may wait for a parent behind the exporter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeldLimits {
    pub(crate) bytes: usize,
    pub(crate) time: Duration,
}

/// How long a flush may take that is given no time.
pub(crate) const FLUSH_TIMEOUT: Duration = Duration::from_secs(30);
/// A hundred years: as good as forever, and clocks can still be set to it.
pub(crate) const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

impl Default for Config {
    fn default() -> Self {
        Self {
            tracing: true,
            api_key: None,
            endpoint: Endpoint::new(Region::Us.endpoint()),
            workspace_id: None,
            project: "default".into(),
            run_ids: RunIds::V7,
            conversion: convert::Options::default(),
            events: EventLimits::default(),
            batch_runs: 100,
            batch_bytes: 20 << 20,
            flush_interval: Duration::from_millis(500),
            queue_bytes: 256 << 20,
            concurrency: 64,
            compression_level: Some(1),
            retry: Retry {
                deadline: Duration::from_secs(120),
                timeout: Duration::from_secs(30),
                first_wait: Duration::from_millis(500),
                longest_wait: Duration::from_secs(30),
                rate_limit_wait: Duration::from_secs(10),
                probe_interval: Duration::from_secs(60),
            },
            held: HeldLimits { bytes: 64 << 20, time: Duration::from_secs(600) },
            open_spans: 250_000,
            on_drop: None,
            spool_dir: None,
            spool_bytes: 100 << 20,
            previous_api_keys: Vec::new(),
            adopted_spool: false,
            selection: Selection::default(),
            on_run: None,
            hide: Hide::default(),
            #[cfg(feature = "redact")]
            redactor: None,
        }
    }
}

impl Config {
    /// Reads `LANGSMITH_API_KEY`, `LANGSMITH_ENDPOINT`, `LANGSMITH_PROJECT`,
    /// `LANGSMITH_WORKSPACE_ID`, `LANGSMITH_TRACING`, `LANGSMITH_MAX_INGEST_MEMORY_BYTES`,
    /// `LANGSMITH_BATCH_INGEST_SIZE_LIMIT`, `LANGSMITH_RUN_COMPRESSION_LEVEL`,
    /// `LANGSMITH_DISABLE_RUN_COMPRESSION`, `LANGSMITH_TRACING_SAMPLING_RATE`, `LANGSMITH_HIDE_INPUTS`,
    /// `LANGSMITH_HIDE_OUTPUTS`, `LANGSMITH_HIDE_METADATA`, `LANGSMITH_FAILED_TRACES_DIR` and
    /// `LANGSMITH_FAILED_TRACES_MAX_MB`; each also by its older name `LANGCHAIN_…`.
    ///
    /// # Errors
    /// [`ConfigError::InvalidVariable`] when a variable holds something else than it takes. That a
    /// key is missing is told later, because [`with_api_key`](Self::with_api_key) may still come.
    pub fn from_env() -> Result<Self, ConfigError> {
        let mut config = Self::default();
        if let Some(tracing) = env::flag("TRACING", "LANGSMITH_TRACING", "with_tracing")? {
            config.tracing = tracing;
        }
        config.api_key = env::text("API_KEY").map(Secret::new);
        if let Some(endpoint) = env::text("ENDPOINT") {
            config.endpoint = Endpoint::new(endpoint);
        }
        if let Some(project) = env::text("PROJECT").or_else(|| env::text("SESSION")) {
            config.project = project;
        }
        config.workspace_id = env::text("WORKSPACE_ID");
        if let Some(bytes) = env::number(
            "MAX_INGEST_MEMORY_BYTES",
            "LANGSMITH_MAX_INGEST_MEMORY_BYTES",
            "a number of bytes",
            "with_queue_bytes",
        )? {
            config.queue_bytes = bytes;
        }
        if let Some(runs) = env::number(
            "BATCH_INGEST_SIZE_LIMIT",
            "LANGSMITH_BATCH_INGEST_SIZE_LIMIT",
            "a number of runs",
            "with_batch_runs",
        )? {
            config.batch_runs = runs;
        }
        if let Some(level) = env::number(
            "RUN_COMPRESSION_LEVEL",
            "LANGSMITH_RUN_COMPRESSION_LEVEL",
            "a zstd level from -7 to 22",
            "with_compression_level",
        )? {
            config.compression_level = Some(level);
        }
        if env::flag("DISABLE_RUN_COMPRESSION", "LANGSMITH_DISABLE_RUN_COMPRESSION", "without_compression")?
            == Some(true)
        {
            config.compression_level = None;
        }
        let hide = &mut config.hide;
        for (name, variable, setter, field) in [
            ("HIDE_INPUTS", "LANGSMITH_HIDE_INPUTS", "with_hide_inputs", &mut hide.inputs),
            ("HIDE_OUTPUTS", "LANGSMITH_HIDE_OUTPUTS", "with_hide_outputs", &mut hide.outputs),
            ("HIDE_METADATA", "LANGSMITH_HIDE_METADATA", "with_hide_metadata", &mut hide.metadata),
        ] {
            *field = env::flag(name, variable, setter)?.unwrap_or(false);
        }
        config.spool_dir = env::path("FAILED_TRACES_DIR");
        if let Some(megabytes) = env::number::<u32>(
            "FAILED_TRACES_MAX_MB",
            "LANGSMITH_FAILED_TRACES_MAX_MB",
            "a number of megabytes",
            "with_spool_bytes",
        )? {
            config.spool_bytes = u64::from(megabytes) << 20;
        }
        config.selection.read_env()?;
        Ok(config)
    }

    /// Switches everything off when `false`: nothing is queued, converted or sent, no key is
    /// needed and nothing is logged. `LANGSMITH_TRACING`; on by default.
    pub fn with_tracing(mut self, on: bool) -> Self {
        self.tracing = on;
        self
    }

    /// The key. `LANGSMITH_API_KEY`. It is shown in no log, error or `Debug`.
    pub fn with_api_key(mut self, key: impl Into<String>) -> Self {
        self.api_key = Some(Secret::new(key));
        self
    }

    /// The API's base URL. `LANGSMITH_ENDPOINT`; by default the US region. Self-hosted ones often
    /// end in `/api/v1`.
    pub fn with_endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = Endpoint::new(endpoint);
        self
    }

    /// The endpoint of a region.
    pub fn with_region(self, region: Region) -> Self {
        self.with_endpoint(region.endpoint())
    }

    /// The workspace, needed with organisation-scoped keys. `LANGSMITH_WORKSPACE_ID`.
    pub fn with_workspace_id(mut self, workspace_id: impl Into<String>) -> Self {
        self.workspace_id = Some(workspace_id.into());
        self
    }

    /// The project that traces go to. `LANGSMITH_PROJECT`; `default` by default.
    pub fn with_project(mut self, project: impl Into<String>) -> Self {
        self.project = project.into();
        self
    }

    /// How span ids become run ids; UUIDv7 by default.
    pub fn with_run_ids(mut self, run_ids: RunIds) -> Self {
        self.run_ids = run_ids;
        self
    }

    /// The project that traces go to.
    pub fn project(&self) -> &str {
        &self.project
    }

    /// Whether there is a key.
    pub fn has_api_key(&self) -> bool {
        self.api_key.is_some()
    }

    /// Whether tracing is switched on.
    pub fn is_tracing(&self) -> bool {
        self.tracing
    }

    /// Times that no clock can be set to become times that nobody lives to see.
    pub(crate) fn tame(mut self) -> Self {
        let Retry { deadline, timeout, first_wait, longest_wait, rate_limit_wait, probe_interval } = &mut self.retry;
        let flush_interval = &mut self.flush_interval;
        for time in [deadline, timeout, first_wait, longest_wait, rate_limit_wait, probe_interval, flush_interval] {
            *time = (*time).min(FOREVER);
        }
        self
    }

    /// Checks what does not need the HTTP client to be checked.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let range = |setter, value: String, expected, holds: bool| {
            if holds {
                Ok(())
            } else {
                Err(ConfigError::OutOfRange { setter, value, expected })
            }
        };
        range(
            "with_batch_runs",
            self.batch_runs.to_string(),
            "1 to 10,000 (LANGSMITH_BATCH_INGEST_SIZE_LIMIT)",
            (1..=10_000).contains(&self.batch_runs),
        )?;
        range("with_batch_bytes", self.batch_bytes.to_string(), "1,024 bytes or more", self.batch_bytes >= 1024)?;
        range(
            "with_queue_bytes",
            self.queue_bytes.to_string(),
            "65,536 bytes or more (LANGSMITH_MAX_INGEST_MEMORY_BYTES)",
            self.queue_bytes >= 65_536,
        )?;
        range(
            "with_spool_bytes",
            self.spool_bytes.to_string(),
            "65,536 bytes or more (LANGSMITH_FAILED_TRACES_MAX_MB)",
            self.spool_bytes >= 65_536,
        )?;
        range("with_concurrency", self.concurrency.to_string(), "1 to 1,000", (1..=1000).contains(&self.concurrency))?;
        range(
            "with_request_timeout",
            format!("{:?}", self.retry.timeout),
            "more than no time at all",
            !self.retry.timeout.is_zero(),
        )?;
        if let Some(level) = self.compression_level {
            range(
                "with_compression_level",
                level.to_string(),
                "-7 to 22 (LANGSMITH_RUN_COMPRESSION_LEVEL)",
                (-7..=22).contains(&level),
            )?;
        }
        self.selection.check()
    }
}

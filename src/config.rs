//! What can be configured, and the checks on it.

mod privacy;
mod selection;

pub use selection::PendingRuns;
pub(crate) use selection::Selection;

use crate::convert::{self, EventLimits, FunctionArgs, InputTokens, NamePolicy};
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
            concurrency: 32,
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

    /// How input counts of Anthropic's models are meant; told from the numbers by default.
    pub fn with_anthropic_input_tokens(mut self, meaning: InputTokens) -> Self {
        self.conversion.input_tokens = meaning;
        self
    }

    /// What runs are called whose attributes give them no name; as their spans are by default.
    pub fn with_name_policy(mut self, policy: NamePolicy) -> Self {
        self.conversion.name_policy = policy;
        self
    }

    /// LangSmith's name for a provider, `ls_provider`, under which its models are priced. Beats the
    /// built-in names, such as `amazon_bedrock` for `aws.bedrock`; may be called once for each.
    /// Upper and lower case are the same in what spans say.
    ///
    /// ```
    /// use opentelemetry_langsmith::Config;
    ///
    /// let config = Config::default().with_provider_alias("aws.bedrock", "bedrock");
    /// ```
    pub fn with_provider_alias(mut self, provider: impl Into<String>, name: impl Into<String>) -> Self {
        self.conversion.provider_aliases.push((provider.into(), name.into()));
        self
    }

    /// What becomes of the arguments of functions under `#[tracing::instrument]`; they are inputs by
    /// default.
    pub fn with_function_args(mut self, arguments: FunctionArgs) -> Self {
        self.conversion.function_args = arguments;
        self
    }

    /// Sends what evaluators say of a span as feedback of its run; off by default, when it stays among the run's
    /// events and metadata.
    ///
    /// Feedback comes from the span events `gen_ai.evaluation.result` (`gen_ai.evaluation.name`, `.score.value`,
    /// `.score.label` and `.explanation`) and `langsmith.feedback` (`key`, `score`, `value` and `comment`), whose other
    /// attributes are not sent then, and from the attributes `annotations.N.annotation.*` and
    /// `evaluations.N.evaluation.*` (`name`, `score`, `label` and `explanation`). What has no key, or says nothing
    /// else, stays where it was.
    ///
    /// Feedback makes LangSmith keep a trace for longer, which costs more, unless `extend_trace_retention` is false.
    /// That is what is sent, so your retention stays as it is.
    ///
    /// ```
    /// use opentelemetry_langsmith::Config;
    ///
    /// let config = Config::default().with_feedback(true);
    /// ```
    pub fn with_feedback(mut self, feedback: bool) -> Self {
        self.conversion.feedback = feedback;
        self
    }

    /// The most events of a span that go to its run; 64 by default, and 0 is none. Exceptions and the
    /// first token come on top. How many stayed behind is `omitted_events_count` in the run's `extra.otel`.
    pub fn with_max_events(mut self, events: usize) -> Self {
        self.events.count = events;
        self
    }

    /// Leaves out events of `tracing` that are more verbose than this; INFO by default.
    pub fn with_event_level(mut self, level: tracing::Level) -> Self {
        self.events.level = level;
        self
    }

    /// The most runs in one request, 1 to 10,000; 100 by default. The server may ask for fewer.
    pub fn with_batch_runs(mut self, runs: usize) -> Self {
        self.batch_runs = runs;
        self
    }

    /// The most bytes in one request before compression; 20 MiB by default. The server may ask
    /// for fewer.
    pub fn with_batch_bytes(mut self, bytes: usize) -> Self {
        self.batch_bytes = bytes;
        self
    }

    /// How long a run may wait for its batch to fill up; 500 ms by default.
    pub fn with_flush_interval(mut self, interval: Duration) -> Self {
        self.flush_interval = interval;
        self
    }

    /// The most bytes of memory that waiting spans may take; 256 MiB by default. What comes when
    /// the queue is full is dropped and counted.
    pub fn with_queue_bytes(mut self, bytes: usize) -> Self {
        self.queue_bytes = bytes;
        self
    }

    /// The most requests on their way at once, 1 to 1,000; 32 by default. Few are used unless
    /// answers are slow.
    pub fn with_concurrency(mut self, requests: usize) -> Self {
        self.concurrency = requests;
        self
    }

    /// The zstd level, -7 (fastest) to 22 (smallest); 1 by default.
    pub fn with_compression_level(mut self, level: i32) -> Self {
        self.compression_level = Some(level);
        self
    }

    /// Sends bodies as they are.
    pub fn without_compression(mut self) -> Self {
        self.compression_level = None;
        self
    }

    /// How long a batch is tried again before it is given up, waits included; 120 s by default.
    pub fn with_retry_deadline(mut self, deadline: Duration) -> Self {
        self.retry.deadline = deadline;
        self
    }

    /// How long one request may take to be answered; 30 s by default.
    pub fn with_request_timeout(mut self, timeout: Duration) -> Self {
        self.retry.timeout = timeout;
        self
    }

    /// The first wait before another try is a random part of `first`; each later one of twice as
    /// much, up to `longest`, which caps `Retry-After` too. 500 ms and 30 s by default.
    pub fn with_retry_waits(mut self, first: Duration, longest: Duration) -> Self {
        self.retry.first_wait = first;
        self.retry.longest_wait = longest;
        self.retry.rate_limit_wait = self.retry.rate_limit_wait.min(longest);
        self
    }

    /// How often it is tried whether LangSmith takes runs again, while it refuses the key (401, 403)
    /// or a quota is used up (429); 60 s by default. All runs wait for that, up to the retry
    /// deadline and within the bounds of the queue.
    pub fn with_probe_interval(mut self, interval: Duration) -> Self {
        self.retry.probe_interval = interval;
        self
    }

    /// How long an ended span may wait for its parent behind [`LangSmithExporter`]; 10 minutes by
    /// default. After that it becomes a trace of its own.
    ///
    /// [`LangSmithExporter`]: crate::LangSmithExporter
    pub fn with_held_time(mut self, time: Duration) -> Self {
        self.held.time = time;
        self
    }

    /// How many bytes of ended spans may wait for parents behind [`LangSmithExporter`]; 64 MiB by
    /// default. Beyond that the oldest become traces of their own.
    ///
    /// [`LangSmithExporter`]: crate::LangSmithExporter
    pub fn with_held_bytes(mut self, bytes: usize) -> Self {
        self.held.bytes = bytes;
        self
    }

    /// How many spans [`LangSmithSpanProcessor`] remembers, open ones and parents that ended
    /// lately; 250,000 by default. A span that starts beyond that becomes a trace of its own
    /// unless its parent is known.
    ///
    /// [`LangSmithSpanProcessor`]: crate::LangSmithSpanProcessor
    pub fn with_open_spans(mut self, spans: usize) -> Self {
        self.open_spans = spans;
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

    /// Calls `hook` for each run that was on its way and is given up, on the sender's thread: so
    /// that it can be kept and sent again. It shall not block. A panic in it is contained.
    ///
    /// It is also called for runs whose batches a shutdown leaves behind. The shutdown waits for that
    /// no longer than a moment, so a program that ends right then may not hear of the last of them.
    /// Runs that never came that far are told elsewhere: [`Client::submit`](crate::Client::submit)
    /// answers for those that it does not take, and spans that a shutdown finds in the queue are
    /// counted in [`Stats`](crate::Stats) alone. What is kept on disk is not given up, and not told
    /// if it is refused later.
    pub fn with_on_drop(mut self, hook: impl Fn(RunId, DropReason) + Send + Sync + 'static) -> Self {
        self.on_drop = Some(OnDrop(Arc::new(hook)));
        self
    }

    /// Keeps on disk, in this directory, what would be dropped because LangSmith cannot be reached, does not
    /// accept the key, or has no time left at a shutdown. `LANGSMITH_FAILED_TRACES_DIR`; by default there is
    /// none, and such runs are dropped.
    ///
    /// The directory is made if it is not there, for this user alone. What it holds is sent when LangSmith is
    /// back, or by the next client that is given the same directory; files of LangSmith's SDK for Python too.
    /// [`Client::spool`](crate::Client::spool) tells how that goes. A key is in none of the files, but what the
    /// runs say is.
    pub fn with_spool_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.spool_dir = Some(directory.into());
        self
    }

    /// The most bytes of files in the directory of [`with_spool_dir`](Self::with_spool_dir), 65,536 or more;
    /// 100 MiB by default. `LANGSMITH_FAILED_TRACES_MAX_MB`, in units of 1,048,576 bytes. All failed traces in
    /// it count, whoever wrote them. The oldest are kept: what does not fit is dropped and counted.
    pub fn with_spool_bytes(mut self, bytes: usize) -> Self {
        self.spool_bytes = bytes as u64;
        self
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

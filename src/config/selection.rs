//! What goes to LangSmith: which spans, which traces, where to, and when.

use super::{Config, FOREVER};
use crate::env;
use crate::error::ConfigError;
use crate::lineage::{ProjectFor, Rules, Sampling, SpanFilter};
use opentelemetry_sdk::trace::SpanData;
use std::sync::Arc;
use std::time::Duration;

/// The most runs that LangSmith takes in one trace.
const TRACE_RUNS: usize = 25_000;

#[derive(Clone, Debug)]
pub(crate) struct Selection {
    pub(crate) filter: SpanFilter,
    pub(crate) bubble_io: Option<bool>,
    sampling_rate: f64,
    keep_errors: bool,
    project_for: Option<ProjectFor>,
    trace_runs: usize,
    pending_after: Option<Duration>,
    pending_runs: PendingRuns,
}

/// Which runs LangSmith shows while their spans are open; see [`Config::with_pending_after`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PendingRuns {
    /// Those that are the first of their traces in this process.
    #[default]
    Roots,
    /// All of them.
    All,
}

impl Default for Selection {
    fn default() -> Self {
        Self {
            filter: SpanFilter::default(),
            bubble_io: None,
            sampling_rate: 1.0,
            keep_errors: false,
            project_for: None,
            trace_runs: TRACE_RUNS,
            pending_after: None,
            pending_runs: PendingRuns::default(),
        }
    }
}

impl Selection {
    pub(super) fn read_env(&mut self) -> Result<(), ConfigError> {
        const EXPECTED: &str = "a number from 0 to 1";
        let (variable, setter) = ("LANGSMITH_TRACING_SAMPLING_RATE", "with_sampling_rate");
        if let Some(rate) = env::number::<f64>("TRACING_SAMPLING_RATE", variable, EXPECTED, setter)? {
            if !(0.0..=1.0).contains(&rate) {
                let value = rate.to_string();
                return Err(ConfigError::InvalidVariable { variable, value, expected: EXPECTED, setter });
            }
            self.sampling_rate = rate;
        }
        Ok(())
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if !(0.0..=1.0).contains(&self.sampling_rate) {
            return Err(ConfigError::OutOfRange {
                setter: "with_sampling_rate",
                value: self.sampling_rate.to_string(),
                expected: "a number from 0 to 1 (LANGSMITH_TRACING_SAMPLING_RATE)",
            });
        }
        if self.trace_runs < 2 {
            return Err(ConfigError::OutOfRange {
                setter: "with_trace_runs",
                value: self.trace_runs.to_string(),
                expected: "2 or more",
            });
        }
        Ok(())
    }

    pub(crate) fn sampling(&self) -> Sampling {
        Sampling::new(self.sampling_rate, self.keep_errors)
    }

    /// How long a span has to be open to be sent as pending, and which spans are.
    pub(crate) fn pending(&self) -> Option<(Duration, PendingRuns)> {
        self.pending_after.map(|after| (after.min(FOREVER), self.pending_runs))
    }
}

impl Config {
    /// Which spans become runs; by default all but those of HTTP clients and other plumbing. What
    /// stands below a span that is left out goes under the nearest one above that is not.
    pub fn with_filter(mut self, filter: SpanFilter) -> Self {
        self.selection.filter = filter;
        self
    }

    /// Whether the root of a trace that has no inputs, or no outputs, of its own shows those of the
    /// first and of the last model call below it: LangSmith's threads and dashboards look at roots only.
    /// By default this is so in traces out of which the filter has left something. They are shown as they are sent with
    /// the call, and with the files that they refer to.
    ///
    /// Calls that end after the root are not seen, nor are any behind an exporter that has
    /// [`with_on_run`](Self::with_on_run), which gets to see roots first; what is larger than 1 MiB, or has
    /// files of more than 8 MiB, is not taken up.
    pub fn with_bubble_io(mut self, on: bool) -> Self {
        self.selection.bubble_io = Some(on);
        self
    }

    /// The part of all traces that is sent, 0 to 1; 1 by default. `LANGSMITH_TRACING_SAMPLING_RATE`.
    ///
    /// A trace is sent as a whole or not at all. What decides is its OpenTelemetry trace id alone, so
    /// every service with the same rate gives the same answer, and one with a higher rate sends all that
    /// one with a lower rate sends. It comes on top of the SDK's sampler, which is asked before, and does
    /// not depend on it. A trace that was joined to a run elsewhere, by `langsmith-trace` or by
    /// `langsmith.span.*` attributes on its first span here, is sent whatever its id is: it was sampled
    /// where it began. (Behind the exporter such attributes do not count for this.)
    ///
    /// Spans that are not sent for this reason are counted in [`Stats::not_sampled`](crate::Stats), and
    /// not as submitted.
    pub fn with_sampling_rate(mut self, rate: f64) -> Self {
        self.selection.sampling_rate = rate;
        self
    }

    /// Sends traces with an error in them although [`with_sampling_rate`](Self::with_sampling_rate)
    /// leaves them out; off by default.
    ///
    /// The runs of such a trace wait on the sender's thread until its first span here has ended. If by
    /// then a span of it has ended with the status error, all of them are sent, those that end later too;
    /// behind the processor they are sent as soon as the error is there. Otherwise they are not. So an
    /// error comes too late
    ///
    /// * in a span that ends after the first span of its trace,
    /// * when runs have waited longer, or take more memory, than [`with_held_time`](Self::with_held_time)
    ///   and [`with_held_bytes`](Self::with_held_bytes) allow: the oldest trace is then left out,
    /// * in another service: each looks at its own part of the trace. The header `langsmith-trace` is
    ///   not sent on from a trace that is not decided.
    ///
    /// The traces that are left out then cost the application as much as those that are sent.
    pub fn with_keep_errors(mut self, on: bool) -> Self {
        self.selection.keep_errors = on;
        self
    }

    /// Names the project of each trace: `hook` is asked for the first span of a trace in this process,
    /// with what it has at its start ([`LangSmithSpanProcessor`](crate::LangSmithSpanProcessor)) or its
    /// end ([`LangSmithExporter`](crate::LangSmithExporter)). Where that one is left out by the filter and
    /// the answer is `None`, it is asked for those below, too.
    ///
    /// The whole trace goes to one project: that of the first span's attribute
    /// `langsmith.trace.session_name`, or of the baggage `langsmith-project` that came with the trace, or
    /// that the hook names, or of the resource's `langsmith.project`, or that of
    /// [`with_project`](Self::with_project). A trace that was joined to a run elsewhere is not asked about.
    ///
    /// The processor asks on the application's thread, so `hook` has to be quick. Spans that it opens
    /// are left alone: they become no runs, which is warned about once. If it panics its answer is `None`; so it is for names that are blank or longer than 1,000 bytes.
    ///
    /// ```
    /// use opentelemetry_langsmith::Config;
    ///
    /// let config = Config::default().with_project_for(|span| {
    ///     let tenant = span.attributes.iter().find(|attribute| attribute.key.as_str() == "tenant")?;
    ///     Some(format!("support-{}", tenant.value))
    /// });
    /// ```
    pub fn with_project_for(mut self, hook: impl Fn(&SpanData) -> Option<String> + Send + Sync + 'static) -> Self {
        self.selection.project_for = Some(ProjectFor(Arc::new(hook)));
        self
    }

    /// The most runs in one trace, 2 or more; 25,000 by default, which is what LangSmith takes. A trace
    /// with more goes on below another root, which has the name, the start and the project of the first
    /// and tells of it in its metadata: `continues_trace_id`, and `trace_part`, which counts from 2.
    /// What of the trace is in other processes is not counted.
    pub fn with_trace_runs(mut self, runs: usize) -> Self {
        self.selection.trace_runs = runs;
        self
    }

    /// Shows runs in LangSmith while they run: those whose spans are open for longer than this are sent
    /// without an end, and once more when they end. Off by default. It needs
    /// [`LangSmithSpanProcessor`](crate::LangSmithSpanProcessor).
    ///
    /// Each run that is shown so counts twice: as two events in LangSmith's limits, and as two submitted
    /// ones in [`Stats`](crate::Stats). Those that end earlier cost nothing more. Which runs are shown
    /// says [`with_pending_runs`](Self::with_pending_runs). As many spans are watched at once as
    /// are open within [`with_open_spans`](Self::with_open_spans); what starts beyond that is sent at its end alone. So
    /// is what belongs to a trace that is sent for its errors alone ([`with_keep_errors`](Self::with_keep_errors)).
    pub fn with_pending_after(mut self, time: Duration) -> Self {
        self.selection.pending_after = Some(time);
        self
    }

    /// Which runs are shown while they run, roots or all of them; roots by default. It counts together
    /// with [`with_pending_after`](Self::with_pending_after).
    pub fn with_pending_runs(mut self, runs: PendingRuns) -> Self {
        self.selection.pending_runs = runs;
        self
    }

    /// What lineage has to know.
    pub(crate) fn rules(&self) -> Rules {
        Rules {
            run_ids: self.run_ids,
            trace_runs: self.selection.trace_runs,
            sampling: self.selection.sampling(),
            project_for: self.selection.project_for.clone(),
        }
    }
}

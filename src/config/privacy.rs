//! Settings for what leaves the process.

use super::Config;
use crate::hooks::{Hook, Hooks, OnRun};
#[cfg(feature = "redact")]
use crate::redact::{Redaction, Redactor};
use crate::run::Run;

impl Config {
    /// Shows each run to `hook` before it is sent, on the sender's thread. The hook may change it, but
    /// not its ids, its start, its place or its project, and it may drop it:
    ///
    /// ```
    /// use opentelemetry_langsmith::{Config, OnRun, Run};
    ///
    /// let config = Config::default().with_on_run(|run: &mut Run| {
    ///     run.add_tag("checked");
    ///     let _ = run.set_metadata("region", "eu-central-1");
    ///     if run.name() == "healthz" { OnRun::Drop } else { OnRun::Keep }
    /// });
    /// ```
    ///
    /// A hook that gives back nothing keeps every run; one that gives back a `bool` keeps those for
    /// which it is `true`. Whatever it adds is still hidden and redacted as configured. What is left of the run then
    /// is all that other runs get of it: the inputs and outputs that a root shows
    /// ([`with_bubble_io`](Self::with_bubble_io)), and the counts of tokens that are added up. Tags, metadata, user and
    /// thread are handed down when a span starts, before the hook sees it: take them out of each run.
    ///
    /// It runs under the `tracing` subscriber that the client was built under, if that is still there, or else under
    /// that of the whole process. Spans that it opens become no runs.
    ///
    /// **Dropped runs and the tree.** What stands under a dropped run moves up to the nearest run above
    /// it that was not dropped, or becomes a root. That takes a parent that is looked at before its
    /// children: so it is behind [`LangSmithExporter`](crate::LangSmithExporter), which hands runs on
    /// parents first. [`LangSmithSpanProcessor`](crate::LangSmithSpanProcessor) sends a child when it
    /// ends, mostly before its parent does; a run under which something was sent already, or whose id
    /// was given to another service, is replaced by a bare run, which has its name, type and times, whether
    /// it failed, `langsmith_left_out` in its metadata, and nothing else. To have whole kinds of spans left out
    /// on either way, use [`with_filter`](Self::with_filter). The same is true of
    /// runs without spans, as far as the last 65,536 of them are remembered; an update is never left
    /// out unless its run was, but sent without content.
    ///
    /// A run that is shown while its span is open ([`with_pending_after`](Self::with_pending_after)) is asked about twice.
    /// If the hook drops it at first it is not shown yet; what becomes of it is said when the span has ended.
    /// A root that goes on with a full trace ([`with_trace_runs`](Self::with_trace_runs)) is needed by the runs below it,
    /// so that a bare run replaces it where the hook drops it.
    ///
    /// A dropped run is counted as [`DropReason::Hook`](crate::DropReason::Hook), and a bare one is counted as a run of its own.
    /// When the hook panics, the run is treated as dropped, with [`DropReason::Panicked`](crate::DropReason::Panicked), because
    /// it may hold what the hook was to hide; a bare run is then named `left out`. With `panic = "abort"` no panic
    /// is contained, and the process ends.
    pub fn with_on_run<T: Into<OnRun>>(mut self, hook: impl Fn(&mut Run) -> T + Send + Sync + 'static) -> Self {
        self.on_run = Some(Hook::new(hook));
        self
    }

    /// Sends the inputs of runs as `{}`. `LANGSMITH_HIDE_INPUTS`; off by default.
    ///
    /// Files that were attached are not sent either, of events only names and times are, of feedback only
    /// keys and scores. Since they may repeat the inputs, neither are attributes with words that conventions know but had
    /// no use for or that are named as theirs (`gen_ai.*`, `llm.*`, …), arguments of functions, and parameters of a
    /// call that stand among its inputs (`tools`, `instructions`, …). Names, errors, tags and all other metadata stay.
    pub fn with_hide_inputs(mut self, hide: bool) -> Self {
        self.hide.inputs = hide;
        self
    }

    /// Sends the outputs of runs as `{}`, with the same consequences as
    /// [`with_hide_inputs`](Self::with_hide_inputs), but for arguments and parameters. `LANGSMITH_HIDE_OUTPUTS`; off by
    /// default. Where a failed tool's answer would be the error, the kind of the error is, or what the call is said to
    /// have come to: hiding wins. Counts of tokens stay: they are metadata too.
    pub fn with_hide_outputs(mut self, hide: bool) -> Self {
        self.hide.outputs = hide;
        self
    }

    /// Sends no metadata, as LangSmith's own SDKs do: none of `extra.metadata` and what
    /// only describes the span. `LANGSMITH_HIDE_METADATA`; off by default.
    ///
    /// Model, provider, thread and counts of tokens are metadata. Without them LangSmith shows no
    /// thread and no cost, but for counts that the outputs of a model's call hold too. Of feedback only
    /// keys and scores are sent. Parameters of the call (`invocation_params`) and tags stay.
    pub fn with_hide_metadata(mut self, hide: bool) -> Self {
        self.hide.metadata = hide;
        self
    }

    /// Takes secrets and personal data out of every run before it is sent, on the sender's thread:
    /// out of its name, inputs, outputs, error, events, metadata, tags, parameters, files and feedback. It
    /// comes after the hook of [`with_on_run`](Self::with_on_run). The project's name is not touched.
    ///
    /// ```
    /// use opentelemetry_langsmith::{Config, Redactor};
    ///
    /// let config = Config::default().with_redactor(Redactor::common_secrets());
    /// ```
    #[cfg(feature = "redact")]
    pub fn with_redactor(mut self, redactor: Redactor) -> Self {
        self.redactor = Some(redactor);
        self
    }

    /// What is done to each run before it is encoded.
    pub(crate) fn hooks(&self) -> Hooks {
        Hooks {
            on_run: self.on_run.clone(),
            hide: self.hide,
            #[cfg(feature = "redact")]
            redaction: self.redactor.clone().map(Redaction::new),
        }
    }
}

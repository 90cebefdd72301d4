//! Batch jobs: many requests, handed in together and answered hours later.

use crate::run::{RunBuilder, UsageMetadata};
#[cfg(feature = "tracing")]
use crate::span_ext::SpanExt;
use serde_json::Value;
use std::ops::AddAssign;

/// What became of the requests of a batch job, added up answer by answer.
///
/// ```
/// use opentelemetry_langsmith::{BatchSummary, CountedOn, Run, RunType};
/// use serde_json::json;
///
/// let mut batch = BatchSummary::new("msgbatch_01", 2);
/// batch.add_anthropic(&json!({"custom_id": "a", "result": {"type": "succeeded", "message": {
///     "usage": {"input_tokens": 10, "output_tokens": 3, "cache_read_input_tokens": 90},
/// }}}));
/// batch.add_anthropic(&json!({"custom_id": "b", "result": {"type": "expired"}}));
/// assert_eq!((batch.successful, batch.failed, batch.usage.total_tokens), (1, 1, 103));
///
/// let run = Run::builder("score papers", RunType::Llm);
/// let run = batch.describe(run, CountedOn::ThisRun).end_now().build()?;
/// assert_eq!(run.metadata("failed_count"), Some("1"));
/// # Ok::<(), opentelemetry_langsmith::RunError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct BatchSummary {
    /// The job's id at the provider.
    pub batch_id: Option<String>,
    /// Requests that were handed in.
    pub requests: u64,
    /// Requests that were answered.
    pub successful: u64,
    /// Requests that failed, were cancelled or expired.
    pub failed: u64,
    /// What all answers used together.
    pub usage: UsageMetadata,
}

/// Which runs carry the counts of tokens, and so the costs. LangSmith adds up all runs of a trace, so
/// if a batch and its requests both carried them, they would be paid twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountedOn {
    /// The batch's own run: it has the whole usage, and its requests have no runs, or none with
    /// counts. It should be of type llm, and name its model, for LangSmith to price it.
    ThisRun,
    /// The runs of its requests, below it. It should be of type chain, and shows the sums without
    /// their being counted.
    Children,
}

impl BatchSummary {
    /// A job that was just handed in.
    pub fn new(batch_id: impl Into<String>, requests: u64) -> Self {
        Self { batch_id: Some(batch_id.into()), requests, ..Self::default() }
    }

    /// A request was answered.
    pub fn add_success(&mut self, usage: &UsageMetadata) {
        self.successful += 1;
        self.usage += usage;
    }

    /// A request came to nothing.
    pub fn add_failure(&mut self) {
        self.failed += 1;
    }

    /// Adds one line of the results of an Anthropic Message Batch. Gives what the answer used; `None`
    /// when the request failed.
    pub fn add_anthropic(&mut self, line: &Value) -> Option<UsageMetadata> {
        let result = &line["result"];
        if result["type"] != "succeeded" {
            self.add_failure();
            return None;
        }
        let usage = UsageMetadata::from_anthropic(&result["message"]).unwrap_or_default();
        self.add_success(&usage);
        Some(usage)
    }

    /// The metadata by which LangSmith finds the batch and its losses.
    fn metadata(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [("request_count", self.requests), ("successful_count", self.successful), ("failed_count", self.failed)]
            .into_iter()
    }

    /// Puts id, counts and usage onto the batch's run: `batch_id`, `request_count`,
    /// `successful_count` and `failed_count` in the metadata, the usage as `counted` says.
    #[cfg(feature = "tracing")]
    pub fn record_on(&self, span: &impl SpanExt, counted: CountedOn) {
        if let Some(id) = &self.batch_id {
            span.record_metadata("batch_id", id.clone());
        }
        for (name, count) in self.metadata() {
            span.record_metadata(name, i64::try_from(count).unwrap_or(i64::MAX));
        }
        match counted {
            CountedOn::ThisRun => span.record_usage(&self.usage),
            CountedOn::Children => span.record_aggregated_usage(&self.usage),
        }
    }

    /// The same for a run that is made by hand.
    pub fn describe(&self, run: RunBuilder, counted: CountedOn) -> RunBuilder {
        let run = match &self.batch_id {
            Some(id) => run.metadata("batch_id", id),
            None => run,
        };
        let run = self.metadata().fold(run, |run, (name, count)| run.metadata(name, &count));
        match counted {
            CountedOn::ThisRun => run.usage(&self.usage),
            CountedOn::Children => run.metadata("ls_aggregated_usage", &self.usage),
        }
    }
}

/// Joins what several tasks counted of one job: requests, answers and usage are added, the first id
/// stays.
impl AddAssign for BatchSummary {
    fn add_assign(&mut self, other: Self) {
        self.batch_id = self.batch_id.take().or(other.batch_id);
        self.requests += other.requests;
        self.successful += other.successful;
        self.failed += other.failed;
        self.usage += other.usage;
    }
}

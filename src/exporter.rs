//! The way in for pipelines that exist: an exporter behind any processor.

use crate::config::{Config, FLUSH_TIMEOUT};
use crate::convert::Origin;
use crate::error::{sdk_error, ConfigError};
use crate::sender::Client;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use opentelemetry_sdk::Resource;
use std::time::Duration;

/// Sends the spans that a processor hands it, such as the SDK's `BatchSpanProcessor`.
///
/// It sees spans when they have ended, children before parents, and LangSmith wants the ancestors
/// with every run. So a span waits here until its ancestors have ended too (bounded by
/// [`Config::with_held_bytes`] and [`Config::with_held_time`]), and a trace appears in LangSmith
/// when its root has ended. What waits too long becomes a trace of its own; nothing is dropped for
/// want of a parent. [`LangSmithSpanProcessor`](crate::LangSmithSpanProcessor) needs no such wait.
///
/// Nor does it see that a panic ended a span, which then shows as a success unless
/// `SpanExt::interrupted_unless_done` was there to tell.
///
/// ```no_run
/// use opentelemetry_langsmith::LangSmithExporter;
/// use opentelemetry_sdk::trace::SdkTracerProvider;
///
/// let exporter = LangSmithExporter::from_env()?;
/// let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).build();
/// // … trace …
/// provider.shutdown()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct LangSmithExporter {
    client: Client,
}

/// What the export before a shutdown may take while LangSmith cannot be reached.
const LAST_EXPORT: Duration = Duration::from_millis(1500);

impl LangSmithExporter {
    /// An exporter with the settings of the environment; see [`Config::from_env`].
    ///
    /// # Errors
    /// [`ConfigError`] names the variable that is missing or wrong.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::new(Config::from_env()?)
    }

    /// An exporter with the given settings.
    ///
    /// # Errors
    /// [`ConfigError`] names the setting that is missing or wrong.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        if config.tracing && config.selection.pending().is_some() {
            return Err(ConfigError::NeedsProcessor { setter: "with_pending_after" });
        }
        Ok(Self { client: Client::new(config)? })
    }

    /// The client inside, for its counters.
    pub fn client(&self) -> Client {
        self.client.clone()
    }
}

impl SpanExporter for LangSmithExporter {
    /// Answers when the runs are delivered or given up; those that wait for a parent excepted.
    ///
    /// While LangSmith cannot be reached it answers after a second, and while it refuses the key or a
    /// quota is used up at once, with an error, and the runs are kept and tried again: the processor
    /// has to go on, or it would drop spans of its own and never come to shut the exporter down.
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        batch.retain(|span| span.span_context.is_sampled());
        if batch.is_empty() {
            return Ok(());
        }
        let taken = self.client.push_ended(batch);
        let delivered = self.client.wait_until_delivered(true).await;
        taken.map_err(|error| OTelSdkError::InternalFailure(error.to_string()))?;
        delivered.map_err(sdk_error)
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        // A batch processor hands on its whole time although its last export has used some of it,
        // and listens to no answer that comes after that time.
        let used = if timeout > 2 * LAST_EXPORT { LAST_EXPORT } else { Duration::ZERO };
        self.client.shutdown(timeout.saturating_sub(used)).map_err(sdk_error)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.client.flush(FLUSH_TIMEOUT).map_err(sdk_error)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.client.set_origin(Origin::new(resource));
    }
}

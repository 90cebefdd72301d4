//! The recommended way in: hears of spans when they start, so it knows every ancestry.

use crate::config::{Config, FLUSH_TIMEOUT};
use crate::convert::Origin;
use crate::error::{sdk_error, ConfigError};
use crate::handle::Handle;
use crate::lineage::{Live, Opened};
use crate::sender::{Client, Placed, Work};
use opentelemetry::trace::Span as _;
use opentelemetry::Context;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use opentelemetry_sdk::Resource;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Sends each span to LangSmith when it ends, under the right parent: it has seen the parents start.
///
/// It stands beside any other processors and exporters and changes no span. What it does on the
/// application's threads is a few look-ups and a push onto a bounded queue.
///
/// ```no_run
/// use opentelemetry_langsmith::LangSmithSpanProcessor;
/// use opentelemetry_sdk::trace::SdkTracerProvider;
///
/// let langsmith = LangSmithSpanProcessor::from_env()?;
/// let provider = SdkTracerProvider::builder().with_span_processor(langsmith).build();
/// // … trace …
/// provider.shutdown()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// At shutdown, spans that are still open are sent as interrupted, so that no trace stays without
/// its root.
#[derive(Debug)]
pub struct LangSmithSpanProcessor {
    client: Client,
    live: Arc<Live>,
}

impl LangSmithSpanProcessor {
    /// A processor with the settings of the environment; see [`Config::from_env`].
    ///
    /// # Errors
    /// [`ConfigError`] names the variable that is missing or wrong.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::new(Config::from_env()?)
    }

    /// A processor with the given settings.
    ///
    /// # Errors
    /// [`ConfigError`] names the setting that is missing or wrong.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        let live = Arc::new(Live::new(config.run_ids, config.open_spans, config.filter.clone()));
        live.propagation().set_project(config.project.as_str().into());
        Ok(Self { client: Client::new(config)?, live })
    }

    /// For asking about runs while they run; outlives the processor's move into a provider.
    pub fn handle(&self) -> Handle {
        Handle::new(self.client.clone(), Arc::clone(&self.live))
    }
}

impl SpanProcessor for LangSmithSpanProcessor {
    fn on_start(&self, span: &mut Span, parent: &Context) {
        if span.span_context().is_sampled() && self.client.is_enabled() {
            if let Some(span) = span.exported_data() {
                self.live.start(span, parent);
            }
        }
    }

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.client.is_enabled() {
            let Some(node) = self.live.end(&span) else { return };
            // What is not taken is counted there.
            let _ = self.client.push(Work::Placed(Placed::new(span, node)));
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.client.flush(FLUSH_TIMEOUT).map_err(sdk_error)
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        let now = SystemTime::now();
        for Opened { mut span, node } in self.live.take_open() {
            span.end_time = now;
            let _ = self.client.push(Work::Placed(Placed::interrupted(span, node)));
        }
        self.client.shutdown(timeout).map_err(sdk_error)
    }

    fn set_resource(&mut self, resource: &Resource) {
        let origin = Origin::new(resource);
        if let Some(project) = origin.project() {
            self.live.propagation().set_project(project);
        }
        self.client.set_origin(origin);
    }
}

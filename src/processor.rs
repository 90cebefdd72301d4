//! The recommended way in: hears of spans when they start, so it knows every ancestry.

use crate::config::{Config, PendingRuns, FLUSH_TIMEOUT};
use crate::convert::Origin;
use crate::error::{sdk_error, ConfigError};
use crate::handle::Handle;
use crate::hooks::is_inside;
use crate::lineage::{Ending, Live, SpanKey};
use crate::sender::Client;
use opentelemetry::trace::{Span as _, Status};
use opentelemetry::Context;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use opentelemetry_sdk::Resource;
use std::sync::Arc;
use std::time::Duration;

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
    /// Which runs are sent while they are open.
    pending: Option<PendingRuns>,
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
        let live = Arc::new(Live::new(config.rules(), config.open_spans, config.selection.filter.clone()));
        live.propagation().set_project(config.project.as_str().into());
        let pending = config.selection.pending().map(|(_, runs)| runs);
        Ok(Self { client: Client::watching(config, &live)?, live, pending })
    }

    /// For asking about runs while they run; outlives the processor's move into a provider.
    pub fn handle(&self) -> Handle {
        Handle::new(self.client.clone(), Arc::clone(&self.live))
    }
}

impl SpanProcessor for LangSmithSpanProcessor {
    fn on_start(&self, span: &mut Span, parent: &Context) {
        let context = span.span_context();
        if !context.is_sampled() || !self.client.is_enabled() || self.live.ignores(context, parent) {
            return;
        }
        if is_inside() {
            self.client.note_inner_span();
            return;
        }
        let Some(pass) = self.client.enter() else { return };
        let mut exported = span.exported_data();
        let Some(started) = &mut exported else { return };
        // It is large, and each way moves it but once: to assign it would be to move it twice.
        let span = if let Some(mut spare) = self.client.spare_box() {
            std::mem::swap(&mut *spare, started);
            spare
        } else {
            let empty = Box::new_uninit();
            let Some(started) = exported else { return };
            Box::write(empty, started)
        };
        let key = SpanKey::of(&span.span_context);
        let new_root = self.live.start(span, parent, |node| match self.pending {
            Some(runs) if runs == PendingRuns::All || node.is_first_here() => {
                self.client.watch(&pass, key, Arc::clone(node))
            }
            _ => {}
        });
        if let Some(root) = new_root {
            self.client.push_root(&pass, root);
        }
    }

    fn on_end(&self, mut span: SpanData) {
        if span.span_context.is_sampled() && self.client.is_enabled() {
            let Some(pass) = self.client.enter() else { return self.client.come_late(&span) };
            match self.live.end(&span) {
                Ending::LeftOut => {}
                Ending::NotSampled => self.client.count_not_sampled(1),
                Ending::Run { node, opened, posted, unwound, new_root, roots } => {
                    // This is a copy, and other processors see what the application said.
                    if unwound && span.status == Status::Unset {
                        span.status = Status::error("panicked");
                    }
                    let span = match opened {
                        // From start to end it stays in one box.
                        Some(mut opened) => {
                            std::mem::swap(&mut *opened, &mut span);
                            opened
                        }
                        None => Box::new(span),
                    };
                    self.client.push_span(&pass, span, node, posted);
                    self.client.push_root_ends(&pass, &roots);
                    if let Some(root) = new_root {
                        self.client.push_root(&pass, root);
                    }
                }
            }
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.client.flush(FLUSH_TIMEOUT).map_err(sdk_error)
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
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

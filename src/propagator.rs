//! One trace across services: the `langsmith-trace` header.

use crate::lineage::{Live, Propagation, RemoteRun};
use crate::run::DottedOrder;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry::Context;
use std::sync::{Arc, LazyLock};

/// The header's value is the dotted order of the run that calls.
pub(crate) const HEADER: &str = "langsmith-trace";
/// Metadata, tags and project of the trace.
pub(crate) const BAGGAGE: &str = "baggage";
/// A longer header than this is not read: a thousand levels.
const MAX_LENGTH: usize = 59 * 1000;

/// Sends and reads the header by which LangSmith's SDKs continue a trace in another service.
///
/// Comes from [`Handle::propagator`](crate::Handle::propagator), and stands beside the SDK's own
/// propagators, best as the last of them. With `BaggagePropagator` beside it, the entries
/// `langsmith-metadata`, `langsmith-tags` and `langsmith-project` of the baggage count too, for all
/// runs of the trace, and `session.id` and `user.id` as its thread and its user; `langsmith-replicas`
/// never does.
///
/// It sends the entries of LangSmith's that came, with the thread that spans here name, and always the
/// project, so that the whole trace is in one; no other metadata, users or tags of spans here. Only
/// where the application has baggage of its own, it leaves the header to `BaggagePropagator`, which
/// sends what the context has; the project is part of that where the trace began elsewhere.
///
/// Headers are believed where a context was made with this propagator and nowhere else, so use it
/// for callers that you trust: they decide where your runs hang, and with `langsmith-project` in
/// which project. [`with_allowed_baggage`](Self::with_allowed_baggage) lets less of it count.
///
/// ```no_run
/// use opentelemetry::propagation::TextMapCompositePropagator;
/// use opentelemetry_langsmith::LangSmithSpanProcessor;
/// use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
///
/// let langsmith = LangSmithSpanProcessor::from_env()?;
/// opentelemetry::global::set_text_map_propagator(TextMapCompositePropagator::new(vec![
///     Box::new(TraceContextPropagator::new()),
///     Box::new(BaggagePropagator::new()),
///     Box::new(langsmith.handle().propagator()),
/// ]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct LangSmithPropagator {
    live: Arc<Live>,
}

impl LangSmithPropagator {
    pub(crate) fn new(live: Arc<Live>) -> Self {
        live.propagation().turn_on();
        Self { live }
    }

    /// Lets only these baggage entries count, of `langsmith-metadata`, `langsmith-tags`,
    /// `langsmith-project`, `session.id` and `user.id`. All five by default.
    #[must_use]
    pub fn with_allowed_baggage(self, names: &[&str]) -> Self {
        self.live.propagation().allow_only(names);
        self
    }
}

impl TextMapPropagator for LangSmithPropagator {
    fn inject_context(&self, context: &Context, injector: &mut dyn Injector) {
        let Some(node) = self.live.find(context.span().span_context()) else {
            // A service that records no span of its own passes on what it was told.
            if let Some(RemoteRun(order)) = context.get() {
                injector.set(HEADER, order.to_string());
            }
            return;
        };
        injector.set(HEADER, node.said_order().to_string());
        // Any other entry is the application's, and whether it goes out is for `BaggagePropagator` to
        // say. That one leaves `%` as it is, which LangSmith's SDK for JavaScript does not survive.
        if Propagation::is_baggage_ours(context) {
            if let Some(baggage) = self.live.propagation().baggage(node.shared().map(|shared| &**shared)) {
                injector.set(BAGGAGE, baggage);
            }
        }
    }

    fn extract_with_context(&self, context: &Context, extractor: &dyn Extractor) -> Context {
        let Some(header) = extractor.get(HEADER) else { return context.clone() };
        let order =
            if header.len() > MAX_LENGTH { Err(None) } else { header.trim().parse::<DottedOrder>().map_err(Some) };
        match order {
            Ok(order) => context.with_value(RemoteRun(order)),
            Err(reason) => {
                let reason = reason.map_or_else(|| "it is too long".to_owned(), |reason| reason.to_string());
                tracing::debug!(target: "opentelemetry_langsmith", "a langsmith-trace header is ignored: {reason}");
                context.clone()
            }
        }
    }

    fn fields(&self) -> FieldIter<'_> {
        static FIELDS: LazyLock<[String; 2]> = LazyLock::new(|| [HEADER.to_owned(), BAGGAGE.to_owned()]);
        FieldIter::new(&*FIELDS)
    }
}

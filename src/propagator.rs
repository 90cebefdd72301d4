//! One trace across services: the `langsmith-trace` header.

use crate::lineage::{Allowed, Live, Propagation};
use crate::run::DottedOrder;
use crate::sender::{Notice, Notices};
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry::Context;
use std::sync::{Arc, LazyLock};

/// The header's value is the dotted order of the run that calls.
pub(crate) const HEADER: &str = "langsmith-trace";
/// Metadata, tags and project of the trace.
pub(crate) const BAGGAGE: &str = "baggage";
/// A header of more levels is neither believed nor sent: every run below has it in its own dotted order, and many
/// servers refuse a request with a header as long as that.
const MAX_LEVELS: usize = 256;
/// What a level takes.
const LEVEL: usize = 59;

/// Sends and reads the headers by which LangSmith's SDKs continue a trace in another service.
///
/// Comes from [`Handle::propagator`](crate::Handle::propagator), and stands beside the SDK's own
/// propagators, best as the last of them: where it stands makes no difference for what it reads, but of
/// those that send the same header the last one wins.
///
/// It reads the header `langsmith-trace`, and of the header `baggage` the entries `langsmith-metadata`,
/// `langsmith-tags` and `langsmith-project`, for all runs of the trace, with `session.id` and `user.id` as its
/// thread and its user; `langsmith-replicas` never counts. Entries count without `langsmith-trace` too.
/// Ignored are a `langsmith-trace` of more than 256 levels (with a warning, once), several that differ, and
/// baggage of more than 8,192 bytes or behind the 64th entry.
///
/// It sends the entries of LangSmith's that came, with the thread that spans here name, and always the
/// project, so that the whole trace is in one; no other metadata, users or tags of spans here. Only
/// where the application has baggage of its own, it leaves the header to `BaggagePropagator`, which
/// sends what the context has; the project is part of that where the trace began elsewhere.
///
/// What this propagator has read into a context counts for the spans in that context, and for its own client
/// alone. Nothing else does: neither what another propagator read, nor baggage that was set within the
/// process. A second request that is read into the same context replaces the first. So use it
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
    allowed: Allowed,
    /// `None`: tracing is switched off.
    notices: Option<Notices>,
}

impl LangSmithPropagator {
    pub(crate) fn new(live: Arc<Live>, notices: Option<Notices>) -> Self {
        Self { live, allowed: Allowed::ALL, notices }
    }

    /// Lets only these baggage entries count of what this propagator reads, of `langsmith-metadata`,
    /// `langsmith-tags`, `langsmith-project`, `session.id` and `user.id`. All five by default. Other propagators of
    /// the same [`Handle`](crate::Handle) keep their own lists.
    #[must_use]
    pub fn with_allowed_baggage(self, names: &[&str]) -> Self {
        Self { allowed: Allowed::only(names), ..self }
    }

    /// The run that calls. Several headers have to say the same.
    fn order(&self, extractor: &dyn Extractor) -> Option<DottedOrder> {
        let headers = extractor.get_all(HEADER).unwrap_or_default();
        let header = headers.first()?.trim();
        if header.len() > MAX_LEVELS * LEVEL {
            if let Some(notices) = &self.notices {
                notices.warn(Notice::DeepHeader, || {
                    format!(
                        "a langsmith-trace header of {} bytes is ignored: it may have {MAX_LEVELS} levels; further \
                         ones are not told",
                        header.len(),
                    )
                });
            }
            return None;
        }
        let reason = match header.parse() {
            Ok(order) if headers.iter().all(|other| other.trim() == header) => return Some(order),
            Ok(_) => "there are several that differ".to_owned(),
            Err(reason) => reason.to_string(),
        };
        tracing::debug!(target: "opentelemetry_langsmith", "a langsmith-trace header is ignored: {reason}");
        None
    }
}

/// The header that says where a run stands, unless it stands too deep for one.
pub(crate) fn header(order: &DottedOrder) -> Option<String> {
    (order.depth() <= MAX_LEVELS).then(|| order.to_string())
}

impl TextMapPropagator for LangSmithPropagator {
    fn inject_context(&self, context: &Context, injector: &mut dyn Injector) {
        let Some(node) = self.live.find(context.span().span_context()) else {
            // A service that records no span of its own passes on what it was told.
            if let Some(order) = self.live.propagation().read(context).order {
                injector.set(HEADER, order.to_string());
            }
            return;
        };
        if let Some(order) = header(&node.said_order()) {
            injector.set(HEADER, order);
        }
        // Any other entry is the application's, and whether it goes out is for `BaggagePropagator` to
        // say. That one leaves `%` as it is, which LangSmith's SDK for JavaScript does not survive.
        if Propagation::is_baggage_ours(context) {
            if let Some(baggage) = self.live.propagation().baggage(node.shared().map(|shared| &**shared)) {
                injector.set(BAGGAGE, baggage);
            }
        }
    }

    fn extract_with_context(&self, context: &Context, extractor: &dyn Extractor) -> Context {
        let baggage = extractor.get_all(BAGGAGE).unwrap_or_default();
        self.live.propagation().extract(context, self.order(extractor), &baggage, self.allowed)
    }

    fn fields(&self) -> FieldIter<'_> {
        static FIELDS: LazyLock<[String; 2]> = LazyLock::new(|| [HEADER.to_owned(), BAGGAGE.to_owned()]);
        FieldIter::new(&*FIELDS)
    }
}

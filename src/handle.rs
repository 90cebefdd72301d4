//! Asking about runs while they run.

use crate::lineage::Live;
use crate::propagator::{self, LangSmithPropagator};
use crate::run::{DottedOrder, RunId};
use crate::sender::Client;
use opentelemetry::trace::{SpanContext, TraceContextExt};
use opentelemetry::Context;
use std::sync::Arc;

/// Knows the runs of the spans that a [`LangSmithSpanProcessor`](crate::LangSmithSpanProcessor)
/// sees. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    client: Client,
    live: Arc<Live>,
}

/// What a run is called in LangSmith. It is settled when the span starts, so it can be used, for
/// feedback for example, before the run is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunRef {
    /// The run's own id.
    pub run_id: RunId,
    /// The id of its trace.
    pub trace_id: RunId,
    /// Its place in the trace.
    pub dotted_order: DottedOrder,
    baggage: Option<String>,
}

impl RunRef {
    /// The headers by which a call to another service continues this trace there, as LangSmith's
    /// SDKs send and read them: `langsmith-trace`, and `baggage` with the project and, where the
    /// trace came with such, with metadata and tags. A run more than 256 levels deep has no
    /// `langsmith-trace`: the other service would ignore it.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let trace = propagator::header(&self.dotted_order).map(|order| (propagator::HEADER, order));
        trace.into_iter().chain(self.baggage.clone().map(|baggage| (propagator::BAGGAGE, baggage))).collect()
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("client", &self.client).finish_non_exhaustive()
    }
}

impl Handle {
    pub(crate) fn new(client: Client, live: Arc<Live>) -> Self {
        Self { client, live }
    }

    /// The run of a span that is open or ended a moment ago. `None` for spans that are not sampled
    /// or not known.
    pub fn run_ref(&self, span: &SpanContext) -> Option<RunRef> {
        let node = self.live.find(span)?;
        let dotted_order = node.said_order();
        let baggage = self.live.propagation().baggage(node.shared().map(|shared| &**shared));
        Some(RunRef { run_id: dotted_order.id(), trace_id: dotted_order.trace_id(), dotted_order, baggage })
    }

    /// The run of the span that is active on this thread.
    pub fn current_run(&self) -> Option<RunRef> {
        self.run_ref(Context::current().span().span_context())
    }

    /// Carries traces from service to service. Spans in contexts that this propagator has made continue
    /// the traces that their callers told of; headers that it did not read are not believed.
    pub fn propagator(&self) -> LangSmithPropagator {
        LangSmithPropagator::new(Arc::clone(&self.live), self.client.notices())
    }

    /// The client that sends the runs: its counters, and runs without spans.
    pub fn client(&self) -> Client {
        self.client.clone()
    }
}

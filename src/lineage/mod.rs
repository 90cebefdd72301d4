//! Who stands under whom.
//!
//! LangSmith wants the start and the id of each ancestor with every run, but a span ends before its
//! parent does. Two sources know the ancestors all the same: [`Live`] hears of every span when it
//! starts, parent first; [`Held`] hears of ended spans only and keeps them until their parents have
//! ended too. Either way a span comes out with its [`Node`].

mod baggage;
mod by_id;
mod filter;
mod held;
mod ids;
mod inherited;
mod live;
mod local_trace;
mod node;
mod orders;
mod overrides;
mod place;
mod remote;
mod sampling;

pub(crate) use baggage::Allowed;
pub(crate) use filter::is_gen_ai_name;
pub use filter::SpanFilter;
pub(crate) use held::Held;
pub(crate) use inherited::tags;
pub(crate) use live::{Ending, Live, Opened};
pub(crate) use local_trace::LocalTrace;
pub(crate) use node::Node;
pub(crate) use orders::Orders;
pub(crate) use overrides::Overrides;
#[cfg(feature = "testing")]
pub(crate) use place::alone;
pub(crate) use place::{ProjectFor, Rules};
pub(crate) use remote::{Propagation, Remote};
pub(crate) use sampling::Sampling;

use opentelemetry::trace::SpanContext;
use opentelemetry_sdk::trace::SpanData;

/// How span ids become run ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunIds {
    /// UUIDv7 of the span's start, trace id and span id. LangSmith finds and sorts runs best by
    /// these.
    #[default]
    V7,
    /// The ids that LangSmith's own OTLP endpoint gives: the trace id for the span without a
    /// parent, the span id after 16 zeros for every other. For traces that go there as well.
    Otel,
}

/// What names a span: its trace id and its span id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SpanKey {
    pub(crate) trace_id: u128,
    pub(crate) span_id: u64,
}

impl SpanKey {
    pub(crate) fn of(context: &SpanContext) -> Self {
        Self {
            trace_id: u128::from_be_bytes(context.trace_id().to_bytes()),
            span_id: u64::from_be_bytes(context.span_id().to_bytes()),
        }
    }

    /// The span that `span` says it stands under, in this process. `None` for one that has no
    /// parent, has one elsewhere, or names itself.
    pub(crate) fn of_parent(span: &SpanData, overrides: &Overrides) -> Option<Self> {
        let span_id = match overrides.parent_span {
            Some(span_id) => span_id,
            None if span.parent_span_is_remote => return None,
            None => u64::from_be_bytes(span.parent_span_id.to_bytes()),
        };
        let own = Self::of(&span.span_context);
        (span_id != 0 && span_id != own.span_id && !overrides.is_root).then_some(Self { span_id, ..own })
    }
}

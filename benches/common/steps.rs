//! What a processor hears of, ready to be told: without what the SDK itself does for a span.

use super::plan::Planned;
use opentelemetry::trace::{SpanContext, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::Context;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span, SpanData, SpanProcessor};

/// Spans and their contexts, in the order in which they start and end.
#[derive(Default)]
pub(crate) struct Steps {
    steps: Vec<Step>,
    spans: usize,
}

#[allow(clippy::large_enum_variant, reason = "half of them are large")]
enum Step {
    Start(Span, Context),
    /// `None` when it was told.
    End(Option<SpanData>),
}

/// Makes spans that nobody hears of.
pub(crate) fn silent_tracer() -> SdkTracer {
    SdkTracerProvider::builder().build().tracer("benches")
}

impl Steps {
    /// Adds a trace with new ids; all its spans have ended at the end.
    pub(crate) fn add(&mut self, tracer: &SdkTracer, plan: &[Planned]) {
        let mut open: Vec<(SpanContext, SpanData)> = Vec::new();
        for planned in plan {
            self.end(&mut open, planned.depth);
            let mut context = Context::new();
            if let Some((parent, _)) = open.last() {
                context = context.with_remote_span_context(parent.clone());
            }
            let builder = tracer.span_builder(planned.name).with_kind(planned.kind.clone());
            let span = builder.start_with_context(tracer, &context);
            let mut data = span.exported_data().expect("every span is recorded");
            data.attributes.clone_from(&planned.attributes);
            open.push((data.span_context.clone(), data));
            self.steps.push(Step::Start(span, context));
            self.spans += 1;
        }
        self.end(&mut open, 0);
    }

    fn end(&mut self, open: &mut Vec<(SpanContext, SpanData)>, depth: usize) {
        for (_, mut data) in open.drain(depth.min(open.len())..).rev() {
            data.end_time = std::time::SystemTime::now();
            self.steps.push(Step::End(Some(data)));
        }
    }

    pub(crate) fn spans(&self) -> usize {
        self.spans
    }

    /// Tells all of it.
    pub(crate) fn tell(&mut self, processor: &dyn SpanProcessor) {
        for step in &mut self.steps {
            match step {
                Step::Start(span, context) => processor.on_start(span, context),
                Step::End(data) => data.take().into_iter().for_each(|data| processor.on_end(data)),
            }
        }
    }

    /// Tells of the starts alone: the spans stay open.
    pub(crate) fn tell_starts(&mut self, processor: &dyn SpanProcessor) {
        for step in &mut self.steps {
            if let Step::Start(span, context) = step {
                processor.on_start(span, context);
            }
        }
    }

    /// The ended spans, as they come to an exporter.
    pub(crate) fn into_ended(self) -> impl Iterator<Item = SpanData> {
        self.steps.into_iter().filter_map(|step| match step {
            Step::Start(..) => None,
            Step::End(data) => data,
        })
    }
}

//! A regression here means that large or deep traces, or many at a time, cost more for each span than small ones do.

mod common;

use common::clock::{process_time, thread_time, time};
use common::plan::Planned;
use common::sink::Sink;
use common::steps::{silent_tracer, Steps};
use common::{config, per_span, ROUND};
use criterion::measurement::WallTime;
use criterion::{criterion_group, criterion_main, BenchmarkGroup, BenchmarkId, Criterion, SamplingMode};
use opentelemetry_langsmith::{LangSmithExporter, LangSmithSpanProcessor};
use opentelemetry_sdk::trace::{SdkTracer, SpanData, SpanExporter, SpanProcessor};
use std::time::Duration;

/// As many spans as a batch processor exports at once by default.
const EXPORT: usize = 512;

fn group<'a>(c: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = c.benchmark_group(format!("lineage/{name}"));
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group
}

/// A root, and all others right under it.
fn wide(spans: usize) -> Vec<Planned> {
    (0..spans).map(|number| Planned::plain().at(number.min(1))).collect()
}

/// Each span under the one before it.
fn chain(spans: usize) -> Vec<Planned> {
    (0..spans).map(|depth| Planned::plain().at(depth)).collect()
}

/// Whole traces, of some thousand spans where one has less.
fn some(tracer: &SdkTracer, plan: &[Planned]) -> Steps {
    let mut steps = Steps::default();
    while steps.spans() < ROUND {
        steps.add(tracer, plan);
    }
    steps
}

/// On the application's thread: what the start and the end of a span take.
fn live(processor: &LangSmithSpanProcessor, plan: &[Planned], spans: u64) -> Duration {
    let tracer = silent_tracer();
    per_span(spans, || {
        let mut steps = some(&tracer, plan);
        let spent = time(thread_time, || steps.tell(processor));
        processor.force_flush().expect("everything is taken");
        (steps.spans(), spent)
    })
}

/// In the whole process: the same, and converting and sending.
fn sent(processor: &LangSmithSpanProcessor, plan: &[Planned], spans: u64) -> Duration {
    let tracer = silent_tracer();
    per_span(spans, || {
        let mut steps = some(&tracer, plan);
        let spent = time(process_time, || {
            steps.tell(processor);
            processor.force_flush().expect("everything is taken");
        });
        (steps.spans(), spent)
    })
}

/// In the whole process: what holding, converting and sending of ended spans take.
fn held(exporter: &LangSmithExporter, plan: &[Planned], spans: u64) -> Duration {
    let tracer = silent_tracer();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    per_span(spans, || {
        let steps = some(&tracer, plan);
        let count = steps.spans();
        let mut ended: Vec<SpanData> = steps.into_ended().collect();
        let batches: Vec<Vec<SpanData>> =
            std::iter::from_fn(|| (!ended.is_empty()).then(|| ended.drain(..EXPORT.min(ended.len())).collect()))
                .collect();
        let spent = time(process_time, || {
            for batch in batches {
                runtime.block_on(exporter.export(batch)).expect("everything is taken");
            }
        });
        (count, spent)
    })
}

fn processor(sink: &Sink) -> LangSmithSpanProcessor {
    LangSmithSpanProcessor::new(config(sink)).expect("it is configured")
}

fn exporter(sink: &Sink) -> LangSmithExporter {
    LangSmithExporter::new(config(sink)).expect("it is configured")
}

fn spans_in_a_trace(c: &mut Criterion) {
    let mut group = group(c, "spans_in_a_trace");
    let sink = Sink::start();
    for spans in [10, 100, 1000, 25_000] {
        let plan = wide(spans);
        let (processor, exporter) = (processor(&sink), exporter(&sink));
        group.bench_function(BenchmarkId::new("live", spans), |b| {
            b.iter_custom(|spans| live(&processor, &plan, spans));
        });
        group.bench_function(BenchmarkId::new("held", spans), |b| {
            b.iter_custom(|spans| held(&exporter, &plan, spans));
        });
    }
}

fn open_spans(c: &mut Criterion) {
    let mut group = group(c, "open_spans");
    let sink = Sink::start();
    for open in [1, 1000, 100_000] {
        let processor = processor(&sink);
        let tracer = silent_tracer();
        let mut steps = Steps::default();
        (0..open).for_each(|_| steps.add(&tracer, &chain(1)));
        steps.tell_starts(&processor);
        group.bench_function(BenchmarkId::new("live", open), |b| {
            b.iter_custom(|spans| live(&processor, &wide(10), spans));
        });
    }
}

fn depth(c: &mut Criterion) {
    let mut group = group(c, "depth");
    let sink = Sink::start();
    for depth in [1, 10, 100, 1000] {
        let plan = chain(depth);
        let (processor, exporter) = (processor(&sink), exporter(&sink));
        group.bench_function(BenchmarkId::new("live", depth), |b| {
            b.iter_custom(|spans| live(&processor, &plan, spans));
        });
        group.bench_function(BenchmarkId::new("live_and_sent", depth), |b| {
            b.iter_custom(|spans| sent(&processor, &plan, spans));
        });
        group.bench_function(BenchmarkId::new("held", depth), |b| {
            b.iter_custom(|spans| held(&exporter, &plan, spans));
        });
    }
}

criterion_group!(benches, spans_in_a_trace, open_spans, depth);
criterion_main!(benches);

//! A regression here means that traced code itself has become slower: all else happens on the sender's own thread.

mod common;

use common::clock::{elapsed_time, thread_time, time};
use common::plan::Planned;
use common::profiles::Profile;
use common::sink::Sink;
use common::steps::{silent_tracer, Steps};
use common::{config, per_span, Discard, ROUND};
use criterion::{criterion_group, criterion_main, BenchmarkId, Criterion};
use opentelemetry_langsmith::LangSmithSpanProcessor;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanProcessor};
use std::sync::Barrier;
use std::time::Duration;

/// What a producing thread spends on a span, or waits for it; between the rounds everything is flushed.
fn produce(
    processor: &dyn SpanProcessor,
    traces: &[Vec<Planned>],
    threads: usize,
    clock: fn() -> Duration,
    spans: u64,
) -> Duration {
    let traces_each = ROUND / threads / traces[0].len();
    let spans_each = traces_each * traces[0].len();
    let rounds = spans.div_ceil((threads * spans_each) as u64);
    let barrier = Barrier::new(threads);
    // The same thread makes the spans and tells of them, round after round, as in an application.
    let producer = || {
        let tracer = silent_tracer();
        let mut next = traces.iter().cycle();
        let mut spent = Duration::ZERO;
        for _ in 0..rounds {
            let mut steps = Steps::default();
            next.by_ref().take(traces_each).for_each(|trace| steps.add(&tracer, trace));
            barrier.wait();
            spent += time(clock, || steps.tell(processor));
            if barrier.wait().is_leader() {
                processor.force_flush().expect("everything is taken");
            }
        }
        spent
    };
    let spent: Duration = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(producer)).collect();
        threads.into_iter().map(|thread| thread.join().expect("it does not panic")).sum()
    });
    let made = usize::try_from(rounds).expect("not that many") * threads * spans_each;
    per_span(spans, || (made, spent))
}

fn on_start_on_end(c: &mut Criterion) {
    type Clock = fn() -> Duration;
    let clocks: [(&str, Clock); 2] = [("processor_time", thread_time), ("elapsed", elapsed_time)];
    let traces = Profile::agent_content().traces;
    let sink = Sink::start();
    for (clock_name, clock) in clocks {
        let mut group = c.benchmark_group(format!("on_start_on_end/{clock_name}"));
        group.sample_size(20);
        for threads in [1, 2, 8] {
            let ours = LangSmithSpanProcessor::new(config(&sink)).expect("it is configured");
            let client = ours.handle().client();
            let sdk = BatchSpanProcessor::builder(Discard).build();
            let processors: [(&str, &dyn SpanProcessor); 2] = [("langsmith", &ours), ("sdk_batch", &sdk)];
            for (name, processor) in processors {
                group.bench_with_input(BenchmarkId::new(name, threads), &threads, |b, &threads| {
                    b.iter_custom(|spans| produce(processor, &traces, threads, clock, spans));
                });
            }
            assert_eq!(client.stats().dropped_total(), 0);
            for (_, processor) in processors {
                processor.shutdown().expect("everything is taken");
            }
        }
    }
}

criterion_group!(benches, on_start_on_end);
criterion_main!(benches);

//! A regression here means that batches take longer to write and to compress, or, in bytes a run, become larger.

mod common;

use common::clock::{thread_time, time};
use common::profiles::Profile;
use criterion::{criterion_group, criterion_main, BenchmarkId, Criterion, Throughput};
use opentelemetry_langsmith::testing::{body_of, run_of};
use opentelemetry_langsmith::Run;
use std::hint::black_box;

/// As many as are in a batch by default.
const RUNS: usize = 100;

fn encode(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode/100_runs");
    group.throughput(Throughput::Elements(RUNS as u64));
    for profile in [Profile::agent_content(), Profile::agent_small(), Profile::many_attributes()] {
        let planned = profile.traces.iter().flatten().take(RUNS);
        let runs: Vec<Run> = (1..).zip(planned).map(|(id, planned)| run_of(&planned.data(id))).collect();
        let mut body = Vec::new();
        group.bench_with_input(BenchmarkId::from_parameter(profile.name), &runs, |b, runs| {
            b.iter_custom(|bodies| time(thread_time, || (0..bodies).for_each(|_| body = black_box(body_of(runs)))));
        });
        // Nothing, where other benches were asked for.
        if !body.is_empty() {
            let raw = zstd::decode_all(&body[..]).expect("it is zstd");
            println!("encode/100_runs/{}: {} bytes become {}", profile.name, raw.len(), body.len());
        }
    }
}

criterion_group!(benches, encode);
criterion_main!(benches);

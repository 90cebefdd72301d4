//! A regression here means that the sender's thread needs more time to make a run of a span: less fits through it.

mod common;

use common::clock::{thread_time, time};
use common::per_span;
use common::plan::Planned;
use common::text::Text;
use criterion::measurement::WallTime;
use criterion::{criterion_group, criterion_main, BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use opentelemetry_langsmith::testing::run_of;
use opentelemetry_sdk::trace::SpanData;
use std::hint::black_box;

/// Converts so many different spans at a time, that what is left in caches from one does not help the next.
const SPANS: u64 = 100;

fn convert(group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId, spans: &[SpanData]) {
    group.bench_with_input(id, spans, |b, spans| {
        b.iter_custom(|iterations| {
            per_span(iterations, || {
                (spans.len(), time(thread_time, || spans.iter().for_each(|span| drop(black_box(run_of(span))))))
            })
        });
    });
}

fn spans(count: u64, mut planned: impl FnMut(&mut Text) -> Planned) -> Vec<SpanData> {
    let mut text = Text::new(7);
    (1..=count).map(|id| planned(&mut text).data(id)).collect()
}

/// The spans of an agent.
fn kinds(c: &mut Criterion) {
    let mut group = c.benchmark_group("convert/span");
    let mut bench = |name, planned: &mut dyn FnMut(&mut Text) -> Planned| {
        convert(&mut group, BenchmarkId::from_parameter(name), &spans(SPANS, planned));
    };
    bench("small", &mut Planned::small);
    bench("chat_2KB", &mut |text| {
        let (input, output) = (text.messages(1500), text.messages(500));
        Planned::chat(text, input, output)
    });
    bench("tool", &mut Planned::tool);
    bench("http", &mut |_| Planned::http());
}

/// The cost of one attribute should not depend on how many there are.
fn attributes(c: &mut Criterion) {
    let mut group = c.benchmark_group("convert/attributes");
    for count in [10, 100, 500] {
        group.throughput(Throughput::Elements(count as u64));
        convert(&mut group, BenchmarkId::from_parameter(count), &spans(SPANS, |text| Planned::attributes(text, count)));
    }
}

/// Messages that are rewritten, and JSON that stays as it is.
fn large(c: &mut Criterion) {
    let mut group = c.benchmark_group("convert/large");
    group.sample_size(20);
    for megabytes in [1, 20] {
        let messages = Text::new(8).messages(megabytes << 20);
        let json = format!("{{\"documents\":{messages}}}");
        group.throughput(Throughput::Bytes(messages.len() as u64));
        for (name, planned) in
            [("messages", Planned::chat(&mut Text::new(9), messages, "[]".into())), ("json", Planned::json_input(json))]
        {
            convert(&mut group, BenchmarkId::new(name, format!("{megabytes}MB")), &[planned.data(1)]);
        }
    }
}

criterion_group!(benches, kinds, attributes, large);
criterion_main!(benches);

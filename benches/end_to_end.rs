//! A regression here means that tracing an application costs more processor time altogether than it did.

mod common;

use common::clock::{process_time, time};
use common::plan;
use common::profiles::Profile;
use common::sink::Sink;
use common::{config, per_span, Discard};
use criterion::{criterion_group, criterion_main, Criterion, SamplingMode};
use opentelemetry::trace::TracerProvider;
use opentelemetry_langsmith::{LangSmithExporter, LangSmithSpanProcessor};
use opentelemetry_otlp::{Compression, Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::trace::{SdkTracerProvider, TracerProviderBuilder};
use opentelemetry_sdk::Resource;

type Way = fn(TracerProviderBuilder, &Sink) -> TracerProviderBuilder;

/// The ways to get rid of spans, each with the settings that it has by default.
const PEERS: [(&str, Way); 4] = [
    // What the others are compared to: making spans and handing them over costs something, too.
    ("discarded", |builder, _| builder.with_batch_exporter(Discard)),
    ("processor", |builder, sink| {
        builder.with_span_processor(LangSmithSpanProcessor::new(config(sink)).expect("it is configured"))
    }),
    ("exporter", |builder, sink| {
        builder.with_batch_exporter(LangSmithExporter::new(config(sink)).expect("it is configured"))
    }),
    ("otlp", |builder, sink| {
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_compression(Compression::Zstd)
            .with_endpoint(sink.endpoint());
        builder.with_batch_exporter(exporter.build().expect("it is configured"))
    }),
];

fn end_to_end(c: &mut Criterion) {
    for profile in Profile::all() {
        let mut group = c.benchmark_group(format!("end_to_end/{}", profile.name));
        group.sample_size(20).sampling_mode(SamplingMode::Flat);
        for (peer, build) in PEERS {
            let sink = Sink::start();
            let resource = Resource::builder().with_service_name("benches").build();
            let builder = SdkTracerProvider::builder().with_resource(resource);
            let provider: SdkTracerProvider = build(builder, &sink).build();
            let tracer = provider.tracer("benches");
            let mut made = 0;
            group.bench_function(peer, |b| {
                b.iter_custom(|spans| {
                    let mut traces = profile.traces.iter().cycle();
                    per_span(spans, || {
                        let round: Vec<_> = traces.by_ref().take(profile.traces_a_round()).collect();
                        let count = round.iter().map(|trace| trace.len()).sum();
                        let spent = time(process_time, || {
                            for trace in round {
                                plan::make(&tracer, trace);
                            }
                            provider.force_flush().expect("everything is taken");
                        });
                        made += count as u64;
                        (count, spent)
                    })
                });
            });
            if let Some(bytes) = sink.body_bytes().checked_div(made) {
                println!("end_to_end/{}/{peer}: {bytes} bytes a span", profile.name);
            }
            provider.shutdown().expect("everything is taken");
        }
    }
}

criterion_group!(benches, end_to_end);
criterion_main!(benches);

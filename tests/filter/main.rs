//! Spans that are left out: what stands below them moves up, by either way in, and nothing else changes.

mod bubble;
#[path = "../common/mod.rs"]
mod common;
mod late;
mod rules;
mod tree;
mod web_service;

use opentelemetry_langsmith::testing::LocalLangSmith;
use opentelemetry_langsmith::{Client, Config, LangSmithExporter, LangSmithSpanProcessor, SpanFilter};
use opentelemetry_sdk::trace::{SdkTracerProvider, TracerProviderBuilder};

/// Both ways in.
const WAYS: [Way; 2] = [Way::Processor, Way::Exporter];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Processor,
    /// An exporter behind a batch processor.
    Exporter,
}

impl Way {
    /// Adds LangSmith to a pipeline.
    fn add_to(self, builder: TracerProviderBuilder, config: Config) -> (SdkTracerProvider, Client) {
        match self {
            Self::Processor => {
                let processor = LangSmithSpanProcessor::new(config).unwrap();
                let client = processor.handle().client();
                (builder.with_span_processor(processor).build(), client)
            }
            Self::Exporter => {
                let exporter = LangSmithExporter::new(config).unwrap();
                let client = exporter.client();
                (builder.with_batch_exporter(exporter).build(), client)
            }
        }
    }

    fn pipeline(self, server: &LocalLangSmith, filter: SpanFilter) -> (SdkTracerProvider, Client) {
        self.add_to(SdkTracerProvider::builder(), common::config(server).with_filter(filter))
    }
}

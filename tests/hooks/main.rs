//! What hooks decide holds everywhere, and what they do themselves is contained.

#[cfg(unix)]
mod abort;
#[path = "../common/mod.rs"]
mod common;
mod misbehaving;
mod reentry;
mod risen;
mod traced;

use opentelemetry_langsmith::{Client, Config, LangSmithExporter, LangSmithSpanProcessor};
use opentelemetry_sdk::trace::{SdkTracerProvider, TracerProviderBuilder};

/// The two ways in.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Processor,
    Exporter,
}

const WAYS: [Way; 2] = [Way::Processor, Way::Exporter];

impl Way {
    fn provider(self, config: Config) -> (SdkTracerProvider, Client) {
        let builder = SdkTracerProvider::builder().with_id_generator(common::CountedIds::default());
        self.add_to(builder, config)
    }

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
}

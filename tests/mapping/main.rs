//! What attributes become, convention by convention: spans of a real provider, through the
//! processor, over the wire to the strict receiver.

#[path = "../common/mod.rs"]
mod common;
mod feedback;
mod inherited;
mod langfuse;
mod openinference;
mod options;
mod traceloop;
mod usage;

use common::{assert_flawless, config, server, LONG};
use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
use opentelemetry::{KeyValue, Value};
use opentelemetry_langsmith::testing::ReceivedRun;
use opentelemetry_langsmith::{Config, LangSmithSpanProcessor};
use opentelemetry_sdk::trace::{SdkTracerProvider, Tracer};

/// The runs of the spans that `work` makes, in the order in which they ended.
fn traced(configure: impl FnOnce(Config) -> Config, work: impl FnOnce(&Tracer)) -> Vec<ReceivedRun> {
    let server = server();
    let processor = LangSmithSpanProcessor::new(configure(config(&server))).unwrap();
    let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
    work(&provider.tracer("mapping"));
    provider.shutdown_with_timeout(LONG).unwrap();
    let runs = server.runs();
    assert_flawless(&server, runs.len());
    runs
}

/// The run of one span that has these attributes when it ends.
fn run_with<V: Into<Value>>(
    configure: impl FnOnce(Config) -> Config,
    name: &'static str,
    attributes: impl IntoIterator<Item = (&'static str, V)>,
) -> ReceivedRun {
    let mut runs = traced(configure, |tracer| {
        let mut span = tracer.start(name);
        span.set_attributes(attributes.into_iter().map(|(key, value)| KeyValue::new(key, value)));
    });
    assert_eq!(runs.len(), 1);
    runs.remove(0)
}

fn run_of<V: Into<Value>>(attributes: impl IntoIterator<Item = (&'static str, V)>) -> ReceivedRun {
    run_with(|config| config, "span", attributes)
}

/// Attributes of several types.
macro_rules! attributes {
    ($($key:expr => $value:expr),* $(,)?) => {
        [$(($key, opentelemetry::Value::from($value))),*]
    };
}
use attributes;

/// The names of a run's metadata, but for those that every run has.
fn metadata_names(run: &ReceivedRun) -> Vec<String> {
    let names = run.extra["metadata"].as_object().unwrap().keys();
    let own =
        |name: &&String| !name.starts_with("OTEL_") && !name.starts_with("resource.") && !name.starts_with("service.");
    names.filter(own).cloned().collect()
}

//! Exports OpenTelemetry spans to LangSmith as runs.

mod config;
mod convert;
mod env;
mod error;
mod exporter;
mod handle;
mod json;
mod lineage;
mod processor;
mod propagator;
mod run;
mod secret;
mod sender;
#[cfg(feature = "tracing")]
mod span_ext;
#[cfg(feature = "testing")]
pub mod testing;

pub use config::{Config, Region};
pub use convert::InputTokens;
pub use error::{ConfigError, FlushError, RunError, SubmitError};
pub use exporter::LangSmithExporter;
pub use handle::{Handle, RunRef};
pub use json::Json;
pub use lineage::RunIds;
pub use processor::LangSmithSpanProcessor;
pub use propagator::LangSmithPropagator;
pub use run::{DottedOrder, ParseDottedOrderError, ParseRunTypeError, Run, RunBuilder, RunId, RunType, UsageMetadata};
pub use sender::{Client, DropReason, Stats};
#[cfg(feature = "tracing")]
pub use span_ext::SpanExt;

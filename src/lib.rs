//! Exports OpenTelemetry spans to LangSmith as runs.

mod config;
#[allow(dead_code, unused_imports)]
mod convert;
mod env;
mod error;
mod json;
mod lineage;
mod run;
mod secret;
mod sender;
#[cfg(feature = "testing")]
pub mod testing;

pub use config::{Config, Region};
pub use error::{ConfigError, FlushError, RunError, SubmitError};
pub use json::Json;
pub use lineage::RunIds;
pub use run::{DottedOrder, ParseDottedOrderError, ParseRunTypeError, Run, RunBuilder, RunId, RunType, UsageMetadata};
pub use sender::{DropReason, Stats};

//! Exports OpenTelemetry spans to LangSmith as runs.

#[cfg(feature = "testing")]
pub mod testing;

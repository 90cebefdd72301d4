//! From spans to runs.

mod usage;

pub(crate) use usage::{Count, InputTokens, Usage, UsageContext};

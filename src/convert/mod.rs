//! From spans to runs.

mod messages;
mod usage;

pub(crate) use messages::{is_indexed, write_documents, write_tools, Messages};
pub(crate) use usage::{Count, InputTokens, Usage, UsageContext};

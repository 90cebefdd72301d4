mod stats;
pub(crate) use stats::Counters;
pub use stats::{DropReason, Stats};

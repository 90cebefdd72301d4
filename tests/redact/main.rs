//! What is hidden, and what is taken out, before anything leaves the process.

#[path = "../common/mod.rs"]
mod common;
mod everywhere;
mod failures;
mod feedback;
mod fields;
mod hidden;
mod hide;
mod properties;

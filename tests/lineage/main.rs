//! Runs stand under the right parents, whatever order spans start, end and arrive in.

#[path = "../common/mod.rs"]
mod common;
mod exporter;
mod forest;
mod late;
mod limits;
mod processor;

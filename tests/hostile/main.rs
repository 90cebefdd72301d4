//! Spans that no sane application makes: each becomes a valid run, or a drop that is counted.

#[path = "../common/mod.rs"]
mod common;
mod content;
mod forged;
mod identity;
mod placement;
mod size;

//! A shutdown takes no longer than it may, whatever the sender is doing, and says what is left; so do a flush, a panic and
//! the end of the process.

mod child;
#[path = "../common/mod.rs"]
mod common;
mod ends;
#[cfg(unix)]
mod forks;
mod left_behind;
mod states;
mod together;

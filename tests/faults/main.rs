//! What each answer, and each kind of no answer, does to what was sent: the matrix, and what stands behind its rows.

mod answers;
#[path = "../common/mod.rs"]
mod common;
mod contained;
mod endless;
mod feedback;
mod limits;
mod matrix;
mod narrow;
mod socket;
mod waits;

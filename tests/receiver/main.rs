//! The strict receiver, held to its own word: through real sockets, with bodies built by hand.

mod client;
mod exchange;
mod faults;
mod format;
mod invariants;
mod routes;
mod tree;

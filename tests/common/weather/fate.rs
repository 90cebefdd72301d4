//! What is in store for a request: the faults of the moment, and those that last for a while.

use super::{lock, Shared};
use fastrand::Rng;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// So many requests come in one season.
const SEASON: u64 = 64;

/// What happens to one request.
pub(super) enum Fate {
    Take,
    TakeLate(Duration),
    TakeSlowly,
    /// With a `Retry-After`.
    Status(u16, Option<u32>),
    BreakBeforeBody,
    BreakAmidBody,
    BreakAfterBody,
    /// The runs are stored, and nobody is told.
    StoreAndBreak,
    StoreAndSayHalf,
    /// The runs are stored, and the answer has no end.
    TakeEndlessly,
    Stall,
}

/// What holds for a while.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Season {
    Usual,
    /// Compressed bodies are answered with this.
    NoZstd(u16),
    /// All connections share a narrow link.
    Narrow,
}

pub(super) fn fate(shared: &Shared) -> (Season, Fate) {
    let mut book = lock(&shared.book);
    book.requests += 1;
    if !shared.stormy.load(Ordering::SeqCst) {
        return (Season::Usual, Fate::Take);
    }
    let season = match (book.requests / SEASON).wrapping_add(shared.seed) % 8 {
        2 => Season::NoZstd(400),
        4 => Season::Narrow,
        6 => Season::NoZstd(415),
        _ => Season::Usual,
    };
    if season == Season::Narrow {
        book.note("narrow link");
    }
    let mut random = Rng::with_seed(shared.seed ^ book.requests.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let (fault, fate) = match random.u32(0..1000) {
        0..=39 => ("503", Fate::Status(503, None)),
        40..=69 => ("500", Fate::Status(500, None)),
        70..=79 => ("408", Fate::Status(408, None)),
        80..=89 => ("502 with Retry-After", Fate::Status(502, Some(1))),
        90..=109 => ("429", Fate::Status(429, None)),
        110..=129 => ("429 with Retry-After", Fate::Status(429, Some(1))),
        130..=132 if book.refusals > 0 => {
            book.refusals -= 1;
            ("401", Fate::Status(401, None))
        }
        133..=142 => ("413", Fate::Status(413, None)),
        143..=148 => ("400", Fate::Status(400, None)),
        149..=154 => ("422", Fate::Status(422, None)),
        155..=174 => ("broken before the body", Fate::BreakBeforeBody),
        175..=194 => ("broken amid the body", Fate::BreakAmidBody),
        195..=214 => ("broken after the body", Fate::BreakAfterBody),
        215..=244 => ("stored and broken", Fate::StoreAndBreak),
        245..=264 => ("stored and half an answer", Fate::StoreAndSayHalf),
        265..=304 => ("late", Fate::TakeLate(Duration::from_millis(random.u64(20..200)))),
        305..=314 => ("read slowly", Fate::TakeSlowly),
        315..=324 if book.stalls > 0 => {
            book.stalls -= 1;
            ("stalled", Fate::Stall)
        }
        325..=334 => ("endless answer", Fate::TakeEndlessly),
        _ => return (season, Fate::Take),
    };
    book.note(fault);
    (season, fate)
}

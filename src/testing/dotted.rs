//! Dotted orders and times, read strictly and apart from the crate's own writer.
//!
//! The receiver shares no code with the sender on purpose: a mistake in one must not hide in the other.

use chrono::{DateTime, NaiveDateTime};
use uuid::Uuid;

/// `%Y%m%dT%H%M%S`, six digits of microseconds, `Z`.
const STAMP: usize = 22;
/// The stamp and a hyphenated run id.
const SEGMENT: usize = STAMP + 36;

/// One `.`-separated piece of a dotted order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    /// Microseconds since the Unix epoch.
    pub(super) micros: i64,
    pub(super) id: Uuid,
}

/// Reads a dotted order; what is wrong with it comes back as the end of a sentence about it.
pub(super) fn parse(order: &str) -> Result<Vec<Segment>, String> {
    order.split('.').map(segment).collect()
}

fn segment(text: &str) -> Result<Segment, String> {
    if !text.is_ascii() || text.len() != SEGMENT {
        let count = text.chars().count();
        return Err(format!("has a segment of {count} characters instead of {SEGMENT}: {text:?}"));
    }
    let (stamp, id) = text.split_at(STAMP);
    let micros = stamp_micros(stamp)
        .ok_or_else(|| format!("has a segment whose time is not %Y%m%dT%H%M%S + microseconds + Z: {stamp:?}"))?;
    let id = canonical_id(id)
        .ok_or_else(|| format!("has a segment whose run id is not a lower-case hyphenated UUID: {id:?}"))?;
    Ok(Segment { micros, id })
}

fn stamp_micros(stamp: &str) -> Option<i64> {
    let shaped = stamp.bytes().enumerate().all(|(at, byte)| match at {
        8 => byte == b'T',
        21 => byte == b'Z',
        _ => byte.is_ascii_digit(),
    });
    if !shaped {
        return None;
    }
    let seconds = NaiveDateTime::parse_from_str(&stamp[..15], "%Y%m%dT%H%M%S").ok()?;
    let micros: i64 = stamp[15..21].parse().ok()?;
    Some(seconds.and_utc().timestamp() * 1_000_000 + micros)
}

/// A UUID in the one spelling that the wire uses; others would break byte-for-byte comparison.
pub(super) fn canonical_id(text: &str) -> Option<Uuid> {
    let id = Uuid::try_parse(text).ok()?;
    let mut buffer = Uuid::encode_buffer();
    (id.hyphenated().encode_lower(&mut buffer) == text).then_some(id)
}

/// The segment of a run that started then, as the server would write it.
pub(super) fn write_segment(micros: i64, id: Uuid) -> String {
    let time = DateTime::from_timestamp_micros(micros).unwrap_or_default();
    format!("{}{id}", time.format("%Y%m%dT%H%M%S%6fZ"))
}

/// Microseconds since the Unix epoch of an RFC 3339 time, and whether it was given in UTC.
pub(super) fn rfc3339_micros(text: &str) -> Option<(i64, bool)> {
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    Some((time.timestamp_micros(), time.offset().local_minus_utc() == 0))
}

/// The milliseconds inside a version 7 UUID; nothing for other versions.
pub(super) fn uuid7_millis(id: Uuid) -> Option<i64> {
    let bytes = id.as_bytes();
    (id.get_version_num() == 7).then(|| bytes[..6].iter().fold(0, |millis, byte| millis << 8 | i64::from(*byte)))
}

//! Moments as LangSmith writes them: UTC, microseconds, a year of four digits.

use chrono::{DateTime, Datelike, Timelike, Utc};
use std::cell::Cell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Microseconds since 1970. Always within 1970 to 9999, where both of the formats that LangSmith uses and the
/// 48 bits of a UUIDv7 can tell it; what lies outside is moved to the nearer end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Timestamp(i64);

/// 9999-12-31T23:59:59.999999Z
const LAST: i64 = 253_402_300_799_999_999;
const SECOND: i64 = 1_000_000;

impl Timestamp {
    pub(crate) fn from_microseconds(microseconds: i64) -> Self {
        Self(microseconds.clamp(0, LAST))
    }

    pub(crate) fn from_system_time(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self::from_microseconds(i64::try_from(since.as_micros()).unwrap_or(LAST))
    }

    /// The microsecond in which a moment lies; `None` outside of 1970 to 9999.
    pub(crate) fn exactly(time: SystemTime) -> Option<Self> {
        let micros = i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_micros()).ok()?;
        (micros <= LAST).then_some(Self(micros))
    }

    pub(crate) fn from_datetime(time: DateTime<Utc>) -> Self {
        Self::from_microseconds(time.timestamp_micros())
    }

    pub(crate) fn now() -> Self {
        Self::from_system_time(SystemTime::now())
    }

    pub(crate) fn to_datetime(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).unwrap_or_default()
    }

    pub(crate) fn milliseconds(self) -> u64 {
        u64::try_from(self.0 / 1000).unwrap_or(0)
    }

    pub(crate) fn saturating_add(self, duration: Duration) -> Self {
        let microseconds = i64::try_from(duration.as_micros()).unwrap_or(LAST);
        Self::from_microseconds(self.0.saturating_add(microseconds))
    }

    /// `2026-11-20T19:30:37.016758+00:00`
    #[inline]
    pub(crate) fn rfc3339(self) -> [u8; RFC3339] {
        let (second, micros) = self.parts();
        let mut text = second.rfc3339;
        text[20..26].copy_from_slice(&micros);
        text
    }

    /// `20261120T193037016758Z`, as a dotted order has it.
    #[inline]
    pub(crate) fn compact(self) -> [u8; COMPACT] {
        let (second, micros) = self.parts();
        let mut text = second.compact;
        text[15..21].copy_from_slice(&micros);
        text
    }

    /// The same as [`Self::rfc3339`], appended.
    pub(crate) fn push_rfc3339(self, out: &mut String) {
        out.push_str(std::str::from_utf8(&self.rfc3339()).unwrap_or_default());
    }

    /// The second in which it lies, and the digits of its microseconds.
    #[inline]
    fn parts(self) -> (Second, [u8; 6]) {
        let number = self.0 / SECOND;
        let mut last = LAST_SECOND.get();
        if last.number != number {
            last = Second::new(number);
            LAST_SECOND.set(last);
        }
        (last, six_digits(u32::try_from(self.0 % SECOND).unwrap_or(0)))
    }
}

/// Characters of both forms.
pub(super) const RFC3339: usize = 32;
pub(super) const COMPACT: usize = 22;

// Most times of a trace lie in the same second as the one before.
thread_local! {
    static LAST_SECOND: Cell<Second> = const { Cell::new(Second::FIRST) };
}

/// The first microsecond of a second, in both forms.
#[derive(Clone, Copy)]
struct Second {
    number: i64,
    rfc3339: [u8; RFC3339],
    compact: [u8; COMPACT],
}

impl Second {
    const FIRST: Self =
        Self { number: 0, rfc3339: *b"1970-01-01T00:00:00.000000+00:00", compact: *b"19700101T000000000000Z" };

    #[cold]
    fn new(number: i64) -> Self {
        let time = DateTime::from_timestamp(number, 0).unwrap_or_default();
        let year = time.year().unsigned_abs();
        let mut second = Self { number, ..Self::FIRST };
        for (place, compact_place, number) in [
            (0, 0, year / 100),
            (2, 2, year % 100),
            (5, 4, time.month()),
            (8, 6, time.day()),
            (11, 9, time.hour()),
            (14, 11, time.minute()),
            (17, 13, time.second()),
        ] {
            let [.., tens, ones] = six_digits(number);
            (second.rfc3339[place], second.rfc3339[place + 1]) = (tens, ones);
            (second.compact[compact_place], second.compact[compact_place + 1]) = (tens, ones);
        }
        second
    }
}

/// Of a number below a million: three digits in each half of a word.
#[inline]
fn six_digits(number: u32) -> [u8; 6] {
    const DIGITS: u64 = 0x0000_000F_0000_000F;
    let halves = u64::from(number / 1000) | u64::from(number % 1000) << 32;
    // Of what is below 1000 that is a hundredth, of what is below 100 a tenth.
    let hundreds = ((halves * 41) >> 12) & DIGITS;
    let rest = halves - hundreds * 100;
    let tens = ((rest * 103) >> 10) & DIGITS;
    let ones = rest - tens * 10;
    let digits = (hundreds | tens << 8 | ones << 16) + 0x0030_3030_0030_3030;
    let digits = digits.to_le_bytes();
    [digits[0], digits[1], digits[2], digits[4], digits[5], digits[6]]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_chrono(microseconds in 0..=LAST) {
            let time = Timestamp::from_microseconds(microseconds);
            let mut long = String::new();
            time.push_rfc3339(&mut long);
            prop_assert_eq!(long, time.to_datetime().format("%Y-%m-%dT%H:%M:%S%.6f%:z").to_string());
            let plain = time.to_datetime().format("%Y%m%dT%H%M%S%6fZ").to_string();
            prop_assert_eq!(String::from_utf8(time.compact().to_vec()), Ok(plain));
        }
    }

    #[test]
    fn stays_within_four_digits_of_a_year() {
        assert_eq!(Timestamp::from_system_time(UNIX_EPOCH - Duration::from_secs(5)), Timestamp(0));
        let far = UNIX_EPOCH.checked_add(Duration::from_secs(1 << 60)).unwrap_or(UNIX_EPOCH);
        assert!(Timestamp::from_system_time(far) <= Timestamp(LAST));
    }
}

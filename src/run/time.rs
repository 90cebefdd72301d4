//! Moments as LangSmith writes them: UTC, microseconds, a year of four digits.

use chrono::{DateTime, Datelike, Timelike, Utc};
use std::cell::Cell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Microseconds since 1970. Always within 1970 to 9999, where both of LangSmith's formats and the
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
    pub(crate) fn push_rfc3339(self, out: &mut String) {
        let digits = self.digits();
        let (date, time) = digits.split_at(8);
        for (part, end) in [
            (&date[..4], '-'),
            (&date[4..6], '-'),
            (&date[6..], 'T'),
            (&time[..2], ':'),
            (&time[2..4], ':'),
            (&time[4..6], '.'),
        ] {
            push_ascii(out, part);
            out.push(end);
        }
        push_ascii(out, &time[6..]);
        out.push_str("+00:00");
    }

    /// `20261120T193037016758Z`, as a dotted order has it.
    pub(crate) fn push_compact(self, out: &mut String) {
        let digits = self.digits();
        push_ascii(out, &digits[..8]);
        out.push('T');
        push_ascii(out, &digits[8..]);
        out.push('Z');
    }

    /// Year, month, day, hour, minute, second, microseconds: 20 digits.
    fn digits(self) -> [u8; 20] {
        let (second, mut micros) = (self.0 / SECOND, self.0 % SECOND);
        let mut digits = [b'0'; 20];
        digits[..14].copy_from_slice(&calendar(second));
        for digit in digits[14..].iter_mut().rev() {
            *digit = b'0' + (micros % 10) as u8;
            micros /= 10;
        }
        digits
    }
}

fn push_ascii(out: &mut String, digits: &[u8]) {
    out.push_str(std::str::from_utf8(digits).unwrap_or_default());
}

/// The 14 digits of a second. Spans come in time order, more or less, so the last few seconds
/// answered are kept: asking the calendar costs more than all the rest of a timestamp.
fn calendar(second: i64) -> [u8; 14] {
    const KEPT: usize = 4;
    thread_local! {
        static SECONDS: [Cell<(i64, [u8; 14])>; KEPT] = const { [const { Cell::new((-1, [0; 14])) }; KEPT] };
    }
    SECONDS.with(|seconds| {
        let place = &seconds[second.unsigned_abs() as usize % KEPT];
        let (kept, digits) = place.get();
        if kept == second {
            return digits;
        }
        let time = DateTime::from_timestamp(second, 0).unwrap_or_default();
        let mut digits = [0; 14];
        let numbers = [
            time.year_ce().1 / 100,
            time.year_ce().1 % 100,
            time.month(),
            time.day(),
            time.hour(),
            time.minute(),
            time.second(),
        ];
        for (pair, number) in digits.chunks_exact_mut(2).zip(numbers) {
            pair[0] = b'0' + (number / 10 % 10) as u8;
            pair[1] = b'0' + (number % 10) as u8;
        }
        place.set((second, digits));
        digits
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_chrono(microseconds in 0..=LAST) {
            let time = Timestamp::from_microseconds(microseconds);
            let (mut long, mut compact) = (String::new(), String::new());
            time.push_rfc3339(&mut long);
            time.push_compact(&mut compact);
            prop_assert_eq!(long, time.to_datetime().format("%Y-%m-%dT%H:%M:%S%.6f%:z").to_string());
            prop_assert_eq!(compact, time.to_datetime().format("%Y%m%dT%H%M%S%6fZ").to_string());
        }
    }

    #[test]
    fn stays_within_four_digits_of_a_year() {
        assert_eq!(Timestamp::from_system_time(UNIX_EPOCH - Duration::from_secs(5)), Timestamp(0));
        let far = UNIX_EPOCH.checked_add(Duration::from_secs(1 << 60)).unwrap_or(UNIX_EPOCH);
        assert!(Timestamp::from_system_time(far) <= Timestamp(LAST));
    }
}

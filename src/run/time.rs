//! Moments as LangSmith writes them: UTC, microseconds, a year of four digits.

use chrono::{DateTime, Utc};
use std::cell::RefCell;
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
    pub(crate) fn push_rfc3339(self, out: &mut String) {
        self.push(out, |second| &second.rfc3339, "+00:00");
    }

    /// `20261120T193037016758Z`, as a dotted order has it.
    pub(crate) fn push_compact(self, out: &mut String) {
        self.push(out, |second| &second.compact, "Z");
    }

    fn push(self, out: &mut String, form: impl Fn(&Second) -> &String, end: &str) {
        SECONDS.with_borrow_mut(|seconds| {
            let number = self.0 / SECOND;
            let second = &mut seconds[usize::try_from(number).unwrap_or(0) % KEPT];
            if second.number != number {
                *second = Second::new(number);
            }
            out.push_str(form(second));
        });
        let micros = usize::try_from(self.0 % SECOND).unwrap_or(0);
        for pair in [micros / 10_000, micros / 100 % 100, micros % 100] {
            out.push_str(&PAIRS[2 * pair..2 * pair + 2]);
        }
        out.push_str(end);
    }
}

/// Spans come in time order, more or less, so the last few seconds are kept as text: asking the
/// calendar costs more than all the rest of a timestamp.
const KEPT: usize = 4;

thread_local! {
    static SECONDS: RefCell<[Second; KEPT]> = const { RefCell::new([const { Second::nothing() }; KEPT]) };
}

/// A second of the calendar, up to where the fraction begins.
struct Second {
    number: i64,
    rfc3339: String,
    compact: String,
}

impl Second {
    const fn nothing() -> Self {
        Self { number: -1, rfc3339: String::new(), compact: String::new() }
    }

    fn new(number: i64) -> Self {
        let time = DateTime::from_timestamp(number, 0).unwrap_or_default();
        let text = |format| time.format(format).to_string();
        Self { number, rfc3339: text("%Y-%m-%dT%H:%M:%S."), compact: text("%Y%m%dT%H%M%S") }
    }
}

/// All numbers of two digits.
const PAIRS: &str = "00010203040506070809\
                     10111213141516171819\
                     20212223242526272829\
                     30313233343536373839\
                     40414243444546474849\
                     50515253545556575859\
                     60616263646566676869\
                     70717273747576777879\
                     80818283848586878889\
                     90919293949596979899";

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

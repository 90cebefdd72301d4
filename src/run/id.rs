use super::Timestamp;
use crate::json::HEX;
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// The id of a run or a trace: a UUID, for new runs one of version 7, whose first 48 bits are the
/// run's start in milliseconds. LangSmith finds a run by both, so they have to agree.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(Uuid);

impl RunId {
    /// A new id for a run that starts at `start`.
    pub fn new(start: chrono::DateTime<chrono::Utc>) -> Self {
        Self::random(Timestamp::from_datetime(start))
    }

    pub(crate) fn random(start: Timestamp) -> Self {
        let random: [u8; 10] = {
            let mut bytes = [0; 10];
            fastrand::fill(&mut bytes);
            // Processes that were forked from one another go on with the same numbers.
            let process = std::process::id().to_ne_bytes();
            bytes[4..].iter_mut().zip(process).for_each(|(byte, process)| *byte ^= process);
            bytes
        };
        Self(uuid::Builder::from_unix_timestamp_millis(start.milliseconds(), &random).into_uuid())
    }

    /// The id for a span: 48 bits of its start, 10 bits of its trace id, 64 bits of its span id.
    /// The same span always has the same id, and its span id can be read back.
    pub(crate) fn derived(start: Timestamp, trace_id: u128, span_id: u64) -> Self {
        let milliseconds = u128::from(start.milliseconds()) & 0xFFFF_FFFF_FFFF;
        let random = ((trace_id & 0x3FF) << 64) | u128::from(span_id);
        let (high, low) = (random >> 62, random & ((1 << 62) - 1));
        Self(Uuid::from_u128(milliseconds << 80 | 7 << 76 | high << 64 | 0b10 << 62 | low))
    }

    /// The UUID.
    pub fn as_uuid(&self) -> &Uuid {
        &self.0
    }

    /// The id as it is displayed.
    #[inline]
    pub(crate) fn text(self) -> [u8; TEXT] {
        let mut text = [b'-'; TEXT];
        for (place, byte) in PLACES.into_iter().zip(self.0.as_bytes()) {
            text[place..place + 2].copy_from_slice(&HEX[usize::from(*byte)]);
        }
        text
    }
}

/// Where the digits of each byte stand.
const PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];

/// Characters of an id.
pub(super) const TEXT: usize = 36;

impl From<Uuid> for RunId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl From<RunId> for Uuid {
    fn from(id: RunId) -> Self {
        id.0
    }
}

impl FromStr for RunId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.hyphenated(), f)
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_text_is_what_is_displayed(id: u128) {
            let id = RunId(Uuid::from_u128(id));
            prop_assert_eq!(String::from_utf8(id.text().to_vec()), Ok(id.to_string()));
        }
    }
}

use super::{id, time, RunId, Timestamp};
use chrono::{DateTime, NaiveDateTime, Utc};
use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

/// Characters of the time in a segment: `20261120T193037016758Z`.
const TIME: usize = time::COMPACT;
/// Characters of an id.
const ID: usize = id::TEXT;
/// Characters of a whole segment. Segments are joined by a dot.
const SEGMENT: usize = TIME + ID;
/// A text of more segments than this is refused when it comes from outside.
const MAX_SEGMENTS: usize = 10_000;

/// Where a run stands in its trace: the start and the id of each run from the root down to itself.
///
/// LangSmith sorts and nests the runs of a trace by this text alone. The run's id is the last
/// segment's, its trace id the first one's and its parent's id the last but one's, so a value of
/// this type cannot hold an id, a trace id and a parent id that contradict each other. Times never
/// decrease from root to leaf, which LangSmith insists on, and no id occurs twice.
///
/// ```
/// use opentelemetry_langsmith::DottedOrder;
///
/// let text = "20261120T193037016758Z01a1fa70-7758-7bc2-9e24-efd0dc5f29c5\
///             .20261120T193037026000Z01a1fa70-7762-75ce-8bd8-12f25e90bfa5";
/// let order: DottedOrder = text.parse()?;
/// assert_eq!(order.trace_id().to_string(), "01a1fa70-7758-7bc2-9e24-efd0dc5f29c5");
/// assert_eq!(order.parent_id(), Some(order.trace_id()));
/// assert_eq!(order.to_string(), text);
/// # Ok::<(), opentelemetry_langsmith::ParseDottedOrderError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DottedOrder(
    /// ASCII alone. As bytes, because it is put together of arrays, and goes out as bytes.
    Vec<u8>,
);

impl DottedOrder {
    /// The order of a root run.
    pub fn root(id: RunId, start: DateTime<Utc>) -> Self {
        let mut order = Self(Vec::with_capacity(SEGMENT));
        order.push(id, Timestamp::from_datetime(start));
        order
    }

    /// The order of a child of this run. A child that claims to start before its parent takes the
    /// parent's start. `None` when `id` is an ancestor's: a run cannot stand under itself.
    pub fn child(&self, id: RunId, start: DateTime<Utc>) -> Option<Self> {
        let start = Timestamp::from_datetime(start).max(self.start());
        self.child_at(id, start)
    }

    pub(crate) fn child_at(&self, id: RunId, start: Timestamp) -> Option<Self> {
        if self.ids().any(|ancestor| ancestor == id) {
            return None;
        }
        let mut order = Self(Vec::with_capacity(self.0.len() + 1 + SEGMENT));
        order.0.extend_from_slice(&self.0);
        order.push(id, start);
        Some(order)
    }

    /// Begins an order that [`Self::push`] fills from the root down.
    pub(crate) fn with_segments(segments: usize) -> Self {
        Self(Vec::with_capacity(segments * (SEGMENT + 1)))
    }

    /// Appends a segment. The caller sees to it that times do not decrease and ids differ.
    pub(crate) fn push(&mut self, id: RunId, start: Timestamp) {
        if !self.0.is_empty() {
            self.0.push(b'.');
        }
        self.0.extend_from_slice(&start.compact());
        self.0.extend_from_slice(&id.text());
    }

    /// Takes off the last segment.
    pub(crate) fn pop(&mut self) {
        self.0.truncate(self.0.len().saturating_sub(SEGMENT + 1));
    }

    /// Becomes the same as another one, in the memory that it has, with room for one more segment.
    /// Without another one it is to be filled again.
    pub(crate) fn become_like(&mut self, other: Option<&Self>) {
        self.0.clear();
        if let Some(other) = other {
            self.0.reserve(other.0.len() + 1 + SEGMENT);
            self.0.extend_from_slice(&other.0);
        }
    }

    /// Bytes of memory.
    pub(crate) fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        text(&self.0)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The run's own id.
    pub fn id(&self) -> RunId {
        parse_id(self.id_text())
    }

    /// The id of the trace, which is its root run's.
    pub fn trace_id(&self) -> RunId {
        parse_id(self.trace_id_text())
    }

    /// The id of the parent; `None` for a root.
    pub fn parent_id(&self) -> Option<RunId> {
        Some(parse_id(self.parent_id_text()?))
    }

    /// The order of the parent; `None` for a root.
    pub fn parent(&self) -> Option<Self> {
        Some(Self(self.0[..self.0.len().checked_sub(SEGMENT + 1)?].to_owned()))
    }

    /// The start of the run, to the microsecond.
    pub fn start_time(&self) -> DateTime<Utc> {
        self.start().to_datetime()
    }

    /// How many segments there are: 1 for a root.
    pub fn depth(&self) -> usize {
        (self.0.len() + 1) / (SEGMENT + 1)
    }

    /// The order without those ancestors that are `gone`; `None` when none of them is.
    pub(crate) fn without(&self, gone: impl Fn(RunId) -> bool) -> Option<Self> {
        let above = self.depth().saturating_sub(1);
        if !self.ids().take(above).any(&gone) {
            return None;
        }
        let mut order = Self(Vec::with_capacity(self.0.len()));
        for (level, (id, segment)) in self.segments().enumerate() {
            if level == above || !gone(id) {
                if !order.0.is_empty() {
                    order.0.push(b'.');
                }
                order.0.extend_from_slice(segment.as_bytes());
            }
        }
        Some(order)
    }

    pub(crate) fn start(&self) -> Timestamp {
        let segment = &self.0[self.0.len() - SEGMENT..];
        parse_time(text(&segment[..TIME])).unwrap_or_default()
    }

    /// The digits of the run's own id.
    #[inline]
    pub(crate) fn id_text(&self) -> &[u8; ID] {
        self.0.last_chunk().unwrap_or(&NO_ID)
    }

    #[inline]
    pub(crate) fn trace_id_text(&self) -> &[u8; ID] {
        self.0.get(TIME..).and_then(<[u8]>::first_chunk).unwrap_or(&NO_ID)
    }

    #[inline]
    pub(crate) fn parent_id_text(&self) -> Option<&[u8; ID]> {
        let end = self.0.len().checked_sub(SEGMENT + 1)?;
        self.0[..end].last_chunk()
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = RunId> + '_ {
        self.segments().map(|(id, _)| id)
    }

    /// The segments from the root down, each with the id in it.
    pub(crate) fn segments(&self) -> impl Iterator<Item = (RunId, &str)> + '_ {
        self.as_str().split('.').map(|segment| (parse_id(&segment.as_bytes()[TIME..]), segment))
    }
}

/// No order is so short that it has none.
const NO_ID: [u8; ID] = *b"00000000-0000-0000-0000-000000000000";

/// What this type has written or checked is ASCII.
fn text(ascii: &[u8]) -> &str {
    std::str::from_utf8(ascii).unwrap_or_default()
}

fn parse_id(text: &[u8]) -> RunId {
    uuid::Uuid::try_parse_ascii(text).unwrap_or_default().into()
}

fn parse_time(text: &str) -> Option<Timestamp> {
    let (time, micros) = (text.get(..15)?, text.get(15..21)?);
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !(digits(&time[..8]) && &time[8..9] == "T" && digits(&time[9..]) && digits(micros) && &text[21..] == "Z") {
        return None;
    }
    let second = NaiveDateTime::parse_from_str(time, "%Y%m%dT%H%M%S").ok()?.and_utc().timestamp();
    // A leap second (60) or a year before 1970 would not print back as it was written.
    let moment = Timestamp::from_microseconds(second.checked_mul(1_000_000)?.checked_add(micros.parse().ok()?)?);
    (moment.compact() == text.as_bytes()).then_some(moment)
}

/// Why a text is no dotted order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseDottedOrderError {
    /// Segments are 58 characters each, joined by dots.
    #[error("a dotted order is segments of 58 characters joined by dots")]
    Shape,
    /// More than 10,000 segments.
    #[error("a dotted order has at most {MAX_SEGMENTS} segments")]
    Depth,
    /// A segment begins with a time like `20261120T193037016758Z`.
    #[error("segment {0} does not begin with a time like 20261120T193037016758Z")]
    Time(usize),
    /// A segment ends in a UUID in lower case with hyphens.
    #[error("segment {0} does not end in a UUID in lower case with hyphens")]
    Id(usize),
    /// A segment's time lies before that of the one before it.
    #[error("segment {0} starts before its parent")]
    Decreasing(usize),
    /// An id occurs twice.
    #[error("segment {0} repeats the id of an ancestor")]
    Repeated(usize),
}

impl FromStr for DottedOrder {
    type Err = ParseDottedOrderError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        use ParseDottedOrderError as Error;
        if !(text.len() + 1).is_multiple_of(SEGMENT + 1) || !text.is_ascii() {
            return Err(Error::Shape);
        }
        if text.len() / SEGMENT > MAX_SEGMENTS {
            return Err(Error::Depth);
        }
        let mut before = Timestamp::default();
        let mut ids = HashSet::new();
        for (position, segment) in text.split('.').enumerate() {
            let number = position + 1;
            if segment.len() != SEGMENT {
                return Err(Error::Shape);
            }
            let (time, id) = segment.split_at(TIME);
            let start = parse_time(time).ok_or(Error::Time(number))?;
            let parsed: RunId = id.parse().map_err(|_| Error::Id(number))?;
            if parsed.to_string() != id {
                return Err(Error::Id(number));
            }
            if start < before {
                return Err(Error::Decreasing(number));
            }
            if !ids.insert(parsed) {
                return Err(Error::Repeated(number));
            }
            before = start;
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for DottedOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for DottedOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

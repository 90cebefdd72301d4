//! Spans that are open for so long that their runs are shown before they end.

use super::queue::Start;
use crate::lineage::{Live, Node};
use opentelemetry_sdk::trace::SpanData;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// About what a span costs that is watched, with its place.
const WATCHED: usize = 256;

/// All spans are watched for the same time, so those that started first are due first: however many
/// there are, only the first one is looked at.
#[derive(Debug)]
pub(super) struct Watch {
    live: Arc<Live>,
    after: Duration,
    started: VecDeque<Start>,
    limit: usize,
}

impl Watch {
    pub(super) fn new(live: Arc<Live>, after: Duration, limit: usize) -> Self {
        Self { live, after, started: VecDeque::new(), limit }
    }

    /// Watches no more spans than fit into so many bytes.
    pub(super) fn within(mut self, bytes: usize) -> Self {
        self.limit = self.limit.min(bytes / WATCHED);
        self
    }

    /// The memory that all of them take.
    pub(super) fn held_bytes(&self) -> usize {
        self.started.len() * WATCHED
    }

    /// Watches a span. Beyond the limit it is not watched, and sent when it ends.
    pub(super) fn add(&mut self, start: Start) {
        if self.started.len() < self.limit {
            self.started.push_back(start);
        }
    }

    /// When the next span is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.started.front()?.at.checked_add(self.after)
    }

    /// The next span that is due and still open, as it was when it started.
    pub(super) fn next(&mut self, now: Instant) -> Option<(SpanData, Arc<Node>)> {
        while self.deadline()? <= now {
            let Start { key, node, .. } = self.started.pop_front()?;
            if let Some(span) = self.live.post(key) {
                return Some((span, node));
            }
        }
        None
    }
}

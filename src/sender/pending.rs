//! Spans that are open for so long that their runs are shown before they end.

use super::queue::Start;
use crate::lineage::{Live, Node};
use opentelemetry_sdk::trace::SpanData;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// So many may be watched although they have ended.
const FEW: usize = 1024;
/// About what a span costs that is watched, with its place.
const WATCHED: usize = 256;

/// All spans are watched for the same time, so those that started first are due first: however many
/// there are, only the first one is looked at. Most have ended before they are due; whenever there are twice as many
/// as were open the last time, those that have ended are let go.
#[derive(Debug)]
pub(super) struct Watch {
    live: Arc<Live>,
    after: Duration,
    started: VecDeque<Start>,
    /// With so many, those that have ended are let go.
    clean_at: usize,
    limit: usize,
    /// How many were not watched since then.
    passed_over: usize,
}

impl Watch {
    pub(super) fn new(live: Arc<Live>, after: Duration) -> Self {
        Self { live, after, started: VecDeque::new(), clean_at: FEW, limit: usize::MAX, passed_over: 0 }
    }

    /// Watches no more spans than fit into so many bytes.
    pub(super) fn within(mut self, bytes: usize) -> Self {
        self.limit = bytes / WATCHED;
        self
    }

    /// The memory that all of them take.
    pub(super) fn held_bytes(&self) -> usize {
        self.started.len() * WATCHED
    }

    /// Watches a span. Beyond the limit, and where all that are watched are open, it is not watched, and sent when it
    /// ends.
    pub(super) fn add(&mut self, start: Start) {
        let watched = self.started.len();
        if watched >= self.limit && self.passed_over < watched / 2 {
            // To look through all of them each time would take long.
            self.passed_over += 1;
            return;
        }
        if watched >= self.clean_at.min(self.limit) {
            self.passed_over = 0;
            let live = &self.live;
            self.started.retain(|start| live.is_open(start.key, &start.node));
            self.clean_at = FEW.max(2 * self.started.len());
        }
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
            if let Some(span) = self.live.post(key, &node) {
                return Some((span, node));
            }
        }
        None
    }
}

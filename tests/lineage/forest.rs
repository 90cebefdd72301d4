//! Random forests of spans, and what has to become of them.

use crate::common::{assert_flawless, at, span, with};
use opentelemetry_langsmith::testing::{LocalLangSmith, ReceivedRun};
use opentelemetry_sdk::trace::SpanData;
use proptest::prelude::*;
use proptest::sample::Index;
use std::collections::HashMap;

/// What a span stands under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parent {
    Nothing,
    /// Another span of the forest, which comes before it in the list.
    Span(usize),
    /// A span of another process.
    Remote,
    /// A span of this process that nobody ever hears of.
    Lost,
}

#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) parent: Parent,
    /// `langsmith.is_root` is set.
    pub(crate) marked: bool,
    /// What this span's clock says of its start and its end, in microseconds.
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// The true moments, for spans that really run: after the parent's start, before the own end.
    pub(crate) starts_at: u32,
    pub(crate) ends_at: u32,
    pub(crate) never_ends: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Forest(pub(crate) Vec<Shape>);

/// Up to `most` spans. `deep` makes chains likely, otherwise most parents have many children.
pub(crate) fn forest(most: usize) -> impl Strategy<Value = Forest> {
    let parent = (0..20_u8, any::<Index>());
    let times = (-50_000..50_000_i64, -1_000..20_000_i64, 0..1000_u32, 0..1000_u32);
    let one = (parent, prop::bool::weighted(0.05), times, prop::bool::weighted(0.1));
    let deep = prop_oneof![Just(false), Just(true)];
    (prop::collection::vec(one, 1..most), deep).prop_map(|(drawn, deep)| {
        let mut shapes: Vec<Shape> = Vec::new();
        for ((kind, index), marked, (start, length, wait, life), never_ends) in drawn {
            let number = shapes.len();
            let parent = match kind {
                _ if number == 0 => Parent::Nothing,
                0 => Parent::Nothing,
                1 => Parent::Remote,
                2 => Parent::Lost,
                3..=15 if deep => Parent::Span(number - 1),
                _ => Parent::Span(index.index(number)),
            };
            let after = if let Parent::Span(parent) = parent { shapes[parent].starts_at } else { 0 };
            let starts_at = after + 1 + wait;
            shapes.push(Shape {
                parent,
                marked,
                start,
                end: start + length,
                starts_at,
                ends_at: starts_at + 1 + life,
                never_ends,
            });
        }
        Forest(shapes)
    })
}

impl Forest {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The parent whose run the span has to stand under.
    pub(crate) fn parent(&self, number: usize) -> Option<usize> {
        match self.0[number].parent {
            Parent::Span(parent) if !self.0[number].marked => Some(parent),
            _ => None,
        }
    }

    /// The OpenTelemetry trace, named by the first span of it. Spans of other processes' traces
    /// share one trace among them.
    fn trace(&self, number: usize) -> u128 {
        match self.0[number].parent {
            Parent::Span(parent) => self.trace(parent),
            Parent::Nothing | Parent::Lost => 0x7ace_0000 + number as u128,
            Parent::Remote => 0x7ace_ffff,
        }
    }

    fn id(number: usize) -> u64 {
        0x51_0000 + number as u64
    }

    /// The spans as an exporter gets to see them.
    pub(crate) fn spans(&self) -> Vec<SpanData> {
        let spans = self.0.iter().enumerate().map(|(number, shape)| {
            let parent = match shape.parent {
                Parent::Nothing => 0,
                Parent::Span(parent) => Self::id(parent),
                Parent::Remote | Parent::Lost => 0xe15e_0000 + number as u64,
            };
            let mut span = span(self.trace(number), Self::id(number), parent);
            span.name = format!("{number}").into();
            span.parent_span_is_remote = shape.parent == Parent::Remote;
            span.start_time = at(shape.start);
            span.end_time = at(shape.end);
            if shape.marked {
                span = with(span, "langsmith.is_root", true);
            }
            span
        });
        spans.collect()
    }

    /// Every span came exactly once, under its parent. With `detached` a span may also be a root
    /// that tells who its parent is.
    pub(crate) fn check(&self, server: &LocalLangSmith, detached: bool) {
        assert_flawless(server, self.len());
        let runs: HashMap<usize, ReceivedRun> =
            server.runs().into_iter().map(|run| (run.name.parse().expect("a number"), run)).collect();
        assert_eq!(runs.len(), self.len(), "two runs have one name");
        for (number, run) in &runs {
            let expected = self.parent(*number).map(|parent| runs[&parent].id.clone());
            if detached && run.parent_run_id.is_none() && expected.is_some() {
                assert!(run.metadata("OTEL_PARENT_SPAN_ID").is_some(), "{run:?}");
                continue;
            }
            assert_eq!(run.parent_run_id, expected, "the parent of {number}\n{}", server.tree());
        }
    }
}

/// The list in another order.
pub(crate) fn shuffled<T>(mut list: Vec<T>, order: &[Index]) -> Vec<T> {
    for (position, index) in order.iter().enumerate().take(list.len()) {
        let other = index.index(list.len());
        list.swap(position, other);
    }
    list
}

/// The list in pieces of random lengths.
pub(crate) fn cut<T>(list: Vec<T>, lengths: &[usize]) -> Vec<Vec<T>> {
    let mut lengths = lengths.iter().copied().cycle();
    let mut pieces = vec![Vec::new()];
    let mut left = lengths.next().unwrap_or(1);
    for item in list {
        if left == 0 {
            pieces.push(Vec::new());
            left = lengths.next().unwrap_or(1).max(1);
        }
        left -= 1;
        pieces.last_mut().expect("never empty").push(item);
    }
    pieces
}

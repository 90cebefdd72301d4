//! What the sender's thread has taken off the queue and not begun with.

use super::queue::{Queue, Work};
use crate::stats::DropReason;
use opentelemetry::Value;
use opentelemetry_sdk::trace::SpanData;
use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;

/// Takes works off the queue, several at once, and looks at all of them before the first is begun with. They
/// were written by other threads, on other cores: each piece has to be waited for, but many can be waited for
/// together.
#[derive(Debug)]
pub(super) struct Hand {
    queue: Arc<Queue>,
    works: VecDeque<Work>,
}

impl Hand {
    /// So many it holds.
    pub(super) const SIZE: usize = 16;

    pub(super) fn new(queue: Arc<Queue>) -> Self {
        Self { queue, works: VecDeque::with_capacity(Self::SIZE) }
    }

    /// Takes what there is, as much as it holds. Says whether there may be more.
    pub(super) fn fill(&mut self) -> bool {
        while self.works.len() < Self::SIZE {
            match self.queue.pop() {
                Some(work) => self.works.push_back(work),
                None => break,
            }
        }
        self.look();
        self.works.len() == Self::SIZE
    }

    pub(super) fn next(&mut self) -> Option<Work> {
        self.works.pop_front()
    }

    /// Looks at all spans, first at what lies in their boxes, then at their attributes, then at the texts. What one
    /// look finds is there when the next one goes on from it.
    fn look(&self) {
        let placed = || {
            self.works.iter().filter_map(|work| match work {
                Work::Placed(placed) => Some(placed),
                _ => None,
            })
        };
        let attributes = || placed().flat_map(|placed| &placed.span.attributes);
        let boxes: usize = placed().map(|placed| look_at(&placed.span) + placed.node.depth()).sum();
        let keys: usize = attributes().map(|attribute| attribute.key.as_str().len()).sum();
        let texts = attributes().map(|attribute| match &attribute.value {
            Value::String(text) => look_at_lines(text.as_str()),
            _ => 0,
        });
        black_box(boxes + keys + texts.sum::<usize>());
    }
}

/// Reads something of each part of a span, wherever the compiler has put it.
fn look_at(span: &SpanData) -> usize {
    let SpanData { span_context, name, start_time, end_time, attributes, events, links, instrumentation_scope, .. } =
        span;
    let flags = [span_context.is_remote(), end_time < start_time, span.parent_span_is_remote];
    let lengths = [name.len(), attributes.len(), events.len(), links.len(), instrumentation_scope.name().len()];
    flags.into_iter().map(usize::from).chain(lengths).sum()
}

/// Reads a byte of each of the first cache lines of a text.
fn look_at_lines(text: &str) -> usize {
    const LINE: usize = 64;
    const MOST: usize = 64;
    text.as_bytes().chunks(LINE).take(MOST).map(|line| usize::from(line[0])).sum()
}

impl Drop for Hand {
    /// There is something in it only when the thread has panicked.
    fn drop(&mut self) {
        for work in self.works.drain(..) {
            self.queue.give_up(work, DropReason::Panicked);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::queue::Flush;
    use super::*;
    use crate::error::FlushError;
    use crate::run::{Run, RunType};
    use std::sync::mpsc::channel;
    use std::time::Instant;

    fn run() -> Box<Run> {
        Box::new(Run::builder("run", RunType::Chain).build().expect("it is complete"))
    }

    #[test]
    fn what_is_left_in_it_is_counted_and_answered() {
        let queue = Arc::new(Queue::new(1 << 20));
        let (answer, answered) = channel();
        for _ in 0..Hand::SIZE - 2 {
            assert!(queue.push(Work::Run(run())).is_ok());
        }
        assert!(queue.push(Work::Update(run())).is_ok());
        let reply = Box::new(move |result| drop(answer.send(result)));
        queue.push_flush(Flush { last: false, impatient: false, deadline: Instant::now(), reply });
        assert!(queue.push(Work::Run(run())).is_ok());

        let mut hand = Hand::new(Arc::clone(&queue));
        assert!(hand.fill(), "there is one more");
        // As the worker does with what it begins with.
        assert!(matches!(hand.next(), Some(Work::Run(_))));
        queue.counters.take(1);
        assert!(queue.counters.stats().queued == Hand::SIZE as u64 - 2 && answered.try_recv().is_err());
        drop(hand);
        queue.fail();

        let stats = queue.counters.stats();
        assert_eq!((stats.submitted, stats.queued, stats.in_flight), (Hand::SIZE as u64, 0, 0), "{stats}");
        let dropped = (stats.dropped(DropReason::Panicked), stats.dropped(DropReason::ShutDown));
        assert_eq!(dropped, (Hand::SIZE as u64 - 1, 1), "{stats}");
        assert!(matches!(answered.try_recv(), Ok(Err(FlushError::ShutDown))));
    }

    #[test]
    fn works_come_in_their_order() {
        let queue = Arc::new(Queue::new(1 << 20));
        let runs: Vec<_> = (0..=2 * Hand::SIZE).map(|_| run()).collect();
        let ids: Vec<_> = runs.iter().map(|run| run.id()).collect();
        for run in runs {
            assert!(queue.push(Work::Run(run)).is_ok());
        }
        let (mut hand, mut taken) = (Hand::new(Arc::clone(&queue)), Vec::new());
        for more in [true, true, false] {
            assert_eq!(hand.fill(), more);
            taken.extend(std::iter::from_fn(|| hand.next()).map(|work| match work {
                Work::Run(run) => run.id(),
                other => panic!("{other:?}"),
            }));
        }
        assert_eq!(taken, ids);
    }
}

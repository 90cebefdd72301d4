//! What the sender's thread has taken off the queue and not begun with.

use super::queue::{Queue, Work};
use crate::prefetch;
use crate::stats::DropReason;
use std::collections::VecDeque;
use std::sync::Arc;

/// Takes works off the queue, several at once, and asks for the memory of those that come next while one is
/// worked on.
#[derive(Debug)]
pub(super) struct Hand {
    queue: Arc<Queue>,
    works: VecDeque<Work>,
}

impl Hand {
    /// So many it holds.
    pub(super) const SIZE: usize = 16;
    /// The texts of so many are asked for, and the attributes, which say where the texts are, of one more.
    const AHEAD: usize = 2;

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
        for work in &self.works {
            if let Work::Placed(placed) = work {
                prefetch::span(&placed.span);
                placed.node.prefetch();
            }
        }
        (0..=Self::AHEAD).for_each(|place| self.ask_for_attributes(place));
        (0..Self::AHEAD).for_each(|place| self.ask_for_texts(place));
        self.works.len() == Self::SIZE
    }

    pub(super) fn next(&mut self) -> Option<Work> {
        let next = self.works.pop_front();
        self.ask_for_attributes(Self::AHEAD);
        self.ask_for_texts(Self::AHEAD - 1);
        next
    }

    fn ask_for_attributes(&self, place: usize) {
        if let Some(Work::Placed(placed)) = self.works.get(place) {
            prefetch::attributes(&placed.span);
            placed.node.trace().prefetch();
        }
    }

    fn ask_for_texts(&self, place: usize) {
        if let Some(Work::Placed(placed)) = self.works.get(place) {
            prefetch::texts(&placed.span);
        }
    }
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
    use super::super::queue::{Ended, Flush};
    use super::*;
    use crate::error::FlushError;
    use crate::run::{Run, RunType};
    use crate::test_span::span;
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
            assert!(queue.push(&queue.enter().unwrap(), Work::Run(run())).is_ok());
        }
        assert!(queue.push(&queue.enter().unwrap(), Work::Update(run())).is_ok());
        let reply = Box::new(move |result| drop(answer.send(result)));
        queue.push_flush(Flush { last: false, impatient: false, deadline: Instant::now(), reply });
        assert!(queue.push(&queue.enter().unwrap(), Work::Run(run())).is_ok());

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
    fn undecided_spans_that_are_left_are_counted() {
        let queue = Arc::new(Queue::new(1 << 20));
        let ended = [(true, true), (true, false), (false, true)].map(|(kept, undecided)| Ended {
            span: span(7, 9, 0),
            kept,
            undecided,
        });
        assert!(queue.push(&queue.enter().unwrap(), Work::Ended(ended.into())).is_ok());
        assert_eq!(queue.counters.stats().submitted, 1);
        let mut hand = Hand::new(Arc::clone(&queue));
        hand.fill();
        drop(hand);
        let stats = queue.counters.stats();
        assert_eq!((stats.submitted, stats.queued, stats.in_flight), (2, 0, 0), "{stats}");
        assert_eq!(stats.dropped(DropReason::Panicked), 2, "{stats}");
    }

    #[test]
    fn works_come_in_their_order() {
        let queue = Arc::new(Queue::new(1 << 20));
        let runs: Vec<_> = (0..=2 * Hand::SIZE).map(|_| run()).collect();
        let ids: Vec<_> = runs.iter().map(|run| run.id()).collect();
        for run in runs {
            assert!(queue.push(&queue.enter().unwrap(), Work::Run(run)).is_ok());
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

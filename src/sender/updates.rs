//! Runs that are sent twice: when they start, and again when they have ended. The second part must
//! not overtake the first, and where both meet in one batch they become one.

use super::queue::run_bytes;
use crate::run::{Run, RunId};
use rustc_hash::{FxHashMap, FxHashSet};

/// Keeps posts of runs that have not ended, as long as an update may meet them.
#[derive(Debug, Default)]
pub(crate) struct Updates {
    /// Posts for the batch that fills up.
    open: Vec<Counted>,
    open_bytes: usize,
    /// Posts in batches that are not done, with the numbers of those.
    posted: FxHashMap<RunId, u64>,
    /// Updates whose posts are on their way, by the numbers of the posts' batches.
    waiting: Vec<(u64, Counted)>,
    waiting_bytes: usize,
    /// Posts that are kept on disk.
    on_disk: FxHashSet<RunId>,
}

/// A run, and whether it was counted as submitted when it was handed in.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) run: Run,
    pub(crate) is_counted: bool,
}

impl Updates {
    /// Keeps a post back until the batch is finished.
    pub(crate) fn post(&mut self, run: Run, is_counted: bool) {
        self.open_bytes += run_bytes(&run);
        self.open.push(Counted { run, is_counted });
    }

    /// Takes an update. It comes back when nothing stands in its way.
    pub(crate) fn update(&mut self, run: Run) -> Option<Run> {
        match self.open_post(run.id()) {
            Some(post) => {
                let before = run_bytes(&post.run);
                post.run.merge(run);
                let after = run_bytes(&post.run);
                self.open_bytes = self.open_bytes - before + after;
                None
            }
            None => self.wait(run, false),
        }
    }

    /// Takes a run that has ended, with all that is known of it, and that was counted. It comes back when
    /// nothing stands in its way.
    pub(crate) fn complete(&mut self, run: Run) -> Option<Run> {
        match self.open_post(run.id()) {
            Some(post) => {
                let (before, after) = (run_bytes(&post.run), run_bytes(&run));
                *post = Counted { run, is_counted: true };
                self.open_bytes = self.open_bytes - before + after;
                None
            }
            None => self.wait(run, true),
        }
    }

    fn open_post(&mut self, id: RunId) -> Option<&mut Counted> {
        self.open.iter_mut().find(|post| post.run.id() == id)
    }

    fn wait(&mut self, run: Run, is_counted: bool) -> Option<Run> {
        match self.posted.get(&run.id()) {
            Some(&batch) => {
                self.waiting_bytes += run_bytes(&run);
                self.waiting.push((batch, Counted { run, is_counted }));
                None
            }
            None => Some(run),
        }
    }

    /// How many posts are kept back.
    pub(crate) fn posts(&self) -> usize {
        self.open.len()
    }

    /// The memory that those take.
    pub(crate) fn open_bytes(&self) -> usize {
        self.open_bytes
    }

    /// The memory that all that is kept here takes.
    pub(crate) fn held_bytes(&self) -> usize {
        self.open_bytes + self.waiting_bytes
    }

    /// The posts that were kept back, for the batch that is finished now.
    pub(crate) fn take_posts(&mut self) -> Vec<Counted> {
        self.open_bytes = 0;
        std::mem::take(&mut self.open)
    }

    /// A post goes out with a batch.
    pub(crate) fn posted(&mut self, post: &Run, batch: u64) {
        if post.end.is_none() {
            self.posted.insert(post.id(), batch);
        }
    }

    /// Whether the post of this run is on disk, so that its update has to go there too.
    pub(crate) fn is_on_disk(&self, run: &Run) -> bool {
        self.on_disk.contains(&run.id())
    }

    /// No post is on disk any more.
    pub(crate) fn disk_is_empty(&mut self) {
        self.on_disk = FxHashSet::default();
    }

    /// A batch is done: the updates that waited for it may go.
    pub(crate) fn batch_done(&mut self, batch: u64, kept: bool) -> Vec<Counted> {
        if !self.posted.is_empty() {
            let done = self.posted.extract_if(|_, number| *number == batch).map(|(id, _)| id);
            if kept {
                self.on_disk.extend(done);
            } else {
                done.for_each(drop);
            }
        }
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let (done, waiting) = std::mem::take(&mut self.waiting).into_iter().partition(|(number, _)| *number == batch);
        self.waiting = waiting;
        let done: Vec<(u64, Counted)> = done;
        self.waiting_bytes -= done.iter().map(|(_, update)| run_bytes(&update.run)).sum::<usize>();
        done.into_iter().map(|(_, update)| update).collect()
    }

    /// How many updates wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Lets go of the updates that wait. Says of each whether it is counted already.
    pub(crate) fn clear(&mut self) -> Vec<(Run, bool)> {
        self.waiting_bytes = 0;
        std::mem::take(&mut self.waiting).into_iter().map(|(_, update)| (update.run, update.is_counted)).collect()
    }
}

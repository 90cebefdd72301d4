//! Runs that are sent twice: when they start, and again when they have ended. The second part must
//! not overtake the first, and where both meet in one batch they become one.

use crate::run::{Run, RunId};
use rustc_hash::{FxHashMap, FxHashSet};

/// Keeps posts of runs that have not ended, as long as an update may meet them.
#[derive(Debug, Default)]
pub(crate) struct Updates {
    /// Posts for the batch that fills up.
    open: Vec<Run>,
    /// Posts in batches that are not done, with the numbers of those.
    posted: FxHashMap<RunId, u64>,
    /// Updates whose posts are on their way, by the numbers of the posts' batches.
    waiting: Vec<(u64, Run)>,
    /// Posts that are kept on disk.
    on_disk: FxHashSet<RunId>,
}

impl Updates {
    /// Keeps a post back until the batch is finished.
    pub(crate) fn post(&mut self, run: Run) {
        self.open.push(run);
    }

    /// Takes an update. It comes back when nothing stands in its way.
    pub(crate) fn update(&mut self, run: Run) -> Option<Run> {
        let id = run.id();
        if let Some(post) = self.open.iter_mut().find(|post| post.id() == id) {
            post.merge(run);
            return None;
        }
        match self.posted.get(&id) {
            Some(&batch) => {
                self.waiting.push((batch, run));
                None
            }
            None => Some(run),
        }
    }

    /// How many posts are kept back.
    pub(crate) fn posts(&self) -> usize {
        self.open.len()
    }

    /// The posts that were kept back, for the batch that is finished now.
    pub(crate) fn take_posts(&mut self) -> Vec<Run> {
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
    pub(crate) fn batch_done(&mut self, batch: u64, kept: bool) -> Vec<Run> {
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
        let done: Vec<(u64, Run)> = done;
        done.into_iter().map(|(_, run)| run).collect()
    }

    /// How many updates wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Lets go of the updates that wait.
    pub(crate) fn clear(&mut self) -> Vec<Run> {
        std::mem::take(&mut self.waiting).into_iter().map(|(_, run)| run).collect()
    }
}

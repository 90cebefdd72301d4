//! Keeping on disk what cannot be delivered now.
//!
//! Files are read and written on a thread of the runtime's that is made when it is needed and ends some
//! seconds later, one file at a time: a disk that takes its time holds up no request, and without trouble
//! the thread is never made.

mod directory;
mod file;

pub(crate) use directory::Taken;
#[cfg(feature = "testing")]
pub(crate) use file::read;
pub(crate) use file::{Foreign, Request, Saved};

use super::batch::Batch;
use super::notice::{Notice, Notices};
use super::queue::Queue;
use crate::config::Config;
use crate::error::ConfigError;
use crate::stats::{DropReason, SpoolStats};
use directory::{Directory, NotWritten};
use rustc_hash::FxHashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Notify, OwnedMutexGuard};

pub(crate) struct Spool {
    path: PathBuf,
    budget: u64,
    shelf: Arc<Mutex<Shelf>>,
    queue: Arc<Queue>,
    notices: Notices,
    /// Nothing more fits at the moment.
    full: AtomicBool,
    /// A file was written.
    kept: Notify,
    /// Somebody waits for the endpoint to come back.
    waited_for: AtomicBool,
    back: Notify,
    /// Files that are gone, or about to be, and not counted yet.
    settling: AtomicU64,
    delivered: AtomicU64,
    delivered_runs: AtomicU64,
    rejected: AtomicU64,
}

/// Whoever holds it sees files and their account in accord.
struct Shelf {
    directory: Directory,
    /// How many runs of this client's each of its files has.
    own: FxHashMap<String, u64>,
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spool").field("path", &self.path).field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// What became of a file that was sent.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    pub(crate) delivered_runs: u64,
    /// Runs that the server does not take.
    pub(crate) refused: Vec<Batch>,
    /// What has to be sent again.
    pub(crate) left: Vec<Batch>,
}

impl Sent {
    /// The file is as it was.
    pub(crate) fn is_nothing(&self) -> bool {
        self.delivered_runs == 0 && self.refused.is_empty()
    }
}

impl Spool {
    /// `None` when no directory is set.
    pub(crate) fn open(
        config: &Config,
        queue: &Arc<Queue>,
        notices: &Notices,
    ) -> Result<Option<Arc<Self>>, ConfigError> {
        let Some(path) = config.spool_dir.clone() else { return Ok(None) };
        let directory = Directory::open(&path, config.spool_bytes)
            .map_err(|reason| ConfigError::SpoolDirectory { directory: path.clone(), reason: reason.to_string() })?;
        Ok(Some(Arc::new(Self {
            path,
            budget: config.spool_bytes,
            shelf: Arc::new(Mutex::new(Shelf { directory, own: FxHashMap::default() })),
            queue: Arc::clone(queue),
            notices: notices.clone(),
            full: AtomicBool::new(false),
            kept: Notify::new(),
            waited_for: AtomicBool::new(false),
            back: Notify::new(),
            settling: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            delivered_runs: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
        })))
    }

    /// Looks at the directory, from whatever thread asks.
    pub(crate) fn stats(&self) -> SpoolStats {
        // In this order, so that what no longer waits is counted below.
        let there = directory::count(&self.path);
        let waiting = there.max(self.settling.load(Ordering::SeqCst));
        SpoolStats {
            waiting,
            delivered: self.delivered.load(Ordering::SeqCst),
            delivered_runs: self.delivered_runs.load(Ordering::SeqCst),
            rejected: self.rejected.load(Ordering::SeqCst),
        }
    }

    /// Keeps a batch, and counts its runs as spooled; or says why its runs are lost, `reason` being why it
    /// was not delivered. What is `urgent` does not wait for the disk itself to have it.
    pub(crate) async fn keep(&self, batch: &Batch, reason: DropReason, urgent: bool) -> Result<(), DropReason> {
        let content = batch.clone();
        let written = self.on_disk(move |shelf| shelf.directory.write(&file::write(&content), !urgent)).await;
        match written {
            Some((mut shelf, Ok(name))) => {
                // Before anybody else looks at the shelf, and with no way to be interrupted.
                shelf.own.insert(name, batch.runs);
                self.full.store(false, Ordering::Relaxed);
                self.queue.counters.spooled(batch.runs);
                self.notices.warn(Notice::Spooling, || {
                    format!(
                        "runs that LangSmith does not take ({}) are kept in {}, and sent when it does; further ones are \
                         only counted",
                        reason.as_str(),
                        self.path.display()
                    )
                });
                self.kept.notify_one();
                Ok(())
            }
            Some((_, Err(NotWritten::Full))) => {
                self.full.store(true, Ordering::Relaxed);
                self.notices.warn(Notice::SpoolFull, || {
                    format!(
                        "runs are being dropped: {} holds as many failed traces as it may, {} bytes; raise \
                         LANGSMITH_FAILED_TRACES_MAX_MB or call Config::with_spool_bytes",
                        self.path.display(),
                        self.budget
                    )
                });
                Err(DropReason::SpoolFull)
            }
            Some((_, Err(NotWritten::Failed(error)))) => {
                self.failed(&error.to_string());
                Err(reason)
            }
            None => Err(reason),
        }
    }

    /// Whether a batch would not have been kept lately.
    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Whether no run of this client's waits on disk. When in doubt one does.
    pub(crate) fn has_none_of_ours(&self) -> bool {
        self.shelf.try_lock().is_ok_and(|shelf| shelf.own.is_empty())
    }

    /// The first look at the directory, when nothing else goes on yet.
    pub(crate) async fn look(&self) -> (Vec<String>, bool) {
        let shelf = self.shelf.lock().await;
        let _ = shelf.directory.tidy();
        shelf.directory.list().unwrap_or_default()
    }

    /// Files that wait, oldest first, and whether others are being sent by somebody.
    pub(crate) async fn list(&self) -> (Vec<String>, bool) {
        let listed = self.on_disk(|shelf| {
            // What another process has delivered is no concern of ours any more.
            shelf.own.retain(|name, _| shelf.directory.has(name));
            shelf.directory.list()
        });
        let listed = listed.await;
        listed.and_then(|(_, listed)| listed.ok()).unwrap_or_default()
    }

    /// Takes a file for this client alone and reads it. One that nobody could send is set aside.
    pub(crate) async fn take(&self, name: String) -> Option<(Taken, Saved)> {
        let (shelf, taken) = self.on_disk(move |shelf| shelf.directory.take(&name)).await?;
        drop(shelf);
        let taken = taken?;
        let read = tokio::task::spawn_blocking(move || {
            let saved = taken.read(2 * file::LARGEST).map(|content| file::read(&content));
            (taken, saved)
        });
        let (taken, saved) = read.await.ok()?;
        match saved {
            Ok(Ok(saved)) => Some((taken, saved)),
            Ok(Err(why)) => {
                self.set_aside(taken, &why).await;
                None
            }
            // The disk has a bad moment; the file is put back.
            Err(_) => None,
        }
    }

    /// A taken file was sent, or parts of it were.
    pub(crate) async fn settle(&self, taken: Taken, sent: Sent) {
        self.settling.fetch_add(1, Ordering::SeqCst);
        self.replace(taken, sent).await;
        self.settling.fetch_sub(1, Ordering::SeqCst);
    }

    /// A taken file will never be delivered.
    pub(crate) async fn set_aside(&self, taken: Taken, why: &str) {
        self.settling.fetch_add(1, Ordering::SeqCst);
        self.move_aside(taken, why).await;
        self.settling.fetch_sub(1, Ordering::SeqCst);
    }

    async fn replace(&self, taken: Taken, sent: Sent) {
        let (name, refused, left) = (taken.name(), runs(&sent.refused), runs(&sent.left));
        let settled = self
            .on_disk(move |shelf| {
                for batch in &sent.refused {
                    // There is no room for it, or no disk: it was refused all the same.
                    let _ = shelf.directory.write_aside(&file::write(batch));
                }
                // What they hold is still counted in the budget, which is thus overstepped for a moment.
                let again = sent.left.iter().map(|batch| shelf.directory.rewrite(&taken, &file::write(batch)));
                let again = again.collect::<Result<Vec<_>, _>>()?;
                shelf.directory.remove(taken)?;
                Ok::<_, std::io::Error>(again.into_iter().zip(sent.left.into_iter().map(|batch| batch.runs)))
            })
            .await;
        let Some((mut shelf, settled)) = settled else { return };
        match settled {
            Ok(again) => {
                self.full.store(false, Ordering::Relaxed);
                self.rejected.fetch_add(refused, Ordering::SeqCst);
                self.delivered.fetch_add(u64::from(left == 0), Ordering::SeqCst);
                self.delivered_runs.fetch_add(sent.delivered_runs, Ordering::SeqCst);
                if let Some(runs) = shelf.own.remove(&name) {
                    shelf.own.extend(again);
                    self.queue.counters.unspooled(runs);
                    self.queue.counters.sent(runs.saturating_sub(refused + left));
                    self.queue.counters.drop_taken(DropReason::Refused, refused.min(runs));
                    self.queue.counters.spooled(left.min(runs.saturating_sub(refused)));
                }
            }
            Err(error) => self.failed(&error.to_string()),
        }
    }

    async fn move_aside(&self, taken: Taken, why: &str) {
        let name = taken.name();
        let path = self.path.join("rejected");
        self.notices.warn(Notice::Rejected, || {
            format!(
                "{name} will not be sent again: {why}; it is in {}, where further ones go without a word",
                path.display()
            )
        });
        let Some((mut shelf, done)) = self.on_disk(move |shelf| shelf.directory.set_aside(taken)).await else { return };
        if done.is_ok() {
            self.full.store(false, Ordering::Relaxed);
            self.rejected.fetch_add(1, Ordering::SeqCst);
            if let Some(runs) = shelf.own.remove(&name) {
                self.queue.counters.unspooled(runs);
                self.queue.counters.drop_taken(DropReason::Refused, runs);
            }
        }
    }

    /// Waits until a file is written.
    pub(crate) async fn something_kept(&self) {
        self.kept.notified().await;
    }

    /// Waits until a batch is delivered by the straight way, but not for ever.
    pub(crate) async fn endpoint_back(&self, longest: Duration) {
        self.waited_for.store(true, Ordering::Relaxed);
        let _ = tokio::time::timeout(longest, self.back.notified()).await;
        self.waited_for.store(false, Ordering::Relaxed);
    }

    /// A batch was delivered by the straight way.
    pub(crate) fn delivered(&self) {
        if self.waited_for.swap(false, Ordering::Relaxed) {
            self.back.notify_one();
        }
    }

    fn failed(&self, why: &str) {
        self.notices.warn(Notice::SpoolFailed, || {
            format!("no failed trace could be written or removed in {}: {why}", self.path.display())
        });
    }

    /// Does something with the directory, and hands it back before anybody else has it. `None` if that
    /// panicked.
    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Shelf) -> T + Send + 'static,
    ) -> Option<(OwnedMutexGuard<Shelf>, T)> {
        let mut shelf = Arc::clone(&self.shelf).lock_owned().await;
        let work = tokio::task::spawn_blocking(move || {
            let result = work(&mut shelf);
            (shelf, result)
        });
        work.await.ok()
    }
}

fn runs(batches: &[Batch]) -> u64 {
    batches.iter().map(|batch| batch.runs).sum()
}

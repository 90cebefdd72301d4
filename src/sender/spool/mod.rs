//! Keeping on disk what cannot be delivered now.
//!
//! Files are read and written on a thread of the runtime's that is made when it is needed and ends some
//! seconds later, one file at a time: a disk that takes its time holds up no request, and without trouble
//! the thread is never made.

mod catalog;
mod destination;
mod directory;
mod envelope;
mod file;
mod place;
mod settle;
mod writer;

pub(crate) use directory::Taken;
#[cfg(feature = "testing")]
pub(crate) use file::read_adopted;
pub(crate) use file::{Foreign, Request, Saved};
pub(crate) use settle::Sent;

use super::batch::Batch;
use super::notice::{Notice, Notices};
use super::queue::Queue;
use crate::config::Config;
use crate::error::ConfigError;
use crate::stats::{DropReason, SpoolStats};
use catalog::Catalog;
use destination::Destination;
use directory::{Directory, Opened};
use file::Unfit;
use rustc_hash::FxHashMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Notify, OwnedMutexGuard};
use writer::{NotWritten, Writer};

/// A batch takes no more, unless more is configured. LangSmith itself takes 25 MiB in one request.
const LARGEST_BODY: usize = 32 << 20;

pub(crate) struct Spool {
    path: PathBuf,
    budget: u64,
    catalog: Arc<Catalog>,
    /// Nothing was there when the client started.
    was_empty: bool,
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
    /// How often LangSmith has taken something, from memory or from here.
    accepted: AtomicU64,
    /// Files that are gone, or about to be, and not counted yet.
    settling: AtomicU64,
    delivered: AtomicU64,
    delivered_runs: AtomicU64,
    rejected: AtomicU64,
}

/// Whoever holds it sees files and their account in accord.
struct Shelf {
    writer: Writer,
    /// How many runs of this client's each of its files has.
    own: FxHashMap<String, u64>,
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spool").field("path", &self.path).finish_non_exhaustive()
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
        let failed =
            |reason: io::Error| ConfigError::SpoolDirectory { directory: path.clone(), reason: reason.to_string() };
        let Opened { directory, has_locks, is_empty } = Directory::open(&path).map_err(failed)?;
        if !has_locks {
            notices.warn(Notice::NoLocks, || {
                format!(
                    "{} is on a file system without locks: failed traces that a process leaves behind when it is killed while \
                     it sends them are sent an hour later, and may be sent twice",
                    path.display()
                )
            });
        }
        let directory = Arc::new(directory);
        let largest_body = LARGEST_BODY.max(config.batch_bytes + config.batch_bytes / 8) as u64;
        let catalog =
            Catalog::new(Arc::clone(&directory), Destination::new(config), path.clone(), largest_body, notices.clone());
        let writer = Writer::new(directory, config.spool_bytes);
        Ok(Some(Arc::new(Self {
            path,
            budget: config.spool_bytes,
            catalog: Arc::new(catalog),
            was_empty: is_empty,
            shelf: Arc::new(Mutex::new(Shelf { writer, own: FxHashMap::default() })),
            queue: Arc::clone(queue),
            notices: notices.clone(),
            full: AtomicBool::new(false),
            kept: Notify::new(),
            waited_for: AtomicBool::new(false),
            back: Notify::new(),
            accepted: AtomicU64::new(0),
            settling: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            delivered_runs: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
        })))
    }

    /// Looks at the directory, from whatever thread asks.
    pub(crate) fn stats(&self) -> SpoolStats {
        // In this order, so that what no longer waits is counted below.
        let there = self.catalog.count();
        let waiting = there.waiting.max(self.settling.load(Ordering::SeqCst));
        SpoolStats {
            waiting,
            other_destination: there.other_destination,
            skipped: there.skipped,
            delivered: self.delivered.load(Ordering::SeqCst),
            delivered_runs: self.delivered_runs.load(Ordering::SeqCst),
            rejected: self.rejected.load(Ordering::SeqCst),
        }
    }

    /// Keeps a batch, and counts its runs as spooled; or says why its runs are lost, `reason` being why it
    /// was not delivered. What is `urgent` does not wait for the disk itself to have it.
    pub(crate) async fn keep(&self, batch: &Batch, reason: DropReason, urgent: bool) -> Result<(), DropReason> {
        let (content, catalog) = (batch.clone(), Arc::clone(&self.catalog));
        let written = self
            .on_disk(move |shelf| {
                let written = shelf.writer.write(&file::write(&content, &catalog.destination), !urgent);
                written.map_err(|why| (matches!(why, NotWritten::Full).then(|| catalog.count()), why))
            })
            .await;
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
            Some((_, Err((count, NotWritten::Full)))) => {
                self.full.store(true, Ordering::Relaxed);
                let count = count.unwrap_or_default();
                self.notices.warn(Notice::SpoolFull, || {
                    format!(
                        "runs are being dropped: {} holds as many failed traces as it may, {} bytes; {} of them are meant for \
                         other destinations and {} cannot be sent; raise LANGSMITH_FAILED_TRACES_MAX_MB or call \
                         Config::with_spool_bytes, or give each destination a directory of its own",
                        self.path.display(),
                        self.budget,
                        count.other_destination,
                        count.skipped,
                    )
                });
                Err(DropReason::SpoolFull)
            }
            Some((_, Err((_, NotWritten::Failed(error))))) => {
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

    /// The first look at the directory.
    pub(crate) async fn look(&self) -> (Vec<String>, bool) {
        if self.was_empty {
            return Default::default();
        }
        let directory = Arc::clone(&self.catalog.directory);
        let _ = tokio::task::spawn_blocking(move || directory.tidy()).await;
        self.list().await
    }

    /// Files that wait for this client, oldest first, and whether others are being sent by somebody.
    pub(crate) async fn list(&self) -> (Vec<String>, bool) {
        // What another process has delivered is no concern of ours any more.
        let forget = |shelf: &mut Shelf| {
            if shelf.own.is_empty() {
                return;
            }
            match shelf.writer.directory.place() {
                Ok(place) => shelf.own.retain(|name, _| Directory::has(&place, name)),
                Err(reason) if reason.kind() == io::ErrorKind::NotFound => shelf.own.clear(),
                Err(_) => {}
            }
        };
        drop(self.on_disk(forget).await);
        // Whoever wants to keep something does not wait for this.
        let catalog = Arc::clone(&self.catalog);
        let listed = tokio::task::spawn_blocking(move || catalog.list()).await;
        match listed {
            Ok(Ok(listed)) => listed,
            Ok(Err(reason)) if reason.kind() == io::ErrorKind::NotFound => Default::default(),
            // It may be well again soon.
            Ok(Err(reason)) => {
                self.failed(&reason.to_string());
                (Vec::new(), true)
            }
            Err(_) => (Vec::new(), true),
        }
    }

    /// Takes a file for this client alone and reads it. One that nobody could send is set aside, and one that this client
    /// cannot send stays.
    pub(crate) async fn take(&self, name: String) -> Option<(Taken, Saved)> {
        let catalog = Arc::clone(&self.catalog);
        let read = tokio::task::spawn_blocking(move || {
            let Ok(taken) = catalog.directory.take(&name) else {
                catalog.skip(&name, "it cannot be called `….taken` while it is sent: the name is in use, or too long");
                return None;
            };
            let taken = taken?;
            let saved = match taken.read(catalog.largest_file()) {
                Ok(Some(content)) => file::read(content, &catalog.destination, catalog.largest_body),
                Ok(None) => Err(Unfit::TooLarge),
                // The disk has a bad moment.
                Err(_) => {
                    taken.put_back();
                    return None;
                }
            };
            match saved {
                Ok(saved) => return Some((taken, Ok(saved))),
                Err(Unfit::Damaged(why)) => return Some((taken, Err(why))),
                Err(Unfit::TooLarge) => catalog.skip(taken.name(), &catalog.too_large()),
                Err(Unfit::Version(why)) => catalog.skip(taken.name(), &why),
                Err(Unfit::OtherDestination(url)) => catalog.leave_to_others(taken.name(), &url),
            }
            taken.put_back();
            None
        });
        match read.await.ok()?? {
            (taken, Ok(saved)) => Some((taken, saved)),
            (taken, Err(why)) => {
                self.set_aside(taken, &why).await;
                None
            }
        }
    }

    /// A taken file is as it was, and waits again.
    pub(crate) async fn put_back(&self, taken: Taken) {
        let _ = tokio::task::spawn_blocking(move || taken.put_back()).await;
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

    /// How often LangSmith has taken something.
    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::SeqCst)
    }

    /// It has taken something that was here.
    pub(crate) fn note_accepted(&self) {
        self.accepted.fetch_add(1, Ordering::SeqCst);
    }

    /// A batch was delivered by the straight way.
    pub(crate) fn delivered(&self) {
        self.note_accepted();
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

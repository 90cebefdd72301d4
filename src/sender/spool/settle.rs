//! What becomes of a file that was sent, or never will be.

use super::catalog::{shown, Catalog};
use super::directory::Taken;
use super::file;
use super::writer::{Writer, REJECTED};
use super::{Shelf, Spool};
use crate::sender::batch::Batch;
use crate::sender::notice::Notice;
use crate::stats::DropReason;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::Arc;

/// What became of a file that was sent.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    pub(crate) delivered_runs: u64,
    /// Runs that the server does not take.
    pub(crate) refused: Vec<Batch>,
    /// Runs that it may never take, and how often it had taken something when it did not take them.
    pub(crate) suspects: Vec<(Batch, u64)>,
    /// What has to be sent again.
    pub(crate) left: Vec<Batch>,
}

/// Files that hold what is left of one, by their new names.
#[derive(Debug, Default)]
pub(crate) struct Rewritten {
    pub(crate) suspects: Vec<String>,
}

impl Sent {
    /// The file is as it was.
    pub(crate) fn is_nothing(&self) -> bool {
        self.delivered_runs == 0 && self.refused.is_empty() && self.suspects.is_empty()
    }
}

impl Spool {
    /// A taken file was sent, or parts of it were. What is left of it is in the files that are named. `None` when the
    /// disk did not take that: then the file is as it was.
    pub(crate) async fn settle(&self, taken: Taken, sent: Sent) -> Option<Rewritten> {
        self.settling.fetch_add(1, Ordering::SeqCst);
        let rewritten = self.replace(taken, sent).await;
        self.settling.fetch_sub(1, Ordering::SeqCst);
        rewritten
    }

    /// A taken file will never be delivered.
    pub(crate) async fn set_aside(&self, taken: Taken, why: &str) {
        self.settling.fetch_add(1, Ordering::SeqCst);
        self.move_aside(taken, why).await;
        self.settling.fetch_sub(1, Ordering::SeqCst);
    }

    /// Writes a batch that was refused to where somebody may look at it. Says whether there was room for it.
    pub(crate) async fn quarantine(&self, batch: &Batch) -> bool {
        let (content, catalog) = (batch.clone(), Arc::clone(&self.catalog));
        let write = move |shelf: &mut Shelf| shelf.writer.write_rejected(&file::write(&content, &catalog.destination));
        let Some((_, Ok(name))) = self.on_disk(write).await else { return false };
        self.rejected.fetch_add(1, Ordering::SeqCst);
        self.tell_rejected(&name, "LangSmith refused it");
        true
    }

    async fn replace(&self, taken: Taken, sent: Sent) -> Option<Rewritten> {
        let (name, delivered_runs) = (taken.name().to_owned(), sent.delivered_runs);
        let catalog = Arc::clone(&self.catalog);
        let settled = self.on_disk(move |shelf| shelf.replace(taken, &sent, &catalog)).await;
        let (mut shelf, settled) = settled?;
        match settled {
            Ok(Replaced { rejected, left, suspects }) => {
                self.full.store(false, Ordering::Relaxed);
                self.rejected.fetch_add(rejected, Ordering::SeqCst);
                let left_runs: u64 = left.iter().map(|(_, runs)| runs).sum();
                self.delivered.fetch_add(u64::from(left_runs == 0), Ordering::SeqCst);
                self.delivered_runs.fetch_add(delivered_runs, Ordering::SeqCst);
                if let Some(runs) = shelf.own.remove(&name) {
                    shelf.own.extend(left);
                    self.queue.counters.unspooled(runs);
                    self.queue.counters.sent(runs.saturating_sub(rejected + left_runs));
                    self.queue.counters.drop_taken(DropReason::Refused, rejected.min(runs));
                    self.queue.counters.spooled(left_runs.min(runs.saturating_sub(rejected)));
                }
                Some(Rewritten { suspects })
            }
            Err(error) => {
                self.failed(&error.to_string());
                None
            }
        }
    }

    async fn move_aside(&self, taken: Taken, why: &str) {
        let name = taken.name().to_owned();
        let Some((mut shelf, done)) = self.on_disk(move |shelf| shelf.writer.reject(taken)).await else { return };
        if let Err(reason) = done {
            return self.catalog.skip(&name, &format!("{why}; and it cannot be moved to `{REJECTED}`: {reason}"));
        }
        self.full.store(false, Ordering::Relaxed);
        self.rejected.fetch_add(1, Ordering::SeqCst);
        if let Some(runs) = shelf.own.remove(&name) {
            self.queue.counters.unspooled(runs);
            self.queue.counters.drop_taken(DropReason::Refused, runs);
        }
        self.tell_rejected(&name, why);
    }

    fn tell_rejected(&self, name: &str, why: &str) {
        self.notices.warn(Notice::Rejected, || {
            format!(
                "{name:?} will not be sent again: {}; it is in {}, where further ones go without a word",
                shown(why),
                self.path.join(REJECTED).display()
            )
        });
    }
}

/// What a taken file has become.
struct Replaced {
    /// Runs that were moved to where somebody may look at them.
    rejected: u64,
    /// New files in the place of the old one, and their runs.
    left: Vec<(String, u64)>,
    /// Those of them that hold one run which may never be taken.
    suspects: Vec<String>,
}

impl Shelf {
    /// Writes what was not delivered of a taken file into files of its own, and removes it. If that fails it is as it was.
    fn replace(&mut self, taken: Taken, sent: &Sent, catalog: &Catalog) -> io::Result<Replaced> {
        let content = |batch: &Batch| file::write(batch, &catalog.destination);
        let (mut rejected, mut rejected_names) = (0, Vec::new());
        let mut replaced = Replaced { rejected: 0, left: Vec::new(), suspects: Vec::new() };
        let mut write = |writer: &mut Writer, replaced: &mut Replaced| {
            for batch in &sent.refused {
                // Where there is no room for it, it stays.
                match writer.write_rejected(&content(batch)) {
                    Ok(name) => {
                        rejected_names.push(name);
                        rejected += batch.runs;
                    }
                    Err(reason) => {
                        let name = writer.rewrite(&taken, &content(batch))?;
                        let why = format!("LangSmith refused it, and it cannot be moved to `{REJECTED}`: {reason}");
                        catalog.skip(&name, &why);
                        replaced.left.push((name, batch.runs));
                    }
                }
            }
            // What they hold is still counted in the budget, which is thus overstepped for a moment.
            for (batch, _) in &sent.suspects {
                let name = writer.rewrite(&taken, &content(batch))?;
                replaced.suspects.push(name.clone());
                replaced.left.push((name, batch.runs));
            }
            for batch in &sent.left {
                replaced.left.push((writer.rewrite(&taken, &content(batch))?, batch.runs));
            }
            Ok::<(), io::Error>(())
        };
        let written = write(&mut self.writer, &mut replaced);
        if let Err(reason) = written {
            for (name, _) in &replaced.left {
                self.writer.unwrite(name);
            }
            for name in &rejected_names {
                self.writer.unwrite_rejected(name);
            }
            taken.put_back();
            return Err(reason);
        }
        self.writer.remove(taken)?;
        Ok(Replaced { rejected, ..replaced })
    }
}

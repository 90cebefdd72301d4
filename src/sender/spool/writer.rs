//! Files are written whole or not at all, and within a budget; what will never be delivered goes to a directory beside them.

use super::directory::{self, beside, Directory, Taken, UNFINISHED, WAITING};
use super::place::{Lock, Place};
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where files go that will never be delivered.
pub(super) const REJECTED: &str = "rejected";
/// For so long the sizes of other processes' files are remembered, and for so many times as long as it took to see them.
const RECENT: Duration = Duration::from_secs(1);
const RECENT_TIMES: u32 = 20;

#[derive(Debug)]
pub(super) struct Writer {
    pub(super) directory: Arc<Directory>,
    budget: u64,
    used: Used,
    /// The same of the directory for what was refused.
    rejected_used: Used,
    /// Microseconds in the name of the last file: names say in which order files were written.
    last_stamp: u128,
}

/// The bytes in a directory, and until when that is believed.
#[derive(Debug, Default)]
struct Used(Option<(Instant, u64)>);

impl Used {
    fn bytes(&mut self, place: &Place) -> io::Result<u64> {
        let now = Instant::now();
        if let Some((_, used)) = self.0.filter(|(until, _)| now < *until) {
            return Ok(used);
        }
        let used = directory::bytes(place)?;
        self.0 = Some((now + RECENT.max(now.elapsed() * RECENT_TIMES), used));
        Ok(used)
    }

    fn grow(&mut self, size: u64) {
        self.0 = self.0.map(|(until, used)| (until, used + size));
    }

    fn shrink(&mut self, size: u64) {
        self.0 = self.0.map(|(until, used)| (until, used.saturating_sub(size)));
    }

    fn forget(&mut self) {
        self.0 = None;
    }
}

/// Why a file was not written.
#[derive(Debug)]
pub(super) enum NotWritten {
    /// It does not fit.
    Full,
    Failed(io::Error),
}

impl From<io::Error> for NotWritten {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl Writer {
    pub(super) fn new(directory: Arc<Directory>, budget: u64) -> Self {
        Self { directory, budget, used: Used::default(), rejected_used: Used::default(), last_stamp: 0 }
    }

    /// Writes a file and says what it is called. It has its name when it is complete, so whatever ends
    /// the process leaves no half one behind. What is `durable` outlives the machine's end too; the
    /// name itself may be lost then, which is no worse than to have come too late.
    pub(super) fn write(&mut self, content: &[u8], durable: bool) -> Result<String, NotWritten> {
        let place = self.directory.place_to_write()?;
        let size = content.len() as u64;
        if self.used.bytes(&place)? + size > self.budget {
            return Err(NotWritten::Full);
        }
        let name = self.next_name();
        write_whole(&place, &name, content, durable)?;
        self.used.grow(size);
        Ok(name)
    }

    /// Writes a part of a taken file in its place among the others. No budget holds it back: the taken file
    /// is removed next.
    pub(super) fn rewrite(&mut self, taken: &Taken, content: &[u8]) -> io::Result<String> {
        let place = self.directory.place_to_write()?;
        let name = beside(taken.name());
        write_whole(&place, &name, content, true)?;
        self.used.grow(content.len() as u64);
        Ok(name)
    }

    /// A file that was written after all is of no use.
    pub(super) fn unwrite(&mut self, name: &str) {
        let _ = self.directory.place().and_then(|place| place.remove(name));
        self.used.forget();
    }

    /// Writes what was refused to where somebody may look at it, and says what it is called.
    pub(super) fn write_rejected(&mut self, content: &[u8]) -> io::Result<String> {
        let rejected = self.rejected(content.len() as u64)?;
        let name = self.next_name();
        write_whole(&rejected, &name, content, false)?;
        self.rejected_used.grow(content.len() as u64);
        Ok(name)
    }

    pub(super) fn unwrite_rejected(&mut self, name: &str) {
        let _ = self.rejected(0).and_then(|rejected| rejected.remove(name));
        self.rejected_used.forget();
    }

    /// A taken file was delivered, or its content is elsewhere.
    pub(super) fn remove(&mut self, taken: Taken) -> io::Result<()> {
        let place = self.directory.place()?;
        let size = taken.file().metadata()?.len();
        match place.remove(&taken.away()) {
            // Somebody else has done so.
            Err(reason) if reason.kind() == io::ErrorKind::NotFound => {}
            removed => removed?,
        }
        taken.settled();
        self.used.shrink(size);
        Ok(())
    }

    /// A taken file will never be delivered. If there is no room for it, it waits again, and the reason is given.
    pub(super) fn reject(&mut self, taken: Taken) -> io::Result<()> {
        let size = taken.file().metadata()?.len();
        let moved = self.rejected(size).and_then(|rejected| {
            let place = self.directory.place()?;
            let new = if rejected.has(taken.name()) { beside(taken.name()) } else { taken.name().to_owned() };
            place.rename(&taken.away(), &rejected, &new)
        });
        match moved {
            Ok(()) => {
                taken.settled();
                self.used.shrink(size);
                self.rejected_used.grow(size);
            }
            Err(_) => taken.put_back(),
        }
        moved
    }

    /// The directory for what was refused, if it has room. It may hold as much as this one.
    fn rejected(&mut self, size: u64) -> io::Result<Place> {
        let rejected = self.directory.place_to_write()?.inner(REJECTED, self.directory.user())?;
        if self.rejected_used.bytes(&rejected)? + size > self.budget {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(rejected)
    }

    fn next_name(&mut self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        self.last_stamp = now.max(self.last_stamp + 1);
        let (seconds, micros) = (self.last_stamp / 1_000_000, self.last_stamp % 1_000_000);
        format!("trace_{seconds}.{micros:06}_{:08x}{WAITING}", fastrand::u32(..))
    }
}

fn write_whole(place: &Place, name: &str, content: &[u8], durable: bool) -> io::Result<()> {
    let unfinished = format!("{}{UNFINISHED}", name.strip_suffix(WAITING).unwrap_or(name));
    let mut file = place.create(&unfinished)?;
    let mut write = || {
        // Where there are no locks, its age alone says whether it was abandoned.
        let _ = Lock::of(&file);
        file.write_all(content)?;
        if durable {
            file.sync_data()?;
        }
        place.rename(&unfinished, place, name)
    };
    let written = write().inspect_err(|_| {
        let _ = place.remove(&unfinished);
    });
    Lock::give_back(&file);
    written
}

//! The directory with the files: which ones wait, and taking them so that nobody else sends them too.
//!
//! A file has one of three names. `….tmp` is being written, and nobody reads it. `trace_….json` waits.
//! `trace_….json.taken` is being sent by a process that holds a lock on it, from before it got that name
//! until it is gone or has its old name again. The system frees the lock of a process that dies, so a
//! taken file without a lock was left behind, and waits again. What it held may have arrived: then the
//! server says so by a 409. Where there are no locks, a file belongs to whoever has renamed it, and its age
//! alone says that it was left behind.

use super::place::{make, Lock, Place, User};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::runtime::Handle;

pub(super) const WAITING: &str = ".json";
const TAKEN: &str = ".taken";
pub(super) const UNFINISHED: &str = ".tmp";
/// A file that nobody has finished after this time never will be.
const ABANDONED: Duration = Duration::from_secs(60);
/// The same where no lock says that somebody still works at it.
const ABANDONED_UNLOCKED: Duration = Duration::from_secs(3600);

#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    user: User,
}

/// What was found in the directory.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Oldest first.
    pub(super) waiting: Vec<String>,
    /// Others are being sent by somebody.
    pub(super) taken: bool,
    /// Left behind by somebody whose files are not to be sent; as they were called before.
    pub(super) strangers: Vec<String>,
}

/// What the first look has shown.
pub(super) struct Opened {
    pub(super) directory: Directory,
    pub(super) has_locks: bool,
    /// There is nothing in it.
    pub(super) is_empty: bool,
}

impl Directory {
    /// Makes the directory if need be, and tries whether it can be written to.
    pub(super) fn open(path: &Path) -> io::Result<Opened> {
        make(path)?;
        let place = Place::open(path)?;
        let is_empty = place.names()?.is_empty();
        let probe = format!("probe_{:016x}{UNFINISHED}", fastrand::u64(..));
        let file = place.create(&probe)?;
        place.remove(&probe)?;
        let (user, has_locks) = (User::of(&file)?, Lock::of(&file) != Lock::Missing);
        Ok(Opened { directory: Self { path: path.to_owned(), user }, has_locks, is_empty })
    }

    /// To read what is there.
    pub(super) fn place(&self) -> io::Result<Place> {
        Place::open(&self.path)
    }

    /// To write to it. It may have been removed in the meantime.
    pub(super) fn place_to_write(&self) -> io::Result<Place> {
        self.place().or_else(|reason| match reason.kind() {
            io::ErrorKind::NotFound => {
                make(&self.path)?;
                self.place()
            }
            _ => Err(reason),
        })
    }

    pub(super) fn user(&self) -> User {
        self.user
    }

    pub(super) fn list(&self) -> io::Result<Listing> {
        let place = self.place()?;
        let mut listing = Listing::default();
        for name in place.names()?.into_iter().filter(|name| is_ours(name)) {
            let Some(home) = name.strip_suffix(TAKEN) else {
                listing.waiting.push(name);
                continue;
            };
            match self.put_back_abandoned(&place, home) {
                Ok(Some(name)) => listing.waiting.push(name),
                Ok(None) => listing.taken = true,
                Err(reason) if reason.kind() == io::ErrorKind::NotFound => {}
                Err(_) => listing.strangers.push(home.to_owned()),
            }
        }
        listing.waiting.sort_unstable();
        Ok(listing)
    }

    /// Gives a file its name back if nobody sends it, and says which that is.
    fn put_back_abandoned(&self, place: &Place, home: &str) -> io::Result<Option<String>> {
        let file = self.open_file(place, &taken(home))?;
        // The lock is held until the file has its name again.
        let is_left = match Lock::of(&file) {
            Lock::Held => true,
            Lock::Busy => false,
            Lock::Missing => is_older(&file, ABANDONED_UNLOCKED),
        };
        let is_back = is_left.then(|| put_back(place, home)).transpose();
        Lock::give_back(&file);
        is_back
    }

    /// Opens a file whose content may be sent.
    pub(super) fn open_file(&self, place: &Place, name: &str) -> io::Result<File> {
        let file = place.open_file(name)?;
        if place.trusts(&file.metadata()?, self.user)? {
            Ok(file)
        } else {
            let reason = "others may write to the directory, and it is not this user's alone";
            Err(io::Error::new(io::ErrorKind::PermissionDenied, reason))
        }
    }

    /// Whether a file waits or is being sent.
    pub(super) fn has(place: &Place, name: &str) -> bool {
        place.has(name) || place.has(&taken(name)) || place.has(name)
    }

    /// Removes what processes that died had begun to write.
    pub(super) fn tidy(&self) -> io::Result<()> {
        let place = self.place()?;
        for name in place.names()? {
            let ours = (name.starts_with("trace_") || name.starts_with("probe_")) && name.ends_with(UNFINISHED);
            let Some(file) = ours.then(|| self.open_file(&place, &name).ok()).flatten() else { continue };
            // Whoever still writes holds a lock.
            let is_left = match Lock::of(&file) {
                Lock::Held => is_older(&file, ABANDONED),
                Lock::Busy => false,
                Lock::Missing => is_older(&file, ABANDONED_UNLOCKED),
            };
            if is_left {
                let _ = place.remove(&name);
            }
            Lock::give_back(&file);
        }
        Ok(())
    }

    /// Takes a file, unless somebody else has it.
    ///
    /// # Errors
    /// It cannot have the name that it would get.
    pub(super) fn take(self: &Arc<Self>, name: &str) -> io::Result<Option<Taken>> {
        let opened = self.place().and_then(|place| self.open_file(&place, name).map(|file| (place, file)));
        let Ok((place, file)) = opened else { return Ok(None) };
        match Lock::of(&file) {
            Lock::Held => {}
            Lock::Busy => return Ok(None),
            // It is not old from now on.
            Lock::Missing => drop(file.set_modified(SystemTime::now())),
        }
        // Who had it before may have removed it before the lock was free.
        match place.rename(name, &place, &taken(name)) {
            Ok(()) => {}
            // That will not be otherwise soon: it is in use, or too long.
            Err(reason) if matches!(reason.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::InvalidFilename) => {
                return Err(reason);
            }
            Err(_) => return Ok(None),
        }
        let taken = Taken { file, directory: Arc::clone(self), name: name.to_owned(), settled: false };
        // Another one may have this name by now; it is put back.
        Ok(place.is(&taken.away(), &taken.file).then_some(taken))
    }
}

/// How many files wait or are being sent, by what is asked of the names that they have when they wait.
pub(super) fn names(directory: &Directory) -> io::Result<Vec<String>> {
    let mut names = directory.place()?.names()?;
    names.retain(|name| is_ours(name));
    for name in &mut names {
        let home = name.strip_suffix(TAKEN).unwrap_or(name).len();
        name.truncate(home);
    }
    Ok(names)
}

/// The bytes of all failed traces in it.
pub(super) fn bytes(place: &Place) -> io::Result<u64> {
    Ok(place.names()?.iter().filter(|name| is_ours(name)).filter_map(|name| place.size(name)).sum())
}

/// Whether a file is a failed trace that waits or is being sent.
fn is_ours(name: &str) -> bool {
    name.starts_with("trace_") && name.strip_suffix(TAKEN).unwrap_or(name).ends_with(WAITING)
}

fn taken(home: &str) -> String {
    format!("{home}{TAKEN}")
}

fn is_older(file: &File, age: Duration) -> bool {
    let at = file.metadata().and_then(|metadata| metadata.modified());
    at.ok().and_then(|at| at.elapsed().ok()).is_some_and(|elapsed| elapsed > age)
}

/// Gives a taken file its name back, or one beside it where that is in use.
fn put_back(place: &Place, home: &str) -> io::Result<String> {
    match place.rename(&taken(home), place, home) {
        Err(reason) if reason.kind() == io::ErrorKind::AlreadyExists => {
            let beside = beside(home);
            place.rename(&taken(home), place, &beside).map(|()| beside)
        }
        done => done.map(|()| home.to_owned()),
    }
}

/// A new name that has the same place among the others.
pub(super) fn beside(name: &str) -> String {
    let stamp = name.rsplit_once('_').map_or(name, |(stamp, _)| stamp);
    format!("{stamp}_{:08x}{WAITING}", fastrand::u32(..))
}

/// A file that this process alone may send. It waits again when it is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    file: File,
    directory: Arc<Directory>,
    name: String,
    settled: bool,
}

impl Taken {
    /// As it is called when it waits.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn away(&self) -> String {
        taken(&self.name)
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// The whole file; `None` if it is larger than that.
    pub(super) fn read(&self, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let size = self.file.metadata()?.len();
        if size > limit {
            return Ok(None);
        }
        let mut content = Vec::with_capacity(usize::try_from(size + 1).unwrap_or_default());
        (&self.file).take(limit + 1).read_to_end(&mut content)?;
        Ok(Some(content).filter(|content| content.len() as u64 <= limit))
    }

    /// Its name is no longer in the directory.
    pub(super) fn settled(mut self) {
        self.settled = true;
        Lock::give_back(&self.file);
    }

    /// It waits again, now.
    pub(super) fn put_back(mut self) {
        self.settled = true;
        // If that fails it is found as abandoned.
        let _ = self.directory.place().and_then(|place| put_back(&place, &self.name));
        Lock::give_back(&self.file);
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        // The lock is held until it is done.
        let (file, directory, name) = (self.file.try_clone(), Arc::clone(&self.directory), self.name.clone());
        let put_back = move || {
            let _ = directory.place().and_then(|place| put_back(&place, &name));
            if let Ok(file) = file {
                Lock::give_back(&file);
            }
        };
        match Handle::try_current() {
            // The network's thread does not wait for a disk.
            Ok(runtime) => drop(runtime.spawn_blocking(put_back)),
            Err(_) => put_back(),
        }
    }
}

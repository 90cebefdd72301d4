//! A directory that others may have a hand in: what is opened in it is a regular file, no link is followed below it, and no
//! file is written over another one.

#[cfg(not(unix))]
mod portable;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
pub(super) use portable::Place;
#[cfg(unix)]
pub(super) use unix::Place;

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::path::Path;

/// Who a file system says that this process is: what it calls the owner of a file that was just made.
#[derive(Clone, Copy, Debug)]
pub(super) struct User(#[cfg(unix)] u32, #[cfg(not(unix))] ());

/// What became of the try to lock a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lock {
    Held,
    /// Another process, or another client of this one, has it.
    Busy,
    /// This file system has no locks.
    Missing,
}

impl Lock {
    pub(super) fn of(file: &File) -> Self {
        match file.try_lock() {
            Ok(()) => Self::Held,
            Err(TryLockError::WouldBlock) => Self::Busy,
            Err(TryLockError::Error(_)) => Self::Missing,
        }
    }

    /// Closing a file unlocks it only if no process that was forked meanwhile has it open too.
    pub(super) fn give_back(file: &File) {
        // Where there are no locks there is none to give back.
        let _ = file.unlock();
    }
}

/// Makes a directory for this user alone, where it is not there yet.
pub(super) fn make(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn no_regular_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")
}

//! Everything goes by way of an open directory, so that nobody can exchange it half-way.

use super::{no_regular_file, User};
use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags, CWD};
use rustix::io::Errno;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Never a wait for whoever holds the other end of a pipe, never a terminal, never for programs that are started.
const FILE: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// Anybody but the owner may write.
const OPEN_TO_OTHERS: u32 = 0o022;
const ROOT: u32 = 0;

impl User {
    pub(in super::super) fn of(file: &File) -> io::Result<Self> {
        Ok(Self(file.metadata()?.uid()))
    }

    fn is_trusted(self, uid: u32) -> bool {
        uid == self.0 || uid == ROOT
    }
}

#[derive(Debug)]
pub(in super::super) struct Place(File);

impl Place {
    /// The directory itself may be a link, as volumes are.
    pub(in super::super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(fs::openat(CWD, path, DIRECTORY, Mode::empty())?.into()))
    }

    /// A directory in this one, made if need be. A link is none, and where others may write neither is one of theirs.
    pub(in super::super) fn inner(&self, name: &str, user: User) -> io::Result<Self> {
        match fs::mkdirat(&self.0, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(reason) => return Err(reason.into()),
        }
        let inner: File = fs::openat(&self.0, name, DIRECTORY.union(OFlags::NOFOLLOW), Mode::empty())?.into();
        if self.is_exposed(user)? && !user.is_trusted(inner.metadata()?.uid()) {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to another user"));
        }
        Ok(Self(inner))
    }

    /// Whether others can put files into it. Whoever owns a directory can, whatever its mode is.
    fn is_exposed(&self, user: User) -> io::Result<bool> {
        let directory = self.0.metadata()?;
        Ok(directory.mode() & OPEN_TO_OTHERS != 0 || !user.is_trusted(directory.uid()))
    }

    /// Whether what a file says may be sent. Where others can put files it has to be this user's or root's, and to have no
    /// second name: that may be a way to have a file sent which was meant for something else.
    pub(in super::super) fn trusts(&self, file: &Metadata, user: User) -> io::Result<bool> {
        Ok(!self.is_exposed(user)? || (user.is_trusted(file.uid()) && file.nlink() == 1))
    }

    /// The names of the regular files; of those that are no text, none is this crate's.
    pub(in super::super) fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            let is_file = match entry.file_type() {
                FileType::RegularFile => true,
                // Some file systems do not tell.
                FileType::Unknown => self.size(name).is_some(),
                _ => false,
            };
            if is_file {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// The size of a regular file.
    pub(in super::super) fn size(&self, name: &str) -> Option<u64> {
        let stat = fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        FileType::from_raw_mode(stat.st_mode).is_file().then(|| u64::try_from(stat.st_size).unwrap_or_default())
    }

    pub(in super::super) fn has(&self, name: &str) -> bool {
        fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Opens a regular file, and nothing else.
    pub(in super::super) fn open_file(&self, name: &str) -> io::Result<File> {
        // A device might do something when it is opened.
        let stat = fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if !FileType::from_raw_mode(stat.st_mode).is_file() {
            return Err(no_regular_file());
        }
        // On network file systems only what can be written can be locked.
        let opened = match fs::openat(&self.0, name, FILE.union(OFlags::RDWR), Mode::empty()) {
            Err(Errno::ACCESS | Errno::PERM | Errno::ROFS) => fs::openat(&self.0, name, FILE, Mode::empty()),
            opened => opened,
        };
        let file: File = opened?.into();
        if file.metadata()?.is_file() {
            Ok(file)
        } else {
            Err(no_regular_file())
        }
    }

    /// Whether a name stands for this very file.
    pub(in super::super) fn is(&self, name: &str, file: &File) -> bool {
        let there = fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW);
        let (Ok(there), Ok(here)) = (there, fs::fstat(file)) else { return false };
        (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)
    }

    /// Makes a file for this user alone, where there is none of that name.
    pub(in super::super) fn create(&self, name: &str) -> io::Result<File> {
        let flags = FILE.union(OFlags::RDWR).union(OFlags::CREATE).union(OFlags::EXCL);
        Ok(fs::openat(&self.0, name, flags, Mode::RUSR.union(Mode::WUSR))?.into())
    }

    pub(in super::super) fn rename(&self, name: &str, to: &Self, new: &str) -> io::Result<()> {
        if to.has(new) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Ok(fs::renameat(&self.0, name, &to.0, new)?)
    }

    pub(in super::super) fn remove(&self, name: &str) -> io::Result<()> {
        Ok(fs::unlinkat(&self.0, name, AtFlags::empty())?)
    }
}

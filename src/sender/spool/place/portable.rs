//! The same by paths, as far as that goes: who may write where is not looked at.

use super::{no_regular_file, User};
use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

impl User {
    pub(in super::super) fn of(_file: &File) -> io::Result<Self> {
        Ok(Self(()))
    }
}

#[derive(Debug)]
pub(in super::super) struct Place(PathBuf);

impl Place {
    /// The directory itself may be a link.
    pub(in super::super) fn open(path: &Path) -> io::Result<Self> {
        if fs::metadata(path)?.is_dir() {
            Ok(Self(path.to_owned()))
        } else {
            Err(io::ErrorKind::NotADirectory.into())
        }
    }

    /// A directory in this one, made if need be. A link is none.
    pub(in super::super) fn inner(&self, name: &str, _user: User) -> io::Result<Self> {
        let path = self.0.join(name);
        match fs::create_dir(&path) {
            Err(reason) if reason.kind() != io::ErrorKind::AlreadyExists => return Err(reason),
            _ => {}
        }
        if fs::symlink_metadata(&path)?.is_dir() {
            Ok(Self(path))
        } else {
            Err(io::ErrorKind::NotADirectory.into())
        }
    }

    #[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "elsewhere it depends")]
    pub(in super::super) fn trusts(&self, _file: &Metadata, _user: User) -> io::Result<bool> {
        Ok(true)
    }

    pub(in super::super) fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if entry.file_type().is_ok_and(|file_type| file_type.is_file()) {
                names.push(name);
            }
        }
        Ok(names)
    }

    pub(in super::super) fn size(&self, name: &str) -> Option<u64> {
        let metadata = fs::symlink_metadata(self.0.join(name)).ok()?;
        metadata.is_file().then_some(metadata.len())
    }

    pub(in super::super) fn has(&self, name: &str) -> bool {
        fs::symlink_metadata(self.0.join(name)).is_ok()
    }

    pub(in super::super) fn open_file(&self, name: &str) -> io::Result<File> {
        let path = self.0.join(name);
        if !fs::symlink_metadata(&path)?.is_file() {
            return Err(no_regular_file());
        }
        File::options().read(true).write(true).open(&path).or_else(|_| File::open(&path))
    }

    pub(in super::super) fn is(&self, name: &str, _file: &File) -> bool {
        self.has(name)
    }

    pub(in super::super) fn create(&self, name: &str) -> io::Result<File> {
        File::options().read(true).write(true).create_new(true).open(self.0.join(name))
    }

    pub(in super::super) fn rename(&self, name: &str, to: &Self, new: &str) -> io::Result<()> {
        if to.has(new) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        fs::rename(self.0.join(name), to.0.join(new))
    }

    pub(in super::super) fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.0.join(name))
    }
}

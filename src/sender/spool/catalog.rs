//! Which files in the directory are for this client, and which it leaves where they are: those that are meant for another
//! destination, and those that it cannot or must not send.

use super::destination::Destination;
use super::directory::{self, Directory};
use super::envelope;
use crate::sender::notice::{Notice, Notices};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many files are looked at, and then sent, before the directory is listed again.
const MOST: usize = 1_000;
/// As much as is shown of what stands in a file.
const SHOWN: usize = 200;

pub(super) struct Catalog {
    pub(super) directory: Arc<Directory>,
    pub(super) destination: Destination,
    path: PathBuf,
    /// No body that is larger, before or after compression, is read into memory.
    pub(super) largest_body: u64,
    /// Files that stay, by the hashes of their names: there may be very many.
    left: Mutex<HashMap<u64, Left>>,
    hasher: RandomState,
    notices: Notices,
}

/// Why a file stays where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    OtherDestination,
    Skipped,
}

/// Files in the directory.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count {
    pub(super) waiting: u64,
    pub(super) other_destination: u64,
    pub(super) skipped: u64,
}

/// What a look at a file has shown.
enum Look {
    ToSend,
    /// Not now.
    Gone,
    OtherDestination(String),
    Skip(String),
}

impl Catalog {
    pub(super) fn new(
        directory: Arc<Directory>,
        destination: Destination,
        path: PathBuf,
        largest_body: u64,
        notices: Notices,
    ) -> Self {
        Self { directory, destination, path, largest_body, left: Mutex::default(), hasher: RandomState::new(), notices }
    }

    /// Files that this client should send, oldest first, and whether others are being sent by somebody.
    pub(super) fn list(&self) -> io::Result<(Vec<String>, bool)> {
        let listing = self.directory.list()?;
        // What is no longer there is forgotten.
        let known = {
            let mut left = self.left();
            let still_there = listing.waiting.iter().chain(&listing.strangers).map(|name| self.hash(name));
            *left = still_there.filter_map(|hash| Some((hash, *left.get(&hash)?))).collect();
            left.clone()
        };
        let is_known = |name: &str| known.contains_key(&self.hash(name));
        for name in &listing.strangers {
            if !is_known(name) {
                self.skip(name, "it was left behind by another user");
            }
        }
        let mut taken = listing.taken;
        let mut waiting = Vec::new();
        for name in listing.waiting {
            if is_known(&name) {
                continue;
            }
            if waiting.len() == MOST {
                break;
            }
            match self.look(&name) {
                Look::ToSend => waiting.push(name),
                Look::Gone => taken = true,
                Look::OtherDestination(url) => self.leave_to_others(&name, &url),
                Look::Skip(why) => self.skip(&name, &why),
            }
        }
        Ok((waiting, taken))
    }

    fn look(&self, name: &str) -> Look {
        let file = self.directory.place().and_then(|place| self.directory.open_file(&place, name));
        let file = match file {
            Ok(file) => file,
            Err(reason) if reason.kind() == io::ErrorKind::PermissionDenied => return Look::Skip(reason.to_string()),
            Err(_) => return Look::Gone,
        };
        match file.metadata() {
            Ok(metadata) if metadata.len() > self.largest_file() => return Look::Skip(self.too_large()),
            Ok(_) => {}
            Err(_) => return Look::Gone,
        }
        match envelope::peek(&file, self.largest_file()) {
            // What is damaged is found to be so when it is read.
            Err(_) => Look::ToSend,
            Ok(head) if head.version.is_unknown() => Look::Skip(head.version.to_string()),
            Ok(head) if head.destination.is_met_by(&self.destination) => Look::ToSend,
            Ok(head) => Look::OtherDestination(head.destination.url()),
        }
    }

    /// Base64 takes four bytes for three.
    pub(super) fn largest_file(&self) -> u64 {
        self.largest_body / 3 * 4 + (64 << 10)
    }

    pub(super) fn too_large(&self) -> String {
        format!(
            "it has more than {} bytes, or would have if it were read; with_batch_bytes raises this",
            self.largest_body
        )
    }

    pub(super) fn count(&self) -> Count {
        let names = directory::names(&self.directory).unwrap_or_default();
        let left = self.left();
        let mut count = Count::default();
        for name in names {
            *match left.get(&self.hash(&name)) {
                None => &mut count.waiting,
                Some(Left::OtherDestination) => &mut count.other_destination,
                Some(Left::Skipped) => &mut count.skipped,
            } += 1;
        }
        count
    }

    pub(super) fn leave_to_others(&self, name: &str, url: &str) {
        self.left().insert(self.hash(name), Left::OtherDestination);
        self.notices.warn(Notice::OtherDestination, || {
            format!(
                "{name:?} in {} is meant for another key, workspace or endpoint ({}), and stays there; further ones are only \
                 counted; name keys that were changed to Config::with_previous_api_keys",
                self.path.display(),
                shown(url)
            )
        });
    }

    /// Leaves a file where it is, and says so of the first one.
    pub(super) fn skip(&self, name: &str, why: &str) {
        self.left().insert(self.hash(name), Left::Skipped);
        self.notices.warn(Notice::Skipped, || {
            format!(
                "{name:?} stays in {} and is not sent: {}; further ones are only counted",
                self.path.display(),
                shown(why)
            )
        });
    }

    fn hash(&self, name: &str) -> u64 {
        self.hasher.hash_one(name)
    }

    fn left(&self) -> MutexGuard<'_, HashMap<u64, Left>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What comes from a file, in one line that is not too long.
pub(super) fn shown(text: &str) -> String {
    let escaped: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    // Quotes are no danger in a line.
    escaped.replace("\\\"", "\"").replace("\\'", "'")
}

//! What is kept on disk, and where it may be sent.

use super::Config;
use crate::secret::Secret;
use std::path::PathBuf;

impl Config {
    /// Keeps on disk, in this directory, what would be dropped because LangSmith cannot be reached, does not
    /// accept the key, or has no time left at a shutdown. `LANGSMITH_FAILED_TRACES_DIR`; by default there is
    /// none, and such runs are dropped.
    ///
    /// The directory is made if it is not there, for this user alone. What it holds is sent when LangSmith is
    /// back, or by the next client that is given the same directory; files of LangSmith's SDK for Python too.
    /// [`Client::spool`](crate::Client::spool) tells how that goes. A key is in none of the files, but what the
    /// runs say is.
    ///
    /// Each file names the endpoint, the workspace and, by a salted digest, the key of the client that has written it. A
    /// client sends those that name its own, and leaves all others where they are:
    /// [`SpoolStats::other_destination`](crate::SpoolStats::other_destination) counts them, and the first one is logged. Files
    /// that name none, which are those of LangSmith's SDK for Python and of versions of this crate before that, are sent by
    /// the first client that comes: give each tenant a directory of its own where they are used. After a change of the key see
    /// [`with_previous_api_keys`](Self::with_previous_api_keys), and after one of workspace or endpoint
    /// [`with_adopted_spool`](Self::with_adopted_spool).
    ///
    /// Only regular files are opened, and no link in the directory is followed; it may be one itself. Where
    /// others may write to it, only files are sent that belong to this user, or to root, under one name.
    pub fn with_spool_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.spool_dir = Some(directory.into());
        self
    }

    /// The most bytes of files in the directory of [`with_spool_dir`](Self::with_spool_dir), 65,536 or more;
    /// 100 MiB by default. `LANGSMITH_FAILED_TRACES_MAX_MB`, in units of 1,048,576 bytes. All failed traces in
    /// it count, whoever wrote them and wherever they are meant for. The oldest are kept: what does not fit is dropped and
    /// counted.
    pub fn with_spool_bytes(mut self, bytes: usize) -> Self {
        self.spool_bytes = bytes as u64;
        self
    }

    /// Keys that were used before for the same endpoint and workspace: files that were written under one of them are sent
    /// with today's key. None by default; a second call replaces those of the first. They are shown in no log, error or
    /// `Debug`, and nothing else is done with them.
    pub fn with_previous_api_keys(mut self, keys: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.previous_api_keys = keys.into_iter().map(Secret::new).collect();
        self
    }

    /// Sends all files in the directory of [`with_spool_dir`](Self::with_spool_dir), whatever destination they name, to that of
    /// this client. Off by default. It is meant for a directory that moves to another endpoint, workspace or key as a whole;
    /// where clients of several tenants share one, it sends the runs of one to another.
    pub fn with_adopted_spool(mut self, yes: bool) -> Self {
        self.adopted_spool = yes;
        self
    }
}

//! The directory that one client leaves to the next, and shares with that of another tenant.

use crate::common::weather::runs::{posted, text_of};
use base64::prelude::{Engine, BASE64_STANDARD};
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use uuid::Uuid;

pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        Self(std::env::temp_dir().join(format!("chaos-{}", Uuid::new_v4().simple())))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The runs in files that wait, and in those that were set aside.
    pub(crate) fn runs(&self) -> [HashSet<Uuid>; 2] {
        [self.0.clone(), self.0.join("rejected")].map(|path| runs_in(&path))
    }

    /// Puts things there that are no files, under names as files have them. Whoever opens one of them may wait for ever.
    #[cfg(unix)]
    pub(crate) fn plant(&self, number: usize) {
        use std::os::unix::{fs::symlink, net::UnixListener};
        let at = |kind: &str, end: &str| self.0.join(format!("trace_1000000000.{number:06}_{kind}.{end}"));
        for end in ["tmp", "json", "json.taken"] {
            let fifo = std::process::Command::new("mkfifo").arg(at("00000001", end)).status().unwrap();
            assert!(fifo.success());
            drop(UnixListener::bind(at("00000002", end)).unwrap());
            fs::create_dir(at("00000003", end)).unwrap();
            symlink("nowhere", at("00000004", end)).unwrap();
            symlink("/dev/zero", at("00000005", end)).unwrap();
        }
    }

    #[cfg(not(unix))]
    pub(crate) fn plant(&self, _number: usize) {}

    /// How many of these are there.
    pub(crate) fn planted(&self) -> usize {
        let entries = fs::read_dir(&self.0).into_iter().flatten().map(|entry| entry.unwrap());
        entries.filter(|entry| entry.file_name() != "rejected" && !entry.file_type().unwrap().is_file()).count()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What one `plant` puts there.
pub(crate) const PLANTED: usize = if cfg!(unix) { 15 } else { 0 };

fn runs_in(directory: &Path) -> HashSet<Uuid> {
    let entries = fs::read_dir(directory).into_iter().flatten().map(|entry| entry.unwrap());
    let mut all = HashSet::new();
    for path in entries.filter(|entry| entry.file_type().unwrap().is_file()).map(|entry| entry.path()) {
        assert_eq!(path.extension().unwrap(), "json", "{}: nobody writes or sends it any more", path.display());
        let file: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let body = BASE64_STANDARD.decode(file["body_base64"].as_str().unwrap()).unwrap();
        let runs = posted(&text_of(&body, file["headers"]["Content-Encoding"] == "zstd").unwrap());
        assert!(!runs.is_empty(), "{}", path.display());
        for run in runs {
            assert!(all.insert(run), "{run} is there twice");
        }
    }
    all
}

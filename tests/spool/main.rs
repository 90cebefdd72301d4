//! What cannot be delivered is kept on disk, and delivered later: by the same client, the next one, or another
//! process.

mod bad_moments;
#[path = "../common/mod.rs"]
mod common;
mod files;
mod hostile;
mod killed;
mod locks;
mod memory;
mod no_zstd;
mod outage;
mod quarantine;
mod refused;
mod replay;
mod shutdown;
mod tenants;

use opentelemetry_langsmith::testing::{Fault, LocalLangSmith};
use opentelemetry_langsmith::{Client, Config, Run, RunType};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A directory that is removed in the end.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("spool-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// Where failed traces go.
    fn spool(&self) -> PathBuf {
        self.0.join("failed")
    }

    fn aside(&self) -> Vec<PathBuf> {
        listed(&self.spool().join("rejected"))
    }

    /// Files that wait, oldest first.
    fn waiting(&self) -> Vec<PathBuf> {
        let names = listed(&self.spool()).into_iter();
        names
            .filter(|path| {
                name(path).starts_with("trace_") && path.extension().is_some_and(|extension| extension == "json")
            })
            .collect()
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        fs::create_dir_all(self.spool()).unwrap();
        let path = self.spool().join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn listed(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(directory).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// Gives up at the first failure, and keeps what it gives up.
fn config(server: &LocalLangSmith, directory: &Directory) -> Config {
    common::config(server).with_spool_dir(directory.spool()).with_retry_deadline(Duration::ZERO)
}

/// A server that takes nothing until it is told otherwise.
fn down() -> LocalLangSmith {
    let server = common::server();
    server.respond(Fault::status(503).forever());
    server
}

/// A run that has ended, with so many bytes in it that do not compress.
fn run(name: impl std::fmt::Display, bytes: usize) -> Run {
    let text: String = std::iter::repeat_with(|| uuid::Uuid::new_v4().simple().to_string()).take(bytes / 32).collect();
    let run = Run::builder(name.to_string(), RunType::Chain).outputs(&serde_json::json!({ "text": text }));
    run.end_now().build().unwrap()
}

/// Runs named `0`, `1`, …
fn submit(client: &Client, runs: usize) {
    for number in 0..runs {
        client.submit(run(number, 32)).unwrap();
    }
}

/// Fills the directory with so many files of one run each. They are meant for `server`, which forgets that it was asked.
fn fill(server: &LocalLangSmith, directory: &Directory, files: usize) {
    server.respond(Fault::status(503).forever());
    let client = Client::new(config(server, directory).with_batch_runs(1).with_concurrency(1)).unwrap();
    submit(&client, files);
    client.shutdown(common::LONG).unwrap();
    server.respond([]);
    server.clear();
    assert_eq!(directory.waiting().len(), files);
}

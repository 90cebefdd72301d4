//! A file system that has no locks: files are sent all the same, each by one process, and one line says what that means.
//!
//! The child is this very program, with a library before the system's own that has no locks.
#![cfg(target_os = "linux")]

use crate::common::{self, assert_flawless, eventually, in_time, log::Log, KEY, LONG};
use crate::{fill, listed, name, Directory};
use opentelemetry_langsmith::{Client, Config};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

const ROLE: &str = "SPOOL_LOCKS_DIRECTORY";

/// Sends what is there, if it was told where.
#[test]
fn child() {
    let Some(directory) = std::env::var_os(ROLE).map(PathBuf::from) else { return };
    let log = Log::start("warn");
    assert!(File::open(std::env::current_exe().unwrap()).unwrap().try_lock().is_err(), "there are locks");
    let config = Config::default()
        .with_api_key(KEY)
        .with_endpoint(std::env::var("SPOOL_LOCKS_ENDPOINT").unwrap())
        .with_spool_dir(&directory)
        .with_retry_waits(Duration::from_millis(5), Duration::from_millis(50));
    let client = Client::new(config).unwrap();
    // One is kept for somebody who lives, as far as can be seen.
    eventually("the others are gone", || client.spool().waiting == 1);
    client.shutdown(LONG).unwrap();
    let directory = directory.display().to_string();
    let lines = log.with(&directory);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("without locks"), "{lines:?}");
}

/// A library whose `flock` says that there is none.
fn without_locks(directory: &Path) -> PathBuf {
    let (source, library) = (directory.join("no_locks.c"), directory.join("no_locks.so"));
    fs::write(&source, "#include <errno.h>\nint flock(int file, int how) { errno = ENOLCK; return -1; }\n").unwrap();
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status().unwrap();
    assert!(compiled.success(), "zstd needs a C compiler as well");
    library
}

fn start(library: &Path, directory: &Directory, endpoint: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "locks::child", "--nocapture", "--test-threads=1"])
        .env("LD_PRELOAD", library)
        .env(ROLE, directory.spool())
        .env("SPOOL_LOCKS_ENDPOINT", endpoint)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_file_system_without_locks() {
    in_time(|| {
        let (server, directory) = (common::server(), Directory::new());
        fill(&server, &directory, 40);
        server.latency(Duration::from_millis(2));
        let library = without_locks(&directory.0);
        let taken = |number: usize, age: u64| {
            let home = &directory.waiting()[number];
            let away = home.with_file_name(format!("{}.taken", name(home)));
            fs::rename(home, &away).unwrap();
            let file = File::options().write(true).open(&away).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
            away
        };
        // Left behind long ago, and perhaps being sent at the moment.
        taken(0, 7200);
        let alive = taken(0, 60);
        let children: Vec<_> = (0..3).map(|_| start(&library, &directory, &server.endpoint())).collect();
        for child in children {
            let output = child.wait_with_output().unwrap();
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
        }
        assert_eq!(listed(&directory.spool()), [alive]);
        // Each by one of them, and once.
        assert_flawless(&server, 39);
    });
}

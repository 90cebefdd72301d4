//! With `panic = "abort"` nothing is contained: a hook that panics ends the process.

use crate::common::server;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::SystemTime;

/// A program with a hook that panics at the first of two runs.
const PROGRAM: &str = r#"
use opentelemetry_langsmith::{Client, Config, Run, RunType};
use std::time::Duration;

fn main() {
    let endpoint = std::env::args().nth(1).unwrap();
    let config = Config::default()
        .with_api_key("key")
        .with_endpoint(endpoint)
        .with_on_run(|run: &mut Run| assert_eq!(run.name(), "second", "on purpose"));
    let client = Client::new(config).unwrap();
    for name in ["first", "second"] {
        client.submit(Run::builder(name, RunType::Chain).end_now().build().unwrap()).unwrap();
    }
    let _ = client.shutdown(Duration::from_secs(30));
}
"#;

/// This crate as it was compiled for this test, the newest first: others may lie there from before.
fn libraries(folder: &Path) -> Vec<PathBuf> {
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("libopentelemetry_langsmith-") && path.extension().is_some_and(|kind| kind == "rlib")
    };
    let mut found: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(is_ours).collect();
    let written =
        |path: &PathBuf| fs::metadata(path).and_then(|data| data.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    found.sort_by_key(|path| std::cmp::Reverse(written(path)));
    found
}

/// Compiles the program against what this test was linked with. No other crate is compiled anew.
fn compile(panic: &str, into: &Path) -> PathBuf {
    let deps = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let (source, program) = (into.join("program.rs"), into.join(panic));
    fs::write(&source, PROGRAM).unwrap();
    let mut refusals = String::new();
    for library in libraries(&deps) {
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let done = Command::new(rustc)
            .args(["--edition", "2021", "-C", &format!("panic={panic}"), "-L"])
            .arg(format!("dependency={}", deps.display()))
            .arg("--extern")
            .arg(format!("opentelemetry_langsmith={}", library.display()))
            .arg("-o")
            .args([&program, &source])
            .output()
            .expect("the compiler that made this test is there");
        if done.status.success() {
            return program;
        }
        refusals.push_str(&String::from_utf8_lossy(&done.stderr));
    }
    panic!("it does not compile: {refusals}");
}

#[test]
fn a_hook_that_panics_ends_a_process_that_aborts() {
    const SIGABRT: i32 = 6;
    let folder = std::env::temp_dir().join(format!("langsmith-abort-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let run = |panic: &str| -> (ExitStatus, Vec<String>) {
        let (server, program) = (server(), compile(panic, &folder));
        let ended = Command::new(program).arg(server.endpoint()).output().unwrap();
        (ended.status, server.runs().into_iter().map(|run| run.name).collect())
    };
    let (status, runs) = run("unwind");
    assert!(status.success(), "{status}");
    assert_eq!(runs, ["second"]);
    let (status, runs) = run("abort");
    assert_eq!(status.signal(), Some(SIGABRT), "{status}");
    assert!(runs.is_empty(), "{runs:?}");
    fs::remove_dir_all(folder).unwrap();
}

//! Files that would take much memory: each is looked at in a process of its own, which says how much it has ever had.

use crate::common::{self, eventually, in_time, KEY, LONG};
use crate::{fill, Directory};
use base64::prelude::{Engine, BASE64_STANDARD};
use opentelemetry_langsmith::testing::LocalLangSmith;
use opentelemetry_langsmith::{Client, Config};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const ROLE: &str = "SPOOL_MEMORY_DIRECTORY";

/// The most memory that this process has ever had, in KiB; `None` where the system does not tell.
fn peak() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok())
}

/// Waits until all files are dealt with, if it was told where they are.
#[test]
fn child() {
    let Some(directory) = std::env::var_os(ROLE).map(PathBuf::from) else { return };
    let config = Config::default()
        .with_api_key(KEY)
        .with_endpoint(std::env::var("SPOOL_MEMORY_ENDPOINT").unwrap())
        .with_spool_dir(directory)
        .with_retry_waits(Duration::from_millis(5), Duration::from_millis(50));
    let before = peak().unwrap_or_default();
    let client = Client::new(config).unwrap();
    eventually("all are dealt with", || client.spool().waiting == 0);
    client.shutdown(LONG).unwrap();
    println!("\npeak {}", peak().unwrap_or_default() - before);
}

/// How much more memory than at its start a client has taken for this directory, in MiB.
fn taken(server: &LocalLangSmith, directory: &Directory) -> u64 {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "memory::child", "--nocapture", "--test-threads=1"])
        .env(ROLE, directory.spool())
        .env("SPOOL_MEMORY_ENDPOINT", server.endpoint())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let peak = text.lines().find_map(|line| line.strip_prefix("peak ")).unwrap();
    peak.trim().parse::<u64>().unwrap() / 1024
}

/// A file with this body, a good one beside it, and the most memory that both may take.
fn assert_bounded(what: &str, file: impl FnOnce(&Directory) + Send + 'static, most: u64) {
    let name = what.to_owned();
    in_time(move || {
        let (server, directory) = (common::server(), Directory::new());
        fill(&server, &directory, 1);
        file(&directory);
        let taken = taken(&server, &directory);
        println!("{name}: {taken} MiB");
        assert!(taken < most, "{name}: {taken} MiB");
        assert_eq!(server.received(), 1, "{name}");
    });
}

const NAME: &str = "trace_1000000000.000000_00000001.json";

fn put(directory: &Directory, compressed: bool, body: &[u8]) {
    let mut headers = serde_json::json!({"Content-Type": "multipart/form-data; boundary=x"});
    if compressed {
        headers["Content-Encoding"] = "zstd".into();
    }
    let body = BASE64_STANDARD.encode(body);
    let file = serde_json::json!({"version": 1, "endpoint": "runs/multipart", "headers": headers, "body_base64": body});
    directory.put(NAME, file.to_string());
}

#[test]
fn a_body_that_grows_without_end() {
    assert_bounded(
        "a gigabyte of zeros",
        |directory| put(directory, true, &zstd::bulk::compress(&vec![0; 1 << 30], 1).unwrap()),
        100,
    );
}

/// The frame says that it needs two gigabytes to be read.
#[test]
fn a_body_that_asks_for_much_memory() {
    assert_bounded(
        "a window of two gigabytes",
        |directory| {
            // Magic number, no content size, a window of 2^31 bytes; then one raw block that is the last.
            let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, (31 - 10) << 3];
            frame.extend_from_slice(&[0x29, 0, 0]);
            frame.extend_from_slice(b"--x\r\n");
            put(directory, true, &frame);
        },
        60,
    );
}

#[test]
fn a_file_of_holes() {
    for bytes in [100 << 20, 10 << 30_u64] {
        assert_bounded(
            "a sparse file",
            move |directory| File::create(directory.put(NAME, "")).unwrap().set_len(bytes).unwrap(),
            60,
        );
    }
}

#[test]
fn headers_without_number() {
    assert_bounded(
        "many headers",
        |directory| {
            let headers: Vec<_> = (0..600_000).map(|number| format!("\"{number:x}\":\"\"")).collect();
            let text = format!(
                "{{\"version\":1,\"endpoint\":\"runs/multipart\",\"headers\":{{{}}},\"body_base64\":\"\"}}",
                headers.join(",")
            );
            directory.put(NAME, text);
        },
        40,
    );
}

//! Directories in which others have a hand: files that are none, files of strangers, links, and names that lie.
#![cfg(unix)]

use crate::common::{self, assert_flawless, eventually, in_time, log::Log, LONG};
use crate::{config, down, fill, listed, run, submit, Directory};
use opentelemetry_langsmith::Client;
use std::fs::{self, Permissions};
use std::os::unix::fs::{chown, symlink, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

/// Another user's id. Only root may give files away.
const STRANGER: u32 = 54_321;

fn run_command(command: &mut Command) {
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}

fn fifo(path: &Path) {
    run_command(Command::new("mkfifo").arg(path));
    run_command(Command::new("touch").args(["-d", "2000-01-01"]).arg(path));
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Gives a file to somebody else; `false` where this user may not.
fn give_away(path: &Path) -> bool {
    chown(path, Some(STRANGER), None).is_ok()
}

/// Nobody writes into them and nobody reads them, so whoever opened them would wait for ever.
#[test]
fn what_is_no_file_is_left_alone_and_stops_nothing() {
    in_time(|| {
        let (server, directory) = (common::server(), Directory::new());
        fill(&server, &directory, 2);
        let at = |name: &str| directory.spool().join(name);
        for end in ["tmp", "json", "json.taken"] {
            fifo(&at(&format!("trace_1000000001.000000_00000001.{end}")));
            drop(UnixListener::bind(at(&format!("trace_1000000002.000000_00000002.{end}"))).unwrap());
            fs::create_dir(at(&format!("trace_1000000003.000000_00000003.{end}"))).unwrap();
            symlink("nowhere", at(&format!("trace_1000000004.000000_00000004.{end}"))).unwrap();
            symlink("/dev/zero", at(&format!("trace_1000000005.000000_00000005.{end}"))).unwrap();
            symlink("/etc/hostname", at(&format!("trace_1000000006.000000_00000006.{end}"))).unwrap();
        }
        fifo(&at("probe_1.tmp"));
        let before = listed(&directory.spool()).len();
        let client = Client::new(config(&server, &directory)).unwrap();
        client.submit(run("now", 32)).unwrap();
        client.flush(LONG).expect("the network thread does not wait for a file");
        eventually("the files are gone", || client.spool().waiting == 0);
        server.respond(opentelemetry_langsmith::testing::Fault::status(503).forever());
        client.submit(run("kept", 32)).unwrap();
        client.flush(LONG).unwrap();
        client.shutdown(LONG).unwrap();
        server.respond([]);
        let next = Client::new(config(&server, &directory)).unwrap();
        eventually("the files are gone", || next.spool().waiting == 0);
        assert_flawless(&server, 4);
        assert_eq!(listed(&directory.spool()).len(), before - 2, "{:?}", listed(&directory.spool()));
        assert_eq!((client.spool().rejected, next.spool().rejected), (0, 0));
    });
}

/// Whoever may write to `/tmp` cannot have it sent with this client's key.
#[test]
fn files_of_strangers_where_all_may_write() {
    in_time(|| {
        let (server, directory) = (common::server(), Directory::new());
        fill(&server, &directory, 3);
        let files = directory.waiting();
        if !give_away(&files[0]) {
            return println!("only root can make a stranger's file");
        }
        let left = files[1].with_extension("json.taken");
        fs::rename(&files[1], &left).unwrap();
        assert!(give_away(&left));
        let unfinished = directory.put("trace_1000000000.000000_00000001.tmp", "");
        run_command(Command::new("touch").args(["-d", "2000-01-01"]).arg(&unfinished));
        assert!(give_away(&unfinished));
        // Its own directory is trusted as it is named to the client: files are often brought there by somebody else.
        for mode in [0o1777, 0o777, 0o775] {
            set_mode(&directory.spool(), mode);
            let client = Client::new(config(&server, &directory).with_spool_bytes(1 << 20)).unwrap();
            eventually("the file of this user is gone", || server.received() == 1);
            eventually("all are looked at", || client.spool().waiting == 0);
            client.shutdown(LONG).unwrap();
            assert_eq!((client.spool().skipped, client.spool().rejected), (2, 0), "{mode:o}: {:?}", client.spool());
            assert_eq!(listed(&directory.spool()).len(), 3, "{mode:o}: {:?}", listed(&directory.spool()));
            assert_eq!(server.received(), 1);
        }
        set_mode(&directory.spool(), 0o755);
        let client = Client::new(config(&server, &directory)).unwrap();
        eventually("the files are gone", || client.spool().waiting == 0);
        assert_flawless(&server, 3);
    });
}

/// A second name for a file of ours, made by who could not read it.
#[test]
fn hard_links_where_all_may_write() {
    in_time(|| {
        let (server, directory) = (common::server(), Directory::new());
        fill(&server, &directory, 2);
        let [first, _] = &directory.waiting()[..] else { panic!("two files") };
        fs::hard_link(first, directory.0.join("elsewhere.json")).unwrap();
        set_mode(&directory.spool(), 0o777);
        let client = Client::new(config(&server, &directory)).unwrap();
        eventually("one is gone", || server.received() == 1 && client.spool().waiting == 0);
        assert_eq!(client.spool().skipped, 1);
        set_mode(&directory.spool(), 0o700);
        let next = Client::new(config(&server, &directory)).unwrap();
        eventually("the files are gone", || next.spool().waiting == 0);
        assert_flawless(&server, 2);
    });
}

/// What is refused stays below the directory, whatever `rejected` is.
#[test]
fn a_link_in_the_place_of_rejected() {
    in_time(|| {
        for to_a_file in [false, true] {
            let (server, directory) = (common::server(), Directory::new());
            let elsewhere = directory.0.join("elsewhere");
            fs::create_dir(&elsewhere).unwrap();
            directory.put("trace_1000000000.000000_00000001.json", "damaged");
            let rejected = directory.spool().join("rejected");
            if to_a_file {
                fs::write(&rejected, "").unwrap();
            } else {
                symlink(&elsewhere, &rejected).unwrap();
            }
            let client = Client::new(config(&server, &directory)).unwrap();
            eventually("it was looked at", || client.spool().waiting == 0);
            assert_eq!(listed(&elsewhere), Vec::<std::path::PathBuf>::new());
            // It is where it was.
            assert_eq!(directory.waiting().len(), 1);
            assert_eq!((client.spool().skipped, client.spool().rejected), (1, 0));
            // And so is what LangSmith refuses.
            server.respond(opentelemetry_langsmith::testing::Fault::status(400).forever());
            fill_one_that_is_refused(&server, &directory);
            let next = Client::new(config(&server, &directory)).unwrap();
            eventually("it was refused", || next.spool().waiting == 0 && next.spool().skipped == 2);
            assert_eq!(listed(&elsewhere), Vec::<std::path::PathBuf>::new());
            assert_eq!(directory.waiting().len(), 2);
        }
    });
}

fn fill_one_that_is_refused(server: &opentelemetry_langsmith::testing::LocalLangSmith, directory: &Directory) {
    use opentelemetry_langsmith::testing::Fault;
    server.respond(Fault::status(503).forever());
    let client = Client::new(config(server, directory)).unwrap();
    submit(&client, 1);
    client.shutdown(LONG).unwrap();
    server.respond(Fault::status(400).forever());
}

/// Volumes are often links.
#[test]
fn the_directory_itself_may_be_a_link() {
    in_time(|| {
        let (server, directory) = (common::server(), Directory::new());
        let volume = directory.0.join("volume");
        fs::create_dir(&volume).unwrap();
        symlink(&volume, directory.spool()).unwrap();
        fill(&server, &directory, 2);
        directory.put("trace_1000000000.000000_00000001.json", "damaged");
        let client = Client::new(config(&server, &directory)).unwrap();
        eventually("the files are gone", || client.spool().waiting == 0);
        assert_flawless(&server, 2);
        assert_eq!(listed(&volume.join("rejected")).len(), 1);
    });
}

#[test]
fn names_that_would_forge_lines_of_the_log() {
    in_time(|| {
        let log = Log::start("warn");
        let (server, directory) = (common::server(), Directory::new());
        let name = "trace_1\n2026-11-30T00:00:00Z ERROR forged\u{1b}[31m\u{202e}.json";
        directory.put(name, "damaged");
        let client = Client::new(config(&server, &directory)).unwrap();
        eventually("it is set aside", || client.spool().rejected == 1);
        client.shutdown(LONG).unwrap();
        let path = directory.spool().display().to_string();
        eventually("it is told", || !log.with(&path).is_empty());
        let lines = log.with(&path);
        assert!(lines.iter().all(|line| !line.contains(['\u{1b}', '\u{202e}'])), "{lines:?}");
        assert!(log.with("forged").iter().all(|line| line.contains("WARN")), "{:?}", log.with("forged"));
    });
}

/// So does what stands in them.
#[test]
fn content_that_would_fill_the_log() {
    in_time(|| {
        let log = Log::start("warn");
        let (server, directory) = (common::server(), Directory::new());
        let endpoint = "forged by content\n".repeat(10_000);
        let file = serde_json::json!({"version": 1, "endpoint": endpoint, "headers": {}, "body_base64": ""});
        directory.put("trace_1000000000.000000_00000001.json", file.to_string());
        let client = Client::new(config(&server, &directory)).unwrap();
        eventually("it is set aside", || client.spool().rejected == 1);
        client.shutdown(LONG).unwrap();
        let path = directory.spool().display().to_string();
        eventually("it is told", || !log.with(&path).is_empty());
        assert!(log.with("forged by content").iter().map(String::len).sum::<usize>() < 2_000);
    });
}

/// The process goes on with what it has when its directory is gone.
#[test]
fn a_directory_that_vanishes_is_made_again() {
    in_time(|| {
        let (server, directory) = (down(), Directory::new());
        let client = Client::new(config(&server, &directory)).unwrap();
        fs::remove_dir(directory.spool()).unwrap();
        submit(&client, 3);
        client.flush(LONG).unwrap();
        assert_eq!((client.stats().spooled, directory.waiting().len()), (3, 1), "{:?}", client.stats());
        assert_eq!(directory.spool().metadata().unwrap().mode() & 0o777, 0o700);
        fs::remove_dir_all(directory.spool()).unwrap();
        submit(&client, 3);
        client.flush(LONG).unwrap();
        assert_eq!(directory.waiting().len(), 1);
        server.respond([]);
        submit(&client, 1);
        eventually("the files are gone", || client.spool().waiting == 0);
        assert_eq!(server.received(), 4, "the first three went with the directory");
    });
}

/// A hundred thousand files of somebody else between those of this client.
#[test]
fn very_many_files() {
    in_time(|| {
        const MANY: usize = 100_000;
        let (server, directory) = (common::server(), Directory::new());
        fill(&server, &directory, 3);
        let first = directory.waiting().remove(0);
        let mut file: serde_json::Value = serde_json::from_slice(&fs::read(first).unwrap()).unwrap();
        file["version"] = 2.into();
        file["body_base64"] = "".into();
        // Names for a few files: as quick to make as can be, and a file may have some tens of thousands.
        let pattern = |number: usize| directory.spool().join(format!("pattern {}", number / 30_000));
        for number in 0..MANY {
            if number % 30_000 == 0 {
                fs::write(pattern(number), file.to_string()).unwrap();
            }
            fs::hard_link(
                pattern(number),
                directory.spool().join(format!("trace_1000000000.{number:06}_00000001.json")),
            )
            .unwrap();
        }
        let client = Client::new(config(&server, &directory)).unwrap();
        client.submit(run("now", 32)).unwrap();
        client.flush(LONG).unwrap();
        eventually("the files of this client are gone", || server.received() == 4);
        eventually("all are looked at", || client.spool().waiting == 0);
        assert_eq!(client.spool().skipped, MANY as u64);
        client.shutdown(LONG).unwrap();
        assert_flawless(&server, 4);
    });
}

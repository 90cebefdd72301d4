//! A process that is killed at any moment: what it had counted as kept is there, whole, and is delivered.
//!
//! The process is this very program, told by a variable to run one test only, which then goes on until it is killed.

use crate::common::{self, assert_flawless, eventually, in_time, LONG};
use crate::{config, fill, listed, name, run, Directory};
use opentelemetry_langsmith::testing::LocalLangSmith;
use opentelemetry_langsmith::{Client, Config};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

const ROLE: &str = "SPOOL_TEST_ROLE";
const KILLS: u64 = 20;

/// Does what its role says until it is killed, if it has one.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let [directory, endpoint] =
        ["SPOOL_TEST_DIRECTORY", "SPOOL_TEST_ENDPOINT"].map(|name| std::env::var(name).unwrap());
    let config = Config::default()
        .with_api_key(common::KEY)
        .with_endpoint(endpoint)
        .with_spool_dir(directory)
        .with_batch_runs(3)
        .with_flush_interval(Duration::from_millis(1))
        .with_retry_deadline(Duration::ZERO);
    let client = Client::new(config).unwrap();
    println!("ready");
    for number in 0.. {
        if role == "write" && client.stats().in_flight < 300 {
            let _ = client.submit(run(number, 3_000));
        } else {
            std::thread::sleep(Duration::from_millis(1));
        }
        // A parent that is gone closes the pipe.
        if writeln!(std::io::stdout(), "kept {}", client.stats().spooled).is_err() {
            return;
        }
    }
}

fn start(role: &str, directory: &Directory, endpoint: &str) -> (Child, impl BufRead) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::child", "--nocapture", "--test-threads=1"])
        .envs([(ROLE, role), ("SPOOL_TEST_ENDPOINT", endpoint)])
        .env("SPOOL_TEST_DIRECTORY", directory.spool())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    // The line begins with the test's name.
    while !line.trim().ends_with("ready") {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "the child has ended");
    }
    (child, lines)
}

/// How many runs the child said were kept, last.
fn kept(lines: impl BufRead) -> u64 {
    // The last line may have been cut by the kill.
    let lines: Vec<_> = lines.lines().map_while(Result::ok).collect();
    let mut whole = lines.iter().rev().skip(1);
    whole.find_map(|line| line.strip_prefix("kept ")?.parse().ok()).unwrap_or(0)
}

/// Nobody but this test says so.
fn is_no_end(mut stream: &TcpStream) -> bool {
    let mut word = [0; 3];
    stream.read_exact(&mut word).is_err() || word != *b"END"
}

#[test]
fn while_it_writes() {
    in_time(|| {
        let directory = Directory::new();
        // Nobody answers there before the last child is dead.
        let nowhere = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = nowhere.local_addr().unwrap();
        let hang_up = std::thread::spawn(move || nowhere.incoming().flatten().take_while(is_no_end).for_each(drop));
        let endpoint = format!("http://{address}");
        let mut promised = 0;
        for number in 0..KILLS {
            let (mut child, mut lines) = start("write", &directory, &endpoint);
            // It dies at some moment after so many: while it writes one file after the other, or before the first.
            let (enough, mut so_far) = (3 * number, 0);
            let mut line = String::new();
            while so_far < enough {
                line.clear();
                assert!(lines.read_line(&mut line).unwrap() > 0, "the child has ended");
                so_far = line.trim().strip_prefix("kept ").map_or(so_far, |runs| runs.parse().unwrap());
            }
            std::thread::sleep(Duration::from_micros(u64::from(uuid::Uuid::new_v4().as_bytes()[0]) * 100));
            child.kill().unwrap();
            child.wait().unwrap();
            promised += kept(lines).max(so_far);
        }
        // All that has the name of a file is one.
        let mut unfinished = 0;
        for file in listed(&directory.spool()) {
            let content = std::fs::read(&file).unwrap();
            let name = name(&file);
            if file.extension().is_some_and(|extension| extension == "tmp") {
                unfinished += 1;
                let file = File::options().write(true).open(&file).unwrap();
                file.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
            } else {
                let content: serde_json::Value = serde_json::from_slice(&content).unwrap();
                assert_eq!(content["version"], 1, "{name}");
            }
        }
        TcpStream::connect(address).unwrap().write_all(b"END").unwrap();
        hang_up.join().unwrap();
        let server = LocalLangSmith::start_on(address.port()).unwrap();
        let client = Client::new(config(&server, &directory)).unwrap();
        eventually("the files are gone", || client.spool().waiting == 0);
        let spool = client.spool();
        println!("{promised} runs promised, {} delivered, {unfinished} files unfinished", spool.delivered_runs);
        assert!(spool.delivered_runs >= promised, "{promised} were promised: {spool:?}");
        assert_eq!((spool.rejected, server.received()), (0, spool.delivered_runs), "{spool:?}");
        assert_flawless(&server, usize::try_from(spool.delivered_runs).unwrap());
        assert!(listed(&directory.spool()).is_empty(), "{:?}", listed(&directory.spool()));
    });
}

#[test]
fn while_it_replays() {
    in_time(|| {
        let (server, directory) = (common::server(), Directory::new());
        server.latency(Duration::from_millis(3));
        let files = 150;
        fill(&server, &directory, files);
        let mut kills = 0;
        while server.received() < files as u64 && kills < KILLS {
            let (mut child, lines) = start("replay", &directory, &server.endpoint());
            std::thread::sleep(Duration::from_micros(u64::from(uuid::Uuid::new_v4().as_bytes()[0]) * 300));
            child.kill().unwrap();
            child.wait().unwrap();
            drop(lines);
            kills += 1;
        }
        let client = Client::new(config(&server, &directory)).unwrap();
        eventually("the files are gone", || client.spool().waiting == 0);
        assert_eq!((server.received(), client.spool().rejected), (files as u64, 0));
        // Between an answer and the file's end there is a moment. What is sent again then is answered 409.
        let again: u64 = server.runs().iter().map(|run| u64::from(run.posts) - 1).sum();
        println!("{kills} kills, {again} runs sent again");
        assert!(again <= kills, "{again} runs were sent again after {kills} kills");
        assert!(directory.aside().is_empty());
        let _ = client.shutdown(LONG);
    });
}

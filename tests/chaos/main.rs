//! A hundred thousand spans of many threads, a server that misbehaves at random, clients of two tenants that come and go over
//! one directory for failed traces, and an account of every run: it was delivered exactly once, with its tenant's key, or it is
//! counted under the reason why not, or it is on disk; and in the end none is there. The process forks amid it, and things
//! that are no files turn up in the directory.
//!
//! Waits are short, so that a minute holds the weather of an hour. `CHAOS_SEED` repeats the weather of an earlier time; how
//! the threads meet is new each time.

mod account;
#[path = "../common/mod.rs"]
mod common;
mod directory;
#[cfg(unix)]
mod forks;
mod live;

use account::{check, check_all, Account};
use common::weather::Weather;
use common::{eventually, within, KEY};
use directory::{Directory, PLANTED};
use live::live;
use opentelemetry_langsmith::DropReason;
use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

/// Of all tenants.
const SPANS: usize = 100_000;
const BATCH: usize = 50;
const CONCURRENCY: usize = 8;

/// What is special about the life of one client.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Life {
    Stormy,
    /// More comes than the queue holds.
    SmallQueue,
    /// The server is gone for longer than a batch is tried.
    Outage,
    /// The process ends before all is delivered.
    CutShort,
    /// All is well again.
    Fair,
}

/// How much the directory may hold in such a life.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Disk {
    None,
    Small,
    Large,
}

const LIVES: [(Life, Disk); 10] = [
    (Life::Outage, Disk::Small),
    (Life::Stormy, Disk::Large),
    (Life::CutShort, Disk::Large),
    (Life::SmallQueue, Disk::Large),
    (Life::CutShort, Disk::Large),
    (Life::Outage, Disk::None),
    (Life::CutShort, Disk::None),
    (Life::Outage, Disk::Large),
    (Life::CutShort, Disk::Large),
    (Life::Fair, Disk::Large),
];

/// Who works in the directory, each with a key of its own.
#[derive(Clone, Copy, Debug)]
struct Tenant {
    key: &'static str,
    /// Divides the spans: such a part is this one's.
    part: usize,
    threads: usize,
}

const TENANTS: [Tenant; 2] =
    [Tenant { key: KEY, part: 2, threads: 5 }, Tenant { key: "lsv2_pt_another_tenant", part: 2, threads: 5 }];

/// The most memory that this process has ever had, in megabytes, where the system tells.
fn peak() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<usize>().ok()? / 1024)
}

#[test]
fn every_run_is_accounted_for() {
    let seed = std::env::var("CHAOS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    eprintln!("CHAOS_SEED={seed}");
    within(Duration::from_secs(600), move || {
        let start = Instant::now();
        let (weather, directory) = (Weather::start(seed), Directory::new());
        let mut accounts = Vec::new();
        for (number, (life, disk)) in LIVES.into_iter().enumerate() {
            for account in live(number, &TENANTS, &weather, &directory) {
                let what =
                    format!("CHAOS_SEED={seed}, {life:?}, disk {disk:?}: {}; {:?}", account.stats, account.spool);
                eprintln!("{what} ({:.1?} so far)", start.elapsed());
                check(&what, disk, &account, &weather, &directory);
                accounts.push(account);
            }
        }
        check_all(seed, &accounts, &weather, &directory);
        eventually("endless answers are let go", || weather.book().endless == 0);
        tell(seed, start.elapsed(), &accounts, &weather, &directory);
    });
}

/// The figures, and whether it was what it is meant to be.
fn tell(seed: u64, time: Duration, accounts: &[Account], weather: &Weather, directory: &Directory) {
    let book = weather.book();
    let sum = |count: fn(&Account) -> u64| accounts.iter().map(count).sum::<u64>();
    let reasons: BTreeMap<_, _> = DropReason::ALL
        .into_iter()
        .map(|reason| (reason.as_str(), accounts.iter().map(|account| account.stats.dropped(reason)).sum::<u64>()))
        .filter(|(_, runs)| *runs > 0)
        .collect();
    eprintln!(
        "{} spans in {time:.1?}, {} clients: {} delivered, {} of them from {} files on disk; {} set aside; dropped {reasons:?}; \
         {} requests, faults {:?}; {} runs came again after they had been acknowledged; at most {} bytes of an endless \
         answer; at most {} MB",
        sum(|account| account.stats.submitted),
        accounts.len(),
        book.acknowledged.len(),
        sum(|account| account.spool.delivered_runs),
        sum(|account| account.spool.delivered),
        directory.runs()[1].len(),
        book.requests,
        book.faults,
        book.repeated.len(),
        book.longest,
        peak().unwrap_or_default(),
    );
    assert_eq!(sum(|account| account.stats.submitted), SPANS as u64 + sum(|account| account.more), "CHAOS_SEED={seed}");
    assert!(book.faults.values().sum::<u64>() > book.requests / 10, "it was stormy: {:?}", book.faults);
    for fault in ["no zstd, 400", "no zstd, 415", "narrow link", "endless answer", "forbidden run", "refused run"] {
        assert!(book.faults.contains_key(fault), "CHAOS_SEED={seed}: {:?}", book.faults);
    }
    // What the systems on both sides keep for a connection may be sent although nobody reads it.
    assert!(book.longest < 16 << 20, "CHAOS_SEED={seed}: {} bytes of an answer", book.longest);
    // Each kind of loss was there to be accounted for, and much was on disk.
    for reason in [DropReason::QueueFull, DropReason::Unreachable, DropReason::ShutDown, DropReason::SpoolFull] {
        assert!(reasons.contains_key(reason.as_str()), "CHAOS_SEED={seed}: {reasons:?}");
    }
    assert!(sum(|account| account.spool.delivered_runs) > SPANS as u64 / 50, "CHAOS_SEED={seed}");
    let with_disk = LIVES.iter().filter(|(_, disk)| *disk != Disk::None).count();
    assert_eq!(directory.planted(), with_disk * PLANTED, "CHAOS_SEED={seed}: what is no file is left alone");
}

//! A hundred thousand spans of many threads, a server that misbehaves at random, clients that come and go over one
//! directory for failed traces, and an account of every run: it was delivered exactly once, or it is counted under the
//! reason why not, or it is on disk; and in the end none is there.
//!
//! Waits are short, so that a minute holds the weather of an hour. `CHAOS_SEED` repeats the weather of an earlier time; how
//! the threads meet is new each time.

mod common;

use base64::prelude::{Engine, BASE64_STANDARD};
use common::weather::{is_unwanted, posted, Weather};
use common::{assert_adds_up, eventually, in_time, KEY, LONG};
use opentelemetry::trace::{TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_langsmith::{Client, Config, DropReason, LangSmithSpanProcessor, SpoolStats, Stats};
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use uuid::Uuid;

const SPANS: usize = 100_000;
const THREADS: usize = 8;
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

/// The directory that one client leaves to the next.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("chaos-{}", Uuid::new_v4().simple())))
    }

    /// The runs in files that wait, and in those that were set aside.
    fn runs(&self) -> [HashSet<Uuid>; 2] {
        [self.0.clone(), self.0.join("rejected")].map(|path| runs_in(&path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn runs_in(directory: &Path) -> HashSet<Uuid> {
    let paths = fs::read_dir(directory).into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut all = HashSet::new();
    for path in paths.filter(|path| path.is_file()) {
        assert_eq!(path.extension().unwrap(), "json", "{}: nobody writes or sends it any more", path.display());
        let file: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let body = BASE64_STANDARD.decode(file["body_base64"].as_str().unwrap()).unwrap();
        let runs = posted(&body, file["headers"]["Content-Encoding"] == "zstd").unwrap();
        assert!(!runs.is_empty(), "{}", path.display());
        for run in runs {
            assert!(all.insert(run), "{run} is there twice");
        }
    }
    all
}

/// What became of the runs of one life, as the application hears of it.
struct Account {
    made: HashSet<Uuid>,
    given_up: HashMap<Uuid, DropReason>,
    stats: Stats,
    /// When the last file was gone, or the client was.
    spool: SpoolStats,
}

fn live(life: Life, disk: Disk, weather: &Weather, directory: &Directory) -> Account {
    weather.book().stalls = 1;
    // In an outage without a disk they would be given up for that.
    weather.book().refusals = if life == Life::Outage { 0 } else { 100 };
    weather.storm(life != Life::Fair);
    let given_up = Arc::new(Mutex::new(HashMap::new()));
    let told = Arc::clone(&given_up);
    let mut config = Config::default()
        .with_api_key(KEY)
        .with_endpoint(weather.endpoint())
        .with_batch_runs(BATCH)
        .with_concurrency(CONCURRENCY)
        .with_flush_interval(Duration::from_millis(20))
        .with_retry_waits(Duration::from_millis(5), Duration::from_millis(40))
        .with_probe_interval(Duration::from_millis(50))
        .with_request_timeout(Duration::from_secs(3))
        .with_retry_deadline(if life == Life::Outage { Duration::from_secs(1) } else { LONG })
        .with_queue_bytes(if life == Life::SmallQueue { 1 << 20 } else { 256 << 20 })
        .with_on_drop(move |id, reason| {
            let before = told.lock().unwrap().insert(Uuid::from(id), reason);
            assert_eq!(before, None, "{id} is given up twice");
        });
    if disk != Disk::None {
        config = config.with_spool_dir(&directory.0);
    }
    if disk == Disk::Small {
        config = config.with_spool_bytes(200_000);
    }
    let processor = LangSmithSpanProcessor::new(config).unwrap();
    let client = processor.handle().client();
    let handle = processor.handle();
    let provider = SdkTracerProvider::builder().with_span_processor(processor).build();

    let made = Mutex::new(HashSet::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let tracer = provider.tracer("chaos");
                let mut mine = HashSet::new();
                for trace in 0..SPANS / LIVES.len() / THREADS / 10 {
                    let root = Context::new().with_span(tracer.start("root"));
                    let mut note = |context: &Context| {
                        let run = handle.run_ref(context.span().span_context()).expect("it has just begun");
                        mine.insert(Uuid::from(run.run_id));
                    };
                    note(&root);
                    for number in 0..9 {
                        let child = root.with_span(tracer.start_with_context("child", &root));
                        note(&child);
                        child.span().set_attribute(KeyValue::new("gen_ai.usage.input_tokens", number));
                        child
                            .span()
                            .set_attribute(KeyValue::new("input.value", "what will the weather be like? ".repeat(8)));
                        child.span().end();
                    }
                    root.span().end();
                    if trace % 25 == 0 {
                        std::thread::sleep(Duration::from_millis(20));
                    }
                }
                made.lock().unwrap().extend(mine);
            });
        }
        if life == Life::Outage {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(100));
                weather.leave(true);
                let reason = if disk == Disk::None { DropReason::Unreachable } else { DropReason::SpoolFull };
                eventually("some are given up, or on disk", || {
                    let stats = client.stats();
                    stats.dropped(reason) > 0 || (disk == Disk::Large && stats.spooled > 0)
                });
                weather.leave(false);
            });
        }
    });
    if matches!(life, Life::Fair | Life::Stormy) {
        eventually("nothing is left on disk", || client.spool().waiting == 0);
    }
    let spool = client.spool();
    let time = if life == Life::CutShort { weather.some_time(30) } else { LONG };
    let _ = provider.shutdown_with_timeout(time);
    finish(&client, &given_up);
    let account = Account {
        made: made.into_inner().unwrap(),
        given_up: std::mem::take(&mut *given_up.lock().unwrap()),
        stats: client.stats(),
        spool: if life == Life::Fair { spool } else { client.spool() },
    };
    assert_eq!(account.made.len() as u64, account.stats.submitted, "{life:?}: {:?}", account.stats);
    account
}

/// What a shutdown leaves behind is counted, told and written down right after it.
fn finish(client: &Client, given_up: &Mutex<HashMap<Uuid, DropReason>>) {
    // What is refused long after it was kept on disk is not told.
    let unnamed = [DropReason::QueueFull, DropReason::ShutDown, DropReason::Refused];
    let names = |stats: &Stats| {
        let told = given_up.lock().unwrap();
        DropReason::ALL.into_iter().all(|reason| {
            let named = told.values().filter(|told| **told == reason).count() as u64;
            named == stats.dropped(reason) || unnamed.contains(&reason)
        })
    };
    eventually("all are counted", || {
        let stats = client.stats();
        assert_adds_up(&stats);
        stats.queued + stats.in_flight == 0 && names(&stats)
    });
    eventually("the sender's thread has ended", || common::threads_named("langsmith") == 0);
}

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
    in_time(move || {
        let start = Instant::now();
        let (weather, directory) = (Weather::start(seed), Directory::new());
        let mut accounts = Vec::new();
        for (life, disk) in LIVES {
            let account = live(life, disk, &weather, &directory);
            let what = format!("CHAOS_SEED={seed}, {life:?}, disk {disk:?}: {}; {:?}", account.stats, account.spool);
            eprintln!("{what} ({:.1?} so far)", start.elapsed());
            check(&what, disk, &account, &weather, &directory);
            accounts.push(account);
        }
        check_all(seed, &accounts, &weather, &directory);
        let book = weather.book();
        let sum = |count: fn(&Account) -> u64| accounts.iter().map(count).sum::<u64>();
        let reasons: BTreeMap<_, _> = DropReason::ALL
            .into_iter()
            .map(|reason| (reason.as_str(), accounts.iter().map(|account| account.stats.dropped(reason)).sum::<u64>()))
            .filter(|(_, runs)| *runs > 0)
            .collect();
        eprintln!(
            "{} spans in {:.1?}, {} clients: {} delivered, {} of them from {} files on disk; {} set aside; dropped {reasons:?}; \
             {} requests, \
             faults {:?}; {} runs came again after they had been acknowledged; at most {} MB",
            sum(|account| account.stats.submitted),
            start.elapsed(),
            accounts.len(),
            book.acknowledged.len(),
            sum(|account| account.spool.delivered_runs),
            sum(|account| account.spool.delivered),
            directory.runs()[1].len(),
            book.requests,
            book.faults,
            book.repeated.len(),
            peak().unwrap_or_default(),
        );
        assert_eq!(sum(|account| account.stats.submitted), SPANS as u64, "CHAOS_SEED={seed}");
        assert!(book.faults.values().sum::<u64>() > book.requests / 10, "it was stormy: {:?}", book.faults);
        // Each kind of loss was there to be accounted for, and much was on disk.
        for reason in [DropReason::QueueFull, DropReason::Unreachable, DropReason::ShutDown, DropReason::SpoolFull] {
            assert!(reasons.contains_key(reason.as_str()), "CHAOS_SEED={seed}: {reasons:?}");
        }
        assert!(sum(|account| account.spool.delivered_runs) > SPANS as u64 / 50, "CHAOS_SEED={seed}");
    });
}

/// Each run of a life was acknowledged, or given up by name, or is on disk, or is one of those that are only counted; and the
/// counts agree.
fn check(what: &str, disk: Disk, account: &Account, weather: &Weather, directory: &Directory) {
    let Account { made, given_up, stats, .. } = account;
    let [kept, aside] = directory.runs().map(|runs| &runs & made);
    // What came and was not answered, or not in time, may be on disk too.
    let is_delivered = |book: &HashSet<Uuid>, run: &Uuid| {
        book.contains(run) && !given_up.contains_key(run) && !kept.contains(run) && !aside.contains(run)
    };
    // The server notes an acknowledgement when it is written, which the client may be ahead of.
    eventually(&format!("what is counted as sent has been acknowledged; {what}"), || {
        let book = weather.book();
        made.iter().filter(|run| is_delivered(&book.acknowledged, run)).count() as u64 == stats.sent
    });
    let book = weather.book();
    assert!(given_up.keys().all(|run| made.contains(run)), "{what}: only what was made is given up");
    assert_eq!(kept.len() as u64, stats.spooled, "{what}: what is on disk");
    assert!(disk != Disk::None || kept.is_empty(), "{what}: there is no disk");
    assert!(!kept.iter().any(|run| given_up.contains_key(run) || aside.contains(run)), "{what}: on disk and elsewhere");
    let named = |reason| given_up.values().filter(|told| **told == reason).count() as u64;
    let refused = named(DropReason::Refused) + aside.len() as u64;
    assert_eq!(refused, stats.dropped(DropReason::Refused), "{what}: {} are set aside", aside.len());
    let lost: Vec<_> = made
        .iter()
        .filter(|run| !book.acknowledged.contains(run) && !given_up.contains_key(run))
        .filter(|run| !kept.contains(run) && !aside.contains(run))
        .collect();
    let left_behind = named(DropReason::ShutDown);
    let unnamed = stats.dropped(DropReason::QueueFull) + stats.dropped(DropReason::ShutDown) - left_behind;
    assert_eq!(lost.len() as u64, unnamed, "{what}: {left_behind} were left behind by name");
    assert!(!lost.iter().any(|run| book.stored.contains(run)), "{what}: a run is stored that never was under way");
}

/// In the end no run is on disk: each was delivered, or given up.
fn check_all(seed: u64, accounts: &[Account], weather: &Weather, directory: &Directory) {
    let [kept, aside] = directory.runs();
    assert!(kept.is_empty(), "CHAOS_SEED={seed}: {} runs are left on disk", kept.len());
    let book = weather.book();
    let sum = |count: fn(&Account) -> u64| accounts.iter().map(count).sum::<u64>();
    let named =
        |account: &Account| account.given_up.values().filter(|told| **told == DropReason::Refused).count() as u64;
    let (mut delivered, mut set_aside) = (0, 0);
    for Account { made, given_up, .. } in accounts {
        let refused = given_up.iter().filter(|(_, reason)| **reason == DropReason::Refused).map(|(run, _)| run);
        let mut refused = refused.chain(made.intersection(&aside));
        assert!(!refused.any(|run| book.acknowledged.contains(run)), "CHAOS_SEED={seed}: refused, but delivered");
        let rest = || made.iter().filter(|run| !given_up.contains_key(run));
        delivered += rest().filter(|run| book.acknowledged.contains(run)).count() as u64;
        set_aside += rest().filter(|run| aside.contains(run)).count() as u64;
    }
    assert_eq!(
        set_aside,
        aside.len() as u64,
        "CHAOS_SEED={seed}: what is set aside was made here, and not given up before"
    );
    // Those that were set aside by the very client that had kept them are among its dropped ones.
    let by_later_clients = set_aside
        - accounts.iter().map(|account| account.stats.dropped(DropReason::Refused) - named(account)).sum::<u64>();
    let dropped = sum(|account| account.stats.dropped_total());
    assert_eq!(delivered + dropped + by_later_clients, sum(|account| account.stats.submitted), "CHAOS_SEED={seed}");
    assert!(!book.stored.iter().any(is_unwanted));
    // Only what a shutdown cut off is sent again although it was answered: what was on its way then, and one file.
    let restarts = LIVES.iter().filter(|(life, disk)| *life == Life::CutShort && *disk != Disk::None).count();
    let most = restarts * (CONCURRENCY + 1) * BATCH;
    assert!(book.repeated.len() <= most, "CHAOS_SEED={seed}: {} runs came again", book.repeated.len());
}

//! A hundred thousand spans of many threads, a server that misbehaves at random, and an account of every run: it was
//! delivered exactly once, or it is counted under the reason why not.
//!
//! Waits are short, so that a minute holds the weather of an hour. `CHAOS_SEED` repeats the weather of an earlier time; how
//! the threads meet is new each time.

mod common;

use common::weather::Weather;
use common::{assert_adds_up, eventually, in_time, KEY, LONG};
use opentelemetry::trace::{TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_langsmith::{Config, DropReason, LangSmithSpanProcessor, Stats};
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use uuid::Uuid;

const SPANS: usize = 100_000;
const THREADS: usize = 8;

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

const LIVES: [Life; 5] = [Life::Stormy, Life::SmallQueue, Life::Outage, Life::CutShort, Life::Fair];

/// Where what is given up would be written to, and read from by the next client.
fn with_disk(config: Config) -> Config {
    config
}

/// What became of the runs of one life, as the application hears of it.
struct Account {
    made: HashSet<Uuid>,
    given_up: HashMap<Uuid, DropReason>,
    stats: Stats,
}

fn live(life: Life, weather: &Weather) -> Account {
    weather.book().stalls = 1;
    // In an outage they would be given up for that.
    weather.book().refusals = if life == Life::Outage { 0 } else { 100 };
    weather.storm(life != Life::Fair);
    let given_up = Arc::new(Mutex::new(HashMap::new()));
    let told = Arc::clone(&given_up);
    let config = Config::default()
        .with_api_key(KEY)
        .with_endpoint(weather.endpoint())
        .with_batch_runs(50)
        .with_concurrency(8)
        .with_flush_interval(Duration::from_millis(20))
        .with_retry_waits(Duration::from_millis(5), Duration::from_millis(40))
        .with_probe_interval(Duration::from_millis(50))
        .with_request_timeout(Duration::from_secs(3))
        .with_retry_deadline(if life == Life::Outage { Duration::from_secs(1) } else { LONG })
        .with_queue_bytes(if life == Life::SmallQueue { 4 << 20 } else { 256 << 20 })
        .with_on_drop(move |id, reason| {
            let before = told.lock().unwrap().insert(Uuid::from(id), reason);
            assert_eq!(before, None, "{id} is given up twice");
        });
    let processor = LangSmithSpanProcessor::new(with_disk(config)).unwrap();
    let (handle, client) = (processor.handle(), processor.handle().client());
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
                eventually("some are given up", || client.stats().dropped(DropReason::Unreachable) > 0);
                weather.leave(false);
            });
        }
    });
    let time = if life == Life::CutShort { Duration::from_millis(30) } else { LONG };
    let _ = provider.shutdown_with_timeout(time);
    // What a shutdown leaves behind is counted and told right after it.
    let names = |stats: &Stats| {
        let told = given_up.lock().unwrap();
        DropReason::ALL.into_iter().all(|reason| {
            let named = told.values().filter(|told| **told == reason).count() as u64;
            named == stats.dropped(reason) || matches!(reason, DropReason::QueueFull | DropReason::ShutDown)
        })
    };
    eventually("all are counted", || {
        let stats = client.stats();
        assert_adds_up(&stats);
        stats.queued + stats.in_flight == 0 && names(&stats)
    });
    eventually("the sender's thread has ended", || common::threads_named("langsmith") == 0);
    let account = Account {
        made: made.into_inner().unwrap(),
        given_up: std::mem::take(&mut *given_up.lock().unwrap()),
        stats: client.stats(),
    };
    assert_eq!(account.made.len() as u64, account.stats.submitted, "{life:?}: {:?}", account.stats);
    account
}

/// The most memory that this process has ever had, in megabytes, where the system tells.
fn peak() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<usize>().ok()? / 1024)
}

#[test]
fn every_run_is_accounted_for() {
    let seed = std::env::var("CHAOS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    eprintln!("CHAOS_SEED={seed}");
    in_time(move || {
        let start = Instant::now();
        let weather = Weather::start(seed);
        let mut accounts = Vec::new();
        for life in LIVES {
            let account = live(life, &weather);
            eprintln!("{life:?}: {} ({:.1?} so far)", account.stats, start.elapsed());
            check(seed, life, &account, &weather);
            accounts.push(account);
        }
        let book = weather.book();
        let sum = |count: fn(&Stats) -> u64| accounts.iter().map(|account| count(&account.stats)).sum::<u64>();
        let reasons: BTreeMap<_, _> = DropReason::ALL
            .into_iter()
            .map(|reason| (reason.as_str(), accounts.iter().map(|account| account.stats.dropped(reason)).sum::<u64>()))
            .collect();
        eprintln!(
            "{} spans in {:.1?}: {} delivered, {} spooled, dropped {reasons:?}; {} requests, faults {:?}; at most {:?} MB",
            sum(|stats| stats.submitted),
            start.elapsed(),
            sum(|stats| stats.sent),
            sum(|stats| stats.spooled),
            book.requests,
            book.faults,
            peak(),
        );
        assert_eq!(sum(|stats| stats.submitted), SPANS as u64, "CHAOS_SEED={seed}");
        assert_eq!(book.repeated, 0, "CHAOS_SEED={seed}: runs came again although they had been acknowledged");
        assert!(book.faults.values().sum::<u64>() > book.requests / 10, "it was stormy: {:?}", book.faults);
        // Each kind of loss was there to be accounted for.
        for reason in [DropReason::QueueFull, DropReason::Unreachable, DropReason::ShutDown] {
            assert!(reasons[reason.as_str()] > 0, "CHAOS_SEED={seed}: {reasons:?}");
        }
    });
}

/// Each run was acknowledged, or given up by name, or is one of those that are only counted; and the counts agree.
fn check(seed: u64, life: Life, account: &Account, weather: &Weather) {
    let Account { made, given_up, stats } = account;
    let what = format!("CHAOS_SEED={seed}, {life:?}: {stats:?}");
    // The server notes an acknowledgement when it is written, which the client may be ahead of.
    eventually(&format!("what is counted as sent has been acknowledged; {what}"), || {
        let book = weather.book();
        let delivered = made.iter().filter(|run| book.acknowledged.contains(run) && !given_up.contains_key(run));
        delivered.count() as u64 == stats.sent
    });
    let book = weather.book();
    assert!(given_up.keys().all(|run| made.contains(run)), "{what}: only what was made is given up");
    let lost: Vec<_> =
        made.iter().filter(|run| !book.acknowledged.contains(run) && !given_up.contains_key(run)).collect();
    let named = given_up.values().filter(|reason| **reason == DropReason::ShutDown).count() as u64;
    let unnamed = stats.dropped(DropReason::QueueFull) + stats.dropped(DropReason::ShutDown) - named;
    assert_eq!(lost.len() as u64, unnamed, "{what}: {named} were left behind by name");
    assert!(lost.iter().all(|run| !book.stored.contains(run)), "{what}: a run is stored that never was under way");
    // Who is given up because it was refused has not been delivered.
    let refused = given_up.iter().filter(|(_, reason)| **reason == DropReason::Refused);
    assert!(refused.into_iter().all(|(run, _)| !book.acknowledged.contains(run)), "{what}: refused, but delivered");
    if life == Life::Fair {
        assert_eq!(stats.sent, stats.submitted, "{what}");
    }
}

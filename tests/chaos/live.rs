//! One life: each tenant's client comes, threads end spans, something happens, and the clients go.

use crate::account::Account;
use crate::common::weather::Weather;
use crate::common::{assert_adds_up, eventually, threads_named, LONG};
use crate::directory::Directory;
use crate::{Disk, Life, Tenant, BATCH, CONCURRENCY, LIVES, SPANS};
use opentelemetry::trace::{TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_langsmith::{Client, Config, DropReason, Handle, LangSmithSpanProcessor, SpoolStats, Stats};
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use uuid::Uuid;

type GivenUp = Arc<Mutex<HashMap<Uuid, DropReason>>>;

/// What one tenant has for one life.
struct Household {
    tenant: Tenant,
    provider: SdkTracerProvider,
    handle: Handle,
    client: Client,
    given_up: GivenUp,
    made: Mutex<HashSet<Uuid>>,
}

/// What is known before the client is gone.
#[derive(Clone, Copy)]
struct End {
    more: u64,
    spool: Option<SpoolStats>,
}

pub(crate) fn live(number: usize, tenants: &[Tenant], weather: &Weather, directory: &Directory) -> Vec<Account> {
    let (life, disk) = LIVES[number];
    weather.book().stalls = 1;
    // In an outage without a disk they would be given up for that.
    weather.book().refusals = if life == Life::Outage { 0 } else { 100 };
    weather.storm(life != Life::Fair);
    let households: Vec<_> =
        tenants.iter().map(|tenant| Household::new(*tenant, config(life, disk, weather, directory))).collect();
    std::thread::scope(|scope| {
        for household in &households {
            for _ in 0..household.tenant.threads {
                scope.spawn(|| household.trace());
            }
            #[cfg(unix)]
            scope.spawn(|| {
                std::thread::sleep(weather.some_time(50));
                crate::forks::fork_amid(&household.provider, &household.client);
            });
        }
        if disk != Disk::None {
            directory.plant(number);
        }
        if life == Life::Outage {
            std::thread::sleep(Duration::from_millis(100));
            weather.leave(true);
            let reason = if disk == Disk::None { DropReason::Unreachable } else { DropReason::SpoolFull };
            eventually("some are given up, or on disk", || {
                let mut all = households.iter().map(|household| household.client.stats());
                all.any(|stats| stats.dropped(reason) > 0 || (disk == Disk::Large && stats.spooled > 0))
            });
            weather.leave(false);
        }
    });
    let ends: Vec<_> = std::thread::scope(|scope| {
        let ends: Vec<_> = households.iter().map(|household| scope.spawn(|| household.end(life, weather))).collect();
        ends.into_iter().map(|end| end.join().unwrap()).collect()
    });
    // Until then names are told of what was left behind.
    eventually("the senders' threads have ended", || threads_named("langsmith") == 0);
    households.into_iter().zip(ends).map(|(household, end)| household.account(life, end)).collect()
}

fn config(life: Life, disk: Disk, weather: &Weather, directory: &Directory) -> Config {
    let config = Config::default()
        .with_endpoint(weather.endpoint())
        .with_batch_runs(BATCH)
        .with_concurrency(CONCURRENCY)
        .with_flush_interval(Duration::from_millis(20))
        .with_retry_waits(Duration::from_millis(5), Duration::from_millis(40))
        .with_probe_interval(Duration::from_millis(50))
        .with_request_timeout(Duration::from_secs(3))
        .with_retry_deadline(if life == Life::Outage { Duration::from_secs(1) } else { LONG })
        .with_queue_bytes(if life == Life::SmallQueue { 1 << 20 } else { 256 << 20 });
    match disk {
        Disk::None => config,
        Disk::Small => config.with_spool_dir(directory.path()).with_spool_bytes(200_000),
        Disk::Large => config.with_spool_dir(directory.path()),
    }
}

impl Household {
    fn new(tenant: Tenant, config: Config) -> Self {
        let given_up = GivenUp::default();
        let (told, process) = (Arc::clone(&given_up), std::process::id());
        let config = config.with_api_key(tenant.key).with_on_drop(move |id, reason| {
            // In a forked process nobody may ever let go of the lock.
            if std::process::id() == process {
                let before = told.lock().unwrap().insert(Uuid::from(id), reason);
                assert_eq!(before, None, "{id} is given up twice");
            }
        });
        let processor = LangSmithSpanProcessor::new(config).unwrap();
        let (handle, client) = (processor.handle(), processor.handle().client());
        let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
        Self { tenant, provider, handle, client, given_up, made: Mutex::default() }
    }

    /// What one thread traces.
    fn trace(&self) {
        let tracer = self.provider.tracer("chaos");
        let mut mine = HashSet::new();
        for trace in 0..SPANS / LIVES.len() / self.tenant.part / self.tenant.threads / 10 {
            let root = Context::new().with_span(tracer.start("root"));
            mine.insert(self.run_of(&root));
            for number in 0..9 {
                let child = root.with_span(tracer.start_with_context("child", &root));
                mine.insert(self.run_of(&child));
                child.span().set_attribute(KeyValue::new("gen_ai.usage.input_tokens", number));
                let value = "what will the weather be like? ".repeat(8);
                child.span().set_attribute(KeyValue::new("input.value", value));
                child.span().end();
            }
            root.span().end();
            if trace % 25 == 0 {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        self.made.lock().unwrap().extend(mine);
    }

    fn run_of(&self, context: &Context) -> Uuid {
        let run = self.handle.run_ref(context.span().span_context()).expect("it has just begun");
        Uuid::from(run.run_id)
    }

    fn end(&self, life: Life, weather: &Weather) -> End {
        let more = if matches!(life, Life::Fair | Life::Stormy) { self.go_on_until_settled(life) } else { 0 };
        let spool = (life == Life::Fair).then(|| self.client.spool());
        let time = if life == Life::CutShort { weather.some_time(30) } else { LONG };
        let _ = self.provider.shutdown_with_timeout(time);
        self.finish();
        End { more, spool }
    }

    fn account(self, life: Life, end: End) -> Account {
        let account = Account {
            key: self.tenant.key,
            made: self.made.into_inner().unwrap(),
            more: end.more,
            given_up: std::mem::take(&mut *self.given_up.lock().unwrap()),
            stats: self.client.stats(),
            spool: end.spool.unwrap_or_else(|| self.client.spool()),
        };
        assert_eq!(account.made.len() as u64, account.stats.submitted, "{life:?}: {:?}", account.stats);
        account
    }

    /// Waits until nothing is on disk, and in the end nothing in memory. What was answered 403 waits until others are
    /// accepted, so there have to be some. Says how many.
    fn go_on_until_settled(&self, life: Life) -> u64 {
        let mut more = 0;
        let is_settled = || {
            let stats = self.client.stats();
            self.client.spool().waiting == 0 && (life != Life::Fair || stats.queued + stats.in_flight == 0)
        };
        let start = Instant::now();
        while !is_settled() {
            // Files are sent at the machine's pace, with rests.
            let (stats, spool) = (self.client.stats(), self.client.spool());
            assert!(start.elapsed() < 5 * LONG, "never settled: {stats}; {spool:?}");
            let span = Context::new().with_span(self.provider.tracer("chaos").start("more"));
            self.made.lock().unwrap().insert(self.run_of(&span));
            span.span().end();
            more += 1;
            std::thread::sleep(Duration::from_millis(50));
        }
        more
    }

    /// What a shutdown leaves behind is counted, told and written down right after it.
    fn finish(&self) {
        // What is refused long after it was kept on disk is not told.
        let unnamed = [DropReason::QueueFull, DropReason::ShutDown, DropReason::Refused];
        let names = |stats: &Stats| {
            let told = self.given_up.lock().unwrap();
            DropReason::ALL.into_iter().all(|reason| {
                let named = told.values().filter(|told| **told == reason).count() as u64;
                named == stats.dropped(reason) || unnamed.contains(&reason)
            })
        };
        eventually("all are counted", || {
            let stats = self.client.stats();
            assert_adds_up(&stats);
            stats.queued + stats.in_flight == 0 && names(&stats)
        });
    }
}

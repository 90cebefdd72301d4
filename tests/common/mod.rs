//! What the behaviour tests share: configurations, spans by hand, and a watch for hangs.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod log;
pub(crate) mod raw;
pub(crate) mod sink;
pub(crate) mod weather;

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_langsmith::testing::{LocalLangSmith, ReceivedRequest, ReceivedRun};
use opentelemetry_langsmith::{Client, Config, Handle, LangSmithExporter, LangSmithSpanProcessor, Run, RunType, Stats};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{IdGenerator, SdkTracerProvider, SpanData, SpanEvents, SpanExporter, SpanLinks};
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The key that the tests use; whatever prints it prints a secret.
pub(crate) const KEY: &str = "lsv2_pt_0123456789abcdef_must_not_show";

/// A deadline that only a hang misses, on slow machines too.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Sends to `server`; waits between tries are short.
pub(crate) fn config(server: &LocalLangSmith) -> Config {
    Config::default()
        .with_api_key(KEY)
        .with_endpoint(server.endpoint())
        .with_flush_interval(Duration::from_millis(20))
        .with_retry_waits(Duration::from_millis(5), Duration::from_millis(50))
}

/// Nothing goes out by itself: a test says when.
pub(crate) fn patient(server: &LocalLangSmith) -> Config {
    config(server).with_flush_interval(Duration::from_secs(3600))
}

/// A run that has ended, with so many bytes in it.
pub(crate) fn run(name: String, bytes: usize) -> Run {
    let text = "x".repeat(bytes);
    Run::builder(name, RunType::Chain)
        .outputs(&serde_json::json!({ "text": text }))
        .end_now()
        .build()
        .expect("a valid run")
}

/// Runs named `0`, `1`, …
pub(crate) fn submit(client: &Client, runs: usize) {
    for number in 0..runs {
        client.submit(run(number.to_string(), 10)).expect("there is room");
    }
}

/// The requests that carried runs.
pub(crate) fn posts(server: &LocalLangSmith) -> Vec<ReceivedRequest> {
    server.requests().into_iter().filter(|request| request.method == "POST").collect()
}

/// A server that takes everything.
pub(crate) fn server() -> LocalLangSmith {
    LocalLangSmith::start().expect("loopback has a free port")
}

/// Runs `test` on a thread of its own and fails when it hangs.
pub(crate) fn in_time<T: Send + 'static>(test: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, finished) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let value = test();
        let _ = done.send(());
        value
    });
    let ended = finished.recv_timeout(2 * LONG);
    assert!(!matches!(ended, Err(mpsc::RecvTimeoutError::Timeout)), "hangs");
    match thread.join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// A moment `micros` microseconds after one in November 2026.
pub(crate) fn at(micros: i64) -> SystemTime {
    let base = UNIX_EPOCH + Duration::from_secs(1_795_000_000);
    let distance = Duration::from_micros(micros.unsigned_abs());
    if micros < 0 {
        base - distance
    } else {
        base + distance
    }
}

/// A sampled span that took one millisecond. A `parent` of 0 is none.
pub(crate) fn span(trace: u128, id: u64, parent: u64) -> SpanData {
    SpanData {
        span_context: SpanContext::new(
            TraceId::from(trace),
            SpanId::from(id),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        ),
        parent_span_id: SpanId::from(parent),
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: format!("span {id}").into(),
        start_time: at(0),
        end_time: at(1000),
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::builder("tests").build(),
    }
}

/// The same span with one more attribute.
pub(crate) fn with(mut span: SpanData, key: &'static str, value: impl Into<opentelemetry::Value>) -> SpanData {
    span.attributes.push(KeyValue::new(key, value));
    span
}

/// Waits for a future on a runtime of its own.
pub(crate) fn wait_for<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(future)
}

/// Exports a batch as a processor would.
pub(crate) fn export(exporter: &LangSmithExporter, batch: Vec<SpanData>) -> OTelSdkResult {
    wait_for(exporter.export(batch))
}

/// Exports spans one batch after the other and shuts down; nothing may fail.
pub(crate) fn export_all(config: Config, batches: Vec<Vec<SpanData>>) -> Stats {
    let exporter = LangSmithExporter::new(config).expect("a valid configuration");
    for batch in batches {
        export(&exporter, batch).expect("the receiver takes everything");
    }
    exporter.shutdown_with_timeout(LONG).expect("the receiver takes everything");
    let stats = exporter.client().stats();
    assert_adds_up(&stats);
    stats
}

/// Exports one span alone and gives back its run; the receiver may find nothing wrong with it.
pub(crate) fn run_of(span: SpanData) -> ReceivedRun {
    let server = server();
    let stats = export_all(config(&server), vec![vec![span]]);
    assert_eq!((stats.submitted, stats.sent), (1, 1), "{stats:?}");
    assert_flawless(&server, 1);
    server.runs().remove(0)
}

/// Exactly so many runs have come, each once, and no rule was broken.
pub(crate) fn assert_flawless(server: &LocalLangSmith, runs: usize) {
    let violations = server.violations();
    assert!(violations.is_empty(), "{} violations, as {:#?}", violations.len(), &violations[..violations.len().min(5)]);
    assert_eq!(server.received(), runs as u64);
    for run in server.runs() {
        assert_eq!(run.posts, 1, "{} came more than once", run.name);
    }
}

/// Every run that was handed in is in exactly one place.
pub(crate) fn assert_adds_up(stats: &Stats) {
    let sum = stats.queued + stats.in_flight + stats.sent + stats.spooled + stats.dropped_total();
    assert_eq!(stats.submitted, sum, "{stats:?}");
}

/// Counts: one random trace id in 64 looks like a UUIDv7 of another time, and `RunIds::Otel` makes a
/// run id of it.
#[derive(Debug, Default)]
pub(crate) struct CountedIds(AtomicU64);

impl IdGenerator for CountedIds {
    fn new_trace_id(&self) -> TraceId {
        TraceId::from(u128::from(self.0.fetch_add(1, Ordering::Relaxed)) + 0x7ace_0000)
    }

    fn new_span_id(&self) -> SpanId {
        SpanId::from(self.0.fetch_add(1, Ordering::Relaxed) + 0x51_0000)
    }
}

/// A provider whose spans go to LangSmith through the processor, with ids that count up.
pub(crate) fn counted_provider(config: Config) -> (SdkTracerProvider, Handle) {
    let processor = LangSmithSpanProcessor::new(config).unwrap();
    let handle = processor.handle();
    let builder = SdkTracerProvider::builder().with_span_processor(processor);
    (builder.with_id_generator(CountedIds::default()).build(), handle)
}

/// Asks until the answer is yes; fails when it never is.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !holds() {
        assert!(start.elapsed() < LONG, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// How many threads of this process have this name; always 0 where the system does not tell.
pub(crate) fn threads_named(name: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|comm| comm.trim() == name).count()
}

//! `with_queue_bytes` bounds all that a client holds, wherever it is: each way to fill it, in a process of its own, whose
//! memory is measured. Where the system does not tell how much that is, nothing is checked.

mod common;

use common::raw::{read_body, Raw, NOT_FOUND};
use common::{eventually, span, with, KEY, LONG};
use opentelemetry::trace::{Span as _, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_langsmith::{Client, Config, LangSmithExporter, LangSmithSpanProcessor, Run, RunType, SubmitError};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanExporter};
use std::io::Write;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

const TASK: &str = "MEMORY_LIMIT_TASK";
const LIMIT: usize = 16 << 20;
/// So much is handed in altogether.
const ALL: usize = 160 << 20;
/// The most megabytes that this may take: the limit, a batch that is being made in several copies, and what the
/// allocator keeps.
const MOST: usize = 3 * (LIMIT >> 20);
const TEXT: usize = 64 << 10;

/// Megabytes: the most there were in memory at any time.
fn most_resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<usize>().ok().map(|kilobytes| kilobytes / 1024)
}

/// A server that reads no body of runs, and how many have come.
fn stalled(has_multipart: bool) -> (Raw, Arc<AtomicUsize>) {
    let seen = Arc::new(AtomicUsize::new(0));
    let see = Arc::clone(&seen);
    let server = Raw::start(move |head, connection| {
        if !head.is_ingest || (!has_multipart && !head.is_json) {
            read_body(head, connection)?;
            return connection.get_mut().write_all(NOT_FOUND);
        }
        see.fetch_add(1, Ordering::SeqCst);
        loop {
            std::thread::sleep(LONG);
        }
    });
    (server, seen)
}

fn config(server: &Raw) -> Config {
    Config::default()
        .with_api_key(KEY)
        .with_endpoint(server.endpoint())
        .with_flush_interval(Duration::from_millis(10))
        .with_request_timeout(100 * LONG)
        .with_queue_bytes(LIMIT)
}

fn run(name: &'static str, bytes: usize) -> Run {
    Run::builder(name, RunType::Chain).inputs(&"x".repeat(bytes)).build().unwrap()
}

/// Hands in runs of 64 KiB, as long as they are taken. What is not taken for a second will not be taken.
fn fill(mut hand_in: impl FnMut() -> Result<(), SubmitError>) {
    let mut refused = 0;
    for _ in 0..ALL / TEXT {
        while hand_in().is_err() {
            refused += 1;
            if refused > 200 {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        refused = 0;
    }
}

fn bodies_on_their_way() {
    let (server, _) = stalled(true);
    let client = Client::new(config(&server).without_compression()).unwrap();
    fill(|| client.submit(run("one", TEXT).edit().end_now().build().unwrap()));
    let _ = client.shutdown(Duration::ZERO);
}

fn posts_that_are_kept_back() {
    let (server, _) = stalled(true);
    let config = config(&server).without_compression().with_flush_interval(100 * LONG).with_batch_runs(10_000);
    let client = Client::new(config).unwrap();
    fill(|| client.submit(run("open", TEXT)));
    let _ = client.shutdown(Duration::ZERO);
}

fn updates_that_wait_for_their_posts() {
    let (server, seen) = stalled(true);
    let client = Client::new(config(&server).with_batch_runs(10_000)).unwrap();
    let posts: Vec<_> = (0..=ALL / TEXT).map(|_| run("open", 10)).collect();
    for post in &posts {
        client.submit(post.clone()).unwrap();
    }
    eventually("the posts are on their way", || {
        seen.load(Ordering::SeqCst) > 0 && client.stats().in_flight == posts.len() as u64
    });
    let mut posts = posts.iter().cycle();
    let text = "x".repeat(TEXT);
    fill(|| client.update(posts.next().unwrap().edit().outputs(&text).end_now().build().unwrap()));
    let _ = client.shutdown(Duration::ZERO);
}

fn batches_as_json() {
    let (server, seen) = stalled(false);
    // Small when they are packed, so that all are taken; there is room for few at once when they are not.
    let client = Client::new(config(&server).with_flush_interval(100 * LONG)).unwrap();
    fill(|| client.submit(run("one", TEXT).edit().end_now().build().unwrap()));
    eventually("all is packed", || client.stats().queued == 0);
    let (mut before, mut same) = (0, 0);
    eventually("no more requests come", || {
        let now = seen.load(Ordering::SeqCst);
        same = if now == before { same + 1 } else { 0 };
        before = now;
        same > 400
    });
    let _ = client.shutdown(Duration::ZERO);
}

fn spans_that_wait_for_their_parents() {
    let (server, _) = stalled(true);
    // The server takes nothing, so nobody waits for an answer.
    let exporter = LangSmithExporter::new(config(&server).without_compression()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let exporter = Arc::new(exporter);
    for id in 1..=(ALL / TEXT) as u64 {
        let span = with(span(u128::from(id) << 64, id, u64::MAX), "x", "y".repeat(TEXT));
        let exporter = Arc::clone(&exporter);
        runtime.spawn(async move { exporter.export(vec![span]).await });
        std::thread::sleep(Duration::from_micros(500));
    }
    std::thread::sleep(Duration::from_secs(1));
    runtime.shutdown_background();
    let _ = exporter.client().shutdown(Duration::ZERO);
}

fn traces_that_are_not_decided() {
    let (server, _) = stalled(true);
    let config = config(&server).with_sampling_rate(0.0).with_keep_errors(true);
    let processor = LangSmithSpanProcessor::new(config).unwrap();
    let client = processor.handle().client();
    let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
    let tracer = provider.tracer("memory");
    let root = Context::new().with_span(tracer.start("root"));
    for _ in 0..ALL / TEXT {
        let mut child = tracer.start_with_context("child", &root);
        child.set_attribute(KeyValue::new("x", "y".repeat(TEXT)));
        child.end();
        std::thread::sleep(Duration::from_micros(100));
    }
    let _ = client.shutdown(Duration::ZERO);
}

const TASKS: [(&str, fn()); 6] = [
    ("bodies on their way", bodies_on_their_way),
    ("posts that are kept back", posts_that_are_kept_back),
    ("updates that wait for their posts", updates_that_wait_for_their_posts),
    ("batches as JSON", batches_as_json),
    ("spans that wait for their parents", spans_that_wait_for_their_parents),
    ("traces that are not decided", traces_that_are_not_decided),
];

#[test]
#[ignore = "what the other test starts as a process of its own"]
fn the_child() {
    let name = std::env::var(TASK).expect("the other test sets it");
    let (_, task) = TASKS.iter().find(|(task, _)| *task == name).expect("it is one of them");
    let before = most_resident();
    task();
    if let (Some(before), Some(after)) = (before, most_resident()) {
        eprintln!("{name}: from {before} MB to {after} MB");
        assert!(after < before + MOST, "{name}: from {before} MB to {after} MB");
    }
}

#[test]
fn all_that_a_client_holds_is_bounded() {
    let mut failed = Vec::new();
    for (name, _) in TASKS {
        let mut child = Command::new(std::env::current_exe().expect("this program has a path"));
        child.args(["--exact", "the_child", "--ignored", "--nocapture", "--test-threads=1"]).env(TASK, name);
        let output = child.output().expect("it can be started again");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        eprintln!("{}", said.lines().find(|line| line.starts_with(name)).unwrap_or(&said));
        if !output.status.success() {
            failed.push(name);
        }
    }
    assert_eq!(failed, [""; 0]);
}

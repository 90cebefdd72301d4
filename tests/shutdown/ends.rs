//! Spans end and runs are handed over, on many threads, while all is shut down: what came before is delivered, what comes
//! later is counted, and no run stands under one that never came.

use crate::common::{assert_adds_up, config, export, in_time, run, server, span, CountedIds, LONG};
use opentelemetry::trace::{Span as _, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::Context;
use opentelemetry_langsmith::testing::LocalLangSmith;
use opentelemetry_langsmith::{Client, Config, DropReason, Handle, LangSmithExporter, LangSmithSpanProcessor};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, Span, SpanData, SpanExporter as _, SpanProcessor};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

const THREADS: usize = 4;
const TRIES: usize = 150;
/// So many traces more each thread makes when the shutdown has begun.
const LATE: usize = 10;
/// After so many it no longer minds when others have the processor: the server has to read them all.
const BUSY: usize = 20;

/// A processor that two hold: a provider, and the test, which shuts it down behind the provider's back.
#[derive(Clone, Debug)]
struct Shared(Arc<LangSmithSpanProcessor>);

impl SpanProcessor for Shared {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.0.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        self.0.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }
}

/// How to shut down.
type Stop = fn(&SdkTracerProvider, &Shared, &Handle) -> Result<(), String>;

/// Nothing of what is there contradicts itself.
fn assert_whole(server: &LocalLangSmith) {
    let runs = server.runs();
    let ids: HashSet<_> = runs.iter().map(|run| &run.id).collect();
    let orphans: Vec<_> = runs
        .iter()
        .filter(|run| run.parent_run_id.as_ref().is_some_and(|parent| !ids.contains(parent)))
        .map(|run| &run.name)
        .collect();
    assert!(orphans.is_empty(), "{} of {} runs lack their parent, {} for one", orphans.len(), runs.len(), orphans[0]);
    assert!(runs.iter().all(|run| run.posts == 1), "each comes once");
    assert_eq!(server.violations(), Vec::<String>::new());
}

/// Traces until a little after the shutdown has begun. Returns the names of spans whose ends came back before it.
fn trace(provider: &SdkTracerProvider, thread: usize, stopping: &AtomicBool) -> Vec<String> {
    let tracer = provider.tracer("ends");
    let (mut ended, mut late) = (Vec::new(), 0);
    for number in 0.. {
        let name = |kind: &str| format!("{kind} {thread}/{number}");
        let root = Context::new().with_span(tracer.start_with_context(name("root"), &Context::new()));
        for kind in ["first", "second"] {
            let middle = root.with_span(tracer.start_with_context(name(&format!("{kind} middle")), &root));
            let mut leaf = tracer.start_with_context(name(&format!("{kind} leaf")), &middle);
            leaf.end();
            middle.span().end();
        }
        root.span().end();
        if !stopping.load(Ordering::SeqCst) {
            ended.extend(["root", "first middle", "first leaf", "second middle", "second leaf"].map(name));
        } else if late == LATE {
            break;
        } else {
            late += 1;
        }
        if number > BUSY {
            std::thread::yield_now();
        }
    }
    ended
}

fn shut_down_amid_ends(tries: usize, change: fn(Config) -> Config, stop: Stop) {
    for _ in 0..tries {
        in_time(move || shut_down_once(change, stop));
    }
}

fn shut_down_once(change: fn(Config) -> Config, stop: Stop) {
    let server = server();
    let processor = Shared(Arc::new(LangSmithSpanProcessor::new(change(config(&server))).unwrap()));
    let handle = processor.0.handle();
    let provider = SdkTracerProvider::builder()
        .with_span_processor(processor.clone())
        .with_id_generator(CountedIds::default())
        .build();
    let (stopping, ready) = (AtomicBool::new(false), Barrier::new(THREADS + 1));
    let (answer, ended) = std::thread::scope(|scope| {
        let start = |thread| {
            let (provider, stopping, ready) = (&provider, &stopping, &ready);
            scope.spawn(move || {
                ready.wait();
                trace(provider, thread, stopping)
            })
        };
        let threads: Vec<_> = (0..THREADS).map(start).collect();
        ready.wait();
        while handle.client().stats().submitted < 50 {
            std::hint::spin_loop();
        }
        stopping.store(true, Ordering::SeqCst);
        let answer = stop(&provider, &processor, &handle);
        (answer, threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>())
    });
    assert_eq!(answer, Ok(()), "what comes too late is no fault of the shutdown");
    let (stats, runs) = (handle.client().stats(), server.runs());
    assert_adds_up(&stats);
    let arrived: u64 = runs.iter().map(|run| u64::from(run.posts + run.patches)).sum();
    assert_eq!((stats.queued, stats.in_flight, stats.sent), (0, 0, arrived), "{stats:?}");
    assert_eq!(stats.dropped_total(), stats.dropped(DropReason::ShutDown), "{stats:?}");
    assert_whole(&server);
    let whole: HashSet<_> = runs.iter().filter(|run| run.error.is_none()).map(|run| run.name.as_str()).collect();
    let lost: Vec<_> = ended.iter().filter(|name| !whole.contains(name.as_str())).collect();
    assert!(lost.is_empty(), "{} spans that had ended are lost or interrupted, {} for one", lost.len(), lost[0]);
}

#[test]
fn the_provider_is_shut_down_amid_ends() {
    shut_down_amid_ends(
        TRIES,
        |config| config,
        |provider, _, _| provider.shutdown_with_timeout(LONG).map_err(|error| error.to_string()),
    );
}

#[test]
fn the_processor_is_shut_down_amid_ends() {
    shut_down_amid_ends(
        TRIES / 3,
        |config| config.with_trace_runs(3),
        |_, processor, _| processor.shutdown_with_timeout(LONG).map_err(|error| error.to_string()),
    );
}

#[test]
fn its_client_is_shut_down_amid_ends() {
    shut_down_amid_ends(
        TRIES / 3,
        |config| config.with_pending_after(Duration::from_micros(50)),
        |_, _, handle| handle.client().shutdown(LONG).map_err(|error| error.to_string()),
    );
}

/// Whoever was told that a run was taken finds it delivered, updates and all.
#[test]
fn a_client_is_shut_down_amid_submits() {
    for _ in 0..TRIES / 3 {
        in_time(|| {
            let server = server();
            let client = Client::new(config(&server)).unwrap();
            let (taken, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let answer = std::thread::scope(|scope| {
                for thread in 0..THREADS {
                    let (client, taken, refused) = (&client, &taken, &refused);
                    scope.spawn(move || loop {
                        let run = run(format!("from {thread}"), 10);
                        if client.submit(run).is_err() {
                            refused.fetch_add(1, Ordering::SeqCst);
                            break;
                        }
                        taken.fetch_add(1, Ordering::SeqCst);
                        std::thread::yield_now();
                    });
                }
                while taken.load(Ordering::SeqCst) < 50 {
                    std::thread::yield_now();
                }
                client.shutdown(LONG)
            });
            assert!(answer.is_ok(), "{answer:?}");
            let stats = client.stats();
            assert_adds_up(&stats);
            let (taken, refused) = (taken.into_inner() as u64, refused.into_inner() as u64);
            assert_eq!((stats.sent, server.received()), (taken, taken), "{stats:?}");
            assert_eq!(stats.dropped(DropReason::ShutDown), refused, "{stats:?}");
            assert_whole(&server);
        });
    }
}

/// An exporter that several processors share: an export that was answered well is delivered.
#[test]
fn an_exporter_is_shut_down_amid_exports() {
    in_time(|| {
        for _ in 0..TRIES / 5 {
            let server = server();
            let exporter = LangSmithExporter::new(config(&server)).unwrap();
            let (next, delivered) = (AtomicUsize::new(1), AtomicUsize::new(0));
            let answer = std::thread::scope(|scope| {
                for _ in 0..THREADS {
                    let (exporter, next, delivered) = (&exporter, &next, &delivered);
                    scope.spawn(move || loop {
                        let trace = next.fetch_add(2, Ordering::SeqCst) as u64;
                        let batch = vec![span(trace.into(), trace + 1, trace), span(trace.into(), trace, 0)];
                        if export(exporter, batch).is_err() {
                            break;
                        }
                        delivered.fetch_add(2, Ordering::SeqCst);
                    });
                }
                while delivered.load(Ordering::SeqCst) < 20 {
                    std::thread::yield_now();
                }
                exporter.shutdown_with_timeout(LONG)
            });
            assert!(answer.is_ok(), "{answer:?}");
            let stats = exporter.client().stats();
            assert_adds_up(&stats);
            assert_eq!((stats.queued, stats.in_flight, stats.sent), (0, 0, server.received()), "{stats:?}");
            assert!(stats.sent >= delivered.into_inner() as u64, "{stats:?}");
            assert_whole(&server);
        }
    });
}

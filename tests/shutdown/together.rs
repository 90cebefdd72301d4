//! Shutdowns from everywhere: in runtimes, twice, at the same time, while others still push.

use crate::common::{assert_adds_up, assert_flawless, config, eventually, in_time, run, server, LONG};
use crate::states::{endless, State, LATE, STATES};
use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry_langsmith::{Client, FlushError, LangSmithExporter, LangSmithSpanProcessor};
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

const TIMEOUT: Duration = Duration::from_millis(300);

fn runtimes() -> [Runtime; 4] {
    [
        Builder::new_current_thread().enable_all().build().unwrap(),
        Builder::new_current_thread().build().unwrap(),
        Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap(),
        Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap(),
    ]
}

/// The provider is shut down within a task, in every state that the sender may be in.
#[test]
fn inside_every_runtime() {
    in_time(|| {
        for (number, runtime) in runtimes().into_iter().enumerate() {
            for state in STATES {
                let server = server();
                state.trouble(&server);
                let processor = LangSmithSpanProcessor::new(endless(&server).with_batch_runs(2)).unwrap();
                let client = processor.handle().client();
                let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
                let ended = runtime.block_on(async move {
                    for _ in 0..5 {
                        provider.tracer("shutdown").in_span("span", |_| ());
                    }
                    tokio::task::yield_now().await;
                    let start = Instant::now();
                    provider.shutdown_with_timeout(TIMEOUT).unwrap_err();
                    let taken = start.elapsed();
                    assert!(matches!(provider.shutdown(), Err(OTelSdkError::AlreadyShutdown)));
                    taken
                });
                assert!(ended < TIMEOUT + LATE, "runtime {number}, {state:?}: {ended:?}");
                eventually("all are counted", || client.stats().dropped_total() == 5);
            }
        }
    });
}

/// The SDK gives the exporter's shutdown the time that it has itself, whatever its last export has used of that.
#[test]
fn behind_a_batch_processor() {
    in_time(|| {
        for state in STATES {
            let server = server();
            state.trouble(&server);
            let exporter = LangSmithExporter::new(endless(&server)).unwrap();
            let client = exporter.client();
            let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).build();
            for _ in 0..5 {
                provider.tracer("shutdown").in_span("span", |_| ());
            }
            let start = Instant::now();
            // The SDK does not always pass on what the exporter answers.
            let _ = provider.shutdown_with_timeout(Duration::from_secs(4));
            let taken = start.elapsed();
            assert!(taken < Duration::from_secs(4) + LATE, "{state:?}: {taken:?}");
            if !matches!(state, State::Stalled | State::FullQueue | State::Gathering) {
                eventually("all are counted", || client.stats().dropped_total() == 5);
            }
            // Where no answer comes at all, the SDK's thread waits for it, and has not come to shut the exporter down.
            let _ = client.shutdown(Duration::ZERO);
            eventually("all are counted", || client.stats().dropped_total() == 5);
        }
    });
}

#[test]
fn twice_and_at_the_same_time() {
    in_time(|| {
        for state in STATES {
            let (_server, client) = state.reach();
            let start = Instant::now();
            let results: Vec<_> = std::thread::scope(|scope| {
                let calls: Vec<_> = (0..4).map(|_| scope.spawn(|| client.shutdown(TIMEOUT))).collect();
                let flush = scope.spawn(|| client.flush(TIMEOUT));
                // It may come when all is over and told.
                let _ = flush.join().unwrap();
                calls.into_iter().map(|call| call.join().unwrap().unwrap_err()).collect()
            });
            assert!(start.elapsed() < TIMEOUT + LATE, "{state:?}: {:?}", start.elapsed());
            let told = results.iter().filter(|error| !matches!(error, FlushError::ShutDown)).count();
            assert_eq!(told, 1, "one of them is told what became of the runs: {results:?}");
            let start = Instant::now();
            assert!(matches!(client.shutdown(LONG), Err(FlushError::ShutDown)));
            assert!(matches!(client.flush(LONG), Err(FlushError::ShutDown)));
            assert!(start.elapsed() < LATE, "{state:?}: {:?}", start.elapsed());
        }
    });
}

/// Whoever pushes without end does not keep a shutdown from ending.
#[test]
fn while_others_push() {
    in_time(|| {
        let server = server();
        let client = Client::new(config(&server)).unwrap();
        let start = std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| while client.submit(run("one of many".into(), 10)).is_ok() {});
            }
            eventually("some have come", || client.stats().sent > 100);
            let start = Instant::now();
            // There may be more than can be sent by then.
            let _ = client.shutdown(Duration::from_secs(5));
            start
        });
        assert!(start.elapsed() < Duration::from_secs(5) + LATE, "{:?}", start.elapsed());
        eventually("nothing is left over", || {
            let stats = client.stats();
            stats.queued + stats.in_flight == 0
        });
        assert_adds_up(&client.stats());
        // What was under way when time was up may have arrived.
        assert!(client.stats().sent <= server.received());
        assert_eq!(server.violations(), Vec::<String>::new());
    });
}

/// Providers come and go in one process.
#[test]
fn a_provider_after_another() {
    in_time(|| {
        let server = server();
        for _ in 0..20 {
            let processor = LangSmithSpanProcessor::new(config(&server)).unwrap();
            let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
            provider.tracer("shutdown").in_span("span", |_| ());
            provider.shutdown_with_timeout(LONG).unwrap();
        }
        assert_flawless(&server, 20);
    });
}

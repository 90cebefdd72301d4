//! It works, loses nothing and does not hang, whatever the application runs on: no runtime, tokio's of every
//! flavour, our processor, the SDK's processors in front of the exporter.

mod common;

use common::{assert_flawless, config, in_time, server, LONG};
use opentelemetry::trace::{Span as _, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::Context;
use opentelemetry_langsmith::testing::{Fault, LocalLangSmith};
use opentelemetry_langsmith::{Client, LangSmithExporter, LangSmithSpanProcessor};
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::future::Future;
use std::time::Duration;

#[derive(Clone, Copy, Debug)]
enum Way {
    Processor,
    Batch,
    Simple,
}

const WAYS: [Way; 3] = [Way::Processor, Way::Batch, Way::Simple];
/// In each of the places where an application makes spans.
const TRACES: usize = 20;

fn pipeline(way: Way, server: &LocalLangSmith) -> (SdkTracerProvider, Client) {
    let config = config(server);
    let builder = SdkTracerProvider::builder();
    match way {
        Way::Processor => {
            let processor = LangSmithSpanProcessor::new(config).unwrap();
            let client = processor.handle().client();
            (builder.with_span_processor(processor).build(), client)
        }
        Way::Batch => {
            let exporter = LangSmithExporter::new(config).unwrap();
            let client = exporter.client();
            (builder.with_batch_exporter(exporter).build(), client)
        }
        Way::Simple => {
            let exporter = LangSmithExporter::new(config).unwrap();
            let client = exporter.client();
            (builder.with_simple_exporter(exporter).build(), client)
        }
    }
}

/// Two spans a trace.
fn make_spans(provider: &SdkTracerProvider) {
    let tracer = provider.tracer("runtimes");
    for _ in 0..TRACES {
        let outer = Context::new().with_span(tracer.start("outer"));
        tracer.start_with_context("inner", &outer).end();
        outer.span().end();
    }
}

/// What an application does in async code: spans here and in tasks, with other work in between.
async fn application(provider: SdkTracerProvider) {
    make_spans(&provider);
    let tasks: Vec<_> = (0..3)
        .map(|_| {
            let provider = provider.clone();
            tokio::spawn(async move {
                tokio::task::yield_now().await;
                make_spans(&provider);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

const ASYNC_RUNS: usize = 4 * 2 * TRACES;

/// Everything an application may do on its runtime, for each way in.
fn on_a_runtime(runtime: impl Fn() -> tokio::runtime::Runtime + Clone + Send + 'static) {
    for way in WAYS {
        let runtime = runtime.clone();
        in_time(move || {
            // Shutdown inside.
            let server = server();
            runtime().block_on(async {
                let (provider, client) = pipeline(way, &server);
                application(provider.clone()).await;
                provider.force_flush().unwrap();
                assert_eq!(server.received(), ASYNC_RUNS as u64, "{way:?}: a flush delivers what was ended");
                make_spans(&provider);
                provider.shutdown_with_timeout(LONG).unwrap();
                assert!(matches!(provider.shutdown(), Err(OTelSdkError::AlreadyShutdown)));
                assert_eq!(client.stats().sent, (ASYNC_RUNS + 2 * TRACES) as u64);
            });
            assert_flawless(&server, ASYNC_RUNS + 2 * TRACES);

            // Dropped inside, without a shutdown.
            let server = common::server();
            runtime().block_on(async {
                let (provider, _) = pipeline(way, &server);
                application(provider.clone()).await;
                drop(provider);
            });
            assert_flawless(&server, ASYNC_RUNS);

            // Made inside, shut down when the runtime is gone.
            let server = common::server();
            let provider = runtime().block_on(async {
                let (provider, _) = pipeline(way, &server);
                application(provider.clone()).await;
                provider
            });
            provider.shutdown_with_timeout(LONG).unwrap();
            assert_flawless(&server, ASYNC_RUNS);

            // Shut down inside a task.
            let server = common::server();
            runtime().block_on(async {
                let (provider, _) = pipeline(way, &server);
                application(provider.clone()).await;
                tokio::spawn(async move { provider.shutdown_with_timeout(LONG) }).await.unwrap().unwrap();
            });
            assert_flawless(&server, ASYNC_RUNS);
        });
    }
}

#[test]
fn no_runtime() {
    for way in WAYS {
        in_time(move || {
            let server = server();
            let (provider, client) = pipeline(way, &server);
            make_spans(&provider);
            provider.force_flush().unwrap();
            assert_eq!(server.received(), 2 * TRACES as u64, "{way:?}: a flush delivers what was ended");
            make_spans(&provider);
            provider.shutdown_with_timeout(LONG).unwrap();
            assert!(matches!(provider.shutdown(), Err(OTelSdkError::AlreadyShutdown)));
            assert_eq!(client.stats().sent, 4 * TRACES as u64);
            assert_flawless(&server, 4 * TRACES);
        });
    }
}

#[test]
fn no_runtime_and_no_shutdown() {
    for way in WAYS {
        in_time(move || {
            let server = server();
            let (provider, client) = pipeline(way, &server);
            // The counters may be kept; they do not keep the sender alive.
            drop(client);
            make_spans(&provider);
            drop(provider);
            assert_flawless(&server, 2 * TRACES);
        });
    }
}

#[test]
fn a_multi_thread_runtime() {
    on_a_runtime(|| tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap());
}

#[test]
fn a_current_thread_runtime() {
    on_a_runtime(|| tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap());
}

#[test]
fn a_runtime_of_one_worker() {
    on_a_runtime(|| tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap());
}

/// Nothing of ours needs the application's timers or sockets.
#[test]
fn a_runtime_without_drivers() {
    on_a_runtime(|| tokio::runtime::Builder::new_current_thread().build().unwrap());
}

#[tokio::main]
async fn multi_thread_main(provider: SdkTracerProvider) {
    application(provider.clone()).await;
    provider.shutdown_with_timeout(LONG).unwrap();
}

#[tokio::main(flavor = "current_thread")]
async fn current_thread_main(provider: SdkTracerProvider) {
    application(provider.clone()).await;
    provider.shutdown_with_timeout(LONG).unwrap();
}

#[test]
fn tokio_main() {
    for main in [multi_thread_main, current_thread_main] {
        for way in WAYS {
            in_time(move || {
                let server = server();
                main(pipeline(way, &server).0);
                assert_flawless(&server, ASYNC_RUNS);
            });
        }
    }
}

/// All workers are busy: nobody but us moves anything along.
#[test]
fn a_blocked_runtime() {
    for way in WAYS {
        in_time(move || {
            let server = server();
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
            let (provider, _) = pipeline(way, &server);
            let worker = provider.clone();
            let busy = runtime.spawn(async move {
                make_spans(&worker);
                worker.force_flush()
            });
            runtime.block_on(busy).unwrap().unwrap();
            assert_flawless(&server, 2 * TRACES);
            provider.shutdown_with_timeout(LONG).unwrap();
        });
    }
}

fn in_async<T>(future: impl Future<Output = T>) -> T {
    common::wait_for(future)
}

#[test]
fn a_client_in_async_code() {
    in_time(|| {
        let server = server();
        in_async(async {
            let client = Client::new(config(&server)).unwrap();
            let run = || {
                opentelemetry_langsmith::Run::builder("run", opentelemetry_langsmith::RunType::Chain)
                    .end_now()
                    .build()
                    .unwrap()
            };
            client.submit(run()).unwrap();
            client.flush_async().await.unwrap();
            assert_eq!(server.received(), 1);
            client.submit(run()).unwrap();
            client.flush(LONG).unwrap();
            assert_eq!(server.received(), 2);
            // A flush that nobody waits for any more harms nobody.
            client.submit(run()).unwrap();
            let _ = tokio::time::timeout(Duration::ZERO, client.flush_async()).await;
            client.submit(run()).unwrap();
            client.shutdown(LONG).unwrap();
            assert!(client.shutdown(LONG).is_err());
            assert!(client.flush(LONG).is_err());
            assert!(client.flush_async().await.is_err());
        });
        assert_flawless(&server, 4);
    });
}

#[test]
fn a_flush_after_the_shutdown_is_no_hang() {
    for way in WAYS {
        in_time(move || {
            let server = server();
            let (provider, client) = pipeline(way, &server);
            make_spans(&provider);
            provider.shutdown_with_timeout(LONG).unwrap();
            let _ = provider.force_flush();
            assert!(client.flush(LONG).is_err());
            assert!(client.shutdown(LONG).is_err());
            make_spans(&provider);
            assert_flawless(&server, 2 * TRACES);
        });
    }
}

/// The server is gone for good: the application ends all the same.
#[test]
fn no_server() {
    // The third way waits for each span until its retries are over.
    for way in [Way::Processor, Way::Batch] {
        in_time(move || {
            let server = server();
            server.respond(Fault::close_before_answer().forever());
            let (provider, client) = pipeline(way, &server);
            make_spans(&provider);
            provider.shutdown_with_timeout(Duration::from_secs(1)).unwrap_err();
            drop(provider);
            let stats = client.stats();
            common::assert_adds_up(&stats);
            assert_eq!(stats.sent, 0);
        });
    }
}

//! A process that forks. The thread that sends stays in the first process: in the second one everything answers at once
//! that it is so, and a client that is made there works.

use crate::child::{helper, sends_to, wait};
use crate::common::{assert_adds_up, assert_flawless, run, server, LONG};
use fork::{fork, waitpid, Fork};
use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry_langsmith::testing::LocalLangSmith;
use opentelemetry_langsmith::{Client, Config, DropReason, FlushError, LangSmithExporter, LangSmithSpanProcessor};
use opentelemetry_langsmith::{Run, SubmitError};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanExporter as _};
use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Goes on as two processes. The second one does `work` and ends; how it ended is the answer.
fn in_a_fork(work: impl FnOnce()) -> i32 {
    match fork().expect("a second process") {
        Fork::Parent(child) => waitpid(child).expect("it ends"),
        Fork::Child => {
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            std::process::exit(i32::from(done.is_err()));
        }
    }
}

fn spans(provider: &SdkTracerProvider, name: &'static str, spans: usize) {
    (0..spans).for_each(|_| provider.tracer("fork").in_span(name, |_| ()));
}

/// Nothing goes out by itself.
fn config() -> Config {
    Config::from_env().unwrap().with_flush_interval(Duration::from_secs(3600))
}

/// It knows of no more than the client that was made before the fork does.
fn assert_is_told(client: &Client, made_here: Run) {
    assert!(matches!(client.flush(60 * LONG), Err(FlushError::Forked)));
    assert_eq!(client.submit(made_here.clone()), Err(SubmitError::Forked));
    assert_eq!(client.update(made_here), Err(SubmitError::Forked));
    let stats = client.stats();
    assert_adds_up(&stats);
    assert_eq!((stats.queued, stats.in_flight), (0, 0), "{stats:?}");
    assert!(stats.dropped(DropReason::Forked) >= 2, "{stats:?}");
    assert!(matches!(client.shutdown(60 * LONG), Err(FlushError::Forked)));
}

/// What the process does that the tests below start.
pub(crate) fn task(task: &str) {
    let processor = LangSmithSpanProcessor::new(config()).unwrap();
    let client = processor.handle().client();
    let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
    spans(&provider, "before", 1);
    let status = match task {
        "spans" => in_a_fork(|| {
            // More than the sender is woken for.
            spans(&provider, "lost", 5000);
            let error = provider.force_flush().unwrap_err().to_string();
            assert!(error.contains("forked") && error.contains("after the fork"), "{error}");
            assert_is_told(&client, run("lost".into(), 10));
            assert_eq!(client.stats().dropped(DropReason::Forked), 1 + 5000 + 2, "{:?}", client.stats());
            let error = provider.shutdown().unwrap_err().to_string();
            assert!(error.contains("forked"), "{error}");
        }),
        "runs" => in_a_fork(|| {
            // The very first call says it.
            assert_eq!(client.submit(run("lost".into(), 10)), Err(SubmitError::Forked));
            assert_is_told(&client, run("lost".into(), 10));
        }),
        "export" => {
            let exporter = LangSmithExporter::new(config()).unwrap();
            let status = in_a_fork(|| {
                let lost = crate::common::span(7, 9, 0);
                let error = crate::common::export(&exporter, vec![lost]).unwrap_err().to_string();
                assert!(error.contains("forked"), "{error}");
                assert!(exporter.force_flush().unwrap_err().to_string().contains("forked"));
                assert!(exporter.shutdown_with_timeout(60 * LONG).unwrap_err().to_string().contains("forked"));
                assert_is_told(&exporter.client(), run("lost".into(), 10));
            });
            exporter.shutdown_with_timeout(LONG).unwrap();
            status
        }
        "drop" => {
            let only = Client::new(config()).unwrap();
            in_a_fork(move || {
                let start = Instant::now();
                drop(only);
                // That is what a drop waits for the network at the most.
                assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
            })
        }
        "new client" => in_a_fork(|| {
            spans(&provider, "lost", 1);
            let processor = LangSmithSpanProcessor::new(config()).unwrap();
            let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
            spans(&provider, "from the second", 3);
            provider.shutdown_with_timeout(LONG).unwrap();
        }),
        other => panic!("no such task: {other}"),
    };
    assert_eq!(status, 0, "the second process panicked");
    spans(&provider, "after", 1);
    provider.shutdown_with_timeout(LONG).unwrap();
}

/// Lets a process fork as `task` says.
fn forks(task: &str, server: &LocalLangSmith) {
    let mut child = sends_to(helper(&format!("fork, {task}")), server)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let status = wait(&mut child);
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(status.success(), "{said}");
}

#[test]
fn everything_answers_at_once_in_a_forked_process() {
    for task in ["spans", "runs", "export", "drop"] {
        let server = server();
        forks(task, &server);
        // Those of the first process, each once: "before" and "after".
        assert_flawless(&server, 2);
        let mut names: Vec<_> = server.runs().into_iter().map(|run| run.name).collect();
        names.sort();
        assert_eq!(names, ["after", "before"], "{task}");
    }
}

#[test]
fn a_client_that_is_made_after_the_fork_works() {
    let server = server();
    forks("new client", &server);
    assert_flawless(&server, 5);
}

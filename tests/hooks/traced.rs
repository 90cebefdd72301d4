//! What hooks log is heard: by the subscriber that the client was built under, or by that of the whole process.

use crate::common::log::Log;
use crate::common::{config, eventually, run, server, LONG};
use opentelemetry_langsmith::testing::Fault;
use opentelemetry_langsmith::{Client, Config, Redactor, Run};
use tracing::info;
use tracing_subscriber::util::SubscriberInitExt;

/// A client all of whose hooks log, that sends one run and loses another.
fn work(name: &'static str, build: impl FnOnce(Config) -> Client) {
    let server = server();
    // Compressed, and plain.
    server.respond([Fault::status(422).body("no").times(2)]);
    let redactor = Redactor::new().with_fn(move |place, _| {
        if place.path() == "name" {
            info!("{name} redacts");
        }
        None
    });
    let config = config(&server)
        .with_redactor(redactor)
        .with_on_run(move |run: &mut Run| {
            info!("{name} looks at {}", run.name());
            assert_ne!(run.name(), "panics", "on purpose");
        })
        .with_on_drop(move |_, _| info!("{name} mourns"));
    let client = build(config);
    for of in ["refused", "panics"] {
        client.submit(run(of.into(), 1)).unwrap();
    }
    client.shutdown(LONG).unwrap_err();
}

fn lines(name: &str) -> [String; 4] {
    ["looks at refused", "looks at panics", "redacts", "mourns"].map(|line| format!("{name} {line}"))
}

#[test]
fn hooks_are_heard_by_the_subscriber_of_the_process() {
    let log = Log::start("info");
    work("global", |config| Client::new(config).unwrap());
    for line in lines("global") {
        eventually(&line, || !log.with(&line).is_empty());
    }
}

#[test]
fn hooks_are_heard_by_the_subscriber_that_the_client_was_built_under() {
    let everybody = Log::start("info");
    let log = Log::default();
    let subscriber = || tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone()).finish();
    let kept = tracing::Dispatch::new(subscriber());
    work("scoped", |config| tracing::dispatcher::with_default(&kept, || Client::new(config).unwrap()));
    for line in lines("scoped") {
        eventually(&line, || !log.with(&line).is_empty());
        assert!(everybody.with(&line).is_empty(), "{line}");
    }
    // One that is gone by then is not missed.
    work("late", |config| {
        let gone = subscriber().set_default();
        let client = Client::new(config).unwrap();
        drop(gone);
        client
    });
    for line in lines("late") {
        eventually(&line, || !everybody.with(&line).is_empty());
    }
}

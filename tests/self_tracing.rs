//! The exporter never traces itself: with a subscriber for everything of everybody, one span is one run.
//!
//! The subscriber is that of the whole process, hence one test in a program of its own.

mod common;

use common::{assert_flawless, config, eventually, LONG};
use opentelemetry::trace::TracerProvider;
use opentelemetry_langsmith::testing::{Fault, LocalLangSmith};
use opentelemetry_langsmith::{Client, LangSmithExporter, LangSmithSpanProcessor, Run};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanProcessor};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Hands everything on to the provider that is under test just now: the subscriber can be set once only.
#[derive(Clone, Debug, Default)]
struct Switch(Arc<RwLock<Option<Arc<dyn SpanProcessor>>>>);

impl SpanProcessor for Switch {
    fn on_start(&self, span: &mut opentelemetry_sdk::trace::Span, context: &opentelemetry::Context) {
        if let Some(processor) = &*self.0.read().unwrap() {
            processor.on_start(span, context);
        }
    }

    fn on_end(&self, span: opentelemetry_sdk::trace::SpanData) {
        if let Some(processor) = &*self.0.read().unwrap() {
            processor.on_end(span);
        }
    }

    fn force_flush(&self) -> opentelemetry_sdk::error::OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> opentelemetry_sdk::error::OTelSdkResult {
        Ok(())
    }
}

/// Notes every span and every event that comes from the sender's own thread.
#[derive(Clone, Default)]
struct FromSender(Arc<Mutex<Vec<String>>>);

impl FromSender {
    fn note(&self, what: &tracing::Metadata<'_>) {
        if std::thread::current().name() == Some("langsmith") {
            self.0.lock().unwrap().push(format!("{} {}", what.target(), what.name()));
        }
    }
}

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for FromSender {
    fn on_new_span(
        &self,
        span: &tracing::span::Attributes<'_>,
        _: &tracing::span::Id,
        _: tracing_subscriber::layer::Context<'_, S>,
    ) {
        self.note(span.metadata());
    }

    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        self.note(event.metadata());
    }
}

/// One span, while `processor` is in charge; it stays so for a while, to see whether more comes.
fn one_span(switch: &Switch, processor: impl SpanProcessor + 'static, client: &Client, name: &str) {
    let processor: Arc<dyn SpanProcessor> = Arc::new(processor);
    *switch.0.write().unwrap() = Some(Arc::clone(&processor));
    match name {
        "traced" => drop(tracing::info_span!("traced").entered()),
        _ => drop(tracing::trace_span!("other").entered()),
    }
    // An export that made spans would make more of them with each request for them.
    std::thread::sleep(Duration::from_millis(100));
    let _ = processor.force_flush();
    std::thread::sleep(Duration::from_millis(100));
    let _ = processor.shutdown_with_timeout(LONG);
    eventually("all runs are settled", || {
        let stats = client.stats();
        stats.queued + stats.in_flight == 0
    });
    assert_eq!(client.stats().submitted, 1, "{:?}", client.stats());
}

fn every_way(switch: &Switch, script: impl Fn(&LocalLangSmith), name: &str) -> Vec<LocalLangSmith> {
    let mut servers = Vec::new();

    let server = common::server();
    script(&server);
    let processor = LangSmithSpanProcessor::new(config(&server)).unwrap();
    let client = processor.handle().client();
    one_span(switch, processor, &client, name);
    servers.push(server);

    let server = common::server();
    script(&server);
    let exporter = LangSmithExporter::new(config(&server)).unwrap();
    let client = exporter.client();
    one_span(switch, opentelemetry_sdk::trace::BatchSpanProcessor::builder(exporter).build(), &client, name);
    servers.push(server);

    let server = common::server();
    script(&server);
    let exporter = LangSmithExporter::new(config(&server).with_retry_deadline(Duration::from_secs(2))).unwrap();
    let client = exporter.client();
    one_span(switch, opentelemetry_sdk::trace::SimpleSpanProcessor::new(exporter), &client, name);
    servers.push(server);

    servers
}

#[tracing::instrument(target = "hook")]
fn looks_at(name: &str) {
    tracing::info!(target: "hook", "looked at {name}");
}

/// A hook that is instrumented itself.
fn hooks_trace_nothing(switch: &Switch) {
    let hooked = |server: &LocalLangSmith| config(server).with_on_run(|run: &mut Run| looks_at(run.name()));

    let server = common::server();
    let processor = LangSmithSpanProcessor::new(hooked(&server)).unwrap();
    let client = processor.handle().client();
    one_span(switch, processor, &client, "traced");
    assert_flawless(&server, 1);

    let server = common::server();
    let exporter = LangSmithExporter::new(hooked(&server)).unwrap();
    let client = exporter.client();
    one_span(switch, opentelemetry_sdk::trace::BatchSpanProcessor::builder(exporter).build(), &client, "traced");
    assert_flawless(&server, 1);

    let server = common::server();
    let exporter = LangSmithExporter::new(hooked(&server)).unwrap();
    let client = exporter.client();
    one_span(switch, opentelemetry_sdk::trace::SimpleSpanProcessor::new(exporter), &client, "traced");
    assert_flawless(&server, 1);
}

#[test]
fn one_span_is_one_run() {
    let switch = Switch::default();
    let provider = SdkTracerProvider::builder().with_span_processor(switch.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("everything"));
    let from_sender = FromSender::default();
    // This also takes what other crates say through `log`.
    tracing_subscriber::registry()
        .with(tracing_subscriber::filter::LevelFilter::TRACE)
        .with(layer)
        .with(from_sender.clone())
        .with(tracing_subscriber::fmt::layer().with_writer(std::io::sink))
        .try_init()
        .unwrap();
    assert_eq!(log::max_level(), log::LevelFilter::Trace, "`log` is taken too");

    for server in every_way(&switch, |_| {}, "traced") {
        assert_flawless(&server, 1);
    }
    // Trouble makes us write log lines, which are no spans and belong to nobody's.
    let trouble = |server: &LocalLangSmith| {
        server.respond([
            Fault::status(503),
            Fault::close_before_answer(),
            Fault::status(404),
            Fault::status(429),
            Fault::reset_before_body(),
            Fault::status(413),
        ]);
    };
    for server in every_way(&switch, trouble, "other") {
        assert_flawless(&server, 1);
        assert!(server.requests().len() > 5, "the script was played");
        let run = &server.runs()[0];
        assert!(run.events.is_empty(), "no line of ours became an event of the span: {run:?}");
    }
    for refusal in [401, 422] {
        for server in every_way(&switch, |server| server.respond(Fault::status(refusal).forever()), "other") {
            assert_eq!(server.received(), 0);
        }
    }
    // Nobody listens.
    for server in every_way(&switch, |_| {}, "other") {
        let config = config(&server).with_retry_deadline(Duration::from_millis(200));
        server.stop();
        let processor = LangSmithSpanProcessor::new(config).unwrap();
        let client = processor.handle().client();
        one_span(&switch, processor, &client, "traced");
    }
    // Its HTTP client says a lot there, which would be somebody's events.
    assert_eq!(*from_sender.0.lock().unwrap(), Vec::<String>::new());
    hooks_trace_nothing(&switch);
    *switch.0.write().unwrap() = None;
    // What hooks say is heard; what they open is not sent.
    let heard = std::mem::take(&mut *from_sender.0.lock().unwrap());
    assert!(heard.iter().filter(|line| line.starts_with("hook event")).count() >= 3, "{heard:?}");
    assert!(heard.iter().all(|line| line.starts_with("hook ")), "{heard:?}");
}

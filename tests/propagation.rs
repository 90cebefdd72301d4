//! One trace across services: headers in, headers out, and what is not believed.

use opentelemetry::propagation::{Extractor, Injector, TextMapCompositePropagator, TextMapPropagator};
use opentelemetry::trace::{SpanKind, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::Context;
use opentelemetry_langsmith::testing::{LocalLangSmith, ReceivedRun};
use opentelemetry_langsmith::{Config, DottedOrder, Handle, LangSmithSpanProcessor, Run, RunType};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use proptest::prelude::*;
use std::collections::HashMap;

/// Header names are in lower case, as HTTP/2 has them.
#[derive(Default)]
struct Headers(HashMap<String, String>);

impl Injector for Headers {
    fn set(&mut self, key: &str, value: String) {
        self.0.insert(key.to_ascii_lowercase(), value);
    }
}

impl Extractor for Headers {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(&key.to_ascii_lowercase()).map(String::as_str)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}

impl Headers {
    fn of(pairs: &[(&str, &str)]) -> Self {
        Self(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }
}

/// A process of its own, as far as tracing goes.
struct Service {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    handle: Handle,
}

impl Service {
    fn new(server: &LocalLangSmith) -> Self {
        let config = Config::default().with_api_key("key").with_endpoint(server.endpoint());
        let processor = LangSmithSpanProcessor::new(config).unwrap();
        let handle = processor.handle();
        let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
        let tracer = provider.tracer("service");
        Self { provider, tracer, handle }
    }

    fn propagator(&self) -> TextMapCompositePropagator {
        TextMapCompositePropagator::new(vec![
            Box::new(TraceContextPropagator::new()),
            Box::new(BaggagePropagator::new()),
            Box::new(self.handle.propagator()),
        ])
    }

    fn start(&self, name: &'static str, parent: &Context) -> Context {
        let span = self.tracer.span_builder(name).with_kind(SpanKind::Server).start_with_context(&self.tracer, parent);
        parent.with_span(span)
    }
}

fn received(server: &LocalLangSmith, services: &[Service]) -> HashMap<String, ReceivedRun> {
    for service in services {
        service.provider.shutdown().unwrap();
    }
    server.runs().into_iter().map(|run| (run.name.clone(), run)).collect()
}

const ORDER: &str = "20261120T193037016758Z01a1fa70-7758-7bc2-9e24-efd0dc5f29c5.\
                     20261120T193037026000Z01a1fa70-7762-75ce-8bd8-12f25e90bfa5";

#[test]
fn two_services_share_one_trace_when_both_have_the_propagator() {
    let server = LocalLangSmith::start().unwrap();
    let services = [Service::new(&server), Service::new(&server)];
    let first = services[0].start("caller", &Context::new());
    let mut headers = Headers::default();
    services[0].propagator().inject_context(&first, &mut headers);

    let context = services[1].propagator().extract_with_context(&Context::new(), &headers);
    let second = services[1].start("callee", &context);
    let inner = services[1].start("inner", &second);
    for context in [inner, second, first] {
        context.span().end();
    }

    let runs = received(&server, &services);
    assert_eq!(server.violations(), Vec::<String>::new());
    assert_eq!(runs["callee"].parent_run_id.as_ref(), Some(&runs["caller"].id));
    assert_eq!(runs["inner"].parent_run_id.as_ref(), Some(&runs["callee"].id));
    assert_eq!(runs["inner"].trace_id, runs["caller"].id);
}

#[test]
fn without_the_propagator_each_service_has_its_own_tree_and_both_have_the_trace_id() {
    let server = LocalLangSmith::start().unwrap();
    let services = [Service::new(&server), Service::new(&server)];
    let first = services[0].start("caller", &Context::new());
    let mut headers = Headers::of(&[("langsmith-trace", ORDER), ("baggage", "langsmith-project=other")]);
    TraceContextPropagator::new().inject_context(&first, &mut headers);

    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &headers);
    let context = BaggagePropagator::new().extract_with_context(&context, &headers);
    services[1].start("callee", &context).span().end();
    first.span().end();

    let runs = received(&server, &services);
    assert_eq!(server.violations(), Vec::<String>::new());
    assert_eq!(runs["callee"].parent_run_id, None);
    assert_eq!(runs["callee"].session_name.as_deref(), Some("default"));
    let trace_id = runs["caller"].metadata("OTEL_TRACE_ID");
    assert!(trace_id.is_some());
    assert_eq!(runs["callee"].metadata("OTEL_TRACE_ID"), trace_id);
    assert_eq!(runs["callee"].metadata("OTEL_PARENT_SPAN_ID"), runs["caller"].metadata("OTEL_SPAN_ID"));
}

#[test]
fn baggage_of_the_sdk_reaches_every_run_and_replicas_do_not_count() {
    let server = LocalLangSmith::start().unwrap();
    let services = [Service::new(&server)];
    // As Python's urllib quotes it.
    let baggage = "langsmith-metadata=%7B%22user%22%3A%20%22J%C3%BCrgen%22%2C%20%22n%22%3A%207%7D,\
                   langsmith-tags=blue%2Cgreen%20one,langsmith-project=their%20project,\
                   langsmith-replicas=%5B%5B%22evil%22%2C%7B%7D%5D%5D,other=1";
    let headers = Headers::of(&[("langsmith-trace", ORDER), ("baggage", baggage)]);
    let context = services[0].propagator().extract_with_context(&Context::new(), &headers);
    let outer = services[0].start("outer", &context);
    let inner = services[0].start("inner", &outer);
    let passed_on = services[0].handle.run_ref(inner.span().span_context()).unwrap().headers();
    inner.span().end();
    outer.span().end();

    let runs = received(&server, &services);
    let order: DottedOrder = ORDER.parse().unwrap();
    assert_eq!(runs["outer"].parent_run_id, Some(order.id().to_string()));
    for run in runs.values() {
        assert_eq!(run.trace_id, order.trace_id().to_string());
        assert_eq!(run.metadata("user"), Some(&"Jürgen".into()));
        assert_eq!(run.metadata("n"), Some(&7.into()));
        assert_eq!(run.tags, ["blue", "green one"]);
        assert_eq!(run.session_name.as_deref(), Some("their project"));
        assert!(!run.extra.to_string().contains("evil"));
    }
    assert_eq!(passed_on[0], ("langsmith-trace", runs["inner"].dotted_order.clone()));
    let (name, value) = &passed_on[1];
    assert_eq!(*name, "baggage");
    assert!(value.contains("langsmith-project=their%20project"), "{value}");
    assert!(value.contains("langsmith-tags=blue%2Cgreen%20one"), "{value}");
}

#[test]
fn only_allowed_baggage_counts() {
    let server = LocalLangSmith::start().unwrap();
    let services = [Service::new(&server)];
    let propagator = services[0].handle.propagator().with_allowed_baggage(&["langsmith-tags"]);
    let headers = Headers::of(&[("langsmith-trace", ORDER), ("baggage", "langsmith-project=other,langsmith-tags=t")]);
    let context = BaggagePropagator::new().extract_with_context(&Context::new(), &headers);
    let context = propagator.extract_with_context(&context, &headers);
    services[0].start("run", &context).span().end();

    let runs = received(&server, &services);
    assert_eq!(runs["run"].session_name.as_deref(), Some("default"));
    assert_eq!(runs["run"].tags, ["t"]);
}

#[test]
fn a_header_that_makes_no_sense_gives_a_root() {
    let server = LocalLangSmith::start().unwrap();
    let services = [Service::new(&server)];
    let backwards = format!("{}.{}", &ORDER[59..], &ORDER[..58]);
    let twice = format!("{}.{}", &ORDER[..58], &ORDER[..58]);
    let long = vec![&ORDER[..58]; 5000].join(".");
    let bad =
        ["", "x", &ORDER[..57], &ORDER.to_uppercase(), "20261120T193037016758Zé1a1fa70", &backwards, &twice, &long];
    for header in bad {
        let headers =
            Headers::of(&[("langsmith-trace", header), ("baggage", "langsmith-metadata=%7Bbroken,langsmith-tags=,,")]);
        let context = services[0].propagator().extract_with_context(&Context::new(), &headers);
        services[0].start("run", &context).span().end();
    }
    for service in &services {
        service.provider.shutdown().unwrap();
    }
    assert_eq!(server.violations(), Vec::<String>::new());
    assert_eq!(server.runs().len(), bad.len());
    assert!(server.runs().iter().all(|run| run.parent_run_id.is_none() && run.tags.is_empty()));
}

#[test]
fn a_service_without_a_span_passes_the_header_on() {
    let server = LocalLangSmith::start().unwrap();
    let propagator = Service::new(&server).handle.propagator();
    let context = propagator.extract_with_context(&Context::new(), &Headers::of(&[("langsmith-trace", ORDER)]));
    let mut headers = Headers::default();
    propagator.inject_context(&context, &mut headers);
    assert_eq!(headers.get("langsmith-trace"), Some(ORDER));
}

#[test]
fn a_run_grafted_under_one_that_starts_later_takes_its_start() {
    let server = LocalLangSmith::start().unwrap();
    let services = [Service::new(&server)];
    let future = chrono::Utc::now() + chrono::TimeDelta::hours(1);
    let parent = Run::builder("from the future", RunType::Chain).start_time(future).build().unwrap();
    let headers = Headers::of(&[("langsmith-trace", parent.dotted_order().as_str())]);
    let context = services[0].propagator().extract_with_context(&Context::new(), &headers);
    services[0].start("run", &context).span().end();

    let runs = received(&server, &services);
    assert!(
        server.violations().iter().all(|violation| violation.contains("never received")),
        "{:?}",
        server.violations()
    );
    assert_eq!(runs["run"].parent_run_id, Some(parent.id().to_string()));
    assert!(runs["run"].metadata("otel_start_time").is_some());
}

fn orders() -> impl Strategy<Value = DottedOrder> {
    let run = (0..253_402_300_799_999_i64, any::<u128>());
    proptest::collection::vec(run, 1..20).prop_map(|mut runs| {
        runs.sort_unstable();
        let mut runs = runs.into_iter().enumerate().map(|(number, (millis, id))| {
            let start = chrono::DateTime::from_timestamp_millis(millis).unwrap();
            (uuid::Uuid::from_u128(id ^ number as u128).into(), start)
        });
        let (id, start) = runs.next().unwrap();
        runs.fold(DottedOrder::root(id, start), |order, (id, start)| order.child(id, start).unwrap_or(order))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_sent_is_what_is_read(order in orders()) {
        let server = LocalLangSmith::start().unwrap();
        let propagator = Service::new(&server).handle.propagator();
        let sent = Headers::of(&[("langsmith-trace", order.as_str())]);
        let mut read = Headers::default();
        propagator.inject_context(&propagator.extract_with_context(&Context::new(), &sent), &mut read);
        prop_assert_eq!(read.get("langsmith-trace"), Some(order.as_str()));
    }

    #[test]
    fn no_header_panics(header in ".{0,200}", baggage in ".{0,200}") {
        let server = LocalLangSmith::start().unwrap();
        let service = Service::new(&server);
        let headers = Headers::of(&[("langsmith-trace", &header), ("baggage", &baggage)]);
        let context = service.propagator().extract_with_context(&Context::new(), &headers);
        service.start("run", &context).span().end();
        service.provider.shutdown().unwrap();
        prop_assert_eq!(server.violations(), Vec::<String>::new());
    }
}

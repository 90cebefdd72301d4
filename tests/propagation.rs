//! One trace across services: headers in, headers out, and what is not believed.

use opentelemetry::baggage::BaggageExt;
use opentelemetry::propagation::{Extractor, Injector, TextMapCompositePropagator, TextMapPropagator};
use opentelemetry::trace::{SpanKind, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::Context;
use opentelemetry_langsmith::testing::{LocalLangSmith, ReceivedRun};
use opentelemetry_langsmith::{Config, DottedOrder, Handle, LangSmithSpanProcessor, Run, RunType};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use opentelemetry_sdk::Resource;
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
        Self::named(server, "default")
    }

    fn named(server: &LocalLangSmith, project: &str) -> Self {
        let config = Config::default().with_api_key("key").with_endpoint(server.endpoint()).with_project(project);
        let processor = LangSmithSpanProcessor::new(config).unwrap();
        let handle = processor.handle();
        let provider = SdkTracerProvider::builder()
            .with_resource(Resource::builder().with_service_name("service").build())
            .with_span_processor(processor)
            .build();
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

/// Otherwise the other service's runs of this trace would go to the project that it was configured with.
#[test]
fn the_project_goes_along_where_the_trace_begins_here() {
    let server = LocalLangSmith::start().unwrap();
    let services = [Service::named(&server, "ours: 100%"), Service::named(&server, "theirs")];
    let first = services[0].start("caller", &Context::new());
    let mut headers = Headers::default();
    services[0].propagator().inject_context(&first, &mut headers);
    assert_eq!(headers.get("baggage"), Some("langsmith-project=ours%3A%20100%25"));
    let context = services[1].propagator().extract_with_context(&Context::new(), &headers);
    services[1].start("callee", &context).span().end();
    first.span().end();

    let runs = received(&server, &services);
    assert_eq!(server.violations(), Vec::<String>::new());
    assert_eq!(runs["callee"].session_name.as_deref(), Some("ours: 100%"));
}

/// The SDK for JavaScript throws at a `%` that is not quoted, and `BaggagePropagator` quotes none.
#[test]
fn what_came_is_passed_on_with_every_percent_sign_quoted() {
    let server = LocalLangSmith::start().unwrap();
    let services = [Service::new(&server)];
    let baggage = "langsmith-metadata=%7B%22discount%22%3A%225%25%22%7D,langsmith-tags=50%25";
    let headers = Headers::of(&[("langsmith-trace", ORDER), ("baggage", baggage)]);
    let context = services[0].propagator().extract_with_context(&Context::new(), &headers);
    let run = services[0].start("run", &context);
    let mut passed_on = Headers::default();
    services[0].propagator().inject_context(&run, &mut passed_on);
    run.span().end();
    assert_eq!(passed_on.get("baggage"), Some(format!("{baggage},langsmith-project=default").as_str()));
    assert_eq!(received(&server, &services)["run"].metadata("discount"), Some(&"5%".into()));
}

#[test]
fn baggage_of_the_application_is_left_alone() {
    let server = LocalLangSmith::start().unwrap();
    let service = Service::new(&server);
    let run = service.start("run", &Context::new()).with_baggage([opentelemetry::KeyValue::new("secret", "1")]);
    let mut alone = Headers::default();
    service.handle.propagator().inject_context(&run, &mut alone);
    assert_eq!(alone.get("baggage"), None);
    let mut together = Headers::default();
    service.propagator().inject_context(&run, &mut together);
    assert_eq!(together.get("baggage"), Some("secret=1"));
}

/// They would be counted once for each run here.
#[test]
fn the_callers_own_tokens_are_not_inherited() {
    let server = LocalLangSmith::start().unwrap();
    let services = [Service::new(&server)];
    let baggage = "langsmith-metadata=%7B%22usage_metadata%22%3A%7B%22input_tokens%22%3A5%7D%2C%22user%22%3A1%7D";
    let headers = Headers::of(&[("langsmith-trace", ORDER), ("baggage", baggage)]);
    let context = services[0].propagator().extract_with_context(&Context::new(), &headers);
    services[0].start("run", &context).span().end();
    let run = &received(&server, &services)["run"];
    assert_eq!(run.usage(), None);
    assert_eq!(run.metadata("user"), Some(&1.into()));
}

/// In a tree of several services it says which run is whose.
#[test]
fn the_first_run_of_each_service_names_it() {
    let server = LocalLangSmith::start().unwrap();
    let services = [Service::new(&server)];
    let context =
        services[0].propagator().extract_with_context(&Context::new(), &Headers::of(&[("langsmith-trace", ORDER)]));
    let outer = services[0].start("outer", &context);
    services[0].start("inner", &outer).span().end();
    outer.span().end();
    let runs = received(&server, &services);
    assert_eq!(runs["outer"].metadata("service.name"), Some(&"service".into()));
    assert_eq!(runs["inner"].metadata("service.name"), None);
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

/// One service for many headers: the spans are dropped at a server that answers nothing.
fn patient() -> &'static Service {
    static SERVICE: std::sync::OnceLock<(LocalLangSmith, Service)> = std::sync::OnceLock::new();
    &SERVICE
        .get_or_init(|| {
            let server = LocalLangSmith::counting().unwrap();
            let service = Service::new(&server);
            (server, service)
        })
        .1
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_sent_is_what_is_read(order in orders()) {
        let propagator = patient().handle.propagator();
        let sent = Headers::of(&[("langsmith-trace", order.as_str())]);
        let mut read = Headers::default();
        propagator.inject_context(&propagator.extract_with_context(&Context::new(), &sent), &mut read);
        prop_assert_eq!(read.get("langsmith-trace"), Some(order.as_str()));
    }

    #[test]
    fn no_header_panics(header in prop_oneof![".{0,200}", damaged()], baggage in ".{0,200}|(langsmith-(metadata|tags|project)=[%0-9a-zA-Z{}\",:]{0,40},?){0,4}") {
        let service = patient();
        let headers = Headers::of(&[("langsmith-trace", &header), ("baggage", &baggage)]);
        let context = service.propagator().extract_with_context(&Context::new(), &headers);
        let context = service.start("run", &context);
        let run = service.handle.run_ref(context.span().span_context());
        context.span().end();
        // Whatever was sent, the run's own place makes sense.
        let order = run.map(|run| run.dotted_order.to_string()).unwrap_or_default();
        prop_assert!(order.parse::<DottedOrder>().is_ok(), "{order}");
    }
}

/// A dotted order with one character changed.
fn damaged() -> impl Strategy<Value = String> {
    (orders(), any::<prop::sample::Index>(), any::<char>()).prop_map(|(order, at, new)| {
        let mut text: Vec<char> = order.to_string().chars().collect();
        let at = at.index(text.len());
        text[at] = new;
        text.into_iter().collect()
    })
}

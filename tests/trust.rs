//! What counts of the headers that others send: what one propagator read into one context, for its own client.

mod common;

use common::log::Log;
use common::{config, eventually, server, LONG};
use opentelemetry::baggage::BaggageExt;
use opentelemetry::propagation::{Extractor, Injector, TextMapCompositePropagator, TextMapPropagator};
use opentelemetry::trace::{TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_langsmith::testing::{LocalLangSmith, ReceivedRun};
use opentelemetry_langsmith::{DottedOrder, Handle, LangSmithSpanProcessor};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use opentelemetry_sdk::trace::SdkTracerProvider;

/// Headers as they came; a name may come more than once.
#[derive(Clone, Default)]
struct Headers(Vec<(String, String)>);

impl Headers {
    fn of(headers: &[(&str, &str)]) -> Self {
        Self(headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    fn all(&self, name: &str) -> Vec<&str> {
        let all = self.0.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        all.map(|(_, value)| value.as_str()).collect()
    }
}

impl Extractor for Headers {
    fn get(&self, key: &str) -> Option<&str> {
        self.all(key).first().copied()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        let all = self.all(key);
        (!all.is_empty()).then_some(all)
    }
}

impl Injector for Headers {
    fn set(&mut self, key: &str, value: String) {
        self.0.retain(|(name, _)| name != key);
        self.0.push((key.to_owned(), value));
    }
}

/// An order of so many levels.
fn order(levels: u128) -> String {
    let start = chrono::DateTime::from_timestamp_millis(1_795_000_000_000).unwrap();
    let id = |level: u128| uuid::Uuid::from_u128((7 << 76) | (2 << 62) | level).into();
    let root = DottedOrder::root(id(1), start);
    (2..=levels).fold(root, |order, level| order.child(id(level), start).unwrap()).to_string()
}

/// All that baggage can say.
const EVERYTHING: &str = "langsmith-project=theirs,langsmith-tags=tag,langsmith-metadata=%7B%22key%22%3A1%7D,\
                          session.id=thread,user.id=user";
const NAMES: [&str; 5] = ["langsmith-project", "langsmith-tags", "langsmith-metadata", "session.id", "user.id"];

/// Which of [`NAMES`] a run shows.
fn shown(run: &ReceivedRun) -> Vec<&'static str> {
    let shows = [
        run.session_name.as_deref() == Some("theirs"),
        run.tags == ["tag"],
        run.metadata("key").is_some(),
        run.metadata("thread_id").is_some(),
        run.metadata("user_id").is_some(),
    ];
    NAMES.into_iter().zip(shows).filter_map(|(name, shown)| shown.then_some(name)).collect()
}

fn service(server: &LocalLangSmith) -> (SdkTracerProvider, Handle) {
    let processor = LangSmithSpanProcessor::new(config(server).with_project("ours")).unwrap();
    let handle = processor.handle();
    (SdkTracerProvider::builder().with_span_processor(processor).build(), handle)
}

/// The run of a span that starts in the context that `read` makes, as the application's propagators would.
fn run_in(read: impl FnOnce(&Handle) -> Context) -> ReceivedRun {
    let server = server();
    let (provider, handle) = service(&server);
    let context = read(&handle);
    context.with_span(provider.tracer("service").start_with_context("run", &context)).span().end();
    provider.shutdown_with_timeout(LONG).unwrap();
    server.runs().remove(0)
}

fn composite(propagators: Vec<Box<dyn TextMapPropagator + Send + Sync>>) -> TextMapCompositePropagator {
    TextMapCompositePropagator::new(propagators)
}

#[test]
fn a_propagator_that_only_sends_lets_no_header_count() {
    let headers = Headers::of(&[("langsmith-trace", &order(2)), ("baggage", EVERYTHING)]);
    let run = run_in(|handle| {
        let sends = handle.propagator();
        sends.inject_context(&Context::new(), &mut Headers::default());
        let others = composite(vec![Box::new(TraceContextPropagator::new()), Box::new(BaggagePropagator::new())]);
        others.extract_with_context(&Context::new(), &headers)
    });
    assert_eq!((shown(&run), run.parent_run_id.as_deref()), (vec![], None));
    assert_eq!(run.session_name.as_deref(), Some("ours"));
}

#[test]
fn each_propagator_goes_by_its_own_list() {
    let headers = Headers::of(&[("langsmith-trace", &order(2)), ("baggage", EVERYTHING)]);
    let lists: [&[&str]; 4] = [&[], &["user.id"], &["langsmith-tags", "langsmith-project"], &NAMES];
    for list in lists {
        // Others of the same handle, made before and after, change nothing; nor does where the SDK's stands.
        for first in [true, false] {
            let run = run_in(|handle| {
                let _all = handle.propagator();
                let limited = Box::new(handle.propagator().with_allowed_baggage(list));
                let _none = handle.propagator().with_allowed_baggage(&[]);
                let _all = handle.propagator().with_allowed_baggage(&NAMES);
                let both: Vec<Box<dyn TextMapPropagator + Send + Sync>> = if first {
                    vec![limited, Box::new(BaggagePropagator::new())]
                } else {
                    vec![Box::new(BaggagePropagator::new()), limited]
                };
                composite(both).extract_with_context(&Context::new(), &headers)
            });
            let mut expected = list.to_vec();
            expected.sort_by_key(|name| NAMES.iter().position(|other| other == name));
            assert_eq!(shown(&run), expected, "{list:?}");
            assert!(run.parent_run_id.is_some());
        }
    }
}

/// Where two clients send the same spans to two places, each has its own callers.
#[test]
fn a_propagator_gives_nothing_to_another_client() {
    let headers = Headers::of(&[("langsmith-trace", &order(2)), ("baggage", EVERYTHING)]);
    let servers = [server(), server()];
    let processors =
        servers.each_ref().map(|server| LangSmithSpanProcessor::new(config(server).with_project("ours")).unwrap());
    let [trusting, other] = processors.each_ref().map(|processor| processor.handle().propagator());
    let [first, second] = processors;
    let provider = SdkTracerProvider::builder().with_span_processor(first).with_span_processor(second).build();
    let context = trusting.extract_with_context(&Context::new(), &headers);
    // What the other one reads, from a carrier that says nothing, takes nothing away either.
    let context = other.extract_with_context(&context, &Headers::default());
    context.with_span(provider.tracer("service").start_with_context("run", &context)).span().end();
    let mut passed_on = Headers::default();
    other.inject_context(&context, &mut passed_on);
    provider.shutdown_with_timeout(LONG).unwrap();

    let [trusting, other] = servers.map(|server| server.runs().remove(0));
    assert_eq!((shown(&trusting), trusting.parent_run_id.is_some()), (NAMES.to_vec(), true));
    assert_eq!((shown(&other), other.parent_run_id), (vec![], None));
    assert_eq!(other.session_name.as_deref(), Some("ours"));
    assert_eq!(passed_on.get("langsmith-trace"), None, "it is not its trace");
}

#[test]
fn baggage_that_was_set_here_never_counts() {
    let here = NAMES.map(|name| KeyValue::new(name, "theirs"));
    let run = run_in(|handle| {
        let context = handle.propagator().extract_with_context(&Context::new(), &Headers::default());
        context.with_baggage(here.clone())
    });
    assert_eq!(shown(&run), Vec::<&str>::new());
    // Nor does it change what came.
    let headers = Headers::of(&[("baggage", EVERYTHING)]);
    let run = run_in(|handle| {
        let context = handle.propagator().extract_with_context(&Context::new(), &headers);
        context.with_baggage(here)
    });
    assert_eq!(shown(&run), NAMES);
    assert_eq!(run.metadata("user_id"), Some(&"user".into()));
}

/// On another thread than the one that read them, too.
#[test]
fn entries_count_without_a_trace_and_without_the_sdks_propagator() {
    let headers = Headers::of(&[("baggage", EVERYTHING)]);
    let run = run_in(|handle| {
        let propagator = handle.propagator();
        std::thread::spawn(move || propagator.extract_with_context(&Context::new(), &headers)).join().unwrap()
    });
    assert_eq!((shown(&run), run.parent_run_id), (NAMES.to_vec(), None));
}

#[test]
fn what_is_read_later_counts_alone() {
    let (first, second) = (order(3), order(2));
    let trusted = Headers::of(&[("langsmith-trace", &first), ("baggage", EVERYTHING)]);
    let read = |next: Headers| {
        let trusted = trusted.clone();
        run_in(move |handle| {
            let context = handle.propagator().extract_with_context(&Context::new(), &trusted);
            handle.propagator().with_allowed_baggage(&["user.id"]).extract_with_context(&context, &next)
        })
    };
    let parent = |order: &str| order.parse::<DottedOrder>().ok().map(|order| order.id().to_string());
    // Another trace brings nothing of the one before along.
    let run = read(Headers::of(&[("langsmith-trace", &second), ("baggage", EVERYTHING)]));
    assert_eq!((shown(&run), run.parent_run_id), (vec!["user.id"], parent(&second)));
    let run = read(Headers::of(&[("langsmith-trace", &second)]));
    assert_eq!((shown(&run), run.parent_run_id), (vec![], parent(&second)));
    // A carrier in which nothing counts leaves all as it was.
    for nothing in [Headers::default(), Headers::of(&[("langsmith-trace", "x"), ("baggage", "langsmith-project=b")])] {
        let run = read(nothing);
        assert_eq!((shown(&run), run.parent_run_id), (NAMES.to_vec(), parent(&first)));
    }
}

#[test]
fn lists_that_mean_harm() {
    let read = |headers: &[(&str, &str)]| {
        let headers = Headers::of(headers);
        run_in(move |handle| handle.propagator().extract_with_context(&Context::new(), &headers))
    };
    // Several headers are one list.
    let parts: Vec<_> = EVERYTHING.split(',').map(|entry| ("baggage", entry)).collect();
    assert_eq!(shown(&read(&parts)), NAMES);
    // An order that is there twice is one; two that differ are none.
    let (one, other) = (order(2), order(3));
    assert!(read(&[("langsmith-trace", &one), ("langsmith-trace", &one)]).parent_run_id.is_some());
    assert_eq!(read(&[("langsmith-trace", &one), ("langsmith-trace", &other)]).parent_run_id, None);
    // What cannot be decoded, has no value or hides its name costs itself alone.
    let broken = "langsmith-tags=%FF%FE,langsmith-metadata,=,;,user%2Eid=a,langsmith-project=%20,session.id=thread;a=b";
    assert_eq!(shown(&read(&[("baggage", broken)])), ["session.id"]);
    let run = read(&[("baggage", "langsmith-tags = a%2Cb=c ,langsmith-metadata={\"a\": ")]);
    assert_eq!(run.tags, ["a", "b=c"]);
    // As many bytes and entries as the standard has, over all headers; and no project that is a text.
    let long = "x".repeat(8_000);
    for headers in [
        vec![("baggage", EVERYTHING), ("baggage", &long), ("baggage", &long)],
        vec![("baggage", &*format!("{}{EVERYTHING}", "a=b,".repeat(64)))],
        vec![("baggage", &*format!("langsmith-project={}", "x".repeat(1001)))],
    ] {
        let run = read(&headers);
        assert_eq!((shown(&run), run.session_name.as_deref()), (vec![], Some("ours")));
    }
}

/// Each run below has it in its own order. Levels in this process are another matter.
#[test]
fn an_order_of_more_than_256_levels_is_left_alone_and_told_once() {
    let log = Log::start("opentelemetry_langsmith=warn");
    let server = server();
    let (provider, handle) = service(&server);
    let tracer = provider.tracer("service");
    let propagator = handle.propagator();
    for _ in 0..3 {
        let headers = Headers::of(&[("langsmith-trace", &order(257)), ("baggage", EVERYTHING)]);
        let context = propagator.extract_with_context(&Context::new(), &headers);
        context.with_span(tracer.start_with_context("too deep", &context)).span().end();
    }
    let headers = Headers::of(&[("langsmith-trace", &order(256))]);
    let mut context = propagator.extract_with_context(&Context::new(), &headers);
    let mut open = Vec::new();
    for _ in 0..50 {
        context = context.with_span(tracer.start_with_context("below", &context));
        open.push(context.clone());
    }
    // Nor is such an order sent: servers refuse a request with headers like that.
    let mut sent = Headers::default();
    propagator.inject_context(&context, &mut sent);
    assert_eq!((sent.get("langsmith-trace"), sent.get("baggage")), (None, Some("langsmith-project=ours")));
    assert!(handle
        .run_ref(context.span().span_context())
        .unwrap()
        .headers()
        .iter()
        .all(|(name, _)| *name == "baggage"));
    open.iter().rev().for_each(|context| context.span().end());
    provider.shutdown_with_timeout(LONG).unwrap();

    let (below, too_deep): (Vec<_>, Vec<_>) = server.runs().into_iter().partition(|run| run.name == "below");
    assert!(too_deep.iter().all(|run| run.parent_run_id.is_none() && shown(run) == NAMES), "{too_deep:#?}");
    let depths = below.iter().map(|run| run.dotted_order.parse::<DottedOrder>().unwrap().depth());
    assert_eq!(depths.max(), Some(306));
    eventually("a warning", || !log.with("langsmith-trace").is_empty());
    assert_eq!(log.with("langsmith-trace").len(), 1, "{}", log.text());
    assert!(log.text().contains("256") && log.text().len() < 2000, "{}", log.text());
}

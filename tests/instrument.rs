//! `#[tracing::instrument]`, as users write it, through the real layer.

mod common;

use common::{assert_flawless, config, server, LONG};
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry_langsmith::testing::{LocalLangSmith, ReceivedRun};
use opentelemetry_langsmith::{Handle, LangSmithSpanProcessor, RunType, SpanExt, UsageMetadata};
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde_json::json;
use std::future::Future;
use tracing::{info, info_span, instrument, warn, Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer::SubscriberExt;

/// Everything inside is traced to a server of its own.
struct Traced {
    server: LocalLangSmith,
    provider: SdkTracerProvider,
    handle: Handle,
    subscriber: tracing::Dispatch,
}

fn traced() -> Traced {
    let server = server();
    let processor = LangSmithSpanProcessor::new(config(&server)).unwrap();
    let handle = processor.handle();
    let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("app"));
    let subscriber = tracing::Dispatch::new(tracing_subscriber::registry().with(layer));
    Traced { server, provider, handle, subscriber }
}

impl Traced {
    fn run<T>(self, application: impl FnOnce() -> T) -> LocalLangSmith {
        tracing::dispatcher::with_default(&self.subscriber, application);
        self.end()
    }

    /// On several threads, as async applications run.
    fn run_async(self, application: impl Future<Output = ()> + Send + 'static) -> LocalLangSmith {
        let subscriber = self.subscriber.clone();
        let enter = {
            let subscriber = subscriber.clone();
            move || std::mem::forget(tracing::dispatcher::set_default(&subscriber))
        };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_all().on_thread_start(enter).build();
        runtime.unwrap().block_on(async move { tokio::spawn(application).await.unwrap() });
        self.end()
    }

    fn end(self) -> LocalLangSmith {
        self.provider.shutdown_with_timeout(LONG).unwrap();
        assert_flawless(&self.server, usize::try_from(self.server.received()).unwrap());
        self.server
    }
}

fn run(server: &LocalLangSmith, name: &str) -> ReceivedRun {
    server.run(name).unwrap_or_else(|| panic!("there is no run {name}:\n{}", server.tree()))
}

#[derive(Debug)]
#[allow(dead_code)]
struct Query {
    text: &'static str,
}

#[instrument(ret)]
fn search(query: &str, limit: u64, exact: bool, weight: f64, options: Query) -> Vec<String> {
    let _ = (limit, exact, weight, options);
    vec![query.to_owned(), "b".to_owned()]
}

#[test]
fn arguments_become_inputs_and_the_value_becomes_the_outputs() {
    let server = traced().run(|| search("a\"b", 5, true, 0.5, Query { text: "x" }));
    let run = run(&server, "search");
    let inputs = run.inputs.expect("inputs");
    assert_eq!(inputs["query"], "a\"b");
    assert_eq!(inputs["exact"], true);
    assert_eq!(inputs["weight"], 0.5);
    assert!(inputs["limit"] == 5 || inputs["limit"] == "5", "{inputs}");
    assert!(inputs["options"].to_string().contains("Query"), "{inputs}");
    assert_eq!(run.outputs, Some(json!({"output": ["a\"b", "b"]})));
    assert_eq!((run.status.as_deref(), run.run_type.as_str()), (Some("success"), "chain"));
    assert!(run.events.is_empty(), "the value is no event besides: {:?}", run.events);
}

#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("it broke")
    }
}

impl std::error::Error for Broken {}

#[instrument(err)]
fn fail(deep: bool) -> Result<(), Broken> {
    if deep {
        fail(false)
    } else {
        Err(Broken)
    }
}

#[instrument(err(Debug), ret)]
async fn fail_later() -> Result<u8, Broken> {
    tokio::task::yield_now().await;
    Err(Broken)
}

#[test]
fn an_err_becomes_the_error() {
    let server = traced().run(|| fail(true).unwrap_err());
    assert_eq!(server.received(), 2);
    for run in server.runs() {
        assert_eq!(run.status.as_deref(), Some("error"), "{run:?}");
        assert!(run.error.as_deref().unwrap().contains("it broke"), "{run:?}");
    }
    let server = traced().run_async(async {
        fail_later().await.unwrap_err();
    });
    let run = run(&server, "fail_later");
    assert!(run.error.as_deref().unwrap().contains("Broken"), "{run:?}");
}

#[test]
fn unsigned_fields_are_numbers() {
    let server = traced().run(|| {
        let span = info_span!(
            "chat",
            gen_ai.operation.name = "chat",
            gen_ai.provider.name = "openai",
            gen_ai.request.model = "gpt-4o-mini",
            gen_ai.usage.input_tokens = 5u64,
            gen_ai.usage.output_tokens = tracing::field::Empty,
            gen_ai.request.max_tokens = 100u32,
            gen_ai.request.temperature = 0.5,
        );
        span.record("gen_ai.usage.output_tokens", 7_usize);
        drop(span.entered());
    });
    let run = run(&server, "chat");
    assert_eq!(run.run_type, "llm");
    let usage = run.usage().expect("usage");
    assert_eq!(
        (&usage["input_tokens"], &usage["output_tokens"], &usage["total_tokens"]),
        (&json!(5), &json!(7), &json!(12))
    );
    assert_eq!(run.metadata("ls_max_tokens"), Some(&json!(100)));
    assert_eq!(run.metadata("ls_provider"), Some(&json!("openai")));
}

#[test]
fn log_lines_become_events() {
    let server = traced().run(|| {
        let _span = info_span!("work").entered();
        info!(step = 1, "begun");
        warn!(left = 2_u64, "slow");
    });
    let events = run(&server, "work").events;
    let names: Vec<_> = events.iter().map(|event| event["name"].clone()).collect();
    assert_eq!(names, ["begun", "slow"]);
    assert!(events.iter().all(|event| event["time"].is_string()), "{events:?}");
    assert_eq!(events[0]["kwargs"]["step"], 1);
    assert_eq!(events[1]["kwargs"]["level"], "WARN");
}

#[instrument(skip_all, fields(number))]
async fn tool(number: usize) {
    Span::current().record("number", number);
    tokio::task::yield_now().await;
    inner(number).await;
}

#[instrument(name = "inner")]
async fn inner(number: usize) {
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    info!("done {number}");
}

#[instrument]
async fn agent(number: usize) {
    // In tasks of their own, and side by side in one.
    let tasks: Vec<_> = (0..4).map(|n| tokio::spawn(tool(10 * number + n).in_current_span())).collect();
    tokio::join!(inner(1000 + number), inner(2000 + number));
    for task in tasks {
        task.await.unwrap();
    }
}

#[test]
fn concurrent_tasks_keep_their_parents() {
    const AGENTS: usize = 8;
    let server = traced().run_async(async {
        let agents: Vec<_> = (0..AGENTS).map(|number| tokio::spawn(agent(number))).collect();
        for agent in agents {
            agent.await.unwrap();
        }
    });
    assert_flawless(&server, AGENTS * (1 + 4 + 4 + 2));
    let runs = server.runs();
    let number = |run: &ReceivedRun| -> usize {
        let number = &run.inputs.as_ref().unwrap()["number"];
        number
            .as_u64()
            .map_or_else(|| number.as_str().unwrap().parse().unwrap(), |number| usize::try_from(number).unwrap())
    };
    let parent = |run: &ReceivedRun| {
        runs.iter()
            .find(|other| Some(&other.id) == run.parent_run_id.as_ref())
            .map(|parent| (parent.name.clone(), number(parent)))
    };
    for run in &runs {
        let own = number(run);
        let expected = match (&*run.name, own) {
            ("agent", _) => None,
            ("tool", own) => Some(("agent".to_owned(), own / 10)),
            (_, own @ 1000..) => Some(("agent".to_owned(), own % 1000)),
            (_, own) => Some(("tool".to_owned(), own)),
        };
        assert_eq!(parent(run), expected, "{} {own}\n{}", run.name, server.tree());
        if run.name == "inner" {
            assert_eq!(run.events[0]["name"], format!("done {own}"), "each event is with its own span");
        }
    }
    assert_eq!(server.traces().len(), AGENTS);
}

#[test]
fn everything_that_span_ext_says() {
    let server = traced().run(|| {
        let span = info_span!("raw name");
        let _entered = span.enter();
        span.set_run_type(RunType::Llm);
        span.set_run_name("nice name");
        span.record_inputs(&json!({"question": "?"}));
        span.record_outputs(&["a", "b"]);
        span.record_usage(
            &UsageMetadata::new(10, 5).with_input_detail("cache_read", 3).with_output_detail("reasoning", 2),
        );
        span.record_metadata("customer", "acme");
        span.record_metadata("attempt", 2);
        span.add_tags(["prod", "beta", "prod"]);
        span.record_first_token();
        span.record_error("it broke");
    });
    let run = run(&server, "nice name");
    assert_eq!(run.run_type, "llm");
    assert_eq!(run.inputs, Some(json!({"question": "?"})));
    let outputs = run.outputs.clone().expect("outputs");
    assert_eq!(outputs["output"], json!(["a", "b"]));
    let usage = run.usage().expect("usage");
    assert_eq!(
        (&usage["input_tokens"], &usage["output_tokens"], &usage["total_tokens"]),
        (&json!(10), &json!(5), &json!(15))
    );
    assert_eq!(usage["input_token_details"]["cache_read"], 3);
    assert_eq!(usage["output_token_details"]["reasoning"], 2);
    assert_eq!(run.metadata("customer"), Some(&json!("acme")));
    assert_eq!(run.metadata("attempt"), Some(&json!(2)));
    assert_eq!(run.tags, ["prod", "beta"]);
    assert!(run.events.iter().any(|event| event["name"] == "new_token"), "{:?}", run.events);
    assert_eq!(run.error.as_deref(), Some("it broke"));
}

#[test]
fn span_ext_on_a_context_and_on_spans_that_nobody_records() {
    let server = traced().run(|| {
        let span = info_span!("work").entered();
        let context = span.context();
        context.set_run_type(RunType::Retriever);
        context.record_outputs(&json!({"documents": []}));
        context.record_metadata("k", true);
    });
    let run = run(&server, "work");
    assert_eq!(run.run_type, "retriever");
    assert_eq!(run.outputs, Some(json!({"documents": []})));
    assert_eq!(run.metadata("k"), Some(&json!(true)));

    let nobody = Span::none();
    nobody.record_inputs(&json!(1));
    nobody.record_error("x");
    opentelemetry::Context::new().record_inputs(&json!(1));
}

#[test]
fn the_handle_tells_what_a_run_will_be_called() {
    let traced = traced();
    let handle = traced.handle.clone();
    let mut told = None;
    let server = traced.run(|| {
        let span = info_span!("root").entered();
        let inner = info_span!("inner").entered();
        told = handle.run_ref(inner.context().span().span_context());
        assert_eq!(handle.current_run(), told, "the layer makes it the current one");
        drop((inner, span));
        assert_eq!(handle.current_run(), None);
    });
    let told = told.expect("known while it is open");
    let inner = run(&server, "inner");
    assert_eq!(inner.id, told.run_id.to_string());
    assert_eq!(inner.trace_id, told.trace_id.to_string());
    assert_eq!(inner.dotted_order, told.dotted_order.to_string());
}

#[test]
fn a_panic_ends_its_spans() {
    let server = traced().run(|| {
        std::panic::catch_unwind(|| {
            let _span = info_span!("doomed").entered();
            let _inner = info_span!("inner").entered();
            std::panic::resume_unwind(Box::new("on purpose"));
        })
        .unwrap_err();
    });
    assert_eq!(server.received(), 2);
}

/// Spans that are never entered, closed out of order, or entered many times.
#[test]
fn odd_ways_to_use_spans() {
    let server = traced().run(|| {
        let outer = info_span!("outer");
        let inner = info_span!(parent: &outer, "inner");
        let never = info_span!(parent: &inner, "never entered");
        drop(outer);
        for _ in 0..5 {
            inner.in_scope(|| ());
        }
        drop(inner);
        drop(never);
        let follows = info_span!("follows");
        let cause = info_span!("cause");
        follows.follows_from(cause.id());
        let _ = info_span!(parent: None, "alone").entered();
    });
    let runs: Vec<_> = server.runs().into_iter().map(|run| run.name).collect();
    for name in ["outer", "inner", "never entered", "follows", "cause", "alone"] {
        assert!(runs.iter().any(|run| run == name), "{name} is missing in {runs:?}");
    }
    assert_eq!(run(&server, "inner").parent_run_id, Some(run(&server, "outer").id));
    assert_eq!(run(&server, "never entered").parent_run_id, Some(run(&server, "inner").id));
}

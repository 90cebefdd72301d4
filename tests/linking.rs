//! Spans under runs that are known by their names in LangSmith alone, and those names while a span runs.

use opentelemetry::trace::{SpanKind, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_langsmith::testing::{LocalLangSmith, ReceivedRun};
use opentelemetry_langsmith::{Client, Config, Handle, LangSmithSpanProcessor, Run, RunRef, RunType};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use std::collections::HashMap;
use std::time::Duration;
use tracing_subscriber::prelude::*;

struct Service {
    server: LocalLangSmith,
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    handle: Handle,
}

impl Service {
    fn new() -> Self {
        let server = LocalLangSmith::start().unwrap();
        let processor = LangSmithSpanProcessor::new(config(&server)).unwrap();
        let handle = processor.handle();
        let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
        let tracer = provider.tracer("service");
        Self { server, provider, tracer, handle }
    }

    /// A run that this service did not make as a span.
    fn existing(&self) -> Run {
        let client = Client::new(config(&self.server)).unwrap();
        let parent = Run::builder("parent", RunType::Chain).end_now().build().unwrap();
        let existing = Run::builder("existing", RunType::Chain).child_of(&parent).end_now().build().unwrap();
        client.submit(parent).unwrap();
        client.submit(existing.clone()).unwrap();
        client.shutdown(Duration::from_secs(5)).unwrap();
        existing
    }

    fn start(&self, attributes: Vec<KeyValue>, parent: &Context) -> Context {
        let builder = self.tracer.span_builder("grafted").with_kind(SpanKind::Consumer).with_attributes(attributes);
        parent.with_span(builder.start_with_context(&self.tracer, parent))
    }

    fn received(&self) -> HashMap<String, ReceivedRun> {
        self.provider.shutdown().unwrap();
        assert_eq!(self.server.violations(), Vec::<String>::new());
        self.server.runs().into_iter().map(|run| (run.name.clone(), run)).collect()
    }
}

fn config(server: &LocalLangSmith) -> Config {
    Config::default().with_api_key("key").with_endpoint(server.endpoint())
}

/// The dotted order of a new run under `parent`.
fn below(parent: &Run) -> Run {
    Run::builder("grafted", RunType::Chain).child_of(parent).build().unwrap()
}

fn assert_grafted(runs: &HashMap<String, ReceivedRun>) {
    let (existing, grafted, inner) = (&runs["existing"], &runs["grafted"], &runs["inner"]);
    assert_eq!(grafted.trace_id, existing.trace_id);
    assert_eq!(grafted.parent_run_id.as_ref(), Some(&existing.id));
    assert!(grafted.dotted_order.starts_with(&format!("{}.", existing.dotted_order)));
    assert_eq!(inner.trace_id, existing.trace_id);
    assert_eq!(inner.parent_run_id.as_ref(), Some(&grafted.id));
}

#[test]
fn a_dotted_order_puts_a_span_under_an_existing_run() {
    let service = Service::new();
    let wanted = below(&service.existing());
    let attributes = vec![KeyValue::new("langsmith.span.dotted_order", wanted.dotted_order().to_string())];
    let grafted = service.start(attributes, &Context::new());
    let inner = service.tracer.start_with_context("inner", &grafted);
    drop(inner);
    grafted.span().end();

    let runs = service.received();
    assert_grafted(&runs);
    assert_eq!(runs["grafted"].id, wanted.id().to_string());
}

#[test]
fn the_parents_dotted_order_does_too_where_the_parent_is_named() {
    for with_trace in [false, true] {
        let service = Service::new();
        let existing = service.existing();
        let mut attributes = vec![
            KeyValue::new("langsmith.span.parent_id", existing.id().to_string()),
            KeyValue::new("langsmith.span.dotted_order", existing.dotted_order().to_string()),
        ];
        if with_trace {
            attributes.push(KeyValue::new("langsmith.trace.id", existing.trace_id().to_string()));
        }
        // Even where the span has another parent here.
        let here = service.tracer.start("here");
        let here = Context::new().with_span(here);
        let grafted = service.start(attributes, &here);
        drop(service.tracer.start_with_context("inner", &grafted));
        grafted.span().end();
        here.span().end();

        let runs = service.received();
        assert_grafted(&runs);
        assert!(runs["grafted"].metadata("langsmith.span.dotted_order").is_none());
        assert_eq!(runs["here"].parent_run_id, None);
    }
}

/// LangSmith wants the starts of all ancestors, which ids do not tell.
#[test]
fn ids_of_an_unknown_parent_are_kept_in_the_metadata_of_a_root() {
    let service = Service::new();
    let existing = service.existing();
    let attributes = vec![
        KeyValue::new("langsmith.trace.id", existing.trace_id().to_string()),
        KeyValue::new("langsmith.span.parent_id", existing.id().to_string()),
    ];
    service.start(attributes, &Context::new()).span().end();

    let runs = service.received();
    let root = &runs["grafted"];
    assert_eq!(root.parent_run_id, None);
    assert_ne!(root.id, existing.trace_id().to_string());
    assert_eq!(root.metadata("langsmith.trace.id"), Some(&existing.trace_id().to_string().into()));
    assert_eq!(root.metadata("langsmith.span.parent_id"), Some(&existing.id().to_string().into()));
}

#[test]
fn linking_attributes_that_contradict_each_other_do_not_count() {
    let service = Service::new();
    let existing = service.existing();
    let attributes = vec![
        KeyValue::new("langsmith.trace.id", existing.id().to_string()),
        KeyValue::new("langsmith.span.parent_id", existing.id().to_string()),
        KeyValue::new("langsmith.span.dotted_order", existing.dotted_order().to_string()),
    ];
    service.start(attributes, &Context::new()).span().end();
    assert_eq!(service.received()["grafted"].parent_run_id, None);
}

#[test]
fn a_trace_id_alone_is_the_roots_id() {
    let service = Service::new();
    // Not a UUIDv7, which would have to be of the very millisecond.
    let id = "5c0c9a3e-1f4d-4b5c-9d43-5f3f5a7e2b10";
    service.start(vec![KeyValue::new("langsmith.trace.id", id)], &Context::new()).span().end();
    assert_eq!(service.received()["grafted"].id, id);
}

/// What another process does with the names of a run here: `tracing` takes them as fields.
#[test]
fn a_tracing_span_is_linked_by_its_fields() {
    let service = Service::new();
    let existing = service.existing();
    let layer = tracing_opentelemetry::layer().with_tracer(service.tracer.clone());
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        let span = tracing::info_span!(
            "grafted",
            langsmith.span.parent_id = %existing.id(),
            langsmith.span.dotted_order = %existing.dotted_order(),
        );
        span.in_scope(|| tracing::info_span!("inner").in_scope(|| {}));
    });
    assert_grafted(&service.received());
}

#[test]
fn the_current_run_is_known_inside_of_a_tracing_span_before_it_is_sent() {
    let service = Service::new();
    let handle = &service.handle;
    let layer = tracing_opentelemetry::layer().with_tracer(service.tracer.clone());
    assert_eq!(handle.current_run(), None);
    let (outer, inner): (RunRef, RunRef) =
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let span = tracing::info_span!("outer");
            span.in_scope(|| {
                let outer = handle.current_run().unwrap();
                let inner = tracing::info_span!("inner").in_scope(|| handle.current_run().unwrap());
                assert_eq!(handle.current_run().as_ref(), Some(&outer));
                (outer, inner)
            })
        });
    assert_eq!(handle.current_run(), None);

    let runs = service.received();
    for (run, name) in [(&outer, "outer"), (&inner, "inner")] {
        assert_eq!(run.run_id.to_string(), runs[name].id);
        assert_eq!(run.trace_id.to_string(), runs[name].trace_id);
        assert_eq!(run.dotted_order.to_string(), runs[name].dotted_order);
        let expected = [("langsmith-trace", runs[name].dotted_order.clone()), ("baggage", PROJECT.to_owned())];
        assert_eq!(run.headers(), expected);
    }
    assert_eq!(runs["inner"].parent_run_id.as_ref(), Some(&runs["outer"].id));
}

/// The default project, as a header tells it.
const PROJECT: &str = "langsmith-project=default";

#[test]
fn all_linking_attributes_together_agree() {
    let service = Service::new();
    let existing = service.existing();
    let wanted = below(&existing);
    let attributes = vec![
        KeyValue::new("langsmith.trace.id", existing.trace_id().to_string()),
        KeyValue::new("langsmith.span.id", wanted.id().to_string()),
        KeyValue::new("langsmith.span.parent_id", existing.id().to_string()),
        KeyValue::new("langsmith.span.dotted_order", wanted.dotted_order().to_string()),
    ];
    let grafted = service.start(attributes, &Context::new());
    drop(service.tracer.start_with_context("inner", &grafted));
    grafted.span().end();

    let runs = service.received();
    assert_grafted(&runs);
    assert!(runs["grafted"].metadata("langsmith.trace.id").is_none());
}

//! Hooks that open spans of their own.

use crate::common::log::Log;
use crate::common::{config, eventually, in_time, server, CountedIds, LONG};
use crate::{Way, WAYS};
use opentelemetry::trace::{Span as _, Tracer, TracerProvider};
use opentelemetry::Context;
use opentelemetry_langsmith::testing::LocalLangSmith;
use opentelemetry_langsmith::{Config, LangSmithExporter, LangSmithSpanProcessor, SpanFilter};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, SimpleSpanProcessor};
use std::sync::{Arc, OnceLock};

type Late = Arc<OnceLock<SdkTracer>>;

/// Opens a span as a root and one below whatever is current, as any instrumented helper does.
fn helper(tracer: &Late) {
    let Some(tracer) = tracer.get() else { return };
    tracer.start("inner").end();
    tracer.start_with_context("inner root", &Context::new()).end();
}

fn filtering(config: Config, tracer: &Late) -> Config {
    let tracer = Arc::clone(tracer);
    config.with_filter(SpanFilter::from_fn(move |_| {
        helper(&tracer);
        true
    }))
}

fn naming(config: Config, tracer: &Late) -> Config {
    let tracer = Arc::clone(tracer);
    config.with_project_for(move |_| {
        helper(&tracer);
        Some("named".into())
    })
}

/// Two spans through this provider; gives back what became of them.
fn two_spans(provider: &SdkTracerProvider, tracer: &Late) {
    tracer.set(provider.tracer("app")).unwrap();
    let tracer = provider.tracer("app");
    for _ in 0..2 {
        tracer.start("outer").end();
    }
    provider.shutdown_with_timeout(LONG).unwrap();
}

fn names(server: &LocalLangSmith) -> Vec<String> {
    server.runs().into_iter().map(|run| run.name).collect()
}

#[test]
fn the_spans_of_a_hook_are_left_alone_and_told_of_once() {
    let log = Log::start("info");
    for configure in [filtering, naming] {
        for way in WAYS {
            let (server, lines) = in_time(move || {
                let (server, tracer) = (server(), Late::default());
                let (provider, _) = way.provider(configure(config(&server), &tracer));
                let before = Log::start("info").with("a hook opens spans").len();
                two_spans(&provider, &tracer);
                (server, before)
            });
            assert_eq!(names(&server), ["outer", "outer"], "{way:?}");
            assert_eq!(server.violations(), Vec::<String>::new());
            if way == Way::Processor {
                eventually("a line", || log.with("a hook opens spans").len() > lines);
                assert_eq!(log.with("a hook opens spans").len(), lines + 1);
            }
        }
    }
}

#[test]
fn behind_a_simple_processor_a_filter_may_open_spans_too() {
    in_time(|| {
        let (server, tracer) = (server(), Late::default());
        let current = Arc::clone(&tracer);
        let filter = SpanFilter::from_fn(move |_| {
            if let Some(tracer) = current.get() {
                tracer.start("inner").end();
            }
            true
        });
        let exporter = LangSmithExporter::new(config(&server).with_filter(filter)).unwrap();
        let provider = SdkTracerProvider::builder().with_span_processor(SimpleSpanProcessor::new(exporter)).build();
        two_spans(&provider, &tracer);
        assert_eq!(names(&server), ["outer", "outer"]);
    });
}

/// Each client's hook opens spans that the other one sees.
#[test]
fn two_clients_do_not_ask_each_other_without_end() {
    in_time(|| {
        let servers = [server(), server()];
        let tracer = Late::default();
        let mut builder = SdkTracerProvider::builder().with_id_generator(CountedIds::default());
        for server in &servers {
            let hooked = Arc::clone(&tracer);
            let config = filtering(config(server), &tracer).with_on_run(move |_| helper(&hooked));
            builder = builder.with_span_processor(LangSmithSpanProcessor::new(config).unwrap());
        }
        two_spans(&builder.build(), &tracer);
        for server in &servers {
            assert_eq!(names(server), ["outer", "outer"]);
        }
    });
}

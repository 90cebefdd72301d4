//! Headers from anywhere: extracting them never panics, and what is passed on is a dotted order.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{TraceContextExt, Tracer, TracerProvider};
use opentelemetry::Context;
use opentelemetry_langsmith::{Config, DottedOrder, Handle, LangSmithSpanProcessor};
use opentelemetry_sdk::propagation::BaggagePropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use std::collections::HashMap;
use std::sync::LazyLock;

struct Headers(HashMap<String, String>);

impl Extractor for Headers {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}

impl Injector for Headers {
    fn set(&mut self, key: &str, value: String) {
        self.0.insert(key.into(), value);
    }
}

/// Nothing answers at that port, and nothing has to: the queue is small.
static SERVICE: LazyLock<(Handle, SdkTracer, SdkTracerProvider)> = LazyLock::new(|| {
    let config = Config::default().with_api_key("key").with_endpoint("http://127.0.0.1:9").with_queue_bytes(65_536);
    let processor = LangSmithSpanProcessor::new(config).expect("a processor");
    let handle = processor.handle();
    let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
    (handle, provider.tracer("fuzz"), provider)
});

fuzz_target!(|headers: (&str, &str)| {
    let (handle, tracer, _provider) = &*SERVICE;
    let (trace, baggage) = headers;
    let received = Headers(HashMap::from([("langsmith-trace".into(), trace.into()), ("baggage".into(), baggage.into())]));
    let context = BaggagePropagator::new().extract_with_context(&Context::new(), &received);
    let context = handle.propagator().extract_with_context(&context, &received);
    let context = context.with_span(tracer.start_with_context("run", &context));
    let mut sent = Headers(HashMap::new());
    handle.propagator().inject_context(&context, &mut sent);
    let run = handle.run_ref(context.span().span_context()).expect("a run");
    let order = run.dotted_order;
    // 256 levels are read and sent, and no more.
    assert_eq!(sent.0.get("langsmith-trace"), (order.depth() <= 256).then(|| order.to_string()).as_ref());
    let parent = trace.trim().parse::<DottedOrder>().ok().filter(|parent| parent.depth() <= 256);
    assert_eq!(order.parent(), parent);
    context.span().end();
});

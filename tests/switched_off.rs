//! `LANGSMITH_TRACING=false`: everything works and nothing happens. In a program of its own, because its threads
//! are counted.

mod common;

use common::{server, span, LONG};
use opentelemetry::trace::{Span as _, Tracer, TracerProvider};
use opentelemetry_langsmith::{Client, Config, LangSmithExporter, LangSmithSpanProcessor, Run, RunType, Stats};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanExporter};

#[test]
fn switched_off() {
    let server = server();
    for off in ["false", "False", "0", "no", "off"] {
        let endpoint = server.endpoint();
        let variables = [
            ("LANGSMITH_TRACING", Some(off)),
            ("LANGSMITH_ENDPOINT", Some(&*endpoint)),
            ("LANGSMITH_API_KEY", None),
            ("LANGCHAIN_API_KEY", None),
        ];
        temp_env::with_vars(variables, || {
            let threads = common::threads_named("langsmith");
            let processor = LangSmithSpanProcessor::from_env().unwrap();
            let handle = processor.handle();
            let exporter = LangSmithExporter::from_env().unwrap();
            let client = Client::new(Config::from_env().unwrap()).unwrap();
            assert_eq!(common::threads_named("langsmith"), threads, "no thread is started");
            assert!(!client.is_enabled() && !handle.client().is_enabled());

            common::export(&exporter, vec![span(1, 1, 0), span(1, 2, 1)]).unwrap();
            exporter.force_flush().unwrap();
            let provider =
                SdkTracerProvider::builder().with_span_processor(processor).with_batch_exporter(exporter).build();
            let mut span = provider.tracer("off").start("off");
            assert_eq!(handle.run_ref(span.span_context()), None);
            span.end();
            provider.force_flush().unwrap();
            provider.shutdown().unwrap();
            client.submit(Run::builder("off", RunType::Chain).build().unwrap()).unwrap();
            client.flush(LONG).unwrap();
            client.shutdown(LONG).unwrap();
            client.shutdown(LONG).unwrap();
            assert_eq!(client.stats(), Stats::default());
        });
    }
    assert_eq!(server.requests().len(), 0);
}

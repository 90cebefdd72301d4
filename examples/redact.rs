//! What LangSmith gets to see: secrets and personal data are taken out before anything leaves the process.
//!
//! Sends to a LangSmith stand-in inside the process and prints what arrived there.

use opentelemetry::trace::{Span, SpanKind, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_langsmith::testing::LocalLangSmith;
use opentelemetry_langsmith::{Config, LangSmithSpanProcessor, OnRun, Redactor, Run};
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::time::Duration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let local = LocalLangSmith::start()?;
    let redactor = Redactor::common_secrets()
        .with_pattern(r"\b(parcel) \d+", "$1 [number]")?
        .with_path("inputs.customer.address")?
        .with_fn(|place, text| (place.path() == "metadata.user.id").then(|| format!("user-{}", text.len())));
    let config = Config::default()
        .with_api_key("for the stand-in any key will do")
        .with_endpoint(local.endpoint())
        .with_redactor(redactor)
        .with_on_run(health_checks_are_dropped);
    let processor = LangSmithSpanProcessor::new(config)?;
    let client = processor.handle().client();
    let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
    let tracer = provider.tracer("support");

    let root = Context::new().with_span(tracer.start("answer alice@example.org"));
    root.span().set_attribute(KeyValue::new("user.id", "alice"));
    let input = r#"{"question": "Where is parcel 4711?", "customer": {"name": "A.", "address": "Dom 1, Utrecht"}}"#;
    root.span().set_attribute(KeyValue::new("input.value", input));
    tracer.start_with_context("healthz", &root).end();
    let mut tool = tracer.span_builder("track").with_kind(SpanKind::Client).start_with_context(&tracer, &root);
    tool.set_attribute(KeyValue::new("gen_ai.operation.name", "execute_tool"));
    // JSON in a string, with an escape: rules see what it says.
    let arguments = r#"{"card": "4111 1111 1111 1111", "mail": "alice\u0040example.org", "retries": 3}"#;
    tool.set_attribute(KeyValue::new("gen_ai.tool.call.arguments", arguments));
    tool.record_error(&std::io::Error::other("GET / with Authorization: Bearer abc.def.123 failed"));
    tool.end();
    root.span().end();
    provider.shutdown_with_timeout(Duration::from_secs(10))?;

    for run in local.runs() {
        println!("{} {:?}", run.run_type, run.name);
        println!("  inputs {}", run.inputs.clone().unwrap_or_default());
        println!("  user   {}", run.metadata("user.id").cloned().unwrap_or_default());
        for event in &run.events {
            println!("  event  {}", event["kwargs"]);
        }
    }
    println!("{}", client.stats());
    println!("{} runs delivered, {} violations", local.received(), local.violations().len());
    Ok(())
}

fn health_checks_are_dropped(run: &mut Run) -> OnRun {
    if run.name() == "healthz" {
        OnRun::Drop
    } else {
        OnRun::Keep
    }
}

//! LangSmith as one more exporter of a pipeline that is there already: plain OpenTelemetry, threads, no async code.
//!
//! ```text
//! cargo run --example existing_pipeline
//! ```
//! [`LangSmithExporter`] stands behind the SDK's batch processor, beside the exporter that prints each span. Without
//! `LANGSMITH_API_KEY` it sends to a LangSmith of its own on loopback; with it, to LangSmith.

use std::error::Error;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use opentelemetry::trace::{Span, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_langsmith::testing::LocalLangSmith;
use opentelemetry_langsmith::{Client, Config, ConfigError, LangSmithExporter};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use opentelemetry_sdk::Resource;

const PROJECT: &str = "existing_pipeline";

fn main() -> Result<ExitCode, Box<dyn Error>> {
    // If something keeps runs from LangSmith, a warning says so here.
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).with_max_level(tracing::Level::WARN).init();

    let (langsmith, receiver) = connect()?;
    let client = langsmith.client();

    let provider = SdkTracerProvider::builder()
        .with_resource(Resource::builder().with_service_name("existing_pipeline").build())
        .with_batch_exporter(opentelemetry_stdout::SpanExporter::default())
        .with_batch_exporter(langsmith)
        .build();
    summarise_mails(&provider.tracer("existing_pipeline"));

    // Both processors hand over what they have, then their exporters send it, for 5 seconds at the most.
    let shutdown = provider.shutdown();
    println!();
    let whole = report(&client, receiver.as_ref());
    shutdown?;
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Says what arrived; whether that is all, and as it should be.
fn report(client: &Client, receiver: Option<&LocalLangSmith>) -> bool {
    let stats = client.stats();
    let whole = stats.submitted > 0 && stats.sent == stats.submitted;
    let Some(receiver) = receiver else {
        println!("{} runs: {} sent, {} dropped", stats.submitted, stats.sent, stats.dropped_total());
        println!("{} runs delivered to {PROJECT}", stats.sent);
        return whole;
    };
    print!("{}", receiver.tree());
    let violations = receiver.violations();
    for violation in &violations {
        println!("violation: {violation}");
    }
    println!("{} runs delivered, {} violations", receiver.received(), violations.len());
    whole && receiver.received() == stats.sent && violations.is_empty()
}

/// To LangSmith if there is a key, else to a receiver in this process.
fn connect() -> Result<(LangSmithExporter, Option<LocalLangSmith>), Box<dyn Error>> {
    let config = Config::from_env()?.with_project(PROJECT);
    match LangSmithExporter::new(config.clone()) {
        Err(ConfigError::MissingApiKey) => {
            let receiver = LocalLangSmith::start()?;
            let config = config.with_endpoint(receiver.endpoint()).with_api_key("any");
            Ok((LangSmithExporter::new(config)?, Some(receiver)))
        }
        langsmith => Ok((langsmith?, None)),
    }
}

/// One thread a mail. Each span has its parent on another thread.
fn summarise_mails(tracer: &SdkTracer) {
    let root = tracer.start("summarise_mails");
    let context = Context::current_with_span(root);
    thread::scope(|threads| {
        for (mail, text) in [("order", "Where is it?"), ("praise", "Well done!"), ("newsletter", "")] {
            let context = &context;
            threads.spawn(move || summarise_mail(tracer, context, mail, text));
        }
    });
    context.span().end();
}

fn summarise_mail(tracer: &SdkTracer, parent: &Context, mail: &'static str, text: &'static str) {
    let mut span = tracer.start_with_context("summarise_mail", parent);
    span.set_attribute(KeyValue::new("langsmith.metadata.mail", mail));
    span.set_attribute(KeyValue::new("input.value", text));
    let context = parent.with_span(span);

    // The model has a thread of its own too; the context goes there by hand.
    let called = {
        let (tracer, context) = (tracer.clone(), context.clone());
        thread::spawn(move || call_model(&tracer, &context, text)).join()
    };
    let span = context.span();
    match called {
        Ok(Ok(summary)) => span.set_attribute(KeyValue::new("output.value", summary)),
        Ok(Err(reason)) => span.set_status(Status::error(reason)),
        Err(_) => span.set_status(Status::error("the model's thread panicked")),
    }
    span.end();
}

fn call_model(tracer: &SdkTracer, parent: &Context, text: &str) -> Result<String, String> {
    let mut span = tracer.start_with_context("chat", parent);
    span.set_attributes([
        KeyValue::new("gen_ai.operation.name", "chat"),
        KeyValue::new("gen_ai.provider.name", "anthropic"),
        KeyValue::new("gen_ai.request.model", "claude-haiku-4-5"),
        KeyValue::new("gen_ai.request.max_tokens", 100),
        KeyValue::new("gen_ai.input.messages", messages("user", text)),
    ]);
    thread::sleep(Duration::from_millis(10 + text.len() as u64));
    if text.is_empty() {
        let refused = std::io::Error::new(std::io::ErrorKind::InvalidInput, "messages: text is empty");
        span.record_error(&refused);
        span.set_status(Status::error(refused.to_string()));
        return Err("there was nothing to summarise".to_owned());
    }
    let summary = format!("{} words", text.split_whitespace().count());
    span.set_attributes([
        KeyValue::new("gen_ai.output.messages", messages("assistant", &summary)),
        KeyValue::new("gen_ai.usage.input_tokens", 9),
        KeyValue::new("gen_ai.usage.output_tokens", 3),
    ]);
    Ok(summary)
}

fn messages(role: &str, text: &str) -> String {
    serde_json::json!([{"role": role, "parts": [{"type": "text", "content": text}]}]).to_string()
}

//! Shows what spans become in LangSmith: their runs as a tree, and all that LangSmith gets of them as JSON.
//!
//! ```text
//! cargo run --example span_to_run                     # a span made here
//! cargo run --example span_to_run -- spans.json       # spans as OTLP/JSON, an ExportTraceServiceRequest
//! ```
//! Every OTLP exporter can write such a file, the collector's `file` exporter too (one request a line: take one line).
//! Nothing leaves the machine.

mod otlp;

use opentelemetry::trace::{SpanKind, Tracer, TracerProvider};
use opentelemetry::KeyValue;
use opentelemetry_langsmith::testing::LocalLangSmith;
use opentelemetry_langsmith::{Config, LangSmithExporter};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanExporter};
use serde_json::{json, Value};
use std::path::Path;

type Fallible<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Fallible {
    let local = LocalLangSmith::start()?;
    let exporter = LangSmithExporter::new(Config::default().with_endpoint(local.endpoint()).with_api_key("any"))?;
    match std::env::args_os().nth(1) {
        Some(file) => send_file(exporter, file.as_ref())?,
        None => send_one(exporter)?,
    }

    let mut runs = local.runs();
    runs.sort_by(|one, other| one.dotted_order.cmp(&other.dotted_order));
    for run in &runs {
        let run = json!({
            "name": run.name,
            "run_type": run.run_type,
            "inputs": run.inputs,
            "outputs": run.outputs,
            "error": run.error,
            "events": run.events,
            "tags": run.tags,
            "extra": run.extra,
            "attachments": run.attachments.keys().collect::<Vec<_>>(),
            "id": run.id,
            "parent_run_id": run.parent_run_id,
            "dotted_order": run.dotted_order,
        });
        println!("{}", serde_json::to_string_pretty(&without_nothing(run))?);
    }
    print!("{}", local.tree());
    let violations = local.violations();
    for violation in &violations {
        println!("violation: {violation}");
    }
    println!("{} runs, {} violations", runs.len(), violations.len());
    Ok(())
}

/// Hands the spans over as a batch processor does.
fn send_file(mut exporter: LangSmithExporter, file: &Path) -> Fallible {
    let sent = otlp::read(&std::fs::read_to_string(file)?)?;
    exporter.set_resource(&sent.resource);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(exporter.export(sent.spans))?;
    Ok(exporter.shutdown()?)
}

/// A call of a model, by OpenTelemetry's conventions.
fn send_one(exporter: LangSmithExporter) -> Fallible {
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).build();
    let tracer = provider.tracer("span_to_run");
    let asked = r#"[{"role":"user","parts":[{"type":"text","content":"What is the weather in Paris?"}]}]"#;
    let answered = r#"[{"role":"assistant","parts":[{"type":"tool_call","id":"call_1","name":"get_weather","arguments":{"city":"Paris"}}]}]"#;
    let span = tracer.span_builder("chat gpt-4o-mini").with_kind(SpanKind::Client).with_attributes([
        KeyValue::new("gen_ai.operation.name", "chat"),
        KeyValue::new("gen_ai.provider.name", "openai"),
        KeyValue::new("gen_ai.request.model", "gpt-4o-mini"),
        KeyValue::new("gen_ai.input.messages", asked),
        KeyValue::new("gen_ai.output.messages", answered),
        KeyValue::new("gen_ai.usage.input_tokens", 24),
        KeyValue::new("gen_ai.usage.output_tokens", 9),
    ]);
    drop(span.start(&tracer));
    Ok(provider.shutdown()?)
}

/// What is not there is not worth a line.
fn without_nothing(mut run: Value) -> Value {
    if let Some(members) = run.as_object_mut() {
        members.retain(|_, value| !value.is_null() && value != &json!([]));
    }
    run
}

//! Spans as frameworks write them, through a real provider and over the wire: each table says what the attributes are
//! and what the run shall be.

mod genkit;
mod google_adk;
mod livekit;
mod logfire;
mod mlflow;
mod never_forwarded;
mod properties;
mod rig;
mod vercel;

use opentelemetry::trace::{Event, Span as _, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Array, Context, KeyValue, Value as Attribute};
use opentelemetry_langsmith::testing::{LocalLangSmith, ReceivedRun};
use opentelemetry_langsmith::{Config, LangSmithSpanProcessor};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use serde_json::{json, Value};

/// A provider that sends to a receiver of its own.
struct Pipeline {
    server: LocalLangSmith,
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Pipeline {
    fn start() -> Self {
        let server = LocalLangSmith::start().unwrap();
        let config = Config::default().with_api_key("key").with_endpoint(server.endpoint());
        let processor = LangSmithSpanProcessor::new(config).unwrap();
        let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
        let tracer = provider.tracer("framework");
        Self { server, provider, tracer }
    }

    /// Makes a span, which ends when the context is dropped or earlier.
    fn span(&self, name: &str, attributes: &Value, parent: &Context) -> Context {
        let builder = self.tracer.span_builder(name.to_owned()).with_attributes(key_values(attributes));
        parent.with_span(builder.start_with_context(&self.tracer, parent))
    }

    fn finish(self) -> LocalLangSmith {
        self.provider.shutdown().unwrap();
        assert_eq!(self.server.violations(), Vec::<String>::new());
        self.server
    }
}

/// JSON objects become the text of them, as instrumentations write them; lists hold texts.
fn key_values(attributes: &Value) -> Vec<KeyValue> {
    let value = |value: &Value| match value {
        Value::String(text) => Attribute::from(text.clone()),
        Value::Bool(flag) => (*flag).into(),
        Value::Number(number) => number.as_i64().map_or_else(|| number.as_f64().unwrap().into(), Attribute::I64),
        Value::Array(items) => {
            Attribute::Array(Array::String(items.iter().map(|item| item.as_str().unwrap().to_owned().into()).collect()))
        }
        other => other.to_string().into(),
    };
    let attributes = attributes.as_object().unwrap().iter();
    attributes.map(|(key, json)| KeyValue::new(key.clone(), value(json))).collect()
}

/// JSON as text, for an attribute that holds a list.
fn text(json: &Value) -> Value {
    json.to_string().into()
}

/// What one span becomes.
fn run_of(name: &str, attributes: &Value) -> ReceivedRun {
    run_with_events(name, attributes, Vec::new())
}

fn run_with_events(name: &str, attributes: &Value, events: Vec<Event>) -> ReceivedRun {
    let pipeline = Pipeline::start();
    let builder = pipeline.tracer.span_builder(name.to_owned());
    let builder = builder.with_attributes(key_values(attributes)).with_events(events);
    builder.start_with_context(&pipeline.tracer, &Context::new()).end();
    pipeline.finish().runs().remove(0)
}

/// Runs of one span each, compared with what is expected of them: `inputs`, `outputs`, `usage`, `sum` (the counts of an
/// agent), `name`, `type`, `tags` and `error` as they are, of `metadata` and `parameters` the given members; null is none.
fn check(cases: &[(&str, Value, Value)]) {
    for (case, attributes, expected) in cases {
        let run = run_of(case, attributes);
        for (what, expected) in expected.as_object().unwrap() {
            let member = |object: &Value, name: &str| object.get(name).cloned().unwrap_or_default();
            let parameters = member(&run.extra, "invocation_params");
            let outputs = run.outputs.clone().map(|mut outputs| {
                outputs.as_object_mut().unwrap().remove("usage_metadata");
                outputs
            });
            let seen = match what.as_str() {
                "inputs" => json!(run.inputs),
                "outputs" => json!(outputs),
                "usage" => json!(run.metadata("usage_metadata")),
                "sum" => json!(run.metadata("ls_aggregated_usage")),
                "name" => json!(run.name),
                "type" => json!(run.run_type),
                "tags" => json!(run.tags),
                "error" => json!(run.error),
                "first_token" => json!(run.events.iter().any(|event| event["name"] == "new_token")),
                "metadata" | "parameters" => {
                    let object = if what == "metadata" { member(&run.extra, "metadata") } else { parameters };
                    let members = expected.as_object().unwrap().keys();
                    members.map(|name| (name.clone(), member(&object, name))).collect::<serde_json::Map<_, _>>().into()
                }
                other => panic!("{other}?"),
            };
            assert_eq!(seen, *expected, "{what} of {case}: {run:#?}");
        }
    }
}

/// A tool call in the shape of the runs.
fn call(id: &str, name: &str, arguments: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
}

//! LangSmith and an OTLP collector side by side: the collector gets every span, LangSmith what a model's user wants to
//! see.
//!
//! ```text
//! cargo run --example alongside_otlp
//! ```
//! A collector on loopback takes OTLP over HTTP as JSON and shows what it got. Set `OTEL_EXPORTER_OTLP_ENDPOINT` and
//! `LANGSMITH_API_KEY` to send to real ones instead.

use std::collections::HashMap;
use std::error::Error;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use axum::{routing::post, Json, Router};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_langsmith::testing::LocalLangSmith;
use opentelemetry_langsmith::{agent_span, llm_span, tool_span, Config, ConfigError, LangSmithSpanProcessor, SpanExt};
use opentelemetry_langsmith::{SpanFilter, UsageMetadata};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::trace::SdkTracerProvider;
use opentelemetry_sdk::Resource;
use serde_json::{json, Value};
use tracing::info_span;
use tracing_subscriber::prelude::*;

const PROJECT: &str = "alongside-otlp";

type Fallible<T> = Result<T, Box<dyn Error>>;

fn main() -> Fallible<ExitCode> {
    let (langsmith, receiver) = connect()?;
    let client = langsmith.handle().client();
    let collector = match std::env::var("OTEL_EXPORTER_OTLP_ENDPOINT") {
        Ok(endpoint) if !endpoint.is_empty() => None,
        _ => Some(Collector::start()?),
    };
    let mut otlp = SpanExporter::builder().with_http().with_protocol(Protocol::HttpJson);
    if let Some(collector) = &collector {
        otlp = otlp.with_endpoint(format!("{}/v1/traces", collector.base));
    }

    // Neither knows of the other: each sees every span, and none changes one.
    let provider = SdkTracerProvider::builder()
        .with_resource(Resource::builder().with_service_name("alongside-otlp").build())
        .with_span_processor(langsmith)
        .with_batch_exporter(otlp.build()?)
        .build();
    tracing_subscriber::registry()
        .with(tracing_opentelemetry::layer().with_tracer(provider.tracer("alongside_otlp")))
        .init();

    answer("Is it open?");

    let delivered = provider.shutdown();
    if let Some(collector) = &collector {
        println!("The collector has every span:");
        collector.print();
    }
    let Some(receiver) = receiver else {
        println!("{} runs sent to project {PROJECT}", client.stats().sent);
        delivered?;
        return Ok(ExitCode::SUCCESS);
    };
    println!("\nLangSmith has no plumbing, and what stood below it has moved up:\n{}", receiver.tree());
    let violations = receiver.violations();
    for violation in &violations {
        println!("violation: {violation}");
    }
    let spans = collector.map_or(0, |collector| collector.spans().len());
    println!("{spans} spans at the collector, {} runs delivered, {} violations", receiver.received(), violations.len());
    delivered?;
    Ok(if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// An agent whose calls go through HTTP clients. Spans such as theirs are made up here, under the same targets.
fn answer(question: &str) {
    let _request = info_span!(target: "tower::service", "request").entered();
    let _agent = agent_span!("concierge").entered();
    tracing::Span::current().record_inputs(question);
    {
        let _retries = info_span!(target: "tower::retry", "attempt", number = 1).entered();
        let span = llm_span!("chat", model = "gpt-4o-mini", provider = "openai");
        let _llm = span.enter();
        let _connection = info_span!(target: "hyper_util::client", "connect", host = "api.openai.com").entered();
        info_span!(target: "rustls::client", "handshake").in_scope(|| {});
        span.record_inputs(&json!({"messages": [{"role": "user", "content": question}]}));
        span.record_outputs(&json!({"messages": [{"role": "assistant", "content": "Let me see."}]}));
        span.record_usage(&UsageMetadata::new(12, 4));
    }
    let _send = info_span!(target: "h2::client", "send").entered();
    let tool = tool_span!("opening_hours");
    tool.record_inputs(&json!({"day": "Friday"}));
    tool.record_outputs("9 to 21");
    drop(tool);
    tracing::Span::current().record_metadata("plumbing", true);
}

/// To LangSmith if there is a key, else to a receiver in this process.
fn connect() -> Fallible<(LangSmithSpanProcessor, Option<LocalLangSmith>)> {
    // The default filter, spelled out. `SpanFilter::all()` would send all spans here too.
    let config = Config::from_env()?.with_project(PROJECT).with_filter(SpanFilter::default());
    match LangSmithSpanProcessor::new(config.clone()) {
        Err(ConfigError::MissingApiKey) => {
            let receiver = LocalLangSmith::start()?;
            let config = config.with_endpoint(receiver.endpoint()).with_api_key("any");
            Ok((LangSmithSpanProcessor::new(config)?, Some(receiver)))
        }
        langsmith => Ok((langsmith?, None)),
    }
}

/// An OTLP receiver on a thread of its own. It keeps the spans as JSON.
struct Collector {
    base: String,
    spans: Arc<Mutex<Vec<Value>>>,
}

impl Collector {
    fn start() -> std::io::Result<Self> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let base = format!("http://{}", listener.local_addr()?);
        let spans = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&spans);
        let take = move |Json(body): Json<Value>| async move {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            for resource in list(&body, "resourceSpans") {
                for scope in list(resource, "scopeSpans") {
                    kept.extend(list(scope, "spans").iter().cloned());
                }
            }
            Json(json!({}))
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::spawn(move || {
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                axum::serve(listener, Router::new().route("/v1/traces", post(take))).await
            })
        });
        Ok(Self { base, spans })
    }

    fn spans(&self) -> Vec<Value> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The spans as a tree.
    fn print(&self) {
        let mut below: HashMap<String, Vec<Value>> = HashMap::new();
        for span in self.spans() {
            below.entry(span["parentSpanId"].as_str().unwrap_or_default().to_owned()).or_default().push(span);
        }
        for spans in below.values_mut() {
            spans.sort_by_key(|span| span["startTimeUnixNano"].as_str().map(str::to_owned));
        }
        print_below("", 0, &below);
    }
}

fn print_below(parent: &str, depth: usize, below: &HashMap<String, Vec<Value>>) {
    for span in below.get(parent).into_iter().flatten() {
        let attribute = |name: &str| {
            let found = list(span, "attributes").iter().find(|attribute| attribute["key"] == name)?;
            found["value"]["stringValue"].as_str()
        };
        println!(
            "{:indent$}{}  {}",
            "",
            span["name"].as_str().unwrap_or("?"),
            attribute("target").unwrap_or(""),
            indent = 2 * depth
        );
        print_below(span["spanId"].as_str().unwrap_or("?"), depth + 1, below);
    }
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

//! What of a web service goes to LangSmith, and what does not.
//!
//! ```text
//! cargo run --example web_service
//! ```
//! The service is axum with tower-http's spans for requests; behind them it asks a database and a model. The
//! exporter for the terminal prints every span. LangSmith gets the agents with their calls of models and tools, each
//! of them a trace of its own in its tenant's project. Without `LANGSMITH_API_KEY` it is a LangSmith on loopback.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, Request};
use axum::routing::{get, post};
use axum::{Json, Router};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_langsmith::testing::LocalLangSmith;
use opentelemetry_langsmith::{
    agent_span, llm_span, tool_span, Client, Config, LangSmithSpanProcessor, SpanExt, SpanFilter, UsageMetadata,
};
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde_json::{json, Value};
use tower_http::trace::TraceLayer;
use tracing::{info_span, Instrument, Span};
use tracing_subscriber::prelude::*;

const TENANTS: [&str; 2] = ["bakery", "library"];

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let (config, receiver) = connect()?;
    let langsmith = LangSmithSpanProcessor::new(
        config
            // Requests, queries and HTTP calls stay out; so does the health check.
            .with_filter(SpanFilter::gen_ai())
            // One project for each tenant, told by the span of the request, although that one stays out.
            .with_project_for(|span| {
                let tenant = span.attributes.iter().find(|attribute| attribute.key.as_str() == "tenant")?;
                Some(format!("web_service-{}", tenant.value))
            })
            // An agent that takes longer than this is shown while it works.
            .with_pending_after(Duration::from_secs(5)),
    )?;
    let client = langsmith.handle().client();
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(opentelemetry_stdout::SpanExporter::default())
        .with_span_processor(langsmith)
        .build();
    // The level says for both what is a span at all; the filter above is for LangSmith alone.
    let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("web_service"));
    tracing_subscriber::registry().with(spans.with_filter(tracing_subscriber::filter::LevelFilter::INFO)).init();

    let url = serve(service(serve(model()).await?)).await?;
    let http = reqwest::Client::new();
    for tenant in TENANTS {
        let request = http.post(format!("{url}/ask")).header("tenant", tenant).body("When do you open?");
        println!("{tenant}: {}", request.send().await?.text().await?);
    }
    http.get(format!("{url}/healthz")).send().await?;

    tokio::task::spawn_blocking(move || provider.shutdown()).await??;
    Ok(report(&client, receiver.as_ref()))
}

/// A model that somebody else runs.
fn model() -> Router {
    Router::new().route("/chat", post(|| async { Json(json!({"answer": "At nine.", "input": 31, "output": 4})) }))
}

fn service(model_url: String) -> Router {
    let requests = TraceLayer::new_for_http().make_span_with(|request: &Request<_>| {
        let tenant = request.headers().get("tenant").and_then(|tenant| tenant.to_str().ok());
        info_span!("request", http.request.method = %request.method(), url.path = request.uri().path(), tenant)
    });
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/ask", post(ask))
        .with_state(model_url)
        .layer(requests)
}

#[tracing::instrument(skip_all)]
async fn ask(State(model_url): State<String>, headers: HeaderMap, question: String) -> String {
    let tenant = headers.get("tenant").and_then(|tenant| tenant.to_str().ok()).unwrap_or("nobody");
    let customer = async { format!("a friend of the {tenant}") };
    let customer = customer.instrument(info_span!("SELECT customers", db.system.name = "postgresql")).await;
    // What `agent_span!` declares is there when the span starts, so the filter sees it.
    answer(&model_url, &customer, &question).instrument(agent_span!("assistant")).await
}

async fn answer(model_url: &str, customer: &str, question: &str) -> String {
    let hours = tool_span!("opening_hours").in_scope(|| {
        Span::current().record_outputs("9 to 17");
        info_span!("GET cache", db.system.name = "redis").in_scope(|| "9 to 17")
    });
    let prompt = format!("{customer} asks: {question} The hours are {hours}.");
    chat(model_url, prompt).instrument(llm_span!("chat", model = "small", provider = "acme")).await
}

async fn chat(model_url: &str, prompt: String) -> String {
    let span = Span::current();
    span.record_inputs(&json!({"messages": [{"role": "user", "content": prompt}]}));
    let request = reqwest::Client::new().post(format!("{model_url}/chat")).send();
    let body: Value = match request.instrument(info_span!("POST /chat", otel.kind = "client")).await {
        Ok(response) => response.json().await.unwrap_or_default(),
        Err(error) => {
            span.record_error_chain(&error);
            return "The model does not answer.".into();
        }
    };
    let count = |name: &str| body[name].as_u64().unwrap_or(0);
    let answer = body["answer"].as_str().unwrap_or_default().to_owned();
    span.record_outputs(&json!({"messages": [{"role": "assistant", "content": answer}]}));
    span.record_usage(&UsageMetadata::new(count("input"), count("output")));
    answer
}

async fn serve(router: Router) -> std::io::Result<String> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(url)
}

/// LangSmith, or one on loopback where there is no key.
fn connect() -> Result<(Config, Option<LocalLangSmith>), Box<dyn Error>> {
    let config = Config::from_env()?;
    if config.has_api_key() {
        return Ok((config, None));
    }
    let receiver = LocalLangSmith::start()?;
    Ok((config.with_api_key("any").with_endpoint(receiver.endpoint()), Some(receiver)))
}

/// Says what arrived; succeeds if that is all, and as it should be.
fn report(client: &Client, receiver: Option<&LocalLangSmith>) -> ExitCode {
    let stats = client.stats();
    println!();
    let Some(receiver) = receiver else {
        println!("{stats}");
        return if stats.sent == stats.submitted { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    };
    for trace in receiver.traces() {
        print!("{}: {trace}", trace.runs[0].session_name.as_deref().unwrap_or_default());
    }
    let violations = receiver.violations();
    for violation in &violations {
        println!("violation: {violation}");
    }
    println!("{} runs delivered, {} violations", receiver.received(), violations.len());
    let whole = stats.sent == stats.submitted && receiver.received() == stats.sent && violations.is_empty();
    if whole && stats.sent > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

//! One trace through two services, over HTTP on loopback.
//!
//! ```text
//! cargo run --example distributed
//! ```
//! `assistant` answers questions with what `library` finds. Each traces for itself, as if it were a process of its own,
//! and both together make one tree. Without `LANGSMITH_API_KEY` it starts a LangSmith of its own and shows what arrived.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{from_fn_with_state, Next};
use axum::response::Response;
use axum::routing::post;
use axum::{Json, Router};
use opentelemetry::propagation::{TextMapCompositePropagator, TextMapPropagator};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_langsmith::testing::LocalLangSmith;
use opentelemetry_langsmith::{Client, Config, ConfigError, LangSmithSpanProcessor, RunType, SpanExt, UsageMetadata};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use opentelemetry_sdk::trace::SdkTracerProvider;
use opentelemetry_sdk::Resource;
use serde_json::{json, Value};
use tokio::net::TcpListener;
use tokio::time::sleep;
use tracing::instrument::WithSubscriber;
use tracing::level_filters::LevelFilter;
use tracing::{info_span, instrument, Dispatch, Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::prelude::*;

const PROJECT: &str = "distributed";

type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The tracing of one service. A process with one service has these as globals instead:
/// `opentelemetry::global::set_text_map_propagator(…)`, and `.init()` on the subscriber.
#[derive(Clone)]
struct Tracing {
    provider: SdkTracerProvider,
    propagator: Arc<TextMapCompositePropagator>,
    subscriber: Dispatch,
    client: Client,
}

impl Tracing {
    fn start(service: &'static str, config: Config) -> Result<Self, ConfigError> {
        let langsmith = LangSmithSpanProcessor::new(config)?;
        let client = langsmith.handle().client();
        let propagator = TextMapCompositePropagator::new(vec![
            Box::new(TraceContextPropagator::new()),
            Box::new(BaggagePropagator::new()),
            Box::new(langsmith.handle().propagator()),
        ]);
        let provider = SdkTracerProvider::builder()
            .with_resource(Resource::builder().with_service_name(service).build())
            .with_span_processor(langsmith)
            .build();
        let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer(service));
        // The HTTP libraries have spans of their own below this level.
        let subscriber = tracing_subscriber::registry().with(spans.with_filter(LevelFilter::INFO)).into();
        Ok(Self { provider, propagator: Arc::new(propagator), subscriber, client })
    }

    /// The headers that continue the current span's trace in another service.
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        self.propagator.inject_context(&Span::current().context(), &mut HeaderInjector(&mut headers));
        headers
    }
}

/// Each request is a span, under the one that its headers tell of.
async fn continue_trace(State(tracing): State<Tracing>, request: Request, next: Next) -> Response {
    let work = async move {
        let name = format!("{} {}", request.method(), request.uri().path());
        let span = info_span!("request", otel.name = name, otel.kind = "server");
        let caller = tracing.propagator.extract(&HeaderExtractor(request.headers()));
        // Before the span is entered: then it starts.
        if let Err(reason) = span.set_parent(caller) {
            eprintln!("{name} begins a trace of its own: {reason}");
        }
        next.run(request).instrument(span).await
    };
    work.with_subscriber(tracing.subscriber).await
}

#[tokio::main]
async fn main() -> Fallible<ExitCode> {
    let (config, receiver) = config()?;

    let library = Tracing::start("library", config.clone())?;
    let routes = Router::new().route("/search", post(search));
    let library_url = serve(routes.layer(from_fn_with_state(library.clone(), continue_trace))).await?;

    let assistant = Tracing::start("assistant", config)?;
    let state = Assistant { tracing: assistant.clone(), http: http()?, library: library_url };
    let routes = Router::new().route("/ask", post(ask)).with_state(state);
    let assistant_url = serve(routes.layer(from_fn_with_state(assistant.clone(), continue_trace))).await?;

    // Somebody asks. With a `langsmith-trace` header, from LangSmith's SDKs for example, this would be part of that trace.
    let question = json!({"question": "Where is my parcel?"});
    let response = http()?.post(format!("{assistant_url}/ask")).json(&question).send().await?.error_for_status()?;
    println!("{}\n", response.json::<Value>().await?["answer"].as_str().unwrap_or_default());

    for service in [&assistant, &library] {
        service.provider.shutdown()?;
    }
    let whole = report(&[assistant.client, library.client], receiver.as_ref());
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The service `assistant`.
#[derive(Clone)]
struct Assistant {
    tracing: Tracing,
    http: reqwest::Client,
    library: String,
}

async fn ask(State(assistant): State<Assistant>, Json(body): Json<Value>) -> Result<Json<Value>, StatusCode> {
    let question = body["question"].as_str().ok_or(StatusCode::UNPROCESSABLE_ENTITY)?;
    let mut findings = assistant.search(question).await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    // The answer has to do without a tool that failed.
    findings.extend(track_parcel(4711).await.ok());
    Ok(Json(json!({"answer": write_answer(question, &findings).await})))
}

impl Assistant {
    /// Asks the library. What it does there is below this span.
    #[instrument(name = "ask the library", skip_all, fields(otel.kind = "client"), err)]
    async fn search(&self, query: &str) -> Fallible<Vec<String>> {
        let span = Span::current();
        span.record_inputs(&json!({"query": query}));
        let request = self.http.post(format!("{}/search", self.library)).headers(self.tracing.headers());
        let found = request.json(&json!({"query": query})).send().await?.error_for_status()?.json().await?;
        span.record_outputs(&found);
        Ok(found)
    }
}

#[instrument(err, fields(gen_ai.operation.name = "execute_tool", gen_ai.tool.name = "track_parcel"))]
async fn track_parcel(number: u32) -> Result<String, &'static str> {
    sleep(Duration::from_millis(5)).await;
    Err("the carrier does not answer")
}

#[instrument(skip_all, fields(gen_ai.provider.name = "openai", gen_ai.request.model = "gpt-4o-mini"))]
async fn write_answer(question: &str, findings: &[String]) -> String {
    let span = Span::current();
    span.set_run_type(RunType::Llm);
    span.record_inputs(&json!({"messages": [
        {"role": "system", "content": findings.join("\n")},
        {"role": "user", "content": question},
    ]}));
    sleep(Duration::from_millis(20)).await;
    let answer = "I cannot see it now; parcels wait at the counter for seven days.";
    span.record_outputs(&json!({"messages": [{"role": "assistant", "content": answer}]}));
    span.record_usage(&UsageMetadata::new(61, 15));
    answer.to_owned()
}

/// The service `library`. It is as if it knew nothing of the other.
async fn search(Json(body): Json<Value>) -> Json<Value> {
    let query = body["query"].as_str().unwrap_or_default();
    embed(query).await;
    Json(find(query).await)
}

#[instrument(skip_all, fields(
    gen_ai.operation.name = "embeddings",
    gen_ai.provider.name = "openai",
    gen_ai.request.model = "text-embedding-3-small",
    gen_ai.usage.input_tokens = 5_u64,
))]
async fn embed(text: &str) -> Vec<f32> {
    sleep(Duration::from_millis(4)).await;
    text.bytes().map(f32::from).take(4).collect()
}

#[instrument(skip_all)]
async fn find(query: &str) -> Value {
    let span = Span::current();
    span.set_run_type(RunType::Retriever);
    span.record_inputs(&json!({"query": query}));
    sleep(Duration::from_millis(3)).await;
    let found = "Parcels wait at the counter for seven days.";
    span.record_outputs(&json!({"documents": [{"page_content": found, "type": "Document"}]}));
    json!([found])
}

/// Serves on any free port; the URL.
async fn serve(routes: Router) -> Fallible<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok(url)
}

/// For loopback, whatever proxies there are.
fn http() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder().no_proxy().build()
}

/// To LangSmith if there is a key, else to a receiver in this process.
fn config() -> Fallible<(Config, Option<LocalLangSmith>)> {
    let config = Config::from_env()?.with_project(PROJECT);
    match LangSmithSpanProcessor::new(config.clone()) {
        Err(ConfigError::MissingApiKey) => {
            let receiver = LocalLangSmith::start()?;
            Ok((config.with_endpoint(receiver.endpoint()).with_api_key("any"), Some(receiver)))
        }
        checked => checked.map(|_| (config, None)).map_err(Into::into),
    }
}

/// Says what arrived; whether that is all, as it should be, and one tree.
fn report(clients: &[Client], receiver: Option<&LocalLangSmith>) -> bool {
    let (submitted, sent) = clients
        .iter()
        .map(Client::stats)
        .fold((0, 0), |(submitted, sent), stats| (submitted + stats.submitted, sent + stats.sent));
    let Some(receiver) = receiver else {
        println!("{sent} of {submitted} runs delivered to {PROJECT}");
        return sent == submitted;
    };
    print!("{}", receiver.tree());
    let violations = receiver.violations();
    for violation in &violations {
        println!("violation: {violation}");
    }
    println!("{} runs delivered, {} violations", receiver.received(), violations.len());
    sent == submitted && receiver.received() == sent && receiver.traces().len() == 1 && violations.is_empty()
}

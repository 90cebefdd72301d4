//! The service in the middle, built with this crate, `tracing`, axum and reqwest.

use crate::programs::{Language, Programs, Server};
use crate::Fallible;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{from_fn, Next};
use axum::response::Response;
use axum::routing::post;
use axum::{Json, Router};
use opentelemetry::global;
use opentelemetry::propagation::TextMapCompositePropagator;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_langsmith::testing::LocalLangSmith;
use opentelemetry_langsmith::{Config, Handle, LangSmithSpanProcessor, RunType, SpanExt};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde_json::{json, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime;
use tracing::{info_span, instrument, Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

/// What this service is configured with. Traces that begin elsewhere go elsewhere.
pub(crate) const PROJECT: &str = "the Rust service's own";

pub(crate) struct Service {
    pub(crate) url: String,
    pub(crate) handle: Handle,
    pub(crate) runtime: runtime::Handle,
    pub(crate) peers: Arc<Peers>,
    provider: SdkTracerProvider,
}

/// Services in other languages that this one calls.
pub(crate) struct Peers {
    client: reqwest::Client,
    servers: [Server; 2],
}

impl Peers {
    fn url(&self, language: &str) -> Option<&str> {
        let position = Language::ALL.iter().position(|known| known.name() == language)?;
        Some(&self.servers[position].url)
    }
}

impl Service {
    pub(crate) fn start(receiver: &LocalLangSmith, programs: &Programs, runtime: &runtime::Handle) -> Fallible<Self> {
        let config = Config::default().with_api_key("any").with_endpoint(receiver.endpoint()).with_project(PROJECT);
        let langsmith = LangSmithSpanProcessor::new(config)?;
        let handle = langsmith.handle();
        global::set_text_map_propagator(TextMapCompositePropagator::new(vec![
            Box::new(TraceContextPropagator::new()),
            Box::new(BaggagePropagator::new()),
            Box::new(handle.propagator()),
        ]));
        let provider = SdkTracerProvider::builder().with_span_processor(langsmith).build();
        // The HTTP libraries' spans are left out.
        let own = Targets::new().with_target("interop", tracing::Level::INFO);
        tracing_subscriber::registry()
            .with(tracing_opentelemetry::layer().with_tracer(provider.tracer("interop")).with_filter(own))
            .with(
                tracing_subscriber::fmt::layer()
                    .with_writer(std::io::stderr)
                    .with_filter(tracing_subscriber::EnvFilter::new("warn")),
            )
            .init();

        let [python, javascript] = Language::ALL.map(|language| programs.serve(language, "last", "elsewhere"));
        let peers =
            Arc::new(Peers { client: reqwest::Client::builder().no_proxy().build()?, servers: [python?, javascript?] });
        let routes = Router::new()
            .route("/ask/{language}", post(ask_for_request))
            .layer(from_fn(continue_trace))
            .with_state(Arc::clone(&peers));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
        let url = format!("http://{}", listener.local_addr()?);
        runtime.spawn(async move { axum::serve(listener, routes).await });
        Ok(Self { url, handle, runtime: runtime.clone(), peers, provider })
    }

    pub(crate) fn stop(self) -> Fallible {
        Ok(self.provider.shutdown()?)
    }
}

/// Each request is a span, under the one that the headers tell of.
async fn continue_trace(request: Request, next: Next) -> Response {
    let name = format!("{} {}", request.method(), request.uri().path());
    let span = info_span!("request", otel.name = name, otel.kind = "server");
    let caller = global::get_text_map_propagator(|known| known.extract(&HeaderExtractor(request.headers())));
    if let Err(reason) = span.set_parent(caller) {
        tracing::warn!("{name} begins a trace of its own: {reason}");
    }
    next.run(request).instrument(span).await
}

/// The headers that continue the current span elsewhere.
fn trace_headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    let context = Span::current().context();
    global::get_text_map_propagator(|known| known.inject_context(&context, &mut HeaderInjector(&mut headers)));
    headers
}

async fn ask_for_request(
    State(peers): State<Arc<Peers>>,
    Path(language): Path<String>,
    Json(body): Json<Value>,
) -> Result<Json<Value>, StatusCode> {
    // Work on another task is part of the trace, too.
    let found = tokio::spawn(search(body["question"].as_str().unwrap_or_default().to_owned()).in_current_span()).await;
    tracing::debug!(?found);
    call(&peers, &language, &body, trace_headers).await.map(Json).map_err(|reason| {
        tracing::warn!("{language} does not answer: {reason}");
        StatusCode::BAD_GATEWAY
    })
}

#[instrument(skip_all, ret)]
async fn search(query: String) -> usize {
    Span::current().set_run_type(RunType::Retriever);
    Span::current().record_inputs(&json!({"query": query}));
    tokio::time::sleep(Duration::from_millis(1)).await;
    query.len()
}

/// Calls a service, with the headers that `headers` makes inside of the span.
#[instrument(skip_all, fields(otel.kind = "client"))]
pub(crate) async fn call(
    peers: &Peers,
    language: &str,
    body: &Value,
    headers: impl Fn() -> HeaderMap,
) -> Fallible<Value> {
    let url = peers.url(language).ok_or("unknown language")?;
    // JavaScript's clock knows whole milliseconds, so what it starts may seem to be earlier than its caller.
    tokio::time::sleep(Duration::from_millis(2)).await;
    let answer = peers.client.post(url).headers(headers()).json(body).send().await?.error_for_status()?;
    Ok(answer.json().await?)
}

/// How the headers of a call are made where the trace begins here.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Headers {
    Propagated,
    /// From the running span's run.
    ByHand,
}

impl std::fmt::Display for Headers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Propagated => "by the propagators",
            Self::ByHand => "by hand",
        })
    }
}

impl Service {
    /// Begins a trace here, which ends in another language.
    pub(crate) fn ask(&self, language: Language, headers: Headers) -> Fallible<Value> {
        let root = info_span!(parent: None, "rust asks");
        let body = json!({"question": "What is the answer?"});
        let make = || match headers {
            Headers::Propagated => trace_headers(),
            Headers::ByHand => {
                let run = self.handle.current_run().expect("a span runs");
                let lines = run.headers().into_iter();
                lines.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
            }
        };
        let call = call(&self.peers, language.name(), &body, make);
        self.runtime.block_on(call.instrument(root))
    }
}

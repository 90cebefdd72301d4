//! A web service as people write them: axum with tower-http's tracing, reqwest, and a model call among
//! database and plumbing spans. Another exporter sees all of it; LangSmith gets the part it is for.

use crate::common::{in_time, server};
use crate::{Way, WAYS};
use axum::extract::State;
use axum::http::Request;
use axum::routing::{get, post};
use axum::{Json, Router};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_langsmith::testing::LocalLangSmith;
use opentelemetry_langsmith::{agent_span, llm_span, tool_span, SpanExt, SpanFilter, UsageMetadata};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use serde_json::{json, Value};
use std::sync::{Arc, Mutex};
use tower_http::trace::TraceLayer;
use tracing::{info_span, Dispatch, Instrument};
use tracing_subscriber::prelude::*;

/// Another backend: the names of all spans that it was given.
#[derive(Clone, Debug, Default)]
struct Recorder(Arc<Mutex<Vec<String>>>);

impl SpanExporter for Recorder {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch.into_iter().map(|span| span.name.into_owned()));
        Ok(())
    }
}

/// Somebody else's model, which traces nothing.
fn model() -> Router {
    Router::new().route("/v1/chat", post(|| async { Json(json!({"answer": "At nine."})) }))
}

fn service(model_url: String) -> Router {
    let spans = TraceLayer::new_for_http().make_span_with(|request: &Request<_>| {
        info_span!("request", http.request.method = %request.method(), url.path = request.uri().path(), otel.kind = "server")
    });
    Router::new().route("/healthz", get(|| async { "ok" })).route("/ask", post(ask)).with_state(model_url).layer(spans)
}

#[tracing::instrument(skip_all)]
async fn ask(State(model_url): State<String>, question: String) -> String {
    let customer = async { "Ada" }.instrument(info_span!("SELECT customers", db.system.name = "postgresql")).await;
    answer(&model_url, customer, &question).instrument(agent_span!("assistant")).await
}

async fn answer(model_url: &str, customer: &str, question: &str) -> String {
    let calls = (0..2).map(|number| {
        let work = async move {
            tracing::Span::current().record_outputs("open until nine");
            info_span!("GET cache", db.system.name = "redis").in_scope(|| number)
        };
        work.instrument(tool_span!("opening_hours"))
    });
    futures_util::future::join_all(calls).await;
    let span = llm_span!("chat", model = "small", provider = "acme");
    async {
        let span = tracing::Span::current();
        span.record_inputs(&json!({"messages": [{"role": "user", "content": format!("{customer}: {question}")}]}));
        let send = reqwest::Client::new().post(format!("{model_url}/v1/chat")).send();
        let response = send.instrument(info_span!(target: "hyper::client", "POST", otel.kind = "client")).await;
        let body: Value = response.unwrap().json().await.unwrap();
        let text = body["answer"].as_str().unwrap().to_owned();
        span.record_outputs(&text);
        span.record_usage(&UsageMetadata::new(9, 3));
        text
    }
    .instrument(span)
    .await
}

async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// Lets `requests` come in at once, and shuts down. Returns what the other backend saw.
fn run(server: &LocalLangSmith, way: Way, filter: SpanFilter, requests: usize) -> Vec<String> {
    let recorder = Recorder::default();
    let builder = SdkTracerProvider::builder().with_simple_exporter(recorder.clone());
    let (provider, client) = way.add_to(builder, crate::common::config(server).with_filter(filter));
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("service"));
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(layer));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tracing::dispatcher::with_default(&dispatch, || {
        runtime.block_on(async {
            let url = serve(service(serve(model()).await)).await;
            let http = reqwest::Client::new();
            let asking = (0..requests).map(|number| {
                let question = http.post(format!("{url}/ask")).body(format!("question {number}"));
                async { assert_eq!(question.send().await.unwrap().text().await.unwrap(), "At nine.") }
            });
            futures_util::future::join_all(asking).await;
            assert_eq!(http.get(format!("{url}/healthz")).send().await.unwrap().text().await.unwrap(), "ok");
        });
        drop(runtime);
    });
    provider.shutdown().unwrap();
    crate::common::assert_adds_up(&client.stats());
    assert_eq!(server.violations(), Vec::<String>::new());
    let names = recorder.0.lock().unwrap().clone();
    names
}

fn count(names: &[String], wanted: &str) -> usize {
    names.iter().filter(|name| *name == wanted).count()
}

#[test]
fn langsmith_gets_the_agents_and_the_other_backend_everything() {
    const REQUESTS: usize = 8;
    in_time(|| {
        for way in WAYS {
            let server = server();
            let all = run(&server, way, SpanFilter::gen_ai(), REQUESTS);
            assert_eq!(count(&all, "request"), REQUESTS + 1, "{way:?}");
            for (name, each) in [
                ("ask", 1),
                ("SELECT customers", 1),
                ("assistant", 1),
                ("opening_hours", 2),
                ("GET cache", 2),
                ("chat", 1),
                ("POST", 1),
            ] {
                assert_eq!(count(&all, name), each * REQUESTS, "{name}, {way:?}");
            }
            let traces = server.traces();
            assert_eq!(traces.len(), REQUESTS, "{way:?}\n{}", server.tree());
            for trace in traces {
                let root = &trace.runs[0];
                assert_eq!((&*root.name, &root.parent_run_id), ("assistant", &None));
                let mut below: Vec<_> = trace.runs[1..].iter().map(|run| (&*run.name, &*run.run_type)).collect();
                below.sort_unstable();
                assert_eq!(below, [("chat", "llm"), ("opening_hours", "tool"), ("opening_hours", "tool")]);
                assert!(trace.runs[1..].iter().all(|run| run.parent_run_id.as_ref() == Some(&root.id)));
                // The agent said nothing itself: the thread shows what the model was asked and answered.
                assert!(root.inputs.as_ref().unwrap()["messages"][0]["content"].as_str().unwrap().starts_with("Ada: "));
                assert_eq!(root.outputs, Some(json!({"output": "At nine."})), "{way:?}");
            }
        }
    });
}

#[test]
fn by_default_only_plumbing_stays_out() {
    in_time(|| {
        for way in WAYS {
            let server = server();
            run(&server, way, SpanFilter::default(), 1);
            let mut names: Vec<_> = server.runs().into_iter().map(|run| run.name).collect();
            names.sort();
            let expected = [
                "GET cache",
                "GET cache",
                "SELECT customers",
                "ask",
                "assistant",
                "chat",
                "opening_hours",
                "opening_hours",
                "request",
                "request",
            ];
            assert_eq!(names, expected, "{way:?}");
            let id = |name: &str| server.run(name).unwrap().id;
            assert_eq!(server.run("ask").unwrap().parent_run_id, Some(id("request")), "{way:?}");
            assert_eq!(server.run("GET cache").unwrap().run_type, "chain");
        }
    });
}

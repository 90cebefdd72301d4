//! A Message Batches API on loopback that answers as Anthropic's does: a batch is worked on for a while, then its
//! results are there, one JSON object a line, in another order than the requests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::Utc;
use serde_json::{json, Value};

/// A batch is done when it was asked for so often.
const POLLS: u64 = 8;

#[derive(Default)]
struct Jobs(HashMap<String, Job>);

struct Job {
    requests: Vec<Value>,
    created: String,
    ended: Option<String>,
    polls: u64,
}

type Shared = Arc<Mutex<Jobs>>;
type Answer<T> = Result<T, (StatusCode, Json<Value>)>;

/// Starts on a free port, and gives the URL. It ends with the runtime.
pub(crate) async fn start() -> std::io::Result<String> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let base = format!("http://{}", listener.local_addr()?);
    let routes = Router::new()
        .route("/v1/messages/batches", post(create))
        .route("/v1/messages/batches/{id}", get(status))
        .route("/v1/messages/batches/{id}/results", get(results))
        .with_state(Shared::default());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok(base)
}

async fn create(State(jobs): State<Shared>, headers: HeaderMap, Json(body): Json<Value>) -> Answer<Json<Value>> {
    if !headers.contains_key("x-api-key") || !headers.contains_key("anthropic-version") {
        return Err(refuse(StatusCode::UNAUTHORIZED, "authentication_error"));
    }
    let Some(requests) = body["requests"].as_array().filter(|requests| !requests.is_empty()) else {
        return Err(refuse(StatusCode::BAD_REQUEST, "invalid_request_error"));
    };
    let mut jobs = jobs.lock().unwrap_or_else(PoisonError::into_inner);
    let id = format!("msgbatch_{:04}", jobs.0.len() + 1);
    let job = Job { requests: requests.clone(), created: Utc::now().to_rfc3339(), ended: None, polls: 0 };
    let answer = describe(&id, &job);
    jobs.0.insert(id, job);
    Ok(Json(answer))
}

async fn status(State(jobs): State<Shared>, Path(id): Path<String>) -> Answer<Json<Value>> {
    let mut jobs = jobs.lock().unwrap_or_else(PoisonError::into_inner);
    let job = jobs.0.get_mut(&id).ok_or_else(|| refuse(StatusCode::NOT_FOUND, "not_found_error"))?;
    job.polls += 1;
    if job.polls >= POLLS && job.ended.is_none() {
        job.ended = Some(Utc::now().to_rfc3339());
    }
    Ok(Json(describe(&id, job)))
}

async fn results(State(jobs): State<Shared>, Path(id): Path<String>) -> Answer<String> {
    let jobs = jobs.lock().unwrap_or_else(PoisonError::into_inner);
    let job = jobs.0.get(&id).filter(|job| job.ended.is_some());
    let job = job.ok_or_else(|| refuse(StatusCode::NOT_FOUND, "not_found_error"))?;
    let results = job.requests.iter().enumerate().rev().map(|(number, request)| result(number, request).to_string());
    Ok(results.collect::<Vec<_>>().join("\n"))
}

fn describe(id: &str, job: &Job) -> Value {
    let all = job.requests.len() as u64;
    let done = all * job.polls.min(POLLS) / POLLS;
    let (status, url) = match job.ended {
        Some(_) => ("ended", json!(null)),
        None => ("in_progress", json!(null)),
    };
    json!({
        "id": id, "type": "message_batch", "processing_status": status, "results_url": url,
        "created_at": job.created, "ended_at": job.ended,
        "request_counts": {"processing": all - done, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0},
    })
}

/// Most requests succeed; the system prompt is written to the cache by the first and read by all others.
fn result(number: usize, request: &Value) -> Value {
    let id = &request["custom_id"];
    let result = match number % 50 {
        17 => json!({"type": "errored", "error": {"type": "error", "error": {
            "type": "invalid_request_error", "message": "the prompt is too long",
        }}}),
        33 => json!({"type": "expired"}),
        _ => json!({"type": "succeeded", "message": {
            "id": format!("msg_{number:04}"), "type": "message", "role": "assistant", "model": request["params"]["model"],
            "content": [{"type": "text", "text": format!("{}", number * 7 % 11)}], "stop_reason": "end_turn",
            "usage": {
                "input_tokens": 40 + number % 7, "output_tokens": 5,
                "cache_creation_input_tokens": if number == 0 { 1200 } else { 0 },
                "cache_read_input_tokens": if number == 0 { 0 } else { 1200 },
            },
        }}),
    };
    json!({"custom_id": id, "result": result})
}

fn refuse(status: StatusCode, kind: &str) -> (StatusCode, Json<Value>) {
    (status, Json(json!({"type": "error", "error": {"type": kind, "message": status.canonical_reason()}})))
}

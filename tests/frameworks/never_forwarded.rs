//! What must not leave the process, what only tells a run's kind, and which events are worth keeping.

use super::{check, run_of, run_with_events};
use opentelemetry::trace::Event;
use opentelemetry::KeyValue;
use serde_json::json;
use std::time::{Duration, SystemTime};

#[test]
fn neither_credentials_nor_vectors_nor_bookkeeping() {
    let secrets = [
        "http.request.header.authorization",
        "http.request.header.Authorization",
        "http.request.header.cookie",
        "http.request.header.x-api-key",
        "http.request.header.proxy-authorization",
        "http.response.header.set-cookie",
        "ai.request.headers.authorization",
        "ai.request.headers.x-api-key",
        "logfire.json_schema",
        "otel.scope.name",
        "otel.status_code",
        "otel.tracing_event_count",
        "ai.embedding",
        "ai.embeddings",
    ];
    for key in secrets {
        let run = run_of("span", &json!({key: "must-not-show", "http.request.header.accept": "must show"}));
        assert!(!format!("{run:?}").contains("must-not-show"), "{key}: {run:?}");
        assert_eq!(run.metadata("http.request.header.accept"), Some(&json!("must show")));
    }
}

#[test]
fn tools_and_retrievers_by_what_only_they_have() {
    check(&[
        (
            "tools/call add",
            json!({"mcp.method.name": "tools/call", "mcp.tool.name": "add"}),
            json!({"type": "tool", "name": "add", "metadata": {"mcp.method.name": "tools/call"}}),
        ),
        ("tools/list", json!({"mcp.method.name": "tools/list"}), json!({"type": "chain", "name": "tools/list"})),
        (
            "query",
            json!({"db.vector.query.top_k": 3, "db.system": "chroma"}),
            json!({"type": "retriever", "metadata": {"db.vector.query.top_k": 3, "db.system": "chroma"}}),
        ),
    ]);
}

#[test]
fn of_many_tokens_the_first_is_told() {
    let token =
        |name: &'static str, after| Event::new(name, SystemTime::now() + Duration::from_millis(after), Vec::new(), 0);
    for name in ["new_token", "gen_ai.content.chunk", "ai.stream.firstChunk", "First Token Stream Event"] {
        let run = run_with_events("chat", &json!({}), (0..5).map(|after| token(name, after)).collect());
        let names: Vec<_> = run.events.iter().map(|event| event["name"].clone()).collect();
        assert_eq!(names, ["new_token"], "{name}");
        assert_eq!(run.extra["otel"].get("omitted_events_count"), None, "tokens are no loss");
    }
}

/// Feedback is not sent on by itself: it changes how long LangSmith keeps a trace.
#[test]
fn evaluations_stay_events() {
    for name in ["gen_ai.evaluation.result", "langsmith.feedback"] {
        let score = KeyValue::new("gen_ai.evaluation.score.value", 0.5);
        let run = run_with_events("chat", &json!({}), vec![Event::new(name, SystemTime::now(), vec![score], 0)]);
        assert_eq!(run.events[0]["name"], name);
        assert_eq!(run.events[0]["kwargs"]["gen_ai.evaluation.score.value"], 0.5);
    }
}

/// Messages in events rank before what a framework says, and before a function's arguments.
#[test]
fn messages_in_events_come_before_frameworks() {
    let event = Event::new("gen_ai.user.message", SystemTime::now(), vec![KeyValue::new("content", "hi")], 0);
    let run =
        run_with_events("llm_request", &json!({"lk.chat_ctx": "later", "mlflow.spanInputs": "\"later\""}), vec![event]);
    assert_eq!(run.inputs, Some(json!({"messages": [{"role": "user", "content": "hi"}]})));
}

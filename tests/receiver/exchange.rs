//! Exchanges without a fault, told to the last field.

use std::time::Duration;

use opentelemetry_langsmith::testing::LocalLangSmith;
use serde_json::json;

use crate::client::{child, content_type, post, rfc3339, root, send, send_parts, Parts};

#[test]
fn a_root_with_an_llm_child() {
    let local = LocalLangSmith::start().unwrap();
    let mut parent = root(0);
    parent["tags"] = json!(["t1"]);
    let mut llm = child(&parent, 10);
    llm["extra"] = json!({
        "metadata": {"ls_provider": "openai", "ls_model_name": "gpt-4o-mini",
            "usage_metadata": {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}},
        "runtime": {"sdk": "any"},
    });
    llm["events"] = json!([{"name": "new_token", "time": rfc3339(11)}]);
    llm["error"] = "it broke\nhere".into();
    llm["status"] = "error".into();
    llm["serialized"] = json!({"id": ["model"]});
    llm["something_new"] = json!(9_007_199_254_740_993_i64);
    let parts = post(&parent).run("post", &llm);
    assert_eq!(send_parts(&local, parts).unwrap(), 202);

    assert!(local.wait_for_runs(2, Duration::from_secs(5)));
    assert_eq!(local.violations(), Vec::<String>::new());
    let [root_run, llm_run] = &local.runs()[..] else {
        panic!("{local:?}");
    };
    assert_eq!(root_run.tags, ["t1"]);
    assert_eq!(root_run.parent_run_id, None);
    assert_eq!(root_run.inputs, Some(json!({"q": "why"})));
    assert_eq!(root_run.duration(), Some(Duration::from_millis(40)));
    assert_eq!(llm_run.parent_run_id.as_ref(), Some(&root_run.id));
    assert_eq!(llm_run.trace_id, root_run.id);
    assert_eq!(llm_run.metadata("ls_provider"), Some(&json!("openai")));
    assert_eq!(llm_run.usage().unwrap()["total_tokens"], 7);
    assert_eq!(llm_run.events.len(), 1);
    assert_eq!(llm_run.error.as_deref(), Some("it broke\nhere"));
    assert_eq!(llm_run.session_name.as_deref(), Some("default"));
    assert_eq!(llm_run.serialized, Some(json!({"id": ["model"]})));
    assert_eq!(llm_run.other["something_new"], 9_007_199_254_740_993_i64);
    assert_eq!(llm_run.other.len(), 1);
    assert_eq!((llm_run.posts, llm_run.patches), (1, 0));

    let requests = local.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].status, Some(202));
    assert_eq!(requests[0].path, "/runs/multipart");
    assert_eq!(requests[0].method, "POST");
    assert_eq!(requests[0].header("Content-Encoding"), Some("zstd"));
    assert_eq!(requests[0].run_ids, [root_run.id.clone(), llm_run.id.clone()]);
    assert_eq!(zstd::decode_all(&requests[0].body[..]).unwrap(), requests[0].plain[..]);
}

#[test]
fn usage_in_the_outputs_counts_too() {
    let local = LocalLangSmith::start().unwrap();
    let mut run = root(0);
    run["outputs"] = json!({"usage_metadata": {"input_tokens": 3}});
    send_parts(&local, post(&run)).unwrap();
    assert_eq!(local.runs()[0].usage(), Some(&json!({"input_tokens": 3})));
}

#[test]
fn a_patch_completes_its_run() {
    let local = LocalLangSmith::start().unwrap();
    let whole = root(0);
    let mut pending = whole.clone();
    for field in ["end_time", "outputs", "status"] {
        pending.as_object_mut().unwrap().remove(field);
    }
    send_parts(&local, post(&pending)).unwrap();
    assert!(local.runs()[0].is_pending());
    assert!(local.next_trace(Duration::ZERO).is_none());
    let patch = json!({
        "id": whole["id"], "trace_id": whole["trace_id"], "dotted_order": whole["dotted_order"],
        "end_time": whole["end_time"], "outputs": {"a": 2}, "status": "success",
    });
    send_parts(&local, Parts::default().run("patch", &patch)).unwrap();
    let run = &local.runs()[0];
    assert_eq!(run.end_time.as_deref(), whole["end_time"].as_str());
    assert_eq!(run.outputs, Some(json!({"a": 2})));
    assert_eq!(run.inputs, Some(json!({"q": "why"})));
    assert_eq!((run.posts, run.patches), (1, 1));
    assert_eq!(local.violations(), Vec::<String>::new());
}

/// The SDK for JavaScript tells ends that way.
#[test]
fn times_may_be_milliseconds() {
    let local = LocalLangSmith::start().unwrap();
    let mut run = root(0);
    run["end_time"] = json!(1_795_203_037_250_i64);
    send_parts(&local, post(&run)).unwrap();
    assert_eq!(local.runs()[0].end_time.as_deref(), Some("2026-11-20T19:30:37.250+00:00"));
    assert_eq!(local.violations(), Vec::<String>::new());
}

#[test]
fn a_patch_may_follow_its_post_in_one_request_but_not_precede_it() {
    let local = LocalLangSmith::start().unwrap();
    let parts = post(&root(0)).run("patch", &root(0));
    send_parts(&local, parts).unwrap();
    assert_eq!(local.violations(), Vec::<String>::new());
    local.clear();
    let parts = Parts::default().run("patch", &root(0)).run("post", &root(0));
    send_parts(&local, parts).unwrap();
    assert_eq!(local.violations().len(), 1);
    assert_eq!(local.received(), 1);
}

#[test]
fn complete_traces_are_handed_out_once() {
    let local = LocalLangSmith::start().unwrap();
    let parent = root(0);
    send_parts(&local, post(&parent)).unwrap();
    let patience = Duration::from_secs(5);
    assert_eq!(local.next_trace(patience).unwrap().runs.len(), 1);
    assert_eq!(local.next_trace(Duration::from_millis(300)), None);
    // A child that is late brings its trace back.
    send_parts(&local, post(&child(&parent, 1))).unwrap();
    let trace = local.next_trace(patience).unwrap();
    assert!(trace.is_complete());
    assert_eq!(trace.runs.len(), 2);
    assert_eq!(trace.trace_id, parent["id"]);
}

#[test]
fn waiting_for_runs_that_do_not_come() {
    let local = LocalLangSmith::start().unwrap();
    send_parts(&local, post(&root(0))).unwrap();
    assert!(!local.wait_for_runs(2, Duration::from_millis(50)));
    assert!(local.wait_for_runs(1, Duration::ZERO));
}

#[test]
fn a_cleared_receiver_knows_nothing() {
    let local = LocalLangSmith::start().unwrap();
    send_parts(&local, post(&root(0))).unwrap();
    local.clear();
    assert_eq!(local.received(), 0);
    assert!(local.runs().is_empty() && local.requests().is_empty());
    assert_eq!(send_parts(&local, post(&root(0))).unwrap(), 202);
    assert_eq!(local.violations(), Vec::<String>::new());
}

#[test]
fn feedback_is_shown_with_its_run_once() {
    let local = LocalLangSmith::start().unwrap();
    let root = root(0);
    let id = crate::client::other_id();
    let name = format!("feedback.{id}");
    let row = json!({"id": id, "run_id": root["id"], "trace_id": root["id"], "key": "k", "score": 1});
    assert_eq!(send_parts(&local, post(&root).json(&name, &row)).unwrap(), 202);
    assert_eq!(local.runs()[0].feedback, std::slice::from_ref(&row));
    // It may come later than its run, and again.
    assert_eq!(send_parts(&local, crate::client::Parts::default().json(&name, &row)).unwrap(), 202);
    assert_eq!((local.received(), local.runs()[0].feedback.len()), (1, 1));
    assert_eq!(local.violations(), Vec::<String>::new());
}

#[test]
fn feedback_that_fits_no_run_is_a_violation() {
    let (root, id, other) = (root(0), crate::client::other_id(), uuid::Uuid::from_u128(7));
    let row = json!({"id": id, "run_id": root["id"], "trace_id": root["id"], "key": "k", "score": 1});
    for (key, value, complaint) in [
        ("id", json!(other), "another id"),
        ("run_id", json!(other), "was not received"),
        ("run_id", json!(null), "run_id"),
        ("trace_id", json!(other), "another trace"),
        ("trace_id", json!("x"), "trace_id"),
        ("key", json!(" "), "has no key"),
        ("score", json!("good"), "score"),
        ("comment", json!(1), "comment"),
    ] {
        let local = LocalLangSmith::start().unwrap();
        let mut row = row.clone();
        row[key] = value;
        send_parts(&local, post(&root).json(&format!("feedback.{id}"), &row)).unwrap();
        let violations = local.violations();
        assert!(violations.len() == 1 && violations[0].contains(complaint), "{key}: {violations:?}");
    }
}

#[test]
fn stopping_frees_the_port() {
    let local = LocalLangSmith::start().unwrap();
    let port = local.endpoint().rsplit_once(':').unwrap().1.parse().unwrap();
    assert!(LocalLangSmith::start_on(port).is_err());
    local.stop();
    let again = LocalLangSmith::start_on(port).unwrap();
    let headers = [("Content-Type", &content_type()[..])];
    let body = post(&root(0)).finish();
    send(&again, "POST", "/runs/multipart", &headers, &body).unwrap();
    assert_eq!(again.received(), 1);
}

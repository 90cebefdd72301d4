//! The ways in beside multipart.

use opentelemetry_langsmith::testing::LocalLangSmith;
use serde_json::{json, Value};

use crate::client::{child, post, rfc3339, root, run_id, segment, send, send_json, send_parts};

#[test]
fn batch_takes_posts_and_patches() {
    let local = LocalLangSmith::start().unwrap();
    let parent = root(0);
    let body = json!({"post": [parent, child(&parent, 1)], "patch": [parent]});
    assert_eq!(send_json(&local, "POST", "/runs/batch", &body).unwrap(), 202);
    assert_eq!(local.violations(), Vec::<String>::new());
    assert_eq!(local.received(), 2);
    assert_eq!(local.runs()[0].outputs, Some(json!({"a": "because"})));
    assert_eq!(local.runs()[0].patches, 1);
    assert_eq!(local.requests()[0].run_ids.len(), 2);
    assert_eq!(send_json(&local, "POST", "/runs/batch", &body).unwrap(), 409);
    assert_eq!(local.violations().len(), 2);
}

#[test]
fn batch_runs_are_checked_like_others() {
    let local = LocalLangSmith::start().unwrap();
    let mut run = root(0);
    run["inputs"] = json!([]);
    run["outputs"] = Value::Null;
    send_json(&local, "POST", "/runs/batch", &json!({"post": [run], "patch": null})).unwrap();
    assert_eq!(local.violations().len(), 1);
    assert_eq!(local.runs()[0].outputs, None);
}

#[test]
fn a_single_run_gets_its_place_computed() {
    let local = LocalLangSmith::start().unwrap();
    let parent = json!({
        "id": run_id(0), "name": "up", "run_type": "chain", "start_time": rfc3339(0),
        "inputs": {}, "session_name": "p",
    });
    let below = json!({
        "id": run_id(3), "name": "down", "run_type": "tool", "start_time": rfc3339(3),
        "inputs": {}, "parent_run_id": run_id(0), "session_name": "p",
    });
    assert_eq!(send_json(&local, "POST", "/runs", &parent).unwrap(), 202);
    assert_eq!(send_json(&local, "POST", "/runs", &below).unwrap(), 202);
    let path = format!("/runs/{}", run_id(3));
    let end = json!({"end_time": rfc3339(5), "outputs": {"x": 1}});
    assert_eq!(send_json(&local, "PATCH", &path, &end).unwrap(), 202);
    assert_eq!(local.violations(), Vec::<String>::new());
    let run = local.run("down").unwrap();
    let above = segment(0, &run_id(0));
    assert_eq!(run.dotted_order, format!("{above}.{}", segment(3, &run_id(3))));
    assert_eq!(run.trace_id, run_id(0));
    assert_eq!(run.outputs, Some(json!({"x": 1})));
    assert!(local.run("up").unwrap().is_pending());
}

#[test]
fn a_single_run_of_an_unknown_parent_is_an_orphan() {
    let local = LocalLangSmith::start().unwrap();
    let mut run = child(&root(0), 1);
    run.as_object_mut().unwrap().remove("dotted_order");
    run.as_object_mut().unwrap().remove("trace_id");
    send_json(&local, "POST", "/runs", &run).unwrap();
    assert_eq!(local.orphans().len(), 1);
    assert_eq!(local.runs()[0].dotted_order, "");
}

#[test]
fn a_single_patch_needs_its_post() {
    let local = LocalLangSmith::start().unwrap();
    let path = format!("/runs/{}", run_id(0));
    send_json(&local, "PATCH", &path, &json!({"outputs": {}})).unwrap();
    assert!(local.violations()[0].contains("before it was posted"), "{local:?}");
}

#[test]
fn self_hosted_prefix() {
    let local = LocalLangSmith::start().unwrap();
    let body = json!({"post": [root(0)]});
    assert_eq!(send_json(&local, "POST", "/api/v1/runs/batch", &body).unwrap(), 202);
    assert_eq!(send(&local, "GET", "/api/v1/info", &[], b"").unwrap().0, 200);
    assert_eq!(local.requests()[0].path, "/api/v1/runs/batch");
    assert_eq!(local.received(), 1);
}

#[test]
fn all_else_is_not_found() {
    let local = LocalLangSmith::start().unwrap();
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/runs/multipart"),
        ("POST", "/info"),
        ("PATCH", "/runs/not-an-id"),
        ("POST", "/otel/v1/traces"),
    ] {
        let (status, answer) = send(&local, method, path, &[], b"").unwrap();
        assert_eq!(status, 404, "{method} {path}");
        assert!(answer.ends_with("{\"detail\":\"Not Found\"}"), "{answer}");
    }
    assert_eq!(local.requests().len(), 5);
    assert_eq!(local.violations(), Vec::<String>::new());
}

#[test]
fn new_runs_beside_repeated_ones_are_stored() {
    let local = LocalLangSmith::start().unwrap();
    send_parts(&local, post(&root(0))).unwrap();
    let parts = post(&root(0)).run("post", &root(1));
    assert_eq!(send_parts(&local, parts).unwrap(), 409);
    assert_eq!(local.received(), 2);
}

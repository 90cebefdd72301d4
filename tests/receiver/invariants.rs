//! Each rule about runs, broken once.

use opentelemetry_langsmith::testing::LocalLangSmith;
use serde_json::{json, Value};

use crate::client::{child, other_id, post, rfc3339, root, run_id, segment, send_parts, Parts};

type Break = (fn(&mut Value), &'static str);
/// What is broken in an otherwise faultless child, and words of the sentence that must come of it.
type Case = (&'static str, fn(&mut Value), &'static str);

const CASES: &[Case] = &[
    ("1: short time", |run| shorten_microseconds(run), "instead of 58"),
    ("1: no Z", |run| replace_in_order(run, "Z", "X"), "whose time is not"),
    ("1: capitals in the id", |run| capitals_in_order(run), "lower-case"),
    ("1: no such day", |run| replace_in_order(run, "20261120", "20261131"), "whose time is not"),
    ("2: trace id", |run| run["trace_id"] = run["id"].clone(), "but dotted_order begins with"),
    ("2: id", |run| run["id"] = run_id(1).to_uppercase().into(), "its id field says"),
    ("3: other parent", |run| run["parent_run_id"] = other_id().into(), "parent_run_id is"),
    ("3: no parent", |run| remove(run, "parent_run_id"), "has no parent_run_id"),
    ("6: end before start", |run| run["end_time"] = rfc3339(0).into(), "before start_time"),
    ("7: inputs", |run| run["inputs"] = json!(["q"]), "inputs is an array"),
    ("7: outputs", |run| run["outputs"] = json!("a"), "outputs is a string"),
    ("extra", |run| run["extra"] = json!(1), "extra is a number"),
    ("serialized", |run| run["serialized"] = json!(true), "serialized is a boolean"),
    ("events", |run| run["events"] = json!({}), "events is an object"),
    ("event", |run| run["events"] = json!(["new_token"]), "events has an element"),
    ("error", |run| run["error"] = json!({"message": "no"}), "error is an object"),
    ("tags", |run| run["tags"] = json!(["a", 1]), "tags is not an array of strings"),
    ("status", |run| run["status"] = "ok".into(), "status \"ok\" is unknown"),
    ("long name", |run| run["name"] = "n".repeat(129).into(), "name has 129 characters"),
    ("NUL", |run| run["name"] = "a\0b".into(), "NUL"),
    ("run type", |run| run["run_type"] = "agent".into(), "none of the seven"),
    ("name is a number", |run| run["name"] = 5.into(), "name is a number"),
    ("no name", |run| remove(run, "name"), "has no name"),
    ("no run type", |run| remove(run, "run_type"), "has no run_type"),
    ("no start", |run| remove(run, "start_time"), "has no start_time"),
    ("no trace id", |run| remove(run, "trace_id"), "has no trace_id"),
    ("no project", |run| remove(run, "session_name"), "names no project"),
    ("example id", |run| run["reference_example_id"] = "7".into(), "is not a UUID"),
    ("start apart", |run| run["start_time"] = rfc3339(2).into(), "1000 µs away"),
    ("not a time", |run| run["start_time"] = "noon".into(), "not an RFC 3339 time"),
    ("no zone", |run| run["end_time"] = "2026-11-20T19:30:38".into(), "not an RFC 3339 time"),
    ("not UTC", |run| run["end_time"] = "2026-11-20T20:30:38+01:00".into(), "not in UTC"),
];

#[test]
fn every_rule_for_one_run() {
    for (what, breaks, words) in CASES {
        let local = LocalLangSmith::start().unwrap();
        let parent = root(0);
        let mut run = child(&parent, 1);
        breaks(&mut run);
        // The part keeps its name, whatever the id field says.
        let id = run_id(1);
        let mut main = run.clone();
        let mut parts = post(&parent);
        let mut own = Vec::new();
        for field in ["inputs", "outputs", "events", "extra", "error", "serialized"] {
            own.extend(main.as_object_mut().unwrap().remove(field).map(|value| (field, value)));
        }
        parts = parts.json(&format!("post.{id}"), &main);
        for (field, value) in own {
            parts = parts.json(&format!("post.{id}.{field}"), &value);
        }
        assert_eq!(send_parts(&local, parts).unwrap(), 202, "{what}");
        let violations = local.violations();
        let told = violations.iter().any(|said| said.contains(words) && said.contains(&id));
        assert!(told, "{what}: {violations:?}");
    }
}

#[test]
fn last_segment_names_another_run() {
    let local = LocalLangSmith::start().unwrap();
    let mut run = root(0);
    run["dotted_order"] = segment(0, &run_id(5)).into();
    run["trace_id"] = run_id(5).into();
    assert_violation(&local, post(&run), "the last segment of dotted_order names");
}

#[test]
fn root_with_a_parent() {
    let local = LocalLangSmith::start().unwrap();
    let mut run = root(0);
    run["parent_run_id"] = run_id(5).into();
    assert_violation(&local, post(&run), "one segment as a root's");
}

#[test]
fn child_earlier_than_its_parent() {
    let local = LocalLangSmith::start().unwrap();
    let parent = root(7);
    let parts = post(&parent).run("post", &child(&parent, 3));
    assert_only_violation(&local, parts, "earlier than the one above it");
}

#[test]
fn id_made_at_another_time() {
    let local = LocalLangSmith::start().unwrap();
    let mut run = root(0);
    run["id"] = run_id(9).into();
    run["trace_id"] = run_id(9).into();
    run["dotted_order"] = segment(0, &run_id(9)).into();
    assert_only_violation(&local, post(&run), "may not find it by id");
}

#[test]
fn ids_of_other_versions_have_no_time_to_differ() {
    let local = LocalLangSmith::start().unwrap();
    let mut run = root(0);
    run["id"] = other_id().into();
    run["trace_id"] = other_id().into();
    run["dotted_order"] = segment(0, &other_id()).into();
    send_parts(&local, post(&run)).unwrap();
    assert_eq!(local.violations(), Vec::<String>::new());
}

#[test]
fn child_order_is_not_its_parents_whichever_comes_first() {
    for child_first in [false, true] {
        let local = LocalLangSmith::start().unwrap();
        let parent = root(2);
        let mut run = child(&parent, 3);
        let order = format!("{}.{}", segment(1, &run_id(2)), segment(3, &run_id(3)));
        run["dotted_order"] = order.into();
        let (one, two) = if child_first { (&run, &parent) } else { (&parent, &run) };
        let parts = post(one).run("post", two);
        assert_only_violation(&local, parts, "not that of its parent");
    }
}

#[test]
fn two_projects_in_one_trace() {
    for child_first in [false, true] {
        let local = LocalLangSmith::start().unwrap();
        let parent = root(0);
        let mut run = child(&parent, 1);
        run["session_name"] = "another".into();
        let (one, two) = if child_first { (&run, &parent) } else { (&parent, &run) };
        let parts = post(one).run("post", two);
        assert_only_violation(&local, parts, "another project than its parent");
    }
}

#[test]
fn parent_that_never_comes() {
    let local = LocalLangSmith::start().unwrap();
    let parent = root(0);
    assert_only_violation(&local, post(&child(&parent, 1)), "was never received");
    assert_eq!(local.orphans(), local.violations());
    send_parts(&local, post(&parent)).unwrap();
    assert_eq!(local.violations(), Vec::<String>::new());
}

#[test]
fn posted_again_after_an_answer() {
    let local = LocalLangSmith::start().unwrap();
    assert_eq!(send_parts(&local, post(&root(0))).unwrap(), 202);
    assert_eq!(local.violations(), Vec::<String>::new());
    assert_eq!(send_parts(&local, post(&root(0))).unwrap(), 409);
    let violations = local.violations();
    assert!(violations[0].contains("posted again"), "{violations:?}");
    assert_eq!(local.runs()[0].posts, 2);
    assert_eq!(local.received(), 1);
}

#[test]
fn posted_twice_in_one_request() {
    let local = LocalLangSmith::start().unwrap();
    let body = json!({"post": [root(0), root(0)]});
    crate::client::send_json(&local, "POST", "/runs/batch", &body).unwrap();
    assert_eq!(local.violations().len(), 1);
    assert!(local.violations()[0].contains("twice in one request"));
}

#[test]
fn patched_before_it_was_posted() {
    let local = LocalLangSmith::start().unwrap();
    let patch = Parts::default().run("patch", &root(0));
    assert_only_violation(&local, patch, "patched before it was posted");
    // The late post brings only what the patch did not.
    let mut late = root(0);
    late["name"] = "older".into();
    late["tags"] = json!(["t"]);
    send_parts(&local, post(&late)).unwrap();
    let run = &local.runs()[0];
    assert_eq!((run.name.as_str(), &run.tags[..]), ("run 0", &["t".to_owned()][..]));
}

#[test]
fn patch_that_is_not_like_its_post() {
    let cases: [Break; 5] = [
        (|patch| patch["session_name"] = "another".into(), "different projects"),
        (|patch| replace_in_order(patch, "016758", "016759"), "different dotted orders"),
        (|patch| patch["trace_id"] = run_id(4).into(), "trace_id is"),
        (|patch| remove(patch, "dotted_order"), "has no dotted_order"),
        (|patch| patch["end_time"] = "2026-11-20T19:00:00Z".into(), "before start_time"),
    ];
    for (breaks, words) in cases {
        let local = LocalLangSmith::start().unwrap();
        send_parts(&local, post(&root(0))).unwrap();
        let mut patch = root(0);
        remove(&mut patch, "start_time");
        breaks(&mut patch);
        assert_violation(&local, Parts::default().run("patch", &patch), words);
    }
}

#[test]
fn counting_checks_without_keeping() {
    let local = LocalLangSmith::counting().unwrap();
    let parent = root(0);
    let mut run = child(&parent, 1);
    run["session_name"] = "another".into();
    send_parts(&local, post(&run)).unwrap();
    send_parts(&local, post(&parent)).unwrap();
    send_parts(&local, post(&parent)).unwrap();
    assert_eq!(local.received(), 2);
    assert_eq!(local.violations().len(), 2, "{local:?}");
    assert!(local.runs().is_empty() && local.requests().is_empty());
}

#[test]
fn a_million_violations_are_not_kept() {
    let local = LocalLangSmith::counting().unwrap();
    let runs: Vec<_> = (0..1200)
        .map(|nth| {
            let mut run = root(nth);
            run["run_type"] = "agent".into();
            run
        })
        .collect();
    crate::client::send_json(&local, "POST", "/runs/batch", &json!({ "post": runs })).unwrap();
    let violations = local.violations();
    assert_eq!(violations.len(), 1001);
    assert_eq!(violations.last().unwrap(), "and 200 more");
}

fn assert_violation(local: &LocalLangSmith, parts: Parts, words: &str) {
    assert_eq!(send_parts(local, parts).unwrap(), 202);
    let violations = local.violations();
    assert!(violations.iter().any(|said| said.contains(words)), "{words}: {violations:?}");
}

fn assert_only_violation(local: &LocalLangSmith, parts: Parts, words: &str) {
    assert_violation(local, parts, words);
    assert_eq!(local.violations().len(), 1, "{local:?}");
}

fn remove(run: &mut Value, key: &str) {
    run.as_object_mut().unwrap().remove(key);
}

fn replace_in_order(run: &mut Value, from: &str, to: &str) {
    run["dotted_order"] = run["dotted_order"].as_str().unwrap().replace(from, to).into();
}

/// What a clock without padding writes: a segment one character too short.
fn shorten_microseconds(run: &mut Value) {
    replace_in_order(run, "017758Z", "17758Z");
}

fn capitals_in_order(run: &mut Value) {
    let order = run["dotted_order"].as_str().unwrap();
    run["dotted_order"] = order.to_uppercase().into();
}

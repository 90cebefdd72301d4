//! Trees as text.

use opentelemetry_langsmith::testing::LocalLangSmith;
use serde_json::json;

use crate::client::{child, post, rfc3339, root, run_id, send_parts};

#[test]
fn a_trace_as_it_stands_in_the_docs() {
    let local = LocalLangSmith::start().unwrap();
    let mut top = root(0);
    top["name"] = "answer_question".into();
    top["end_time"] = "2026-11-20T19:30:37.057958+00:00".into();
    let mut chat = child(&top, 20);
    chat["name"] = "chat".into();
    chat["end_time"] = "2026-11-20T19:30:37.057258+00:00".into();
    chat["extra"] = json!({"metadata": {"usage_metadata": {"input_tokens": 120, "output_tokens": 45}}});
    let mut weather = child(&top, 12);
    weather["name"] = "weather".into();
    weather["run_type"] = "tool".into();
    weather["end_time"] = rfc3339(17).into();
    weather["error"] = "timeout\n  at line 1".into();
    let mut search = child(&top, 1);
    search["name"] = "search".into();
    search["run_type"] = "retriever".into();
    search["end_time"] = "2026-11-20T19:30:37.027858+00:00".into();
    // The order of arrival is not the order of the tree.
    let parts = [chat, top, search].iter().fold(post(&weather), |parts, run| parts.run("post", run));
    send_parts(&local, parts).unwrap();
    assert_eq!(local.violations(), Vec::<String>::new());
    let drawn = "\
● chain answer_question  41.2 ms
├─ retriever search  10.1 ms
├─ tool weather  5.0 ms  ✗ timeout
└─ llm chat  20.5 ms  120→45 tokens
";
    assert_eq!(local.tree(), drawn);
    assert_eq!(local.traces()[0].to_string(), drawn);
}

#[test]
fn depth_pending_and_lost_parents() {
    let local = LocalLangSmith::start().unwrap();
    let top = root(0);
    let middle = child(&top, 1);
    let mut leaf = child(&middle, 2);
    leaf.as_object_mut().unwrap().remove("end_time");
    leaf["extra"] = json!({"metadata": {"usage_metadata": {"total_tokens": 9}}});
    let sibling = child(&top, 3);
    let mut lost = child(&child(&root(100), 101), 102);
    lost["name"] = "with\u{1b}[31m colour".into();
    let runs = [&middle, &leaf, &sibling, &lost];
    let parts = runs.iter().fold(post(&top), |parts, run| parts.run("post", run));
    send_parts(&local, parts).unwrap();
    let drawn = "\
● chain run 0  40.0 ms
├─ llm run 1  10.0 ms
│  └─ llm run 2  pending  9 tokens
└─ llm run 3  10.0 ms
○ llm with [31m colour  10.0 ms
";
    assert_eq!(local.tree(), drawn);
    assert!(!local.traces()[0].is_complete());
    assert_eq!(local.traces()[1].trace_id, run_id(100));
}

#[test]
fn a_very_deep_trace_does_not_overflow() {
    let local = LocalLangSmith::start().unwrap();
    let mut runs = vec![root(0)];
    for nth in 1..600 {
        runs.push(child(&runs[runs.len() - 1], nth));
    }
    let parts = runs[1..].iter().fold(post(&runs[0]), |parts, run| parts.run("post", run));
    send_parts(&local, parts).unwrap();
    assert_eq!(local.tree().lines().count(), 600);
    assert_eq!(local.violations(), Vec::<String>::new());
}

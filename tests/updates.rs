//! Runs by hand: posted when they start, patched when they have ended.

use opentelemetry_langsmith::testing::{Fault, LocalLangSmith};
use opentelemetry_langsmith::{Client, Config, Run, RunType, UsageMetadata};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

fn client(server: &LocalLangSmith) -> Client {
    let config = Config::default().with_api_key("key").with_endpoint(server.endpoint());
    Client::new(config.with_retry_waits(Duration::from_millis(5), Duration::from_millis(20))).unwrap()
}

fn parent_and_child() -> [Run; 2] {
    let parent = Run::builder("Parent Run", RunType::Chain).inputs(&[("about", "France")]).tag("t").build().unwrap();
    let child = Run::builder("Child Run", RunType::Llm).child_of(&parent).inputs("the capital?").build().unwrap();
    [parent, child]
}

fn ended(run: &Run) -> Run {
    run.edit().outputs("Paris").usage(&UsageMetadata::new(5, 1)).end_now().build().unwrap()
}

#[test]
fn a_post_and_its_patch_that_meet_become_one() {
    let server = LocalLangSmith::start().unwrap();
    let client = client(&server);
    for run in parent_and_child() {
        client.submit(run.clone()).unwrap();
        client.update(ended(&run)).unwrap();
    }
    client.shutdown(PATIENCE).unwrap();

    assert_eq!(server.violations(), Vec::<String>::new());
    let runs = server.runs();
    assert_eq!(runs.len(), 2);
    for run in &runs {
        assert_eq!((run.posts, run.patches), (1, 0));
        assert_eq!(run.outputs, Some(serde_json::json!({"output": "Paris"})));
        assert!(run.inputs.is_some() && run.end_time.is_some());
    }
    let stats = client.stats();
    assert_eq!(stats.submitted, stats.sent, "{stats:?}");
}

#[test]
fn a_patch_comes_after_its_post_was_answered_however_slow_that_is() {
    let server = LocalLangSmith::start().unwrap();
    let client = client(&server);
    server.respond([Fault::status(503).times(2), Fault::ok().delay(Duration::from_millis(100))]);
    let runs = parent_and_child();
    for run in &runs {
        client.submit(run.clone()).unwrap();
    }
    // The posts are under way when the updates come.
    let flushing = {
        let client = client.clone();
        std::thread::spawn(move || client.flush(PATIENCE))
    };
    while client.stats().in_flight == 0 && client.stats().sent == 0 {
        std::thread::yield_now();
    }
    for run in &runs {
        client.update(ended(run)).unwrap();
    }
    flushing.join().unwrap().unwrap();
    client.shutdown(PATIENCE).unwrap();

    assert_eq!(server.violations(), Vec::<String>::new());
    for run in server.runs() {
        assert_eq!((run.posts, run.patches), (1, 1));
        assert!(!run.is_pending());
        assert_eq!(run.usage().map(|usage| usage["total_tokens"].clone()), Some(6.into()));
    }
    assert_eq!(client.stats().sent, 4);
}

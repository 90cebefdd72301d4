//! Who stands under whom when work is concurrent.

use super::Traced;
use std::time::Duration;
use tracing::instrument::WithSubscriber;
use tracing::{info_span, instrument, Instrument};

#[instrument]
async fn request(number: u32) {
    tokio::join!(step("left", number), step("right", number));
    let spawned = tokio::spawn(step("spawned", number).in_current_span());
    let named = tokio::spawn(async { tokio::task::yield_now().await }.instrument(info_span!("named")));
    let blocking = {
        let span = info_span!("blocking");
        tokio::task::spawn_blocking(move || span.in_scope(|| leaf(1)))
    };
    let (spawned, named, blocking) = tokio::join!(spawned, named, blocking);
    spawned.unwrap();
    named.unwrap();
    blocking.unwrap();
}

#[instrument(fields(otel.name = %name))]
async fn step(name: &str, number: u32) {
    tokio::time::sleep(Duration::from_millis(u64::from(number % 3))).await;
    leaf(number);
}

#[instrument]
fn leaf(of: u32) {}

fn check_requests(runs: &super::Runs, requests: usize) {
    assert_eq!(runs.0.iter().filter(|run| run.name == "request").count(), requests);
    for run in runs.0.iter().filter(|run| !matches!(run.name.as_str(), "request" | "leaf")) {
        let parent = runs.0.iter().find(|parent| Some(&parent.id) == run.parent_run_id.as_ref()).unwrap();
        assert_eq!(parent.name, "request", "above {}", run.name);
        // It is the same request, and not one that ran at the same time.
        let number = |run: &opentelemetry_langsmith::testing::ReceivedRun| Some(run.inputs.as_ref()?["number"].clone());
        if let Some(own) = number(run) {
            assert_eq!(Some(own), number(parent));
        }
    }
}

/// Each leaf stands under the step that called it.
fn check_leaves(runs: &super::Runs) {
    for leaf in runs.0.iter().filter(|run| run.name == "leaf") {
        let parent = runs.0.iter().find(|parent| Some(&parent.id) == leaf.parent_run_id.as_ref()).unwrap();
        assert!(matches!(parent.name.as_str(), "left" | "right" | "spawned" | "blocking"), "{}", parent.name);
    }
}

#[test]
fn concurrent_and_spawned_work_keeps_its_parents_on_one_thread() {
    let runs = Traced::start().runs_async(|| async {
        tokio::join!(request(0), request(1), request(2));
    });
    check_leaves(&runs);
    check_requests(&runs, 3);
}

#[test]
fn concurrent_and_spawned_work_keeps_its_parents_on_many_threads() {
    let traced = Traced::start();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let dispatch = traced.dispatch.clone();
    runtime.block_on(async move {
        let tasks: Vec<_> = (0..8)
            .map(|number| {
                let dispatch = dispatch.clone();
                tokio::spawn(
                    async move { tokio::join!(step("left", number), step("right", number)) }
                        .instrument(tracing::dispatcher::with_default(&dispatch, || info_span!("task", number)))
                        .with_subscriber(dispatch),
                )
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    let runs = traced.finish();
    assert_eq!(runs.0.len(), 8 * 5);
    check_leaves(&runs);
    for run in runs.0.iter().filter(|run| matches!(run.name.as_str(), "left" | "right")) {
        let task = runs.0.iter().find(|task| Some(&task.id) == run.parent_run_id.as_ref()).unwrap();
        assert_eq!(task.name, "task");
        assert_eq!(task.inputs.as_ref().unwrap()["number"], run.inputs.as_ref().unwrap()["number"]);
    }
}

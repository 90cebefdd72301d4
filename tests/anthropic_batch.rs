//! Batch jobs: what stands on which run, counted once, whatever happens to LangSmith or to the batch.

#[path = "../examples/anthropic_batch/batches.rs"]
mod batches;
#[path = "../examples/anthropic_batch/job.rs"]
mod job;
#[path = "../examples/anthropic_batch/server.rs"]
mod server;

use batches::{Batches, Fallible};
use job::Jobs;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_langsmith::testing::{LocalLangSmith, ReceivedRun};
use opentelemetry_langsmith::{
    BatchSummary, Config, CountedOn, LangSmithSpanProcessor, Run, RunType, SpanExt, UsageMetadata,
};
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde_json::{json, Value};
use std::future::Future;
use std::time::Duration;
use tracing::{info_span, Dispatch, Instrument};
use tracing_subscriber::prelude::*;

struct App {
    provider: SdkTracerProvider,
    dispatch: Dispatch,
    jobs: Jobs,
}

impl App {
    fn start(endpoint: &str, api: String, counted: CountedOn) -> Self {
        let config = Config::default().with_api_key("key").with_endpoint(endpoint);
        let config = config.with_retry_deadline(Duration::from_millis(200));
        let langsmith = LangSmithSpanProcessor::new(config).unwrap();
        let handle = langsmith.handle();
        let provider = SdkTracerProvider::builder().with_span_processor(langsmith).build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let dispatch = Dispatch::new(tracing_subscriber::registry().with(layer));
        let poll_every = Duration::from_millis(1);
        let jobs = Jobs { batches: Batches::new(api, "key"), handle, poll_every, counted, progress: |_, _| {} };
        Self { provider, dispatch, jobs }
    }
}

fn requests(count: usize) -> Vec<Value> {
    let request = |number: usize| {
        json!({"custom_id": format!("r-{number}"), "params": {
            "model": job::MODEL, "messages": [{"role": "user", "content": format!("{number}?")}],
        }})
    };
    (0..count).map(request).collect()
}

/// Runs one batch under a workflow, against an API that works.
fn batch(counted: CountedOn) -> (BatchSummary, Vec<ReceivedRun>) {
    let langsmith = LocalLangSmith::start().unwrap();
    let summary = run(
        |api| App::start(&langsmith.endpoint(), api, counted),
        |jobs| async move { jobs.run(requests(100)).instrument(info_span!("workflow")).await.unwrap().0 },
    );
    assert_eq!(langsmith.violations(), Vec::<String>::new());
    (summary, langsmith.runs())
}

fn run<T, F: Future<Output = T>>(start: impl FnOnce(String) -> App, work: impl FnOnce(Jobs) -> F) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let api = runtime.block_on(server::start()).unwrap();
    let app = start(api);
    let result = tracing::dispatcher::with_default(&app.dispatch, || runtime.block_on(work(app.jobs.clone())));
    let _ = app.provider.shutdown_with_timeout(Duration::from_secs(5));
    result
}

/// What LangSmith would show for the whole trace.
fn counted(runs: &[ReceivedRun]) -> (u64, f64) {
    let usages = || runs.iter().filter_map(|run| run.metadata("usage_metadata"));
    let tokens = usages().filter_map(|usage| usage["total_tokens"].as_u64()).sum();
    (tokens, usages().filter_map(|usage| usage["total_cost"].as_f64()).sum())
}

fn find<'a>(runs: &'a [ReceivedRun], name: &str) -> &'a ReceivedRun {
    runs.iter().find(|run| run.name == name).unwrap()
}

#[test]
fn the_run_of_a_batch_tells_all_about_it() {
    let (summary, runs) = batch(CountedOn::ThisRun);
    assert_eq!((summary.requests, summary.successful, summary.failed), (100, 96, 4));
    assert_eq!(summary.usage.input_token_details["cache_read"], 95 * 1200);
    assert_eq!(summary.usage.input_token_details["cache_creation"], 1200);
    assert_eq!(summary.usage.output_tokens, 96 * 5);

    assert_eq!(runs.len(), 2);
    let run = find(&runs, "batch_structured_output");
    assert_eq!(run.parent_run_id.as_ref(), Some(&find(&runs, "workflow").id));
    assert_eq!(run.run_type, "llm");
    let metadata = |name: &str| run.metadata(name).cloned().unwrap_or_default();
    assert_eq!((metadata("batch_id"), metadata("request_count")), (json!("msgbatch_0001"), json!(100)));
    assert_eq!((metadata("successful_count"), metadata("failed_count")), (json!(96), json!(4)));
    assert_eq!(metadata("usage_metadata"), serde_json::to_value(&summary.usage).unwrap());
    assert_eq!(metadata("ls_model_name"), json!(job::MODEL));
    assert_eq!(counted(&runs).0, summary.usage.total_tokens);
}

#[test]
fn counts_stand_on_the_batch_or_on_its_requests_and_never_on_both() {
    let (on_batch, one) = batch(CountedOn::ThisRun);
    let (on_requests, many) = batch(CountedOn::Children);
    assert_eq!(on_batch, on_requests);
    assert_eq!(many.len(), 102);
    let ((tokens, cost), (tokens_again, cost_again)) = (counted(&one), counted(&many));
    assert_eq!(tokens, tokens_again);
    assert!((cost - cost_again).abs() < 1e-9 && cost > 0.0, "{cost} {cost_again}");

    let batch = find(&many, "batch_structured_output");
    assert_eq!((batch.run_type.as_str(), batch.usage()), ("chain", None));
    let shown = batch.metadata("ls_aggregated_usage").unwrap();
    assert_eq!(shown["input_tokens"], json!(on_batch.usage.input_tokens));
    let requests: Vec<_> = many.iter().filter(|run| run.name.starts_with("r-")).collect();
    assert!(requests.iter().all(|run| run.parent_run_id.as_ref() == Some(&batch.id) && run.run_type == "llm"));
    assert_eq!(requests.iter().filter(|run| run.error.is_some()).count(), 4);
    let failed = find(&many, "r-17");
    assert_eq!(failed.error.as_deref(), Some("errored: the prompt is too long"));
    assert_eq!(failed.inputs.as_ref().unwrap()["messages"][0]["content"], json!("17?"));
    assert_eq!(find(&many, "r-33").error.as_deref(), Some("expired"));
}

#[test]
fn one_client_serves_many_batches_at_once() {
    let langsmith = LocalLangSmith::start().unwrap();
    let summaries = run(
        |api| App::start(&langsmith.endpoint(), api, CountedOn::ThisRun),
        |jobs| async move {
            let mut tasks = tokio::task::JoinSet::new();
            for count in 1..=8 {
                let jobs = jobs.clone();
                tasks.spawn(async move { jobs.run(requests(count)).await.unwrap().0 });
            }
            tasks.join_all().await
        },
    );
    assert_eq!(langsmith.violations(), Vec::<String>::new());
    let runs = langsmith.runs();
    assert_eq!(runs.len(), 8);
    for summary in summaries {
        let own: Vec<_> =
            runs.iter().filter(|run| run.metadata("batch_id") == Some(&json!(summary.batch_id))).collect();
        assert_eq!(own.len(), 1);
        assert_eq!(own[0].metadata("request_count"), Some(&json!(summary.requests)));
        assert_eq!(own[0].usage().unwrap()["total_tokens"], json!(summary.usage.total_tokens));
    }
}

#[test]
fn a_batch_does_not_mind_that_langsmith_is_away() {
    // Nobody listens there.
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for counted in [CountedOn::ThisRun, CountedOn::Children] {
        let endpoint = format!("http://{nowhere}");
        let (summary, answers) = run(
            |api| App::start(&endpoint, api, counted),
            |jobs| async move { jobs.run(requests(100)).await.unwrap() },
        );
        assert_eq!((summary.successful, answers.len()), (96, 100));
    }
}

#[test]
fn a_batch_that_is_refused_is_a_failed_run() {
    let langsmith = LocalLangSmith::start().unwrap();
    let result: Fallible<_> = run(
        |api| App::start(&langsmith.endpoint(), api, CountedOn::ThisRun),
        |jobs| async move { jobs.run(vec![]).await },
    );
    assert!(result.is_err());
    let run = langsmith.run("batch_structured_output").unwrap();
    let error = run.error.unwrap();
    assert!(error.contains("400") && error.contains("invalid_request_error"), "{error}");
}

#[test]
fn a_batch_that_nobody_waits_for_is_interrupted() {
    let langsmith = LocalLangSmith::start().unwrap();
    run(
        |api| App::start(&langsmith.endpoint(), api, CountedOn::ThisRun),
        |mut jobs| async move {
            jobs.poll_every = Duration::from_secs(60);
            let _ = tokio::time::timeout(Duration::from_millis(50), jobs.run(requests(3))).await;
        },
    );
    let run = langsmith.run("batch_structured_output").unwrap();
    assert_eq!(run.metadata("ls_is_error_interrupt"), Some(&json!(true)));
}

#[test]
fn parts_that_tasks_counted_add_up() {
    let mut whole = BatchSummary::new("b", 10);
    let mut part = BatchSummary::default();
    part.add_success(&UsageMetadata::new(5, 1));
    part.add_failure();
    whole += part.clone();
    whole += part;
    assert_eq!((whole.requests, whole.successful, whole.failed), (10, 2, 2));
    assert_eq!((whole.batch_id.as_deref(), whole.usage.total_tokens), (Some("b"), 12));
}

#[test]
fn a_run_by_hand_says_the_same() {
    let mut summary = BatchSummary::new("b", 1);
    summary.add_success(&UsageMetadata::new(5, 1).with_costs(0.5, 0.25));
    let build = |counted| summary.describe(Run::builder("batch", RunType::Llm), counted).build().unwrap();
    let counted = build(CountedOn::ThisRun);
    assert_eq!((counted.metadata("batch_id"), counted.metadata("request_count")), (Some("\"b\""), Some("1")));
    assert!(counted.metadata("usage_metadata").unwrap().contains("\"total_cost\":0.75"));
    let shown = build(CountedOn::Children);
    assert_eq!(shown.metadata("usage_metadata"), None);
    assert!(shown.metadata("ls_aggregated_usage").unwrap().contains("\"total_tokens\":6"));
    // On spans that are not recorded nothing happens.
    summary.record_on(&tracing::Span::none(), CountedOn::ThisRun);
    tracing::Span::none().record_aggregated_usage(&summary.usage);
}

//! Anthropic Message Batches with their costs in LangSmith: tokens, failures and the batch id stand on the batch's run.
//!
//! ```text
//! cargo run --example anthropic_batch                    # two batches at once, 50 requests each
//! cargo run --example anthropic_batch -- --children      # a run for each request, which then has the costs
//! ANTHROPIC_API_KEY=… cargo run --example anthropic_batch -- --requests 4     # for real; takes minutes
//! ```
//! Without `ANTHROPIC_API_KEY` a Message Batches API on loopback answers, and without `LANGSMITH_API_KEY` a receiver on
//! loopback takes the runs and checks them.

mod batches;
mod job;
mod server;

use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use lexopt::prelude::*;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_langsmith::testing::LocalLangSmith;
use opentelemetry_langsmith::{BatchSummary, Config, ConfigError, CountedOn, LangSmithSpanProcessor};
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde_json::{json, Value};
use tracing_subscriber::prelude::*;

use batches::{Batches, Fallible};
use job::Jobs;

const PROJECT: &str = "anthropic-batch";

struct Options {
    requests: usize,
    children: bool,
}

fn options() -> Result<Options, lexopt::Error> {
    let mut options = Options { requests: 50, children: false };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("requests") => options.requests = arguments.value()?.parse()?,
            Long("children") => options.children = true,
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(options)
}

#[tokio::main]
async fn main() -> Fallible<ExitCode> {
    let options = match options() {
        Ok(options) => options,
        Err(fault) => {
            eprintln!("{fault}\nusage: anthropic_batch [--requests N] [--children]");
            return Ok(ExitCode::from(2));
        }
    };
    let (langsmith, receiver) = connect()?;
    let handle = langsmith.handle();
    let provider = SdkTracerProvider::builder().with_span_processor(langsmith).build();
    tracing_subscriber::registry()
        .with(tracing_opentelemetry::layer().with_tracer(provider.tracer("anthropic_batch")))
        .init();

    let (batches, poll_every) = match std::env::var("ANTHROPIC_API_KEY").ok().filter(|key| !key.is_empty()) {
        Some(key) => (Batches::new("https://api.anthropic.com", key), Duration::from_secs(10)),
        None => (Batches::new(server::start().await?, "any"), Duration::from_millis(60)),
    };
    let counted = if options.children { CountedOn::Children } else { CountedOn::ThisRun };
    let jobs = Jobs { batches, handle: handle.clone(), poll_every, counted, progress: show_progress };
    let result = lit_review("Climate Change", &jobs, options.requests).await;
    bar().finish_and_clear();

    // It blocks; other tasks have nothing to do any more.
    let delivered = provider.shutdown();
    for summary in result? {
        print_summary(&summary);
    }
    let stats = handle.client().stats();
    let Some(receiver) = receiver else {
        println!("{} of {} runs sent to project {PROJECT}", stats.sent, stats.submitted);
        delivered?;
        return Ok(ExitCode::SUCCESS);
    };
    println!();
    for line in receiver.tree().lines().take(14) {
        println!("{line}");
    }
    println!("costs as LangSmith adds them up: ${:.6}", total_cost(&receiver));
    let violations = receiver.violations();
    for violation in &violations {
        println!("violation: {violation}");
    }
    println!("{} runs delivered, {} violations", receiver.received(), violations.len());
    delivered?;
    Ok(if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A workflow with two batches at the same time, by one client.
#[tracing::instrument(skip(jobs), err)]
async fn lit_review(topic: &str, jobs: &Jobs, requests: usize) -> Fallible<Vec<BatchSummary>> {
    let (relevance, quality) = tokio::join!(
        jobs.run(score_requests("relevance", topic, requests)),
        jobs.run(score_requests("quality", topic, requests)),
    );
    let ((relevance, answers), (quality, _)) = (relevance?, quality?);
    let unanswered: Vec<_> = answers.iter().filter(|(_, answer)| answer.is_none()).map(|(id, _)| id).collect();
    tracing::info!(?unanswered, "papers to look at by hand");
    Ok(vec![relevance, quality])
}

fn score_requests(what: &str, topic: &str, requests: usize) -> Vec<Value> {
    let request = |number: usize| {
        json!({
            "custom_id": format!("{what}-{number}"),
            "params": {
                "model": job::MODEL,
                "max_tokens": 16,
                "system": [{
                    "type": "text",
                    "text": format!("Score the {what} of a paper for a review of {topic}: 0 to 10, the number only."),
                    "cache_control": {"type": "ephemeral"},
                }],
                "messages": [{"role": "user", "content": format!("Paper number {number}: …")}],
            },
        })
    };
    (0..requests).map(request).collect()
}

/// One bar for all batches, on a terminal; nothing where there is none.
fn bar() -> &'static ProgressBar {
    static BAR: OnceLock<ProgressBar> = OnceLock::new();
    BAR.get_or_init(|| {
        let style =
            ProgressStyle::with_template("{elapsed_precise} {wide_bar} {pos}/{len} requests of the slowest batch");
        ProgressBar::new(1).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
    })
}

fn show_progress(done: u64, all: u64) {
    bar().set_length(all);
    bar().set_position(done);
}

fn print_summary(summary: &BatchSummary) {
    let usage = &summary.usage;
    let part = |name: &str| usage.input_token_details.get(name).copied().unwrap_or(0);
    println!("{}", summary.batch_id.as_deref().unwrap_or("batch"));
    println!("  requests: {}, successful: {}, failed: {}", summary.requests, summary.successful, summary.failed);
    println!(
        "  tokens: {} in ({} read from the cache, {} written to it), {} out, {} in total",
        usage.input_tokens,
        part("cache_read"),
        part("cache_creation"),
        usage.output_tokens,
        usage.total_tokens,
    );
    println!("  cost: ${:.6}", usage.total_cost.unwrap_or(0.0));
}

/// LangSmith's sum for a trace: the costs of all runs in it.
fn total_cost(receiver: &LocalLangSmith) -> f64 {
    receiver.runs().iter().filter_map(|run| run.metadata("usage_metadata")?["total_cost"].as_f64()).sum()
}

/// To LangSmith if there is a key, else to a receiver in this process.
fn connect() -> Fallible<(LangSmithSpanProcessor, Option<LocalLangSmith>)> {
    let config = Config::from_env()?.with_project(PROJECT);
    match LangSmithSpanProcessor::new(config.clone()) {
        Err(ConfigError::MissingApiKey) => {
            let receiver = LocalLangSmith::start()?;
            let config = config.with_endpoint(receiver.endpoint()).with_api_key("any");
            Ok((LangSmithSpanProcessor::new(config)?, Some(receiver)))
        }
        langsmith => Ok((langsmith?, None)),
    }
}

//! Runs without spans: a parent and a child are created, and later completed with outputs and an end.
//!
//! ```text
//! cargo run --example manual_runs
//! ```
//! Without `LANGSMITH_API_KEY` it starts a LangSmith of its own on loopback, sends there and shows what arrived.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use opentelemetry_langsmith::testing::LocalLangSmith;
use opentelemetry_langsmith::{Client, Config, ConfigError, Run, RunType, UsageMetadata};
use serde_json::json;

const PROJECT: &str = "manual-runs";
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let (client, receiver) = connect()?;

    // A run has its id, its trace and its place under its parent from the moment it is built.
    let parent = Run::builder("Parent Run", RunType::Chain)
        .inputs(&json!({"main_question": "Tell me about France"}))
        .tag("by hand")
        .build()?;
    let child = Run::builder("Child Run", RunType::Llm)
        .child_of(&parent)
        .inputs(&json!({"messages": [{"role": "user", "content": "What is the capital of France?"}]}))
        .metadata("ls_provider", "openai")
        .metadata("ls_model_name", "gpt-4o-mini")
        .build()?;
    client.submit(parent.clone())?;
    client.submit(child.clone())?;
    // Runs that have not ended show as running. A program that goes on does not wait here: left to itself the client
    // sends what it has twice a second, and where an update meets its run before that, both go as one.
    client.flush(PATIENCE)?;
    if let Some(receiver) = &receiver {
        println!("created:\n{}", receiver.tree());
    }

    // The model answers.
    std::thread::sleep(Duration::from_millis(30));
    let answer = json!({"messages": [{"role": "assistant", "content": "Paris is the capital of France."}]});
    client.update(child.edit().outputs(&answer).usage(&UsageMetadata::new(14, 7)).end_now().build()?)?;
    let summary = json!({"summary": "France, and what its capital is."});
    client.update(parent.edit().outputs(&summary).end_now().build()?)?;

    let delivered = client.shutdown(PATIENCE);
    let stats = client.stats();
    let Some(receiver) = receiver else {
        println!("{} parts of 2 runs sent to project {PROJECT}", stats.sent);
        delivered?;
        return Ok(ExitCode::SUCCESS);
    };
    println!("completed:\n{}", receiver.tree());
    for run in receiver.runs() {
        println!(
            "{}: {} post, {} patch; outputs {}",
            run.name,
            run.posts,
            run.patches,
            run.outputs.unwrap_or_default()
        );
    }
    let violations = receiver.violations();
    println!("{} runs delivered in {} parts, {} violations", receiver.received(), stats.sent, violations.len());
    delivered?;
    Ok(if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// To LangSmith if there is a key, else to a receiver in this process.
fn connect() -> Result<(Client, Option<LocalLangSmith>), Box<dyn Error>> {
    let config = Config::from_env()?.with_project(PROJECT);
    match Client::new(config.clone()) {
        Err(ConfigError::MissingApiKey) => {
            let receiver = LocalLangSmith::start()?;
            let client = Client::new(config.with_endpoint(receiver.endpoint()).with_api_key("any"))?;
            Ok((client, Some(receiver)))
        }
        client => Ok((client?, None)),
    }
}

//! A small agent that answers from documents and tools, traced to LangSmith.
//!
//! ```text
//! cargo run --example quickstart
//! ```
//! The model, the documents and the tools are made up, so no account is needed. Without `LANGSMITH_API_KEY` it starts
//! a LangSmith of its own on loopback, sends there and shows what arrived; with it, it sends to LangSmith.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_langsmith::testing::LocalLangSmith;
use opentelemetry_langsmith::{Client, Config, ConfigError, LangSmithSpanProcessor, RunType, SpanExt, UsageMetadata};
use opentelemetry_sdk::trace::SdkTracerProvider;
use opentelemetry_sdk::Resource;
use serde_json::{json, Value};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing::level_filters::LevelFilter;
use tracing::{field, Instrument, Span};
use tracing_subscriber::prelude::*;

const PROJECT: &str = "quickstart";

type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Fallible<ExitCode> {
    // In a program of your own this is one line: `let langsmith = LangSmithSpanProcessor::from_env()?;`
    let (langsmith, receiver) = connect()?;
    let client = langsmith.handle().client();

    let provider = SdkTracerProvider::builder()
        .with_resource(Resource::builder().with_service_name("quickstart").build())
        .with_span_processor(langsmith)
        .build();
    tracing_subscriber::registry()
        .with(tracing_opentelemetry::layer().with_tracer(provider.tracer("quickstart")))
        // Warnings on stderr. If something keeps runs from LangSmith, it is said here.
        .with(
            tracing_subscriber::fmt::layer()
                .with_writer(std::io::stderr)
                .with_ansi(false)
                .with_filter(LevelFilter::WARN),
        )
        .init();

    let question = "Where is my parcel 4711, and do I need an umbrella to fetch it?";
    println!("> {question}");
    println!("{}\n", answer_question(question).await?);

    // Sends what is still on its way, for 5 seconds at the most, and tells if something was lost. To drop the provider
    // would not do: the subscriber holds a tracer, and so the provider, to the end of the process. The call blocks this
    // thread, but needs nothing of this runtime; where other tasks have to go on meanwhile, `spawn_blocking` it.
    let shutdown = provider.shutdown();

    let whole = report(&client, receiver.as_ref());
    shutdown?;
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Says what arrived; whether that is all, and as it should be.
fn report(client: &Client, receiver: Option<&LocalLangSmith>) -> bool {
    let stats = client.stats();
    let whole = stats.submitted > 0 && stats.sent == stats.submitted;
    let Some(receiver) = receiver else {
        println!("{} runs: {} sent, {} dropped", stats.submitted, stats.sent, stats.dropped_total());
        println!("{} runs delivered to {PROJECT}", stats.sent);
        return whole;
    };
    print!("{}", receiver.tree());
    let violations = receiver.violations();
    for violation in &violations {
        println!("violation: {violation}");
    }
    println!("{} runs delivered, {} violations", receiver.received(), violations.len());
    whole && receiver.received() == stats.sent && violations.is_empty()
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

/// The agent, and so the root of the trace. Its argument becomes the run's input; `ret` makes what it returns the output.
#[tracing::instrument(ret, err)]
async fn answer_question(question: &str) -> Fallible<String> {
    Span::current().add_tags(["demo"]);
    let documents = search_documents(question).await;
    let calls = choose_tools(question, &documents).await;

    // A spawned task does not know the span that it was spawned in, unless it is told.
    let tasks: Vec<_> = calls.into_iter().map(|call| tokio::spawn(call_tool(call).in_current_span())).collect();
    let mut findings = documents;
    for task in tasks {
        // The answer has to do without a tool that failed.
        findings.extend(task.await?.ok());
    }
    Ok(write_answer(question, &findings).await)
}

/// A search. `skip_all` keeps the arguments out of the run; what LangSmith shows as documents is recorded instead.
#[tracing::instrument(skip_all)]
async fn search_documents(question: &str) -> Vec<String> {
    let span = Span::current();
    span.set_run_type(RunType::Retriever);
    span.record_inputs(&json!({"query": question}));

    let _vector = embed(question).await;
    sleep(Duration::from_millis(8)).await;
    let documents = vec!["Parcels wait at the counter for seven days.".to_owned()];

    let shown: Vec<_> = documents.iter().map(|text| json!({"page_content": text, "type": "Document"})).collect();
    span.record_outputs(&json!({"documents": shown}));
    documents
}

/// OpenTelemetry's attributes for generative AI are understood; as fields they need nothing of this crate.
#[tracing::instrument(skip_all, fields(
    gen_ai.operation.name = "embeddings",
    gen_ai.provider.name = "openai",
    gen_ai.request.model = "text-embedding-3-small",
    gen_ai.usage.input_tokens = 14_u64,
))]
async fn embed(text: &str) -> Vec<f32> {
    sleep(Duration::from_millis(4)).await;
    text.bytes().map(f32::from).take(4).collect()
}

/// A model chooses tools. A field that is known later is declared empty, and recorded when it comes.
#[tracing::instrument(skip_all, fields(
    gen_ai.operation.name = "chat",
    gen_ai.provider.name = "openai",
    gen_ai.request.model = "gpt-4o-mini",
    gen_ai.request.temperature = 0.0,
    gen_ai.input.messages = field::Empty,
    gen_ai.output.messages = field::Empty,
    gen_ai.usage.input_tokens = field::Empty,
    gen_ai.usage.output_tokens = field::Empty,
))]
async fn choose_tools(question: &str, documents: &[String]) -> Vec<ToolCall> {
    let span = Span::current();
    let message = |role: &str, text: &str| json!({"role": role, "parts": [{"type": "text", "content": text}]});
    let input = json!([message("system", &documents.join("\n")), message("user", question)]);
    span.record("gen_ai.input.messages", input.to_string());

    sleep(Duration::from_millis(21)).await;
    let calls = vec![
        ToolCall { id: "call_1", name: "track_parcel", arguments: json!({"parcel": 4711}) },
        ToolCall { id: "call_2", name: "forecast", arguments: json!({"city": "Utrecht"}) },
    ];

    let parts = calls.iter().map(
        |ToolCall { id, name, arguments }| json!({"type": "tool_call", "id": id, "name": name, "arguments": arguments}),
    );
    let output = json!([{"role": "assistant", "parts": parts.collect::<Vec<_>>(), "finish_reason": "tool_call"}]);
    span.record("gen_ai.output.messages", output.to_string());
    span.record("gen_ai.usage.input_tokens", 212_u64);
    span.record("gen_ai.usage.output_tokens", 38_u64);
    calls
}

struct ToolCall {
    id: &'static str,
    name: &'static str,
    arguments: Value,
}

/// A tool call; the run takes the tool's name.
#[tracing::instrument(skip_all, fields(
    gen_ai.operation.name = "execute_tool",
    gen_ai.tool.name = call.name,
    gen_ai.tool.call.id = call.id,
    gen_ai.tool.call.arguments = %call.arguments,
))]
async fn call_tool(call: ToolCall) -> Result<String, ToolError> {
    let result = match call.name {
        "track_parcel" => track_parcel().await,
        _ => forecast().await,
    };
    match &result {
        Ok(result) => Span::current().record_outputs(result),
        // The run fails with this error and all its sources. `#[instrument(err)]` would tell the error alone.
        Err(error) => tracing::error!(error = error as &dyn Error, "the tool failed"),
    }
    result
}

async fn track_parcel() -> Result<String, ToolError> {
    sleep(Duration::from_millis(11)).await;
    Ok("Parcel 4711 is at the counter in Utrecht.".to_owned())
}

async fn forecast() -> Result<String, ToolError> {
    sleep(Duration::from_millis(15)).await;
    let source = std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer from weather.example within 15 ms");
    Err(ToolError { tool: "forecast", source })
}

#[derive(Debug, thiserror::Error)]
#[error("{tool} is not available")]
struct ToolError {
    tool: &'static str,
    source: std::io::Error,
}

/// A streamed answer. What `SpanExt` records needs no declared fields.
#[tracing::instrument(skip_all, fields(gen_ai.provider.name = "openai", gen_ai.request.model = "gpt-4o-mini"))]
async fn write_answer(question: &str, findings: &[String]) -> String {
    let span = Span::current();
    span.set_run_type(RunType::Llm);
    span.record_inputs(&json!({"messages": [
        {"role": "system", "content": findings.join("\n")},
        {"role": "user", "content": question},
    ]}));

    let mut tokens = stream_tokens();
    let mut answer = String::new();
    while let Some(token) = tokens.recv().await {
        if answer.is_empty() {
            span.record_first_token();
        }
        answer.push_str(token);
    }

    span.record_outputs(&json!({"messages": [{"role": "assistant", "content": answer}]}));
    span.record_usage(&UsageMetadata::new(268, 17).with_input_detail("cache_read", 128));
    answer
}

/// Stands for a model that answers bit by bit.
fn stream_tokens() -> mpsc::Receiver<&'static str> {
    let (tokens, answer) = mpsc::channel(8);
    tokio::spawn(async move {
        for token in
            ["It waits", " at the counter", " in Utrecht.", " I could not see the weather;", " take an umbrella."]
        {
            sleep(Duration::from_millis(6)).await;
            if tokens.send(token).await.is_err() {
                return;
            }
        }
    });
    answer
}

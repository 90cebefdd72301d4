//! The work: a batch of requests, traced as one run.

use std::collections::HashMap;
use std::time::Duration;

use chrono::Utc;
use opentelemetry::trace::TraceContextExt;
use opentelemetry_langsmith::{
    llm_span, BatchSummary, CountedOn, Handle, InterruptExt, Run, RunType, SpanExt, UsageMetadata,
};
use serde_json::{json, Value};
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::batches::{Batch, Batches, Fallible};

/// US dollars for a million tokens of the model below, in a batch: half of what single requests cost.
const PRICES: Prices = Prices { input: 0.50, cache_read: 0.05, cache_write: 0.625, output: 2.50 };
pub(crate) const MODEL: &str = "claude-haiku-4-5";

struct Prices {
    input: f64,
    cache_read: f64,
    cache_write: f64,
    output: f64,
}

/// What a batch needs, shared by all of them.
#[derive(Clone)]
pub(crate) struct Jobs {
    pub(crate) batches: Batches,
    pub(crate) handle: Handle,
    pub(crate) poll_every: Duration,
    pub(crate) counted: CountedOn,
    /// Told of each poll: requests done, and all.
    pub(crate) progress: fn(u64, u64),
}

impl Jobs {
    /// Runs a batch. Gives the answers by `custom_id`, those that failed without.
    pub(crate) async fn run(&self, requests: Vec<Value>) -> Fallible<(BatchSummary, HashMap<String, Option<Value>>)> {
        let span = llm_span!("batch_structured_output", model = MODEL, provider = "anthropic");
        if self.counted == CountedOn::Children {
            span.set_run_type(RunType::Chain);
        }
        // A batch that nobody waits for any more is shown as interrupted.
        self.run_in_span(requests).or_interrupted().instrument(span).await
    }

    async fn run_in_span(&self, requests: Vec<Value>) -> Fallible<(BatchSummary, HashMap<String, Option<Value>>)> {
        let span = Span::current();
        span.record_inputs(&json!({"requests": requests.len(), "first": requests.first()}));
        let all = requests.len() as u64;

        let batch = self.finished(&requests).await.inspect_err(|error| span.record_error_chain(&**error))?;
        let mut summary = BatchSummary::new(&batch.id, all);
        let mut answers = HashMap::new();
        let prompts: HashMap<_, _> = requests.iter().map(|request| (request["custom_id"].as_str(), request)).collect();
        let results = self.batches.results(&batch, |line| {
            let usage = summary.add_anthropic(line).map(price);
            let id = line["custom_id"].as_str();
            if self.counted == CountedOn::Children {
                self.submit_child(&span, &batch, line, prompts.get(&id).copied(), usage);
            }
            let message = line["result"].get("message").cloned();
            answers.insert(id.unwrap_or_default().to_owned(), message);
        });
        results.await.inspect_err(|error| span.record_error_chain(&**error))?;

        summary.usage = price(summary.usage);
        // None of this can fail, or fail the batch: what cannot be recorded or sent is counted by the client.
        summary.record_on(&span, self.counted);
        span.record_outputs(&json!({"successful": summary.successful, "failed": summary.failed}));
        Ok((summary, answers))
    }

    /// Hands the requests in, and waits for the end.
    async fn finished(&self, requests: &[Value]) -> Fallible<Batch> {
        let mut batch = self.batches.create(requests).await?;
        tracing::info!(batch = batch.id, requests = requests.len(), "batch created");
        let all = requests.len() as u64;
        while !batch.has_ended() {
            (self.progress)(all.saturating_sub(batch.request_counts.processing), all);
            tokio::time::sleep(self.poll_every).await;
            batch = self.batches.get(&batch.id).await?;
        }
        (self.progress)(all, all);
        Ok(batch)
    }

    /// A run for one request, below the batch's. Nobody saw it happen, so it has the times of the batch.
    fn submit_child(
        &self,
        span: &Span,
        batch: &Batch,
        line: &Value,
        request: Option<&Value>,
        usage: Option<UsageMetadata>,
    ) {
        // `None` where the trace is not sampled, or tracing is switched off.
        let Some(above) = self.handle.run_ref(span.context().span().span_context()) else { return };
        let result = &line["result"];
        let name = line["custom_id"].as_str().unwrap_or("request").to_owned();
        let mut run = Run::builder(name, RunType::Llm)
            .child_of_order(&above.dotted_order)
            .start_time(batch.created().unwrap_or_else(Utc::now))
            .end_time(batch.ended().unwrap_or_else(Utc::now))
            .metadata("ls_provider", "anthropic")
            .metadata("ls_model_name", MODEL);
        if let Some(request) = request {
            run = run.inputs(&json!({"messages": request["params"]["messages"]}));
        }
        run = match usage {
            Some(usage) => {
                let message = json!({"role": "assistant", "content": result["message"]["content"]});
                run.usage(&usage).outputs(&json!({"messages": [message]}))
            }
            None => run.error(match result["error"]["error"]["message"].as_str() {
                Some(reason) => format!("{}: {reason}", result["type"].as_str().unwrap_or("errored")),
                None => result["type"].as_str().unwrap_or("errored").to_owned(),
            }),
        };
        if let Ok(run) = run.build() {
            let _ = self.handle.client().submit(run);
        }
    }
}

/// LangSmith's own price is that of single requests.
#[allow(clippy::cast_precision_loss)]
fn price(usage: UsageMetadata) -> UsageMetadata {
    let part = |name: &str| usage.input_token_details.get(name).copied().unwrap_or(0);
    let (read, written) = (part("cache_read"), part("cache_creation"));
    let plain = usage.input_tokens.saturating_sub(read + written);
    let dollars = |tokens: u64, price: f64| tokens as f64 * price / 1e6;
    let input = dollars(plain, PRICES.input) + dollars(read, PRICES.cache_read) + dollars(written, PRICES.cache_write);
    let output = dollars(usage.output_tokens, PRICES.output);
    usage.with_costs(input, output)
}

//! Whether a span counts tokens, told from its attributes alone.

use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::trace::SpanData;

/// How names of attributes begin that hold counts.
const COUNTS: [&str; 7] = [
    "gen_ai.usage.",
    "llm.token_count.",
    "llm.usage.",
    "ai.usage.",
    "langsmith.usage_metadata",
    "langfuse.observation.usage_details",
    "mlflow.chat.tokenUsage",
];

/// Whether a span will be a run whose counts LangSmith adds up, as far as can be told before it is
/// converted: where spans have waited for their parents, those are converted first.
pub(crate) fn is_counted(span: &SpanData) -> bool {
    let mut has_counts = false;
    for KeyValue { key, value, .. } in &span.attributes {
        let name = key.as_str();
        if matches!(name.as_bytes().first(), Some(b'g' | b'l' | b'a' | b'm' | b'o' | b't')) {
            has_counts |= COUNTS.iter().any(|count| name.starts_with(count));
            if is_sum(name, value) {
                return false;
            }
        }
    }
    has_counts
}

/// Whether an attribute says that the span is no call of a model, but the sum of several.
fn is_sum(name: &str, value: &Value) -> bool {
    let Value::String(word) = value else { return false };
    let word = word.as_str();
    match name {
        "gen_ai.operation.name" => matches!(word, "invoke_agent" | "create_agent" | "invoke_workflow" | "plan"),
        "openinference.span.kind" => {
            ["AGENT", "CHAIN", "GUARDRAIL", "EVALUATOR"].iter().any(|kind| word.eq_ignore_ascii_case(kind))
        }
        "traceloop.span.kind" => matches!(word, "agent" | "workflow" | "task"),
        // Vercel's AI SDK: what it does itself has the counts once more.
        "ai.operationId" => !word.contains(".do"),
        _ => false,
    }
}

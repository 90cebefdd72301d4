//! What tells a span of generative AI from all others.

use opentelemetry_sdk::trace::SpanData;

/// How the attributes of its conventions begin. Those that other spans have too, such as `session.id`
/// or `agent.name`, are not among them.
const PREFIXES: [&str; 22] = [
    "ai.",
    "db.vector.",
    "embedding.",
    "gcp.vertex.agent.",
    "gen_ai.",
    "genkit:",
    "input.value",
    "langfuse.",
    "langsmith.",
    "lk.",
    "llm.",
    "ls_",
    "mcp.",
    "mlflow.",
    "openinference.",
    "output.value",
    "pydantic_ai.",
    "reranker.",
    "retrieval.",
    "rig.",
    "tool.",
    "traceloop.",
];

/// Crates that do nothing else.
const CRATES: [&str; 2] = ["rig", "rig_core"];

pub(super) fn is_gen_ai(span: &SpanData) -> bool {
    if span.attributes.iter().any(|attribute| is_of_convention(attribute.key.as_str())) {
        return true;
    }
    let origin = super::origin(span);
    CRATES.iter().any(|name| super::is_of_crate(origin, name))
}

/// Whether an attribute is named as those of its conventions are.
pub(crate) fn is_of_convention(name: &str) -> bool {
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

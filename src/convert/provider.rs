//! Providers by the names that LangSmith prices models under.

use std::borrow::Cow;

/// LangSmith's name for a provider that instrumentations call otherwise.
pub(super) fn name(raw: &str) -> Cow<'_, str> {
    let raw = raw.trim();
    let known = match raw.to_ascii_lowercase().as_str() {
        "azure.ai.openai" | "azure.ai.inference" | "az.ai.openai" | "az.ai.inference" => "azure",
        "gcp.gemini" | "gcp.gen_ai" | "gemini" => "google_genai",
        "gcp.vertex_ai" | "vertex_ai" => "google_vertexai",
        "mistral_ai" | "mistralai" => "mistral",
        "x_ai" => "xai",
        "aws.bedrock" => "amazon_bedrock",
        lower if lower != raw => return Cow::Owned(lower.to_owned()),
        _ => return Cow::Borrowed(raw),
    };
    Cow::Borrowed(known)
}

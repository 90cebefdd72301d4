//! Providers by the names that LangSmith prices models under.

use super::Draft;
use crate::json::{name, Name};
use std::borrow::Cow;

/// Frameworks that give their own name where the provider's should stand.
const FRAMEWORKS: [&str; 2] = ["langchain", "strands-agents"];

const NAME: Name<'_> = name!("ls_provider");

/// Whether it is one of LangSmith's own names.
fn is_own(raw: &str) -> bool {
    matches!(
        raw,
        "openai" | "anthropic" | "azure" | "google_genai" | "google_vertexai" | "mistral" | "xai" | "amazon_bedrock"
    )
}

/// Notes who has the model, if nobody has yet.
pub(super) fn set(draft: &mut Draft<'_>, raw: &str) -> bool {
    let metadata = &mut draft.extra.metadata;
    if is_own(raw) && draft.options.provider_aliases.is_empty() {
        return metadata.insert_str(NAME, raw);
    }
    let provider = draft.options.provider(raw);
    let is_other = provider.is_empty() || FRAMEWORKS.contains(&&*provider) || provider == raw && is_address(raw);
    if is_other || !metadata.insert_str(NAME, &provider) {
        return false;
    }
    if provider != raw {
        metadata.insert_str("gen_ai_provider_name", raw);
    }
    true
}

/// LangSmith's name for a provider that instrumentations call otherwise.
pub(super) fn name(raw: &str) -> Cow<'_, str> {
    let raw = without_kind(raw.trim());
    // `api.openai.com`, where instrumentations have nothing but the address.
    let raw = raw.strip_prefix("api.").and_then(|host| host.split_once('.')).map_or(raw, |(name, _)| name);
    let lower = if raw.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(raw.to_ascii_lowercase())
    } else {
        Cow::Borrowed(raw)
    };
    let known = match &*lower {
        "azure.ai.openai" | "azure.ai.inference" | "az.ai.openai" | "az.ai.inference" | "azure-openai" => "azure",
        "gcp.gemini" | "gcp.gen_ai" | "gemini" | "google" | "googleai" => "google_genai",
        "gcp.vertex_ai" | "vertex_ai" | "vertexai" | "google.vertex" | "gcp.vertex.agent" => "google_vertexai",
        "mistral_ai" | "mistralai" => "mistral",
        "x_ai" | "x" => "xai",
        "aws.bedrock" | "amazon-bedrock" | "aws" | "amazon" => "amazon_bedrock",
        _ => return lower,
    };
    Cow::Borrowed(known)
}

/// Whether it says where the model is, and not whose it is.
fn is_address(raw: &str) -> bool {
    let has_port = |(_, port): (&str, &str)| port.parse::<u16>().is_ok();
    raw == "localhost"
        || raw.contains(['.', ':'])
            && (raw.parse::<std::net::IpAddr>().is_ok() || raw.rsplit_once(':').is_some_and(has_port))
}

/// Vercel's AI SDK names the kind of model too: `openai.chat`, `anthropic.messages`.
pub(super) fn without_kind(raw: &str) -> &str {
    const KINDS: [&str; 9] = [
        ".chat",
        ".completion",
        ".embedding",
        ".generative-ai",
        ".image",
        ".messages",
        ".responses",
        ".speech",
        ".transcription",
    ];
    if !raw.contains('.') {
        return raw;
    }
    KINDS.iter().find_map(|kind| raw.strip_suffix(kind)).filter(|name| !name.is_empty()).unwrap_or(raw)
}

#[cfg(test)]
mod tests {
    use super::{is_address, is_own, name};

    #[test]
    fn providers_by_every_name() {
        for (raw, known) in [
            ("openai", "openai"),
            ("OpenAI", "openai"),
            ("openai.chat", "openai"),
            ("openai.responses", "openai"),
            ("anthropic.messages", "anthropic"),
            ("google.generative-ai", "google_genai"),
            ("google.vertex.chat", "google_vertexai"),
            ("amazon-bedrock", "amazon_bedrock"),
            ("azure-openai.chat", "azure"),
            ("googleai", "google_genai"),
            ("gcp.vertex.agent", "google_vertexai"),
            ("ibm.watsonx.ai", "ibm.watsonx.ai"),
            (".chat", ".chat"),
            ("api.openai.com", "openai"),
            ("api.mistral.ai", "mistral"),
            ("api.x.ai", "xai"),
        ] {
            assert_eq!(name(raw), known, "{raw}");
            // One that is not looked up would come out as it is.
            assert!(!is_own(raw) || name(raw) == raw, "{raw}");
        }
        for own in
            ["openai", "anthropic", "azure", "google_genai", "google_vertexai", "mistral", "xai", "amazon_bedrock"]
        {
            assert_eq!((is_own(own), &*name(own), is_address(own)), (true, own, false));
        }
    }

    #[test]
    fn tells_addresses_from_names() {
        for address in ["127.0.0.1:8080", "127.0.0.1", "::1", "localhost", "localhost:11434", "models.internal:443"] {
            assert!(is_address(address), "{address}");
        }
        for name in ["openai", "ibm.watsonx.ai", "bedrock:anthropic", ""] {
            assert!(!is_address(name), "{name}");
        }
    }
}

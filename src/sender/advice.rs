//! What a person is told about answers: what happened, and what to do about it.

use super::batch::Batch;
use super::multipart;
use crate::secret::Endpoint;

pub(super) fn refused(batch: &Batch, words: &str) -> String {
    let run = batch.raw().ok().and_then(|raw| {
        let parts = multipart::read(&raw)?;
        let main = parts.iter().find(|part| part.operation != multipart::FEEDBACK)?;
        let fields: serde_json::Value = serde_json::from_slice(&raw[main.content.clone()]).ok()?;
        Some(format!("{} ({})", main.id, fields.get("name")?))
    });
    let run = run.unwrap_or_else(|| "a run".into());
    format!("LangSmith refused run {run}: {words}; it is dropped, further ones are only counted")
}

pub(super) fn unauthorized(endpoint: &Endpoint, status: u16, words: &str) -> String {
    if words.contains("org_scoped_key_requires_workspace") {
        return format!(
            "{endpoint} answered {status}: the key belongs to an organisation; set LANGSMITH_WORKSPACE_ID or call \
             Config::with_workspace_id"
        );
    }
    format!(
        "{endpoint} answered {status} ({words}); check LANGSMITH_API_KEY, and LANGSMITH_ENDPOINT: a key works in its own region only \
         (api., eu.api., apac.api. or aws.api.smith.langchain.com)"
    )
}

/// A limit on what is bought, or what was set as a limit on that, and not on the speed.
pub(super) fn is_quota(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    ["usage limit", "quota", "monthly"].iter().any(|word| words.contains(word))
}

pub(super) fn rate_limited(endpoint: &Endpoint, quota: bool, words: &str) -> String {
    if quota {
        format!("{endpoint} answered {words}: the plan's quota or a usage limit is used up; see LangSmith's settings for usage and billing")
    } else {
        format!("{endpoint} has answered {words} for too long: more runs are sent than the plan's rate limit allows; send fewer, for instance by sampling")
    }
}

//! Which model was called, whose it is, and how it was asked to work.

use super::draft::{insert_any, insert_number};
use super::frame::is_empty;
use super::Draft;
use crate::json::{scan, write_attribute, Object};
use crate::run::Extra;
use opentelemetry::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The model that was asked for. Says whether the value needs no other place.
pub(super) fn set_model(draft: &mut Draft<'_>, value: &Value) -> bool {
    if is_empty(value) {
        return false;
    }
    let new = draft.extra.metadata.insert("ls_model_name", value);
    draft.extra.invocation_params.insert("model", value);
    new || is_same(&draft.extra.metadata, "ls_model_name", value)
}

/// The model that answered, which is the one that was asked for where no other is known.
pub(super) fn set_response_model(draft: &mut Draft<'_>, value: &Value) -> bool {
    if is_empty(value) {
        return false;
    }
    let metadata = &mut draft.extra.metadata;
    metadata.insert("ls_model_name", value);
    draft.extra.invocation_params.insert("model", value);
    metadata.insert("response_model", value) || is_same(metadata, "response_model", value)
}

fn is_same(object: &Object, name: &str, value: &Value) -> bool {
    let mut text = String::new();
    write_attribute(&mut text, value);
    object.get(name) == Some(&*text)
}

/// One parameter of the call, and its place among the metadata that LangSmith filters by.
pub(super) fn set_parameter(draft: &mut Draft<'_>, name: &str, value: &Value) -> bool {
    if is_empty(value) {
        return false;
    }
    let extra = &mut *draft.extra;
    let insert = |object: &mut Object, name: &str| match value {
        Value::String(text) if text.as_str().trim_start().starts_with(['[', '{']) => insert_any(object, name, value),
        _ => insert_number(object, name, value),
    };
    let new = insert(&mut extra.invocation_params, name);
    if let (true, Some(name)) = (new, filtered_by(name)) {
        insert(&mut extra.metadata, name);
    }
    new
}

/// All parameters of the call as one JSON object.
pub(super) fn set_parameters(draft: &mut Draft<'_>, value: &Value) -> bool {
    let Value::String(text) = value else { return false };
    let Some(json) = scan::object(text.as_str()) else { return false };
    let Ok(parameters) = serde_json::from_str::<BTreeMap<Cow<'_, str>, &RawValue>>(json) else { return false };
    let extra = &mut *draft.extra;
    // Langfuse writes infinity where there is no limit.
    let says_nothing = |value: &RawValue| matches!(value.get(), "null" | "\"Infinity\"");
    for (name, value) in parameters.iter().filter(|(_, value)| !says_nothing(value)) {
        insert_parameter(extra, name, value.get());
    }
    true
}

/// One parameter as JSON.
pub(super) fn insert_parameter(extra: &mut Extra, name: &str, json: &str) {
    extra.invocation_params.insert_raw(name, json);
    if let Some(name) = filtered_by(name) {
        extra.metadata.insert_raw(name, json);
    }
}

/// LangSmith filters and compares runs by these.
fn filtered_by(parameter: &str) -> Option<&'static str> {
    Some(match parameter {
        "temperature" => "ls_temperature",
        "max_tokens" | "max_completion_tokens" | "max_output_tokens" => "ls_max_tokens",
        "stop" | "stop_sequences" => "ls_stop",
        _ => return None,
    })
}

/// A prompt from a hub, `owner/name:commit`, by the names that LangSmith's SDKs give its parts; the
/// name of any other prompt.
pub(super) fn set_prompt_name(metadata: &mut Object, value: &Value) -> bool {
    let text = value.as_str();
    let parts = text.trim().split_once('/').and_then(|(owner, rest)| Some((owner, rest.split_once(':')?)));
    match parts {
        Some((owner, (name, commit))) if !text.trim().contains(char::is_whitespace) && !commit.contains(':') => {
            [("lc_hub_owner", owner), ("lc_hub_repo", name), ("lc_hub_commit_hash", commit)]
                .into_iter()
                .filter(|(_, part)| !part.is_empty())
                .fold(false, |new, (key, part)| metadata.insert_str(key, part) || new)
        }
        _ => !text.trim().is_empty() && metadata.insert("prompt_name", value),
    }
}

//! What the application set: parameters of the model, and telemetry metadata.

use super::super::draft::{insert_any, insert_number, NameSource};
use super::super::frame::{is_empty, View};
use super::super::Draft;
use super::{METADATA, SETTINGS};
use opentelemetry::Value;
use std::borrow::Cow;

/// `ai.settings.*`
pub(super) fn convert(view: &mut View<'_, '_>, draft: &mut Draft) {
    let extra = &mut *draft.extra;
    view.take_family(SETTINGS, |name, value| {
        if name.is_empty() || is_empty(value) {
            return false;
        }
        let (name, metadata) = match name {
            "maxOutputTokens" | "maxTokens" => (Cow::Borrowed("max_tokens"), "ls_max_tokens"),
            "temperature" => (Cow::Borrowed("temperature"), "ls_temperature"),
            "stopSequences" => (Cow::Borrowed("stop"), "ls_stop"),
            other => (snake_case(other), ""),
        };
        let insert = |object: &mut crate::json::Object, name: &str| match value {
            Value::String(_) | Value::Array(_) => insert_any(object, name, value),
            _ => insert_number(object, name, value),
        };
        if insert(&mut extra.invocation_params, &name) && !metadata.is_empty() {
            insert(&mut extra.metadata, metadata);
        }
        // The span of a model's call says it twice, here and as `gen_ai.request.*`.
        true
    });
}

/// `maxRetries` as `max_retries`
fn snake_case(name: &str) -> Cow<'_, str> {
    let mut snake = String::with_capacity(name.len() + 4);
    for character in name.chars() {
        if character.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(character.to_ascii_lowercase());
    }
    Cow::Owned(snake)
}

/// `ai.telemetry.metadata.*`
pub(super) fn telemetry(view: &mut View<'_, '_>, draft: &mut Draft) {
    view.take_family(METADATA, |name, value| {
        match name {
            "" => return false,
            "ls_run_name" => {
                draft.set_name(NameSource::Explicit, &value.as_str());
                return true;
            }
            "tags" => {
                draft.tags(value);
                return true;
            }
            _ => {}
        }
        let metadata = &mut draft.extra.metadata;
        let known = match name {
            "thread_id" | "threadId" | "sessionId" | "session_id" | "conversation_id" | "conversationId" => "thread_id",
            "userId" => "user_id",
            _ => "",
        };
        if !known.is_empty() && !is_empty(value) {
            metadata.insert(known, value);
        }
        metadata.insert(name, value) || name == known
    });
}

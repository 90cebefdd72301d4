//! What one request asks for one run, whichever route it came by.

use std::collections::BTreeMap;
use std::fmt;

use chrono::DateTime;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::run::Attachment;

/// Creating a run, or updating one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Verb {
    Post,
    Patch,
}

impl Verb {
    pub(super) fn named(text: &str) -> Option<Self> {
        match text {
            "post" => Some(Self::Post),
            "patch" => Some(Self::Patch),
            _ => None,
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Post => "post",
            Self::Patch => "patch",
        })
    }
}

/// The three ways in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// `POST /runs/multipart`.
    Multipart,
    /// `POST /runs/batch`.
    Batch,
    /// `POST /runs` and `PATCH /runs/{id}`, where the server computes what is missing.
    Single,
}

/// A post or patch of one run with all its fields in one map; a null counts as absent, and times are text.
#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub(super) verb: Verb,
    pub(super) route: Route,
    pub(super) id: Uuid,
    pub(super) fields: Map<String, Value>,
    pub(super) attachments: BTreeMap<String, Attachment>,
}

impl Operation {
    pub(super) fn new(verb: Verb, route: Route, id: Uuid, mut fields: Map<String, Value>) -> Self {
        fields.retain(|_, value| !value.is_null());
        // LangSmith takes milliseconds since 1970, too; its SDK for JavaScript tells ends that way.
        for key in ["start_time", "end_time"] {
            let moment = fields.get(key).and_then(Value::as_i64).and_then(DateTime::from_timestamp_millis);
            if let Some(moment) = moment {
                fields.insert(key.to_owned(), moment.to_rfc3339().into());
            }
        }
        Self { verb, route, id, fields, attachments: BTreeMap::new() }
    }

    /// A field that is a string.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.fields.get(key).and_then(Value::as_str)
    }

    /// The project, by name or by id.
    pub(super) fn project(&self) -> Option<&str> {
        self.text("session_name").or_else(|| self.text("session_id"))
    }
}

/// What somebody thought of a run.
#[derive(Debug, Clone)]
pub(super) struct Feedback {
    pub(super) id: Uuid,
    pub(super) run_id: Uuid,
    pub(super) trace_id: Uuid,
    /// The row as it was sent.
    pub(super) row: Value,
}

impl Feedback {
    /// Reads a part; the error is the end of a sentence about it.
    pub(super) fn read(id: Uuid, row: Value) -> Result<Self, String> {
        let uuid = |key: &str| {
            let text = row.get(key).and_then(Value::as_str);
            text.and_then(|text| Uuid::try_parse(text).ok()).ok_or_else(|| format!("has no UUID for its {key}"))
        };
        if uuid("id")? != id {
            return Err("has another id than its name".to_owned());
        }
        if row.get("key").and_then(Value::as_str).is_none_or(|key| key.trim().is_empty()) {
            return Err("has no key".to_owned());
        }
        let score = row.get("score").unwrap_or(&Value::Null);
        if !(score.is_null() || score.is_number() || score.is_boolean()) {
            return Err("has a score that is neither a number nor a boolean".to_owned());
        }
        if row.get("comment").is_some_and(|comment| !(comment.is_null() || comment.is_string())) {
            return Err("has a comment that is not a string".to_owned());
        }
        Ok(Self { id, run_id: uuid("run_id")?, trace_id: uuid("trace_id")?, row })
    }
}

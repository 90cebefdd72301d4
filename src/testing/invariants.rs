//! The rules that one post or patch can break by itself. What takes two runs to see is in `ledger`.

use std::fmt::Display;

use serde_json::Value;

use super::dotted::{self, Segment};
use super::operation::{Operation, Route, Verb};

const RUN_TYPES: [&str; 7] = ["tool", "chain", "llm", "retriever", "embedding", "prompt", "parser"];
/// LangSmith answers 422 for a longer name.
const NAME_CHARACTERS: usize = 128;

/// Every rule that the operation breaks, each as a sentence.
pub(super) fn check(operation: &Operation) -> Vec<String> {
    let mut check = Check { operation, found: Vec::new() };
    check.presence();
    let segments = check.lineage();
    check.times(segments.last().copied());
    check.labels();
    check.contents();
    check.attachments();
    check.found
}

/// How sentences about an operation begin.
pub(super) fn subject(operation: &Operation) -> String {
    match operation.verb {
        Verb::Post => format!("run {}", operation.id),
        Verb::Patch => format!("run {} (patch)", operation.id),
    }
}

struct Check<'a> {
    operation: &'a Operation,
    found: Vec<String>,
}

impl<'a> Check<'a> {
    fn say(&mut self, what: impl Display) {
        self.found.push(format!("{}: {what}", subject(self.operation)));
    }

    /// A field that must be a string where there is one.
    fn text(&mut self, key: &str) -> Option<&'a str> {
        match self.operation.fields.get(key)? {
            Value::String(text) => Some(text),
            other => {
                self.say(format_args!("{key} is {} instead of a string", kind(other)));
                None
            }
        }
    }

    /// The server fills in what a single run lacks; batches must say everything.
    fn presence(&mut self) {
        let operation = self.operation;
        let needed: &[&str] = match (operation.route, operation.verb) {
            (Route::Single, _) => &[],
            (_, Verb::Patch) => &["id", "trace_id", "dotted_order"],
            (_, Verb::Post) => &["id", "trace_id", "dotted_order", "name", "run_type", "start_time"],
        };
        for key in needed {
            if !operation.fields.contains_key(*key) {
                self.say(format_args!("has no {key}"));
            }
        }
        if operation.verb == Verb::Post && operation.route != Route::Single && operation.project().is_none() {
            self.say("names no project, neither by session_name nor by session_id");
        }
    }

    /// Invariants 1, 2 and 3. The segments come back for the checks of times.
    fn lineage(&mut self) -> Vec<Segment> {
        if let Some(id) = self.text("id") {
            if dotted::canonical_id(id) != Some(self.operation.id) {
                self.say(format_args!("its id field says {id:?}, which is another or not a lower-case UUID"));
            }
        }
        let trace_id = self.text("trace_id");
        let parent_id = self.text("parent_run_id");
        let Some(order) = self.text("dotted_order") else {
            return Vec::new();
        };
        let segments = match dotted::parse(order) {
            Ok(segments) => segments,
            Err(fault) => {
                self.say(format_args!("dotted_order {fault}"));
                return Vec::new();
            }
        };
        if let [.., last] = segments[..] {
            if last.id != self.operation.id {
                self.say(format_args!("the last segment of dotted_order names {} instead of the run", last.id));
            }
        }
        if let (Some(trace_id), [first, ..]) = (trace_id, &segments[..]) {
            if first.id.to_string() != trace_id {
                self.say(format_args!("trace_id is {trace_id}, but dotted_order begins with {}", first.id));
            }
        }
        let above = segments.iter().rev().nth(1).map(|parent| parent.id);
        match (parent_id, above) {
            (Some(parent), Some(above)) if above.to_string() != parent => self.say(format_args!(
                "parent_run_id is {parent}, but the segment before its own in dotted_order is {above}"
            )),
            (Some(parent), None) => {
                self.say(format_args!("parent_run_id is {parent}, but dotted_order has one segment as a root's"));
            }
            (None, Some(above)) => {
                self.say(format_args!("has no parent_run_id, but dotted_order places it under {above}"));
            }
            _ => {}
        }
        if segments.windows(2).any(|pair| pair[1].micros < pair[0].micros) {
            self.say(format_args!("dotted_order has a segment that is earlier than the one above it: {order}"));
        }
        segments
    }

    /// Invariant 6, and the three places that tell a run's start.
    fn times(&mut self, own: Option<Segment>) {
        let start = self.time("start_time");
        let end = self.time("end_time");
        if let (Some(start), Some(own)) = (start, own) {
            if start != own.micros {
                self.say(format_args!(
                    "start_time is {} µs away from its segment's time in dotted_order",
                    start - own.micros
                ));
            }
        }
        // A patch need not repeat the start, but its segment tells it.
        if let (Some(end), Some(start)) = (end, start.or(own.map(|own| own.micros))) {
            if end < start {
                self.say(format_args!("end_time is {} µs before start_time", start - end));
            }
        }
        // LangSmith keeps runs by time and reads the time off the id when asked for one. The Python SDK itself
        // is a millisecond off for one run in some 2,700: it rounds through a float.
        if let Some(own) = own.filter(|own| own.id == self.operation.id) {
            // Other ids are random, so that one in 64 looks like a UUIDv7, of some time within 8,900 years.
            const YEAR: i64 = 366 * 24 * 3_600_000;
            let millis = own.micros.div_euclid(1000);
            let is_meant = |inside: &i64| *inside != millis && (*inside - millis).abs() < YEAR;
            if let Some(inside) = dotted::uuid7_millis(own.id).filter(is_meant) {
                self.say(format_args!(
                    "its UUIDv7 was made at {inside} ms but its segment says {millis} ms, so LangSmith may not find it by id"
                ));
            }
        }
    }

    fn time(&mut self, key: &str) -> Option<i64> {
        let text = self.text(key)?;
        let Some((micros, utc)) = dotted::rfc3339_micros(text) else {
            self.say(format_args!("{key} is not an RFC 3339 time: {text:?}"));
            return None;
        };
        if !utc {
            self.say(format_args!("{key} is not in UTC: {text:?}"));
        }
        Some(micros)
    }

    fn labels(&mut self) {
        if let Some(name) = self.text("name") {
            let length = name.chars().count();
            if length > NAME_CHARACTERS {
                self.say(format_args!("name has {length} characters, more than {NAME_CHARACTERS}"));
            }
            if name.contains('\0') {
                self.say("name has a NUL in it");
            }
        }
        if let Some(run_type) = self.text("run_type") {
            if !RUN_TYPES.contains(&run_type) {
                self.say(format_args!("run_type {run_type:?} is none of the seven"));
            }
        }
        if let Some(status) = self.text("status") {
            if !["success", "error", "pending"].contains(&status) {
                self.say(format_args!("status {status:?} is unknown"));
            }
        }
        self.text("session_name");
        for key in ["session_id", "reference_example_id"] {
            if let Some(id) = self.text(key) {
                if dotted::canonical_id(id).is_none() {
                    self.say(format_args!("{key} is not a UUID: {id:?}"));
                }
            }
        }
        if let Some(tags) = self.operation.fields.get("tags") {
            let strings = tags.as_array().is_some_and(|tags| tags.iter().all(Value::is_string));
            if !strings {
                self.say("tags is not an array of strings");
            }
        }
    }

    /// Invariant 7, and the shapes of the other large fields.
    fn contents(&mut self) {
        for key in ["inputs", "outputs", "extra", "serialized"] {
            if let Some(value) = self.operation.fields.get(key).filter(|v| !v.is_object()) {
                self.say(format_args!("{key} is {} instead of an object", kind(value)));
            }
        }
        if let Some(events) = self.operation.fields.get("events") {
            match events.as_array() {
                Some(events) if events.iter().all(Value::is_object) => {}
                Some(_) => self.say("events has an element that is not an object"),
                None => self.say(format_args!("events is {} instead of an array", kind(events))),
            }
        }
        self.text("error");
    }

    fn attachments(&mut self) {
        for name in self.operation.attachments.keys() {
            if name.contains('.') {
                self.say(format_args!("attachment name {name:?} has a '.' in it"));
            } else if name.is_empty() {
                self.say("has an attachment without a name");
            }
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

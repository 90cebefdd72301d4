//! What evaluators say of a run, in events or attributes, becomes its feedback where that is wanted.

use super::frame::{find, is_empty, View};
use super::messages::split_number;
use super::Draft;
use crate::json::{write_attribute, write_f64, Json};
use crate::run::Feedback;
use opentelemetry::trace::Event;
use opentelemetry::Value;
use std::collections::BTreeMap;

/// Where events tell key, score, value and comment.
const EVALUATION: [&str; 4] = [
    "gen_ai.evaluation.name",
    "gen_ai.evaluation.score.value",
    "gen_ai.evaluation.score.label",
    "gen_ai.evaluation.explanation",
];
const OWN: [&str; 4] = ["key", "score", "value", "comment"];
/// The same in lists of `OpenInference`'s.
const LISTED: [&str; 4] = ["name", "score", "label", "explanation"];
const LISTS: [(&str, &str); 2] = [("annotations.", "annotation."), ("evaluations.", "evaluation.")];

/// Takes an event that is feedback. `false`: it is none, or says too little.
pub(super) fn take_event(event: &Event, draft: &mut Draft<'_>) -> bool {
    let names = match &*event.name {
        "gen_ai.evaluation.result" => EVALUATION,
        "langsmith.feedback" => OWN,
        _ => return false,
    };
    let row = row(names.map(|name| find(&event.attributes, name)));
    let is_feedback = row.is_some();
    draft.feedback.extend(row);
    is_feedback
}

/// Takes `annotations.N.annotation.*` and `evaluations.N.evaluation.*`. What feedback has no place for,
/// such as who annotated, is left.
pub(super) fn take_attributes(view: &mut View<'_, '_>, draft: &mut Draft<'_>) {
    let mut listed = BTreeMap::<_, [Option<&Value>; 4]>::new();
    view.take_unknown(None, |name, value| {
        if let Some((place, field)) = place(name) {
            listed.entry(place).or_default()[field] = Some(value);
        }
        false
    });
    listed.retain(|_, fields| row(*fields).map(|row| draft.feedback.push(row)).is_some());
    if !listed.is_empty() {
        view.take_unknown(None, |name, _| place(name).is_some_and(|(place, _)| listed.contains_key(&place)));
    }
}

/// Which list, which element, and which of [`LISTED`].
fn place(name: &str) -> Option<((usize, u64), usize)> {
    LISTS.iter().enumerate().find_map(|(list, (prefix, infix))| {
        let (number, rest) = split_number(name.strip_prefix(prefix)?)?;
        let field = rest.strip_prefix(infix)?;
        Some(((list, number), LISTED.iter().position(|listed| *listed == field)?))
    })
}

/// Feedback has a key, and says something that LangSmith has a place for.
fn row(fields: [Option<&Value>; 4]) -> Option<Feedback> {
    let [key, score, value, comment] = fields.map(|value| value.filter(|value| !is_empty(value)));
    let (score, value) = match (score, score.and_then(number)) {
        // Some write a verdict where the number belongs.
        (Some(verdict @ Value::String(_)), None) if value.is_none() => (None, Some(verdict)),
        (Some(_), None) => return None,
        (_, score) => (score, value),
    };
    let value = value.map(|value| {
        let mut json = String::new();
        write_attribute(&mut json, value);
        Json::from_trusted(json)
    });
    let comment = comment.map(|comment| comment.as_str().into_owned());
    if score.is_none() && value.is_none() && comment.is_none() {
        return None;
    }
    Some(Feedback { key: key?.as_str().trim().to_owned(), score, value, comment })
}

/// Numbers and booleans, and texts that are numbers: some have no other way to note one.
fn number(value: &Value) -> Option<Json> {
    let finite = |number: f64| {
        let mut json = String::new();
        write_f64(&mut json, number);
        number.is_finite().then_some(json)
    };
    let json = match value {
        Value::Bool(flag) => flag.to_string(),
        Value::I64(number) => number.to_string(),
        Value::F64(number) => finite(*number)?,
        Value::String(text) => finite(text.as_str().trim().parse().ok()?)?,
        _ => return None,
    };
    Some(Json::from_trusted(json))
}

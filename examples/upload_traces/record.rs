//! One run as a file has it, and what is made of it. Whatever a field holds that it should not, the run is kept.

use std::io::{self, Write};

use chrono::{DateTime, NaiveDateTime, Utc};
use opentelemetry_langsmith::{DottedOrder, Run, RunError, RunType};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::{to_raw_value, RawValue};
use serde_json::Value;

/// The longest name that LangSmith takes.
const NAME: usize = 128;

/// What is needed to find a run's place.
#[derive(Deserialize)]
pub(crate) struct Head<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    parent_run_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    start_time: Option<&'a RawValue>,
    #[serde(borrow, default)]
    end_time: Option<&'a RawValue>,
}

impl Head<'_> {
    pub(crate) fn id(&self) -> Option<String> {
        text(self.id)
    }

    pub(crate) fn parent(&self) -> Option<String> {
        text(self.parent_run_id)
    }

    pub(crate) fn start(&self) -> Option<i64> {
        time(self.start_time)
    }

    pub(crate) fn end(&self) -> Option<i64> {
        time(self.end_time)
    }
}

/// A run with the fields that are uploaded. All others are passed over.
#[derive(Deserialize, Serialize)]
pub(crate) struct Record<'a> {
    /// In a file of failed runs: why.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    why: Option<&'a RawValue>,
    /// In a file of failed runs: the id that the run had at first.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    original_id: Option<&'a RawValue>,
    /// In a file of failed runs: the place that the run was to have.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    dotted_order: Option<&'a RawValue>,
    #[serde(borrow, default, skip_serializing)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    name: Option<&'a RawValue>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    run_type: Option<&'a RawValue>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    end_time: Option<&'a RawValue>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    inputs: Option<&'a RawValue>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    outputs: Option<&'a RawValue>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    error: Option<&'a RawValue>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    events: Option<&'a RawValue>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    extra: Option<&'a RawValue>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    tags: Option<&'a RawValue>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    reference_example_id: Option<&'a RawValue>,
}

impl Record<'_> {
    /// The place that a failed run was to have.
    pub(crate) fn place(&self) -> Option<DottedOrder> {
        text(self.dotted_order)?.parse().ok()
    }

    /// The run at its place. Times are moved by `shift` microseconds.
    pub(crate) fn to_run(&self, place: &DottedOrder, shift: i64) -> Result<Run, RunError> {
        let word = text(self.run_type).unwrap_or_default();
        let run_type = word.parse::<RunType>();
        let mut builder = Run::builder(self.name(), run_type.clone().unwrap_or_default())
            .id(place.id())
            .start_time(place.start_time());
        if let Some(parent) = place.parent() {
            builder = builder.child_of_order(&parent);
        }
        if let Some(end) = time(self.end_time) {
            builder = builder.end_time(moment(end.saturating_add(shift)));
        }
        if let Some(inputs) = given(self.inputs) {
            builder = builder.inputs(inputs);
        }
        if let Some(outputs) = given(self.outputs) {
            builder = builder.outputs(outputs);
        }
        if let Some(error) = given(self.error) {
            builder = builder.error(text(Some(error)).unwrap_or_else(|| error.get().to_owned()));
        }
        match given(self.extra) {
            Some(extra) if extra.get().starts_with('{') => builder = builder.extra(extra),
            Some(odd) => builder = builder.metadata("extra", odd),
            None => {}
        }
        if let Some(events) = given(self.events).filter(|events| events.get().starts_with('[')) {
            builder = builder.events(events);
        }
        if let Some(example) = text(self.reference_example_id).and_then(|id| id.parse().ok()) {
            builder = builder.reference_example_id(example);
        }
        for tag in read::<Vec<Value>>(self.tags).unwrap_or_default() {
            builder = builder.tag(tag.as_str().map_or_else(|| tag.to_string(), str::to_owned));
        }
        if run_type.is_err() && !word.is_empty() {
            builder = builder.metadata("original_run_type", &word);
        }
        if let Some(id) = self.original_id() {
            builder = builder.metadata("original_run_id", &id);
        }
        builder.build()
    }

    fn original_id(&self) -> Option<String> {
        text(self.original_id).or_else(|| text(self.id))
    }

    fn name(&self) -> String {
        let name: String = text(self.name).unwrap_or_default().chars().filter(|&c| c != '\0').take(NAME).collect();
        if name.is_empty() {
            "unnamed".into()
        } else {
            name
        }
    }

    /// Writes the run, with its place and its end, to a file of failed runs: one line.
    pub(crate) fn write_failed(&self, mut out: impl Write, run: &Place, why: &str) -> io::Result<()> {
        let original_id = self.original_id().map(|id| to_raw_value(&id)).transpose()?;
        let why = to_raw_value(why)?;
        let order = to_raw_value(run.order.as_str())?;
        let end = run.end.map(|end| to_raw_value(&end.to_rfc3339())).transpose()?;
        let failed = Record {
            why: Some(&why),
            original_id: original_id.as_deref(),
            dotted_order: Some(&order),
            end_time: end.as_deref(),
            ..*self
        };
        // A line for a run: what is raw may have been written over several.
        let line = serde_json::to_string(&failed)?.replace(['\n', '\r'], " ");
        writeln!(out, "{line}")
    }
}

/// Where a run goes, as far as a file of failed runs has to tell.
pub(crate) struct Place {
    pub(crate) order: DottedOrder,
    pub(crate) end: Option<DateTime<Utc>>,
}

fn given(value: Option<&RawValue>) -> Option<&RawValue> {
    value.filter(|value| value.get() != "null")
}

fn read<T: DeserializeOwned>(value: Option<&RawValue>) -> Option<T> {
    serde_json::from_str(value?.get()).ok()
}

/// A text that is not empty; a number as its digits.
fn text(value: Option<&RawValue>) -> Option<String> {
    match read::<Value>(value)? {
        Value::String(text) => (!text.is_empty()).then_some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Microseconds since 1970. A time without a zone is UTC, as LangSmith writes it.
fn time(value: Option<&RawValue>) -> Option<i64> {
    let text = text(value)?;
    if let Ok(zoned) = DateTime::parse_from_rfc3339(&text) {
        return Some(zoned.timestamp_micros());
    }
    let naive = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f UTC"];
    if let Some(naive) = naive.iter().find_map(|format| NaiveDateTime::parse_from_str(&text, format).ok()) {
        return Some(naive.and_utc().timestamp_micros());
    }
    if let Ok(zoned) = DateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f%#z") {
        return Some(zoned.timestamp_micros());
    }
    // Seconds since 1970, or milliseconds when that would lie beyond the year 5000.
    let number: f64 = text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0)?;
    let seconds = if number > 1e11 { number / 1e3 } else { number };
    #[allow(clippy::cast_possible_truncation)]
    Some((seconds * 1e6) as i64)
}

pub(crate) fn moment(microseconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(microseconds).unwrap_or_default()
}

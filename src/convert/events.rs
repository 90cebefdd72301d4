//! Span events: exceptions, first tokens, returned values, and whatever else an application notes.

use super::draft::{insert_any, insert_number, write_raw_object};
use super::frame::find;
use super::tracing_fields::write_debug;
use super::{feedback, genai, genai_old, Draft};
use crate::json::{write_string, Object};
use crate::run::Timestamp;
use opentelemetry::trace::Event;
use opentelemetry::{KeyValue, Value};
use tracing::Level;

/// Events that carry what newer instrumentations put into attributes. They come before older
/// conventions.
pub(super) fn details(events: &[Event], draft: &mut Draft) {
    for event in events.iter().filter(|event| event.name == "gen_ai.client.inference.operation.details") {
        genai::details_event(&event.attributes, draft);
    }
}

/// The messages of old instrumentations.
pub(super) fn messages(events: &[Event], draft: &mut Draft) {
    if events.iter().any(|event| genai_old::is_message(&event.name)) {
        genai_old::events(events, draft);
    }
}

/// How many events of a span are worth sending.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventLimits {
    /// Of one run. Exceptions and the first token do not count.
    pub(crate) count: usize,
    /// Of events that `tracing` made.
    pub(crate) level: Level,
}

impl Default for EventLimits {
    fn default() -> Self {
        Self { count: 64, level: Level::INFO }
    }
}

/// Everything else goes to the run's own events.
pub(super) fn rest(events: &[Event], limits: EventLimits, draft: &mut Draft) {
    let (mut kept, mut omitted) = (0, 0);
    let mut keep = |event: &Event, draft: &mut Draft| {
        if draft.options.feedback && feedback::take_event(event, draft) {
        } else if event.name == "exception" {
            write(event, draft);
        } else if kept < limits.count && !is_below(event, limits.level) {
            kept += 1;
            write(event, draft);
        } else {
            omitted += 1;
        }
    };
    let returned = events.iter().rposition(is_return);
    for (position, event) in events.iter().enumerate() {
        if is_first_token(&event.name) {
            draft.first_token.get_or_insert(Timestamp::from_system_time(event.timestamp));
        } else if returned == Some(position) {
            if let Some(value) = find(&event.attributes, "return") {
                let written = draft.outputs_with(|out| write_returned(out, value));
                if !written {
                    keep(event, draft);
                }
            }
        } else if !genai_old::is_message(&event.name) && event.name != "gen_ai.client.inference.operation.details" {
            keep(event, draft);
        }
    }
    if omitted > 0 {
        draft.extra.otel.insert_i64("omitted_events_count", omitted);
    }
    if let Some(time) = draft.first_token {
        draft.events.push(|out| {
            out.push_str("{\"name\":\"new_token\",\"time\":\"");
            time.push_rfc3339(out);
            out.push_str("\"}");
        });
    }
}

/// `#[instrument(ret)]` makes an event that has a field `return` and no message.
fn is_return(event: &Event) -> bool {
    event.name.starts_with("event ") && find(&event.attributes, "return").is_some()
}

fn write_returned(out: &mut String, value: &Value) -> bool {
    let mut text = String::new();
    write_debug(&mut text, value);
    write_raw_object(out, "output", &text);
    true
}

fn is_first_token(name: &str) -> bool {
    matches!(
        name,
        "new_token"
            | "gen_ai.content.chunk"
            | "ai.stream.firstChunk"
            | "First Token Stream Event"
            | "llm.content.completion.chunk"
            | "gen_ai.content.completion.chunk"
    ) || name.starts_with("mlflow.chunk.item.")
}

fn is_below(event: &Event, least: Level) -> bool {
    let level = match find(&event.attributes, "level") {
        Some(Value::String(level)) => level.as_str().parse::<Level>().ok(),
        _ => None,
    };
    // What is more verbose is greater.
    level.is_some_and(|level| level > least)
}

fn write(event: &Event, draft: &mut Draft) {
    draft.events.push(|out| {
        out.push_str("{\"name\":");
        write_string(out, &event.name);
        out.push_str(",\"time\":\"");
        Timestamp::from_system_time(event.timestamp).push_rfc3339(out);
        out.push('"');
        let mut fields = Object::default();
        let is_log_record = find(&event.attributes, "target").is_some_and(|target| target.as_str() == "log");
        // Of several with one name the last one counts, and the first one in an object stays.
        for KeyValue { key, value, .. } in event.attributes.iter().rev() {
            if is_log_record && log_field(&mut fields, key.as_str(), value) {
                continue;
            }
            insert_any(&mut fields, key.as_str(), value);
        }
        if event.dropped_attributes_count > 0 {
            fields.insert_i64("otel.dropped_attributes_count", event.dropped_attributes_count.into());
        }
        if !fields.is_empty() {
            out.push_str(",\"kwargs\":");
            fields.write_to(out);
        }
        out.push('}');
    });
}

/// A record of the `log` crate comes with its own target, and with `log` in the place for it.
fn log_field(fields: &mut Object, name: &str, value: &Value) -> bool {
    let real_name = match name {
        "target" | "code.file.path" | "code.module.name" | "code.line.number" => return true,
        "log.target" => "target",
        "log.file" => "code.file.path",
        "log.module_path" => "code.module.name",
        "log.line" => "code.line.number",
        _ => return false,
    };
    insert_number(fields, real_name, value)
}

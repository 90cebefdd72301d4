//! Whether a run failed, and in which words.

use super::frame::find;
use super::tracing_fields::unquote;
use super::Draft;
use opentelemetry::trace::{Event, Status};
use opentelemetry::{Array, KeyValue, Value};
use opentelemetry_sdk::trace::SpanData;

/// The run's error. `None` for success.
#[inline]
pub(super) fn error(span: &SpanData, draft: &mut Draft) -> Option<String> {
    let is_silent = span.status == Status::Unset && span.events.is_empty() && !draft.has_exception;
    if is_silent && draft.error_type.is_none() && !draft.interrupted {
        return draft.failed.take();
    }
    words(span, draft)
}

fn words(span: &SpanData, draft: &mut Draft) -> Option<String> {
    if draft.interrupted || draft.error_type.as_deref() == Some("cancelled") {
        // LangSmith shows such a run as interrupted instead of failed.
        draft.extra.metadata.insert_bool("ls_is_error_interrupt", true);
        return Some("cancelled".into());
    }
    if let Some(error_type) = &mut draft.error_type {
        // Python shows a class so.
        if let Some(class) = error_type.strip_prefix("<class '").and_then(|rest| rest.strip_suffix("'>")) {
            *error_type = class.to_owned();
        }
        draft.extra.metadata.insert_str("error_type", error_type);
    }
    let description = match &span.status {
        // The application has the last word.
        Status::Ok => return None,
        Status::Unset => None,
        Status::Error { description } => Some(&**description),
    };
    let exception = span.events.iter().rev().find(|event| is_exception(&event.name));
    if description.is_none() {
        // With other settings of its layer, `tracing` reports an error by the event alone.
        let failed =
            exception.filter(|event| find(&event.attributes, "level").is_some_and(|level| level.as_str() == "ERROR"));
        return match failed {
            Some(event) => exception_text(None, &event.attributes),
            None if draft.has_exception && !is_from_event(span) => exception_text(None, &span.attributes),
            None => draft.failed.take().or_else(|| draft.error_type.take()),
        };
    }
    let description = description.map(str::trim).filter(|text| !text.is_empty());
    exception
        .and_then(|event| exception_text(description, &event.attributes).map(|text| with_sources(text, event, span)))
        .or_else(|| exception_text(description, &span.attributes))
        .or_else(|| description.map(|text| unquote(text).into_owned()))
        .or_else(|| span.events.iter().rev().find_map(error_event))
        .or_else(|| draft.failed.take())
        .or_else(|| draft.error_type.take())
        // LangSmith sees success where there is no text.
        .or_else(|| Some("error".into()))
}

fn is_exception(name: &str) -> bool {
    matches!(name, "exception" | "gen_ai.client.operation.exception")
}

const PYTHON_TRACE: &str = "Traceback (most recent call last)";

/// `type: message`, then the stack trace. A description that says something else goes first.
fn exception_text(description: Option<&str>, attributes: &[KeyValue]) -> Option<String> {
    let text = |name: &str| find(attributes, name).map(Value::as_str).filter(|text| !text.trim().is_empty());
    let message = text("exception.message");
    let kind = text("exception.type");
    let message = message.as_deref().map(unquote);
    // Python's stack trace in it repeats what follows.
    let description = description.filter(|text| message.is_none() || !text.contains(PYTHON_TRACE));
    let mut error = match (kind, message) {
        (Some(kind), Some(message)) => format!("{kind}: {message}"),
        (Some(only), None) | (None, Some(only)) => only.into_owned(),
        (None, None) => return None,
    };
    if let Some(description) = description.map(unquote) {
        if !error.contains(&*description) {
            // A description like `ValueError: boom` says all that type and message say.
            error =
                if description.contains(&error) { description.into_owned() } else { format!("{description}\n{error}") };
        }
    }
    if let Some(trace) = find(attributes, "exception.stacktrace").filter(|_| !error.contains(PYTHON_TRACE)) {
        push_trace(&mut error, trace);
    }
    Some(error)
}

fn push_trace(error: &mut String, trace: &Value) {
    match trace {
        // `tracing` puts the chain of sources here.
        Value::Array(Array::String(sources)) => {
            for source in sources {
                error.push_str("\nCaused by: ");
                error.push_str(source.as_str());
            }
        }
        Value::String(trace) if !trace.as_str().trim().is_empty() => {
            // A chain of sources goes on with the error, a stack trace stands apart.
            error.push_str(if trace.as_str().starts_with("Caused by: ") { "\n" } else { "\n\n" });
            error.push_str(trace.as_str());
        }
        _ => {}
    }
}

/// `#[instrument(err)]` tells the error alone. The sources are known where the same error was also
/// given to `tracing` as an error: to another event of the span, or to a field of the span itself.
fn with_sources(mut text: String, exception: &Event, span: &SpanData) -> String {
    if find(&exception.attributes, "exception.stacktrace").is_some() {
        return text;
    }
    let Some(told) = message(&exception.attributes) else { return text };
    let others = span.events.iter().rev().map(|event| &*event.attributes).chain([&*span.attributes]);
    let mut same = others.filter(|other| message(other).is_some_and(|other| other == told));
    if let Some(sources) = same.find_map(|other| find(other, "exception.stacktrace")) {
        push_trace(&mut text, sources);
    }
    text
}

fn message(attributes: &[KeyValue]) -> Option<String> {
    Some(unquote(&find(attributes, "exception.message")?.as_str()).into_owned())
}

/// `tracing-opentelemetry` copies the error of an event onto the span, that of a mere warning too.
fn is_from_event(span: &SpanData) -> bool {
    let told = message(&span.attributes);
    span.events.iter().any(|event| message(&event.attributes) == told)
}

/// An event that tells of an error in another way.
fn error_event(event: &Event) -> Option<String> {
    if let Some(error) = find(&event.attributes, "error") {
        return Some(unquote(&error.as_str()).into_owned());
    }
    let is_error = find(&event.attributes, "level").is_some_and(|level| level.as_str() == "ERROR");
    (is_error && !event.name.is_empty()).then(|| event.name.to_string())
}

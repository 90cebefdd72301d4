//! What `tracing-opentelemetry` adds to a span: bookkeeping, and the arguments of a function.

use super::draft::{float, write_any, Draft};
use super::frame::{attributes, Convention, View};
use crate::json::Object;
use opentelemetry::{KeyValue, Value};
use std::borrow::Cow;

pub(super) const CONVENTION: Convention = Convention { keys: KEYS, families: &[], convert };

attributes! {
    Target = "target",
    Level = "level",
    File = "code.file.path",
    Module = "code.module.name",
    Line = "code.line.number",
    Function = "code.function.name",
    OldFile = "code.filepath",
    OldModule = "code.namespace",
    OldLine = "code.lineno",
    OldFunction = "code.function",
    /// The thread of a program, never a conversation's.
    ThreadId = "thread.id",
    ThreadName = "thread.name",
    Busy = "busy_ns",
    Idle = "idle_ns",
    EventCount = "otel.tracing_event_count",
    /// A field `error = &e as &dyn Error` becomes these, and `error` and `error.chain` besides.
    ExceptionMessage = "exception.message",
    ExceptionTrace = "exception.stacktrace",
    ExceptionType = "exception.type",
    Error = "error",
    ErrorChain = "error.chain",
    /// Says to rig that it may record onto the span.
    RigParent = "rig.completion_parent",
}

fn convert(view: &mut View<'_, '_>, draft: &mut Draft) {
    draft.is_tracing =
        [Key::Module, Key::Target, Key::Busy, Key::Level].into_iter().any(|key| view.peek(key).is_some());
    draft.is_rig = view.peek_text(Key::Target).is_some_and(|target| target.starts_with("rig::"));
    let otel = &mut draft.extra.otel;
    for (key, name) in KEYS.iter().enumerate().take(usize::from(Key::Busy)) {
        view.rename(key, otel, name);
    }
    for (key, name) in [(Key::Busy, "busy_ms"), (Key::Idle, "idle_ms")] {
        view.take_if(key, |value| float(value).is_some_and(|nanoseconds| otel.insert_f64(name, nanoseconds / 1e6)));
    }
    view.take(Key::EventCount);
    // The status reads these off the span.
    if view.peek(Key::ExceptionMessage).is_some() {
        draft.has_exception = true;
        for key in [Key::ExceptionMessage, Key::ExceptionTrace, Key::ExceptionType, Key::Error, Key::ErrorChain] {
            view.take(key);
        }
    }
    view.take(Key::RigParent);
}

/// Whether an attribute that nobody took is an argument: names of arguments have no dots.
pub(super) fn is_argument(name: &str) -> bool {
    !name.contains('.')
}

pub(super) fn insert_argument(object: &mut Object, attribute: &KeyValue) {
    object.insert_with(attribute.key.as_str(), |out| write_debug(out, &attribute.value));
}

/// Writes a value that `Debug` may have written: a text in quotes loses them, once.
pub(super) fn write_debug(out: &mut String, value: &Value) {
    match value {
        Value::String(text) => match unquote(text.as_str()) {
            Cow::Owned(text) => write_any(out, &text.into()),
            Cow::Borrowed(_) => write_any(out, value),
        },
        other => write_any(out, other),
    }
}

/// `"boom"` in quotes is what `Debug` makes of a text.
pub(super) fn unquote(text: &str) -> Cow<'_, str> {
    let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return Cow::Borrowed(text);
    };
    let unquoted = serde_json::from_str(text).ok().or_else(|| unescape(inner));
    unquoted.map_or(Cow::Borrowed(text), Cow::Owned)
}

/// Undoes the escapes of `Debug`, which are not all JSON's: `\'`, `\0`, `\u{301}`. `None` when
/// it wrote something else, such as two texts next to each other.
fn unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        out.push(match character {
            '"' => return None,
            '\\' => match characters.next()? {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                '0' => '\0',
                same @ ('\'' | '"' | '\\') => same,
                'u' => {
                    let (code, rest) = characters.as_str().strip_prefix('{')?.split_once('}')?;
                    characters = rest.chars();
                    char::from_u32(u32::from_str_radix(code, 16).ok()?)?
                }
                _ => return None,
            },
            plain => plain,
        });
    }
    Some(out)
}

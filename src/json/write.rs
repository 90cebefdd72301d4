//! Writing single values.

use super::name::is_short_and_plain;
use super::specials;
use opentelemetry::{Array, Value};

/// The two lower-case hexadecimal digits of each byte.
pub(crate) static HEX: [[u8; 2]; 256] = {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut hex = [[0; 2]; 256];
    let mut byte = 0;
    while byte < hex.len() {
        hex[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
        byte += 1;
    }
    hex
};

/// Writes `text` as a JSON string, quotes included.
#[inline]
pub(crate) fn write_string(out: &mut String, text: &str) {
    // It is quicker to look at all of a short text first.
    if is_short_and_plain(text) {
        out.reserve(text.len() + 2);
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        write_long_string(out, text);
    }
}

/// The same for a text that may need escapes, or is long.
fn write_long_string(out: &mut String, text: &str) {
    out.reserve(text.len() + text.len() / 8 + 2);
    out.push('"');
    let bytes = text.as_bytes();
    let mut copied = 0;
    specials::for_each(bytes, |at| {
        // It was written together with the one before.
        if at < copied {
            return;
        }
        push_piece(out, text, copied, at);
        let rest = &bytes[at..];
        // In JSON that becomes a string most quotes stand around a colon or a comma.
        if rest.starts_with(b"\":\"") {
            out.push_str("\\\":\\\"");
            copied = at + 3;
        } else if rest.starts_with(b"\",\"") {
            out.push_str("\\\",\\\"");
            copied = at + 3;
        } else if let [b'"' | b'\\', ..] = rest {
            // It is copied with what follows it.
            out.push('\\');
            copied = at;
        } else {
            push_control(out, bytes[at]);
            copied = at + 1;
        }
    });
    push_piece(out, text, copied, bytes.len());
    out.push('"');
}

/// Adds a part of a text.
#[inline]
fn push_piece(out: &mut String, text: &str, start: usize, end: usize) {
    const SHORT: usize = 32;
    let length = end - start;
    // It is quicker to copy a known number of bytes, and to forget those that are too many.
    if length <= SHORT {
        if let Some(longer) = text.get(start..start + SHORT) {
            let length = out.len() + length;
            out.push_str(longer);
            out.truncate(length);
            return;
        }
    }
    out.push_str(&text[start..end]);
}

fn push_control(out: &mut String, control: u8) {
    match control {
        b'\n' => out.push_str("\\n"),
        b'\r' => out.push_str("\\r"),
        b'\t' => out.push_str("\\t"),
        _ => {
            out.push_str("\\u00");
            out.extend(HEX[usize::from(control)].map(char::from));
        }
    }
}

/// Writes bytes as a string of lower-case hexadecimal digits.
#[inline]
pub(crate) fn write_hex<const BYTES: usize>(out: &mut String, bytes: [u8; BYTES]) {
    out.push('"');
    let digits = bytes.map(|byte| HEX[usize::from(byte)]);
    out.push_str(std::str::from_utf8(digits.as_flattened()).unwrap_or_default());
    out.push('"');
}

pub(crate) fn write_i64(out: &mut String, number: i64) {
    out.push_str(itoa::Buffer::new().format(number));
}

/// JSON has no NaN and no infinity: those become strings.
pub(crate) fn write_f64(out: &mut String, number: f64) {
    if number.is_finite() {
        out.push_str(zmij::Buffer::new().format_finite(number));
    } else {
        write_string(
            out,
            if number.is_nan() {
                "NaN"
            } else if number > 0.0 {
                "Infinity"
            } else {
                "-Infinity"
            },
        );
    }
}

/// Writes an array, one `write` an element.
pub(crate) fn write_array<T>(
    out: &mut String,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut String, T),
) {
    out.push('[');
    for (position, item) in items.into_iter().enumerate() {
        if position > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(']');
}

/// Writes an attribute's value as it is: a string stays a string, even one that holds JSON.
pub(crate) fn write_attribute(out: &mut String, value: &Value) {
    match value {
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::I64(number) => write_i64(out, *number),
        Value::F64(number) => write_f64(out, *number),
        Value::String(text) => write_string(out, text.as_str()),
        Value::Array(Array::Bool(items)) => {
            write_array(out, items, |out, flag| out.push_str(if *flag { "true" } else { "false" }))
        }
        Value::Array(Array::I64(items)) => write_array(out, items, |out, number| write_i64(out, *number)),
        Value::Array(Array::F64(items)) => write_array(out, items, |out, number| write_f64(out, *number)),
        Value::Array(Array::String(items)) => write_array(out, items, |out, text| write_string(out, text.as_str())),
        // Both enums may grow.
        other => write_string(out, &other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn hex_is_as_it_is_formatted(number: u128) {
            let mut written = String::new();
            write_hex(&mut written, number.to_be_bytes());
            prop_assert_eq!(written, format!("\"{number:032x}\""));
        }

        #[test]
        fn strings_are_as_serde_writes_them(
            text in "[a-cé\"\\\\\n\u{0}-\u{1f}\u{7f}]{0,80}",
            plain in "[a-z ]{0,80}",
            json in "(\"[:,]\"|[a-b:,\"]){0,60}",
        ) {
            for text in [&*text, &*plain, &*json, &*format!("{plain}{text}")] {
                let mut written = String::new();
                write_string(&mut written, text);
                let read: String = serde_json::from_str(&written).unwrap_or_default();
                prop_assert_eq!(read, text);
            }
        }
    }
}

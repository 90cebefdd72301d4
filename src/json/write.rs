//! Writing single values.

use opentelemetry::{Array, Value};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Writes `text` as a JSON string, quotes included.
pub(crate) fn write_string(out: &mut String, text: &str) {
    out.reserve(text.len() + 2);
    out.push('"');
    let bytes = text.as_bytes();
    let (mut copied, mut at) = (0, 0);
    loop {
        at += super::scan::plain_length(&bytes[at..]);
        out.push_str(&text[copied..at]);
        let Some(&byte) = bytes.get(at) else { break };
        // A quote or a backslash is copied with what follows it.
        copied = at;
        at += 1;
        match byte {
            b'"' | b'\\' => out.push('\\'),
            control => {
                push_control(out, control);
                copied = at;
            }
        }
    }
    out.push('"');
}

fn push_control(out: &mut String, control: u8) {
    match control {
        b'\n' => out.push_str("\\n"),
        b'\r' => out.push_str("\\r"),
        b'\t' => out.push_str("\\t"),
        _ => {
            out.push_str("\\u00");
            out.push(char::from(HEX[usize::from(control >> 4)]));
            out.push(char::from(HEX[usize::from(control & 15)]));
        }
    }
}

/// Writes bytes as a string of lower-case hexadecimal digits.
pub(crate) fn write_hex<const BYTES: usize>(out: &mut String, bytes: [u8; BYTES]) {
    let digits = bytes.map(|byte| [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    out.push('"');
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

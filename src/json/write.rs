//! Writing single values.

use super::name::is_short_and_plain;
use super::plain::plain_length;
use opentelemetry::{Array, Value};

const HEX: &[u8; 16] = b"0123456789abcdef";

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
    out.reserve(text.len() + 2);
    out.push('"');
    let bytes = text.as_bytes();
    let (mut copied, mut at) = (0, 0);
    loop {
        at += plain_length(&bytes[at..]);
        out.push_str(&text[copied..at]);
        let Some(&byte) = bytes.get(at) else { break };
        // A quote or a backslash is copied with what follows it.
        copied = at;
        at += 1;
        match (byte, &bytes[at..]) {
            // In JSON that becomes a string most quotes stand around a colon or a comma.
            (b'"', [between @ (b':' | b','), b'"', ..]) => {
                out.push_str(if *between == b':' { "\\\":\\\"" } else { "\\\",\\\"" });
                at += 2;
                copied = at;
            }
            (b'"' | b'\\', _) => out.push('\\'),
            (control, _) => {
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
#[inline]
pub(crate) fn write_hex<const BYTES: usize>(out: &mut String, bytes: [u8; BYTES]) {
    out.push('"');
    out.push_str(std::str::from_utf8(hex(bytes).as_flattened()).unwrap_or_default());
    out.push('"');
}

/// Lower-case hexadecimal digits of bytes, of which there are a multiple of four.
#[inline]
pub(crate) fn hex<const BYTES: usize>(bytes: [u8; BYTES]) -> [[u8; 2]; BYTES] {
    const { assert!(BYTES.is_multiple_of(4), "digits are made of four bytes at once") }
    let mut hex = [[0; 2]; BYTES];
    for (digits, word) in hex.as_flattened_mut().as_chunks_mut().0.iter_mut().zip(bytes.as_chunks().0) {
        *digits = hex_digits(u32::from_be_bytes(*word));
    }
    hex
}

#[inline]
fn hex_digits(number: u32) -> [u8; 8] {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    // Half a byte goes into each byte.
    let spread = u64::from(number);
    let spread = (spread | spread << 16) & 0x0000_FFFF_0000_FFFF;
    let spread = (spread | spread << 8) & 0x00FF_00FF_00FF_00FF;
    let spread = (spread | spread << 4) & (ONES * 0x0F);
    // Six more makes a byte of ten and more reach the upper half.
    let letters = (spread + ONES * 6) >> 4 & ONES;
    (spread + ONES * u64::from(b'0') + letters * u64::from(b'a' - b'0' - 10)).to_be_bytes()
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

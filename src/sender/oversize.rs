//! A run that is larger than one request may be: its largest fields give way to a marker.

use super::boundary::Boundary;
use super::multipart::{self, push_part, Part, FEEDBACK};
use crate::json::write_string;

/// A run that has lost its largest fields.
#[derive(Debug)]
pub(crate) struct Cut {
    /// The same run with markers in their places. The boundary is the same.
    pub(crate) body: Vec<u8>,
    pub(crate) id: String,
    /// How large it was.
    pub(crate) bytes: usize,
    /// What was left out, and how large that was.
    pub(crate) fields: Vec<(String, usize)>,
}

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fields = self.fields.iter().map(|(name, bytes)| format!("{name} ({bytes} bytes)"));
        let fields = fields.collect::<Vec<_>>().join(", ");
        write!(f, "the run {} of {} bytes is larger than one request may be; left out: {fields}", self.id, self.bytes)
    }
}

/// Replaces the largest fields and files of the one run in `body` until it fits `limit` bytes, or there
/// is nothing left that could be replaced. `None` when nothing was.
pub(crate) fn cut(body: &[u8], boundary: &Boundary, limit: usize) -> Option<Cut> {
    let parts = multipart::read(body)?;
    let mut excess = body.len().saturating_sub(limit);
    let mut largest: Vec<usize> = (0..parts.len()).filter(|&part| can_be_cut(&parts[part])).collect();
    largest.sort_by_key(|&part| std::cmp::Reverse(parts[part].content.len()));
    let mut cut = Vec::new();
    for part in largest {
        if excess == 0 {
            break;
        }
        excess = excess.saturating_sub(parts[part].content.len().saturating_sub(marker_length(&parts[part])));
        cut.push(part);
    }
    let (mut smaller, mut fields) = (Vec::new(), Vec::new());
    for (position, part) in parts.iter().enumerate() {
        match cut.contains(&position).then(|| marker(part, &body[part.content.clone()])).flatten() {
            Some((content_type, marker)) => {
                let name: &[&str] = match &*part.operation {
                    FEEDBACK => &[FEEDBACK, ".", &part.field],
                    operation => &[operation, ".", &part.id, ".", &part.field],
                };
                push_part(&mut smaller, boundary, name, content_type, marker.as_bytes());
                fields.push((what(part).to_owned(), part.content.len()));
            }
            None => smaller.extend_from_slice(&body[part.whole.clone()]),
        }
    }
    boundary.push_end(&mut smaller);
    let id = parts.first().map(|part| part.id.clone()).unwrap_or_default();
    (!fields.is_empty()).then_some(Cut { body: smaller, id, bytes: body.len(), fields })
}

/// What a part is called that is left out. The name of an attachment might have been redacted.
fn what(part: &Part) -> &str {
    match &*part.operation {
        operation @ ("attachment" | FEEDBACK) => operation,
        _ => &part.field,
    }
}

/// About how long what stands for a part is. Of feedback ids, key and score stay.
fn marker_length(part: &Part) -> usize {
    if part.operation == FEEDBACK {
        500
    } else {
        200
    }
}

fn can_be_cut(part: &Part) -> bool {
    let replaceable = matches!(&*part.operation, "attachment" | FEEDBACK)
        || matches!(part.field.as_str(), "inputs" | "outputs" | "events" | "extra" | "error");
    replaceable && part.content.len() > marker_length(part)
}

/// Stands for a field or a file, with its type, and tells how large it was.
fn marker(part: &Part, content: &[u8]) -> Option<(&'static str, String)> {
    let what = if part.operation == FEEDBACK { FEEDBACK } else { &part.field };
    let words = format!("{what} of {} bytes left out: larger than one request may be", content.len());
    if part.operation == "attachment" {
        return Some(("text/plain", words));
    }
    if part.operation == FEEDBACK {
        let mut row: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(content).ok()?;
        row.remove("value");
        row.insert("comment".into(), words.into());
        return Some(("application/json", serde_json::to_string(&row).ok()?));
    }
    let mut text = String::new();
    write_string(&mut text, &words);
    let json = match part.field.as_str() {
        "error" => text,
        "events" => format!("[{{\"name\":{text}}}]"),
        "extra" => format!("{{\"metadata\":{{\"langsmith_left_out\":{text}}}}}"),
        _ => format!("{{\"langsmith_left_out\":{text}}}"),
    };
    Some(("application/json", json))
}

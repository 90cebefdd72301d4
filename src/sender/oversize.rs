//! A run that is larger than one request may be: its largest fields give way to a marker.

use super::boundary::Boundary;
use super::multipart::{self, push_part, Part, FEEDBACK};
use crate::json::write_string;

/// Replaces the largest fields and files of the one run in `body` until it fits `limit` bytes, or there
/// is nothing left that could be replaced. `None` when nothing was. The boundary stays the same.
pub(crate) fn cut(body: &[u8], boundary: &Boundary, limit: usize) -> Option<Vec<u8>> {
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
    let mut smaller = Vec::new();
    for (position, part) in parts.iter().enumerate() {
        match cut.contains(&position).then(|| marker(part, &body[part.content.clone()])).flatten() {
            Some((content_type, marker)) => {
                let name: &[&str] = match &*part.operation {
                    FEEDBACK => &[FEEDBACK, ".", &part.field],
                    operation => &[operation, ".", &part.id, ".", &part.field],
                };
                push_part(&mut smaller, boundary, name, content_type, marker.as_bytes());
            }
            None => smaller.extend_from_slice(&body[part.whole.clone()]),
        }
    }
    boundary.push_end(&mut smaller);
    (!cut.is_empty()).then_some(smaller)
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

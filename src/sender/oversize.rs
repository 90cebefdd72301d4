//! A run that is larger than one request may be: its largest fields give way to a marker.

use super::multipart::{self, push_part, Part};
use crate::json::write_string;

/// Replaces the largest fields and files of the one run in `body` until it fits `limit` bytes, or there
/// is nothing left that could be replaced. `None` when nothing was.
pub(crate) fn cut(body: &[u8], limit: usize) -> Option<Vec<u8>> {
    let parts = multipart::read(body)?;
    let mut excess = body.len().saturating_sub(limit);
    let mut largest: Vec<usize> = (0..parts.len()).filter(|&part| can_be_cut(&parts[part])).collect();
    largest.sort_by_key(|&part| std::cmp::Reverse(parts[part].content.len()));
    let mut cut = Vec::new();
    for part in largest {
        if excess == 0 {
            break;
        }
        excess = excess.saturating_sub(parts[part].content.len().saturating_sub(MARKER));
        cut.push(part);
    }
    let mut smaller = Vec::new();
    for (position, part) in parts.iter().enumerate() {
        if cut.contains(&position) {
            let (content_type, marker) = marker(part);
            let name = [&part.operation, ".", &part.id, ".", &part.field];
            push_part(&mut smaller, &name, content_type, marker.as_bytes());
        } else {
            smaller.extend_from_slice(&body[part.whole.clone()]);
        }
    }
    smaller.extend_from_slice(multipart::END.as_bytes());
    (!cut.is_empty()).then_some(smaller)
}

/// About how long a marker is.
const MARKER: usize = 200;

fn can_be_cut(part: &Part) -> bool {
    let replaceable = part.operation == "attachment"
        || matches!(part.field.as_str(), "inputs" | "outputs" | "events" | "extra" | "error");
    replaceable && part.content.len() > MARKER
}

/// Stands for a field or a file, with its type, and tells how large it was.
fn marker(part: &Part) -> (&'static str, String) {
    let words = format!("{} of {} bytes left out: larger than one request may be", part.field, part.content.len());
    if part.operation == "attachment" {
        return ("text/plain", words);
    }
    let mut text = String::new();
    write_string(&mut text, &words);
    let json = match part.field.as_str() {
        "error" => text,
        "events" => format!("[{{\"name\":{text}}}]"),
        "extra" => format!("{{\"metadata\":{{\"langsmith_left_out\":{text}}}}}"),
        _ => format!("{{\"langsmith_left_out\":{text}}}"),
    };
    ("application/json", json)
}

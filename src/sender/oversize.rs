//! A run that is larger than one request may be: its largest fields give way to a marker.

use super::multipart::{self, push_part, Part};
use crate::json::write_string;

/// Replaces the largest fields of the one run in `parts` until it fits `limit` bytes, or there is
/// nothing left that could be replaced. Says whether anything was.
pub(crate) fn cut(parts: &mut String, limit: usize) -> bool {
    // What stands here has no end marker yet.
    let mut body = std::mem::take(parts);
    let length = body.len();
    body.push_str(multipart::END);
    let Some(mut read) = multipart::read(body.as_bytes()) else {
        body.truncate(length);
        *parts = body;
        return false;
    };
    read.sort_by_key(|part| part.content.start);
    let mut excess = length.saturating_sub(limit);
    let mut largest: Vec<usize> = (0..read.len()).filter(|&part| can_be_cut(&read[part])).collect();
    largest.sort_by_key(|&part| std::cmp::Reverse(read[part].content.len()));
    let mut cut = Vec::new();
    for part in largest {
        if excess == 0 {
            break;
        }
        excess = excess.saturating_sub(read[part].content.len().saturating_sub(MARKER));
        cut.push(part);
    }
    for (position, part) in read.iter().enumerate() {
        if cut.contains(&position) {
            push_part(parts, &[&part.operation, ".", &part.id, ".", &part.field], "application/json", &marker(part));
        } else {
            parts.push_str(&body[part.whole.clone()]);
        }
    }
    !cut.is_empty()
}

/// About how long a marker is.
const MARKER: usize = 200;

fn can_be_cut(part: &Part) -> bool {
    matches!(part.field.as_str(), "inputs" | "outputs" | "events" | "extra" | "error") && part.content.len() > MARKER
}

/// Stands for a field and tells how large it was.
fn marker(part: &Part) -> String {
    let mut text = String::new();
    let words = format!("{} of {} bytes left out: larger than one request may be", part.field, part.content.len());
    write_string(&mut text, &words);
    match part.field.as_str() {
        "error" => text,
        "events" => format!("[{{\"name\":{text}}}]"),
        "extra" => format!("{{\"metadata\":{{\"langsmith_left_out\":{text}}}}}"),
        _ => format!("{{\"langsmith_left_out\":{text}}}"),
    }
}

//! Files that belong to a run.

use crate::run::Attachment;
use base64::prelude::{Engine, BASE64_STANDARD};

/// Reads base64, with or without line breaks.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(text).ok().or_else(|| {
        let dense: String = text.split_ascii_whitespace().collect();
        BASE64_STANDARD.decode(dense).ok()
    })
}

/// Adds an attachment under a name that a part's name can hold: no dots, none of the characters
/// that would have to be escaped, and no name twice.
pub(super) fn add(attachments: &mut Vec<Attachment>, mut attachment: Attachment) {
    let safe = |c: char| if c.is_alphanumeric() || matches!(c, '-' | '_' | ' ') { c } else { '_' };
    let name: String = attachment.name.chars().map(safe).take(100).collect();
    let name = if name.trim().is_empty() { "attachment".to_owned() } else { name };
    let taken = |name: &str| attachments.iter().any(|other| other.name == name);
    // Where there are many they are numbered through, so that none of them is searched for long.
    let first = if attachments.len() < 100 { 2 } else { attachments.len() };
    attachment.name = std::iter::once(name.clone())
        .chain((first..first + 10_000).map(|number| format!("{name}_{number}")))
        .find(|name| !taken(name))
        .unwrap_or(name);
    attachments.push(attachment);
}

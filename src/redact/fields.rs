//! Going through the fields of a run.

use super::paths::Position;
use super::rules::Patterns;
use super::walk::{unescape, Unfit, MARKER_JSON};
use super::{Function, Place, Redactor, MARKER};
use crate::hooks::contain;
use crate::json::{Json, Object};
use crate::run::{Attachment, Feedback, Run};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

/// A [`Redactor`] at work.
pub(crate) struct Redaction {
    pub(super) patterns: Patterns,
    pub(super) position: Position,
    /// The field is that of the events.
    pub(super) in_events: bool,
    functions: Vec<Function>,
    drops_binary: bool,
    failures: Arc<AtomicU64>,
}

/// What becomes of a field.
enum Outcome<T> {
    Same,
    Changed(T),
    Hidden,
}

impl Redaction {
    pub(crate) fn new(redactor: Redactor) -> Self {
        let mut redaction = Self::once(redactor);
        redaction.patterns.prepare();
        redaction
    }

    /// One that is not used for long.
    pub(super) fn once(redactor: Redactor) -> Self {
        let Redactor { patterns, paths, hides, functions, drops_binary, failures } = redactor;
        Self {
            patterns: Patterns::new(patterns),
            position: Position::new(paths, !functions.is_empty()).hiding(hides),
            in_events: false,
            functions,
            drops_binary,
            failures,
        }
    }

    pub(crate) fn has_functions(&self) -> bool {
        !self.functions.is_empty()
    }

    /// Takes out of a run what the rules say. `false`: a rule failed, and cost a field.
    pub(crate) fn apply(&mut self, run: &mut Run) -> bool {
        let before = self.failures.load(Ordering::Relaxed);
        match self.text_field("name", &run.name) {
            Outcome::Same => {}
            Outcome::Changed(name) => run.set_name(name),
            Outcome::Hidden => run.set_name(MARKER),
        }
        for (name, field) in [("inputs", &mut run.inputs), ("outputs", &mut run.outputs), ("events", &mut run.events)] {
            let Some(json) = field else { continue };
            self.in_events = name == "events";
            match self.field(name, |this| this.json(json.as_str(), 0)) {
                Outcome::Same => {}
                Outcome::Changed(text) => *json = Json::from_trusted(text),
                Outcome::Hidden => *json = Json::from_trusted(if self.in_events { "[]" } else { "{}" }.into()),
            }
        }
        self.in_events = false;
        if let Some(error) = &mut run.error {
            match self.text_field("error", error) {
                Outcome::Same => {}
                Outcome::Changed(text) if text.is_empty() => MARKER.clone_into(error),
                Outcome::Changed(text) => *error = text,
                Outcome::Hidden => MARKER.clone_into(error),
            }
        }
        let extra = &mut run.extra;
        self.object("metadata", &mut extra.metadata);
        self.object("invocation_params", &mut extra.invocation_params);
        self.object("otel", &mut extra.otel);
        self.object("runtime", &mut extra.runtime);
        self.tags(&mut run.tags);
        self.attachments(&mut run.attachments);
        self.feedback(&mut run.feedback);
        self.failures.load(Ordering::Relaxed) == before
    }

    /// A text that stands in no run.
    pub(super) fn loose_text(&mut self, text: &str) -> String {
        match self.guarded(|this| this.text(text, 0, false)) {
            Outcome::Same => text.to_owned(),
            Outcome::Changed(text) => text,
            Outcome::Hidden => MARKER.to_owned(),
        }
    }

    pub(super) fn ask_functions(&self, text: &str, is_name: bool) -> Option<String> {
        let place = Place { path: self.position.text(), is_name };
        let mut changed = None;
        for function in &self.functions {
            changed = function(&place, changed.as_deref().unwrap_or(text)).or(changed);
        }
        changed
    }

    fn object(&mut self, name: &str, object: &mut Object) {
        if object.is_empty() {
            return;
        }
        match self.field(name, |this| this.members(object)) {
            Outcome::Same => {}
            Outcome::Changed(changed) => *object = changed,
            Outcome::Hidden => object.clear(),
        }
    }

    fn members(&mut self, object: &Object) -> Result<Option<Object>, Unfit> {
        let mut changes = Vec::new();
        for (position, (quoted, value)) in object.iter().enumerate() {
            let name = unescape(&quoted[1..quoted.len() - 1]);
            let new_name = self.text(&name, 0, true)?;
            let hidden = self.position.enter(&name);
            let new_value = if hidden { Some(MARKER_JSON.to_owned()) } else { self.json(value, 0)? };
            self.position.leave();
            if new_name.is_some() || new_value.is_some() {
                changes.push((position, new_name, new_value));
            }
        }
        if changes.is_empty() {
            return Ok(None);
        }
        let mut changed = Object::default();
        let mut changes = changes.into_iter().peekable();
        for (position, (quoted, value)) in object.iter().enumerate() {
            match changes.next_if(|(at, ..)| *at == position) {
                None => drop(changed.insert_quoted(quoted, value)),
                Some((_, name, new_value)) => {
                    let value = new_value.as_deref().unwrap_or(value);
                    match name {
                        None => drop(changed.insert_quoted(quoted, value)),
                        // Names that became the same stay apart.
                        Some(name) if changed.contains(&name) => {
                            changed.insert_raw(&format!("{name} {}", position + 1), value);
                        }
                        Some(name) => drop(changed.insert_raw(&name, value)),
                    }
                }
            }
        }
        Ok(Some(changed))
    }

    fn tags(&mut self, tags: &mut Vec<String>) {
        if tags.is_empty() {
            return;
        }
        let redacted = self.field("tags", |this| {
            let mut redacted: Vec<String> = Vec::with_capacity(tags.len());
            for (position, tag) in tags.iter().enumerate() {
                let hidden = this.position.enter(itoa::Buffer::new().format(position));
                let changed = if hidden { Some(MARKER.to_owned()) } else { this.text(tag, 0, false)? };
                this.position.leave();
                let tag = changed.unwrap_or_else(|| tag.clone());
                if !tag.is_empty() && !redacted.contains(&tag) {
                    redacted.push(tag);
                }
            }
            Ok((redacted != *tags).then_some(redacted))
        });
        match redacted {
            Outcome::Same => {}
            Outcome::Changed(redacted) => *tags = redacted,
            Outcome::Hidden => tags.clear(),
        }
    }

    fn attachments(&mut self, attachments: &mut Vec<Attachment>) {
        for attachment in std::mem::take(attachments) {
            let hidden = [self.position.enter("attachments"), self.position.enter(&attachment.name)].contains(&true);
            let redacted = if hidden { Outcome::Hidden } else { self.guarded(|this| this.attachment(&attachment)) };
            self.position.reset();
            let mut redacted = match redacted {
                Outcome::Same => attachment,
                Outcome::Changed(redacted) => redacted,
                Outcome::Hidden => continue,
            };
            if self.drops_binary && !is_text(&redacted.mime_type) {
                continue;
            }
            let plain = redacted.name.clone();
            for number in 2.. {
                if !attachments.iter().any(|other| other.name == redacted.name) {
                    break;
                }
                redacted.name = format!("{plain}_{number}");
            }
            attachments.push(redacted);
        }
    }

    fn attachment(&mut self, attachment: &Attachment) -> Result<Option<Attachment>, Unfit> {
        let name = self.text(&attachment.name, 0, false)?.map(|name| {
            // What a part's name can hold.
            let safe = |c: char| if c.is_alphanumeric() || matches!(c, '-' | '_' | ' ') { c } else { '_' };
            let name: String = name.chars().map(safe).collect();
            if name.trim().is_empty() {
                "attachment".to_owned()
            } else {
                name
            }
        });
        let mime_type = self.text(&attachment.mime_type, 0, false)?.map(|_| "application/octet-stream".to_owned());
        let content = if is_text(&attachment.mime_type) {
            self.text(&String::from_utf8_lossy(&attachment.content), 0, false)?
        } else {
            None
        };
        if name.is_none() && mime_type.is_none() && content.is_none() {
            return Ok(None);
        }
        let mut redacted = attachment.clone();
        redacted.name = name.unwrap_or(redacted.name);
        redacted.mime_type = mime_type.unwrap_or(redacted.mime_type);
        redacted.content = content.map_or(redacted.content, String::into_bytes);
        Ok(Some(redacted))
    }

    fn feedback(&mut self, rows: &mut Vec<Feedback>) {
        if rows.is_empty() {
            return;
        }
        let redacted = self.field("feedback", |this| {
            let mut redacted = Vec::with_capacity(rows.len());
            for (position, row) in rows.iter().enumerate() {
                let hidden = this.position.enter(itoa::Buffer::new().format(position));
                if !hidden {
                    redacted.push(this.feedback_row(row)?);
                }
                this.position.leave();
            }
            Ok((redacted != *rows).then_some(redacted))
        });
        match redacted {
            Outcome::Same => {}
            Outcome::Changed(redacted) => *rows = redacted,
            Outcome::Hidden => rows.clear(),
        }
    }

    fn feedback_row(&mut self, row: &Feedback) -> Result<Feedback, Unfit> {
        let mut redacted = row.clone();
        if let Some(key) = self.feedback_field("key", MARKER, |this| this.text(&row.key, 0, false))? {
            redacted.key = if key.trim().is_empty() { MARKER.to_owned() } else { key };
        }
        if self.feedback_field("score", "", |_| Ok(None))?.is_some() {
            redacted.score = None;
        }
        if let Some(value) = &row.value {
            if let Some(text) = self.feedback_field("value", MARKER_JSON, |this| this.json(value.as_str(), 0))? {
                redacted.value = Some(Json::from_trusted(text));
            }
        }
        if let Some(comment) = &row.comment {
            let changed = self.feedback_field("comment", MARKER, |this| this.text(comment, 0, false))?;
            redacted.comment = changed.or(redacted.comment);
        }
        Ok(redacted)
    }

    /// Enters a field of a row: what it becomes, which is `marker` where a path hides it.
    fn feedback_field(
        &mut self,
        name: &str,
        marker: &str,
        look: impl FnOnce(&mut Self) -> Result<Option<String>, Unfit>,
    ) -> Result<Option<String>, Unfit> {
        let hidden = self.position.enter(name);
        let changed = if hidden { Some(marker.to_owned()) } else { look(self)? };
        self.position.leave();
        Ok(changed)
    }

    fn text_field(&mut self, name: &str, text: &str) -> Outcome<String> {
        self.field(name, |this| this.text(text, 0, false))
    }

    /// Enters a field and looks at it.
    fn field<T>(&mut self, name: &str, look: impl FnOnce(&mut Self) -> Result<Option<T>, Unfit>) -> Outcome<T> {
        let hidden = self.position.enter(name);
        let outcome = if hidden { Outcome::Hidden } else { self.guarded(look) };
        self.position.reset();
        outcome
    }

    /// Whatever goes wrong hides the field.
    fn guarded<T>(&mut self, look: impl FnOnce(&mut Self) -> Result<Option<T>, Unfit>) -> Outcome<T> {
        match contain(|| look(self)) {
            Ok(Ok(None)) => Outcome::Same,
            Ok(Ok(Some(changed))) => Outcome::Changed(changed),
            Ok(Err(Unfit)) | Err(_) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                Outcome::Hidden
            }
        }
    }
}

impl std::fmt::Debug for Redaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redaction").finish_non_exhaustive()
    }
}

/// Whether a file of this type can be read.
fn is_text(mime_type: &str) -> bool {
    let essence = mime_type.split(';').next().unwrap_or(mime_type).trim().to_ascii_lowercase();
    essence.starts_with("text/")
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
        || matches!(
            &*essence,
            "application/json"
                | "application/xml"
                | "application/x-ndjson"
                | "application/jsonl"
                | "application/javascript"
                | "application/yaml"
                | "application/x-yaml"
                | "application/toml"
        )
}

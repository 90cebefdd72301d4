//! Chat messages, brought into the one shape that LangSmith renders.
//!
//! Each source of messages is a file: it reads, and writes through what [`Messages`] offers.
//! Content stays the escaped text it came as, from the attribute to the run.

mod attachments;
mod blocks;
mod calls;
mod common;
mod conversation;
mod documents;
mod events;
mod flat;
mod google;
mod history;
mod indexed;
mod livekit;
mod openinference;
mod part;
mod parts;
mod providers;
mod read;
mod said;
mod tools;
mod vercel;
mod write;

pub(super) use conversation::split_conversation;
pub(super) use documents::{joined_text, write_documents};
pub(super) use flat::split_number;
pub(super) use history::History;
pub(super) use indexed::is_indexed;
pub(super) use livekit::other_items;
pub(super) use openinference::is_whole_tool;
pub(super) use read::Members;
pub(super) use tools::write_tools;
pub(super) use vercel::Answer;

use crate::json::write_string;
use crate::run::Attachment;
use attachments::Attachments;
use std::borrow::Cow;

/// Begins the object that messages become.
const OPEN: &str = "{\"messages\":[";

/// A list of chat messages, written as they come.
pub(crate) struct Messages {
    side: Side,
    /// Nothing, or [`OPEN`] and the messages with commas between them.
    written: String,
    history: History,
    /// Whether what is read now is for the history.
    is_kept: bool,
    count: usize,
    /// Where the first message ends.
    first: usize,
    /// The only message so far came from instructions that the next one may repeat.
    instructions: bool,
    finish_reasons: Vec<Cow<'static, str>>,
    compacted: bool,
    /// See [`Self::are_of_agent`].
    of_agent: bool,
    attachments: Attachments,
}

/// Where the messages stand in the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Inputs,
    Outputs,
}

impl Side {
    /// Who speaks when a message does not say it.
    fn role(self) -> &'static str {
        match self {
            Self::Inputs => "user",
            Self::Outputs => "assistant",
        }
    }
}

/// How far the messages were, to go back to.
#[derive(Clone, Debug)]
struct Mark {
    length: usize,
    count: usize,
    first: usize,
    instructions: bool,
    finish_reasons: usize,
    compacted: bool,
    attachments: usize,
}

impl Default for Messages {
    fn default() -> Self {
        Self::inputs()
    }
}

impl Messages {
    pub(crate) fn inputs() -> Self {
        Self::on(Side::Inputs)
    }

    pub(crate) fn outputs() -> Self {
        Self::on(Side::Outputs)
    }

    pub(crate) fn on(side: Side) -> Self {
        let prefix = match side {
            Side::Inputs => "input",
            Side::Outputs => "output",
        };
        Self {
            side,
            written: String::new(),
            history: History::default(),
            is_kept: false,
            count: 0,
            first: 0,
            instructions: false,
            finish_reasons: Vec::new(),
            compacted: false,
            of_agent: false,
            attachments: Attachments::new(prefix),
        }
    }

    /// Writes into memory that was used before, and copies what was read before.
    pub(crate) fn with_memory(mut self, text: String, history: History) -> Self {
        self.written = text;
        self.written.clear();
        self.history = history;
        self.is_kept = true;
        self
    }

    /// Says that one message may hold all that an agent did, with what it said in the end before it.
    pub(crate) fn are_of_agent(&mut self, of_agent: bool) {
        self.of_agent = of_agent;
    }

    /// What is known now, for the messages to come.
    pub(crate) fn into_history(mut self) -> History {
        self.history.keep_little();
        self.history
    }

    /// Sets how many bytes of base64 may stand inline; longer ones become attachments.
    #[cfg(test)]
    fn with_inline_limit(mut self, bytes: usize) -> Self {
        self.attachments.set_inline(bytes);
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether this piece of JSON stands somewhere in the messages.
    pub(crate) fn contains(&self, json: &str) -> bool {
        self.list().contains(json)
    }

    /// Takes the messages, as the first member of an object that is still open.
    pub(crate) fn take_object(&mut self) -> String {
        let mut object = std::mem::take(&mut self.written);
        if object.is_empty() {
            object.push_str(OPEN);
        }
        object.push(']');
        object
    }

    /// The messages, with commas between them.
    fn list(&self) -> &str {
        self.written.get(OPEN.len()..).unwrap_or_default()
    }

    /// Why the model stopped, by the first message that says so.
    pub(crate) fn finish_reason(&self) -> Option<&str> {
        self.finish_reasons.first().map(AsRef::as_ref)
    }

    /// Why the model stopped, one for each message that says so.
    pub(crate) fn finish_reasons(&self) -> &[Cow<'static, str>] {
        &self.finish_reasons
    }

    /// Whether earlier messages were replaced by a summary.
    pub(crate) fn is_compacted(&self) -> bool {
        self.compacted
    }

    /// The files that were too large to stay in the messages, which name them.
    pub(crate) fn take_attachments(&mut self) -> Vec<Attachment> {
        self.attachments.take()
    }

    fn add_finish_reason(&mut self, reason: &str) {
        const COMMON: [&str; 6] = ["stop", "tool_calls", "tool_call", "length", "end_turn", "tool_use"];
        // rig says `unknown` where it has none.
        if !reason.is_empty() && reason != "unknown" {
            let common = COMMON.into_iter().find(|common| *common == reason);
            self.finish_reasons.push(common.map_or_else(|| reason.to_owned().into(), Cow::Borrowed));
        }
    }

    fn push_text(&mut self, role: &str, text: &str) {
        let start = self.begin_message(role);
        self.written.push_str(",\"content\":");
        write_string(&mut self.written, text);
        self.end_message(start);
    }

    /// Opens a message and answers where it begins.
    fn begin_message(&mut self, role: &str) -> usize {
        self.written.push_str(if self.written.is_empty() { OPEN } else { "," });
        let start = self.written.len();
        self.written.push_str("{\"role\":");
        write_string(&mut self.written, role);
        start
    }

    fn end_message(&mut self, start: usize) {
        self.written.push('}');
        let repeats = std::mem::take(&mut self.instructions)
            && start > OPEN.len()
            && write::same_message(&self.written[OPEN.len()..start - 1], &self.written[start..]);
        if repeats {
            self.written.truncate(start - 1);
        } else {
            self.count += 1;
            if start == OPEN.len() {
                self.first = self.written.len();
            }
        }
    }

    fn mark(&self) -> Mark {
        Mark {
            length: self.written.len(),
            count: self.count,
            first: self.first,
            instructions: self.instructions,
            finish_reasons: self.finish_reasons.len(),
            compacted: self.compacted,
            attachments: self.attachments.len(),
        }
    }

    fn roll_back(&mut self, mark: &Mark) {
        self.written.truncate(mark.length);
        self.count = mark.count;
        self.first = mark.first;
        self.instructions = mark.instructions;
        self.finish_reasons.truncate(mark.finish_reasons);
        self.compacted = mark.compacted;
        self.attachments.truncate(mark.attachments);
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

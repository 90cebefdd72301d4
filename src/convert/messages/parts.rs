//! Messages as GenAI spans of semantic conventions 1.37 and later hold them: `{role, parts}`.

use super::common::Shape;
use super::history::History;
use super::part::{Kind, Part};
use super::read::{decode, is_object, is_string, Members};
use super::said::{Said, Which};
use super::write::{role_of, same_message, write_escaped, write_name};
use super::{Messages, Side, OPEN};
use crate::json::scan;
use crate::json::walk::Walk;
use std::ops::Range;

/// A message whose parts were read with it, in one go.
struct Message<'a> {
    members: Members<'a>,
    parts: Parts<'a>,
}

enum Parts<'a> {
    /// Not read as a list, which they may be nevertheless.
    Unread,
    Read(Vec<Part<'a>>),
    /// Written already.
    Said(Which),
}

impl<'a> Message<'a> {
    /// Reads the message that comes next. What is `said` in it may be known, if it `is_kept`.
    fn read(walk: &mut Walk<'a>, said: &mut Said, is_kept: bool) -> Option<Self> {
        let mut parts = None;
        let members = Members::read_next_with(walk, |walk, name| {
            if name != "parts" {
                return walk.value();
            }
            if parts.is_some() {
                // Which of the two counts is seen when both are known.
                parts = Some(Parts::Unread);
                return walk.value();
            }
            let (text, read) = walk.text_of(|walk| Parts::read(walk, said, is_kept))?;
            parts = Some(read);
            Some(text)
        })?;
        Some(Self { members, parts: parts.unwrap_or(Parts::Unread) })
    }
}

impl<'a> Parts<'a> {
    fn read(walk: &mut Walk<'a>, said: &mut Said, is_kept: bool) -> Option<Self> {
        if let Some(known) = is_kept.then(|| said.find(walk)).flatten() {
            return Some(Self::Said(known));
        }
        let before = walk.clone();
        if let Some(new) = said.read(walk) {
            return Some(Self::Said(new));
        }
        *walk = before.clone();
        if let Some(parts) = Part::read_list(walk) {
            return Some(Self::Read(parts));
        }
        *walk = before;
        walk.value().map(|_| Self::Unread)
    }
}

impl Messages {
    /// The members of a message that are read. The others are copied.
    pub(super) const READ: &[&str] = &["role", "parts", "content", "finish_reason"];
    const READ_WITH_CALLS: &[&str] = &["role", "parts", "content", "finish_reason", "tool_calls"];

    /// Adds the messages of a JSON array, or the one message of a JSON object.
    ///
    /// A message has `parts`, or is a chat message as OpenAI has it, which passes through, or is a
    /// choice that holds one. `false`, with nothing added, when the text is none of these.
    pub(crate) fn push_parts(&mut self, json: &str) -> bool {
        let mark = self.mark();
        self.written.reserve(json.len());
        if self.push_document(scan::trim(json)) {
            return true;
        }
        self.roll_back(&mark);
        false
    }

    /// Adds `gen_ai.system_instructions` as the first message, before or after the others are
    /// added: a list of parts, a JSON string or plain text. Left out where the first of the others
    /// says the same.
    pub(crate) fn push_system(&mut self, instructions: &str) {
        let text = instructions.trim();
        if text.is_empty() {
            return;
        }
        let others =
            (self.count > 0).then(|| (std::mem::take(&mut self.written), std::mem::take(&mut self.count), self.first));
        if let Some(json) = scan::document(text) {
            if !self.push_instructions(json) {
                self.push_text("system", instructions);
            }
        } else if is_string(text) && scan::value(text) {
            self.push_text("system", &decode(text));
        } else {
            self.push_text("system", instructions);
        }
        let Some((others, count, first)) = others else {
            self.instructions = self.count == 1;
            return;
        };
        self.instructions = false;
        let mut instructions = std::mem::replace(&mut self.written, others);
        if self.count == 0 || same_message(&instructions[OPEN.len()..], &self.written[OPEN.len()..first]) {
            (self.count, self.first) = (count, first);
        } else {
            instructions.push(',');
            self.written.insert_str(OPEN.len(), &instructions[OPEN.len()..]);
            self.count += count;
        }
    }

    fn push_instructions(&mut self, json: &str) -> bool {
        if self.push_parts(json) {
            return true;
        }
        let parts =
            if is_object(json) { Members::read(json).map(|part| vec![Part::new(part)]) } else { Part::read_all(json) };
        match parts {
            Some(parts) if parts.iter().all(|part| part.kind != Kind::Other) => {
                if !parts.is_empty() {
                    self.push_turns("system", &parts, None);
                }
                true
            }
            _ => false,
        }
    }

    fn push_document(&mut self, json: &str) -> bool {
        if !is_object(json) {
            return self.push_list(json);
        }
        let mut walk = Walk::new(json);
        // What a message says may be nested deeper when it stands alone.
        let message = Message::read(&mut walk, &mut self.history.said, false);
        let Some(message) = message.filter(|_| walk.end().is_some()) else { return false };
        // Some put the list under a version.
        match message.members.get("messages") {
            Some(list) if message.members.rest(&["messages", "version"]).next().is_none() => self.push_list(list),
            _ => self.push_message(message, false),
        }
    }

    fn push_list(&mut self, json: &str) -> bool {
        if !History::is_for(json, self) {
            return self.push_list_from(json, 0, |_, _| {});
        }
        let mut conversation = self.history.take(json);
        conversation.write(self);
        let start = conversation.position();
        let pushed = self.push_list_from(json, start, |messages, read| conversation.push(read, messages));
        if pushed {
            conversation.finish(json, self);
            self.history.keep(conversation);
        }
        pushed
    }

    /// Adds the messages of a list behind a position. `each` is told where one ends.
    fn push_list_from(&mut self, json: &str, position: usize, mut each: impl FnMut(&Self, usize)) -> bool {
        let mut walk = Walk::new(json);
        let mut is_empty = position == 0;
        let pushed = walk.elements_from(position, |walk| {
            is_empty = false;
            let message = Message::read(walk, &mut self.history.said, self.is_kept)?;
            self.push_message(message, self.is_kept).then(|| each(self, walk.position()))
        });
        pushed.is_some() && walk.end().is_some() && !is_empty
    }

    fn push_message(&mut self, message: Message<'_>, is_kept: bool) -> bool {
        let Message { members, parts } = message;
        if members.get("parts").is_some() || members.get("role").is_some_and(is_string) {
            self.push_read_message(&members, parts, self.side.role(), is_kept);
            true
        } else {
            self.push_choice_object(&members)
        }
    }

    /// Adds what is known to be a message, with the role to take when it has none.
    pub(super) fn push_known_message(&mut self, message: &Members<'_>, default_role: &str) {
        self.push_read_message(message, Parts::Unread, default_role, false);
    }

    fn push_read_message(&mut self, message: &Members<'_>, parts: Parts<'_>, default_role: &str, is_kept: bool) {
        let reason = message.get("finish_reason").map(decode).unwrap_or_default();
        self.add_finish_reason(&reason);
        let role = role_of(message.get("role"), default_role);
        let Some(json) = message.get("parts") else {
            self.copy_message(message, &role);
            return;
        };
        let content = message.get("content");
        let is_alone = content.is_none() && message.get("tool_calls").is_none();
        let is_all_work = self.of_agent && reason == "stop";
        // Of what was said before, a user's words are what an agent may have been asked.
        let is_kept = is_kept && is_alone && (self.side == Side::Outputs || role == "user");
        let mut parts = match parts {
            Parts::Said(which) if is_alone && self.push_said(&role, which, is_all_work, message) => {
                if is_kept && which == Which::New {
                    self.history.said.keep(json);
                }
                return;
            }
            Parts::Read(parts) => parts,
            // Without a list of parts after all, its text is what there is.
            Parts::Said(_) | Parts::Unread => Part::read_all(json).unwrap_or_else(|| vec![Part::text(json)]),
        };
        if let Some(content) = content {
            parts.insert(0, Part::text(content));
        }
        let has_calls = parts.iter().any(|part| part.kind == Kind::ToolCall);
        if is_all_work && has_calls {
            let is_work = |part: &Part<'_>| matches!(part.kind, Kind::ToolCall | Kind::ToolResult);
            let (work, said): (Vec<_>, Vec<_>) = parts.into_iter().partition(is_work);
            if !said.is_empty() {
                self.push_turns(&role, &work, None);
                self.push_turns(&role, &said, Some(message));
                return;
            }
            parts = work;
        }
        if !is_kept || parts.iter().any(|part| part.kind == Kind::ToolResult) {
            self.push_turns(&role, &parts, Some(message));
            return;
        }
        let files = self.attachments.len();
        let said = self.push_turn(&role, &parts, Some(message));
        // Files are taken out of each list anew.
        if let Some(written) = self.written.get(said).filter(|_| !self.compacted && self.attachments.len() == files) {
            let shape = if has_calls { Shape::ContentAndCalls } else { Shape::Content };
            self.history.said.keep_written(json, written, shape);
        }
    }

    /// Adds a message whose parts are written already. `false` when they have to be read in another way.
    fn push_said(&mut self, role: &str, which: Which, is_all_work: bool, message: &Members<'_>) -> bool {
        let role = match self.history.said.get(which).shape {
            Shape::Result if message.rest(Self::READ).next().is_some() => return false,
            Shape::ContentAndCalls if is_all_work => return false,
            Shape::Result => "tool",
            Shape::Content | Shape::ContentAndCalls => role,
        };
        let start = self.begin_message(role);
        self.written.push_str(&self.history.said.get(which).written);
        self.write_rest(message, Self::READ, &["tool_calls"]);
        self.end_message(start);
        true
    }

    /// A chat message in OpenAI's shape: only the role is changed, and why the model stopped is told elsewhere.
    fn copy_message(&mut self, message: &Members<'_>, role: &str) {
        let start = self.begin_message(role);
        for (name, value) in message.iter().filter(|(name, _)| !matches!(*name, "role" | "finish_reason")) {
            write_name(&mut self.written, name);
            self.attachments.copy(value, &mut self.written);
        }
        self.end_message(start);
    }

    /// Adds a message of parts. Answers of tools in it become messages of their own, in order.
    pub(super) fn push_turns(&mut self, role: &str, parts: &[Part<'_>], message: Option<&Members<'_>>) {
        let is_result = |part: &Part<'_>| part.kind == Kind::ToolResult;
        // What the message says beside its parts goes to the first turn that is its own.
        let only_results = !parts.is_empty() && parts.iter().all(is_result);
        let mut message = message;
        let mut rest = parts;
        loop {
            match rest.split_first() {
                Some((result, others)) if is_result(result) => {
                    self.push_result(&result.members, if only_results { message.take() } else { None });
                    rest = others;
                }
                _ => {
                    let (turn, others) = rest.split_at(rest.iter().position(is_result).unwrap_or(rest.len()));
                    self.push_turn(role, turn, message.take());
                    rest = others;
                }
            }
            if rest.is_empty() {
                break;
            }
        }
    }

    /// Answers where its content and its calls of tools stand.
    fn push_turn(&mut self, role: &str, parts: &[Part<'_>], message: Option<&Members<'_>>) -> Range<usize> {
        let start = self.begin_message(role);
        let content = self.written.len();
        self.written.push_str(",\"content\":");
        self.write_content(parts);
        let calls = self.begin_calls();
        for part in parts.iter().filter(|part| part.kind == Kind::ToolCall) {
            self.write_call(&part.members);
        }
        let beside = message.and_then(|message| message.get("tool_calls")).is_some_and(|json| self.write_calls(json));
        self.end_calls(calls);
        let said = content..self.written.len();
        if let Some(message) = message {
            self.write_rest(message, if beside { Self::READ_WITH_CALLS } else { Self::READ }, &["tool_calls"]);
        }
        self.end_message(start);
        said
    }

    /// Writes text alone as a string, anything else as blocks. Tool calls stand elsewhere.
    pub(super) fn write_content(&mut self, parts: &[Part<'_>]) {
        let content = || parts.iter().filter(|part| part.kind != Kind::ToolCall);
        if content().all(|part| part.plain_text().is_some() || part.is_empty_text()) {
            self.written.push('"');
            let mut first = true;
            for text in content().filter_map(Part::plain_text).filter(|text| *text != "\"\"") {
                if !first {
                    self.written.push_str("\\n");
                }
                first = false;
                write_escaped(&mut self.written, text);
            }
            self.written.push('"');
            return;
        }
        self.written.push('[');
        for part in content().filter(|part| !part.is_empty_text()) {
            self.write_block(part);
        }
        self.written.push(']');
    }
}

//! Messages as GenAI spans of semantic conventions 1.37 and later hold them: `{role, parts}`.

use super::common::{Message as Common, Shape};
use super::history::History;
use super::part::{Kind, Part};
use super::read::{decode, is_object, is_string, Members};
use super::said::Which;
use super::write::{role_of, same_message, write_escaped, write_name};
use super::{Messages, Side, OPEN};
use crate::json::scan;
use crate::json::walk::Walk;
use std::ops::Range;

/// A message whose parts were read with it, in one go.
struct Message<'a> {
    members: Members<'a>,
    /// `None` when there is no list of parts.
    parts: Option<Vec<Part<'a>>>,
}

impl<'a> Message<'a> {
    fn read(json: &'a str) -> Option<Self> {
        let mut walk = Walk::new(json);
        let message = Self::read_next(&mut walk)?;
        walk.end()?;
        Some(message)
    }

    fn read_next(walk: &mut Walk<'a>) -> Option<Self> {
        let mut parts = None;
        let members = Members::read_next_with(walk, |walk, name| {
            if name != "parts" {
                return walk.value();
            }
            let before = walk.clone();
            let (text, list) = walk.text_of(Part::read_list).map(|(text, list)| (text, Some(list))).or_else(|| {
                *walk = before;
                Some((walk.value()?, None))
            })?;
            if text != "null" {
                parts = list;
            }
            Some(text)
        })?;
        Some(Self { members, parts })
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
        if self.push_texts("system", text) {
            // Most are.
        } else if let Some(json) = scan::document(text) {
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

    /// Adds a message of parts that are nothing but texts. `false`, with nothing added, when the JSON is something else.
    fn push_texts(&mut self, role: &str, json: &str) -> bool {
        let said = self.history.said();
        let mut walk = Walk::new(json);
        let known = if self.is_kept { said.find(&mut walk) } else { None };
        let texts = known.or_else(|| said.read(&mut walk)).filter(|_| walk.end().is_some());
        let is_text = |which: &Which| said.get(*which).shape == Shape::Content && !said.get(*which).is_empty();
        let Some(which) = texts.filter(is_text) else { return false };
        let start = self.begin_message(role);
        self.written.push_str(&self.history.said().get(which).written);
        self.end_message(start);
        if self.is_kept && which == Which::New {
            self.history.said().keep(json);
        }
        true
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
        // What a message says may be nested deeper when it stands alone, so it is no matter for the history.
        let message = self.read_common(&mut walk, false).filter(|_| walk.end().is_some());
        if message.is_some_and(|message| self.push_common(&message, false)) {
            return true;
        }
        let Some(message) = Message::read(json) else { return false };
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
            let before = walk.clone();
            let message = self.read_common(walk, self.is_kept);
            if !message.is_some_and(|message| self.push_common(&message, self.is_kept)) {
                *walk = before;
                let message = Message::read_next(walk)?;
                if !self.push_message(message, self.is_kept) {
                    return None;
                }
            }
            each(self, walk.position());
            Some(())
        });
        pushed.is_some() && walk.end().is_some() && !is_empty
    }

    fn read_common<'a>(&mut self, walk: &mut Walk<'a>, is_kept: bool) -> Option<Common<'a>> {
        let said = self.history.said();
        Common::read(walk, |walk| {
            let known = if is_kept { said.find(walk) } else { None };
            // What is not known of an agent may be all that it did.
            known.or_else(|| if self.of_agent { None } else { said.read(walk) })
        })
    }

    /// Adds a message whose parts are written already. `false`, with nothing added, when they have to be read one by
    /// one.
    fn push_common(&mut self, message: &Common<'_>, is_kept: bool) -> bool {
        let Common { parts, rest, .. } = message;
        let reason = message.finish_reason.map(decode).unwrap_or_default();
        let role = role_of(message.role, self.side.role());
        let shape = self.history.said().get(*parts).shape;
        let role = match shape {
            Shape::ContentAndCalls if self.is_all_work(&reason) => return false,
            Shape::Result if rest.names().next().is_some() => return false,
            Shape::Result => "tool",
            Shape::Content | Shape::ContentAndCalls | Shape::Value => &role,
        };
        self.add_finish_reason(&reason);
        let start = self.begin_message(role);
        self.written.push_str(&self.history.said().get(*parts).written);
        self.write_rest(rest, &[], &[]);
        self.end_message(start);
        if is_kept && *parts == Which::New && self.may_come_again(role) {
            self.history.said().keep(message.list);
        }
        true
    }

    /// Whether one message holds all that an agent did.
    fn is_all_work(&self, finish_reason: &str) -> bool {
        self.of_agent && finish_reason == "stop"
    }

    /// Whether others may say it as well: what a model answers, and what a user asks of an agent. All else comes with
    /// its conversation.
    fn may_come_again(&self, role: &str) -> bool {
        self.side == Side::Outputs || role == "user"
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
        let parts = message.get("parts").and_then(Part::read_all);
        self.push_read_message(message, parts, default_role, false);
    }

    fn push_read_message(
        &mut self,
        message: &Members<'_>,
        parts: Option<Vec<Part<'_>>>,
        default_role: &str,
        is_kept: bool,
    ) {
        let reason = message.get("finish_reason").map(decode).unwrap_or_default();
        self.add_finish_reason(&reason);
        let role = role_of(message.get("role"), default_role);
        let Some(json) = message.get("parts") else {
            self.copy_message(message, &role);
            return;
        };
        // Without a list of parts after all, its text is what there is.
        let mut parts = parts.unwrap_or_else(|| vec![Part::text(json)]);
        let content = message.get("content");
        if let Some(content) = content {
            parts.insert(0, Part::text(content));
        }
        let has_calls = parts.iter().any(|part| part.kind == Kind::ToolCall);
        if has_calls && self.is_all_work(&reason) {
            let is_work = |part: &Part<'_>| matches!(part.kind, Kind::ToolCall | Kind::ToolResult);
            let (work, said): (Vec<_>, Vec<_>) = parts.into_iter().partition(is_work);
            if !said.is_empty() {
                self.push_turns(&role, &work, None);
                self.push_turns(&role, &said, Some(message));
                return;
            }
            parts = work;
        }
        let is_alone = content.is_none() && message.get("tool_calls").is_none();
        let has_results = parts.iter().any(|part| part.kind == Kind::ToolResult);
        if !is_kept || !is_alone || has_results || !self.may_come_again(&role) {
            self.push_turns(&role, &parts, Some(message));
            return;
        }
        let files = self.attachments.len();
        let said = self.push_turn(&role, &parts, Some(message));
        // Files are taken out of each list anew.
        if let Some(written) = self.written.get(said).filter(|_| !self.compacted && self.attachments.len() == files) {
            let shape = if has_calls { Shape::ContentAndCalls } else { Shape::Content };
            self.history.said().keep_written(json, written, shape);
        }
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

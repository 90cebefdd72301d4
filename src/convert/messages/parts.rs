//! Messages as GenAI spans of semantic conventions 1.37 and later hold them: `{role, parts}`.

use super::history::History;
use super::part::{Kind, Part};
use super::read::{decode, is_object, is_string, Members};
use super::write::{role_of, same_message, write_escaped, write_name};
use super::Messages;
use crate::json::scan;
use crate::json::walk::Walk;

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
        let others = (std::mem::take(&mut self.written), std::mem::take(&mut self.count), self.first);
        if let Some(json) = scan::document(text) {
            if !self.push_instructions(json) {
                self.push_text("system", instructions);
            }
        } else if is_string(text) && scan::value(text) {
            self.push_text("system", &decode(text));
        } else {
            self.push_text("system", instructions);
        }
        let (others, count, first) = others;
        self.instructions = count == 0 && self.count == 1;
        if count == 0 {
            return;
        }
        if self.count == 0 || same_message(&self.written, &others[..first]) {
            (self.written, self.count, self.first) = (others, count, first);
        } else {
            self.written.push(',');
            self.written.push_str(&others);
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
        let Some(message) = Message::read(json) else { return false };
        // Some put the list under a version.
        match message.members.get("messages") {
            Some(list) if message.members.rest(&["messages", "version"]).next().is_none() => self.push_list(list),
            _ => self.push_message(message),
        }
    }

    fn push_list(&mut self, json: &str) -> bool {
        match self.history.take() {
            Some(mut history) if History::is_for(json, self) => {
                let mut conversation = history.take(json);
                conversation.write(self);
                let start = conversation.position();
                let pushed = self.push_list_from(json, start, |messages, read| conversation.push(read, messages));
                if pushed {
                    conversation.finish(json, self);
                    history.keep(conversation);
                }
                self.history = Some(history);
                pushed
            }
            history => {
                self.history = history;
                self.push_list_from(json, 0, |_, _| {})
            }
        }
    }

    /// Adds the messages of a list behind a position. `each` is told where one ends.
    fn push_list_from(&mut self, json: &str, position: usize, mut each: impl FnMut(&Self, usize)) -> bool {
        let mut walk = Walk::new(json);
        let mut is_empty = position == 0;
        let pushed = walk.elements_from(position, |walk| {
            is_empty = false;
            let message = Message::read_next(walk)?;
            self.push_message(message).then(|| each(self, walk.position()))
        });
        pushed.is_some() && walk.end().is_some() && !is_empty
    }

    fn push_message(&mut self, message: Message<'_>) -> bool {
        let Message { members, parts } = message;
        if members.get("parts").is_some() || members.get("role").is_some_and(is_string) {
            self.push_read_message(&members, parts, self.side.role());
            true
        } else {
            self.push_choice_object(&members)
        }
    }

    /// Adds what is known to be a message, with the role to take when it has none.
    pub(super) fn push_known_message(&mut self, message: &Members<'_>, default_role: &str) {
        let parts = message.get("parts").and_then(Part::read_all);
        self.push_read_message(message, parts, default_role);
    }

    fn push_read_message(&mut self, message: &Members<'_>, parts: Option<Vec<Part<'_>>>, default_role: &str) {
        if let Some(reason) = message.get("finish_reason") {
            self.add_finish_reason(&decode(reason));
        }
        let role = role_of(message.get("role"), default_role);
        let Some(json) = message.get("parts") else {
            self.copy_message(message, &role);
            return;
        };
        // Without a list of parts after all, its text is what there is.
        let mut parts = parts.unwrap_or_else(|| vec![Part::text(json)]);
        if let Some(content) = message.get("content") {
            parts.insert(0, Part::text(content));
        }
        let is_done = message.get("finish_reason").is_some_and(|reason| decode(reason) == "stop");
        if self.of_agent && is_done && parts.iter().any(|part| part.kind == Kind::ToolCall) {
            let is_work = |part: &Part<'_>| matches!(part.kind, Kind::ToolCall | Kind::ToolResult);
            let (work, said): (Vec<_>, Vec<_>) = parts.into_iter().partition(is_work);
            if !said.is_empty() {
                self.push_turns(&role, &work, None);
                self.push_turns(&role, &said, Some(message));
                return;
            }
            parts = work;
        }
        self.push_turns(&role, &parts, Some(message));
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

    fn push_turn(&mut self, role: &str, parts: &[Part<'_>], message: Option<&Members<'_>>) {
        let start = self.begin_message(role);
        self.written.push_str(",\"content\":");
        self.write_content(parts);
        let calls = self.begin_calls();
        for part in parts.iter().filter(|part| part.kind == Kind::ToolCall) {
            self.write_call(&part.members);
        }
        let beside = message.and_then(|message| message.get("tool_calls")).is_some_and(|json| self.write_calls(json));
        self.end_calls(calls);
        if let Some(message) = message {
            self.write_rest(message, if beside { Self::READ_WITH_CALLS } else { Self::READ }, &["tool_calls"]);
        }
        self.end_message(start);
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

//! What was read before, and what it became. Each call of an agent sends all that was said so far once more: the
//! messages that a list begins with as another did are copied, and only the new ones read and written. Of those
//! some were read before as well, elsewhere: [`Said`] knows them.

use super::said::Said;
use super::{Mark, Messages, Side};
use std::borrow::Cow;

/// Lists shorter than this are read again sooner than they are found.
const SHORT: usize = 1024;
/// How many conversations are kept, and how many bytes of them in all.
const MOST: usize = 8;
const MUCH: usize = 1 << 20;

#[derive(Debug, Default)]
pub(crate) struct History {
    /// The last ones, the latest at the end.
    conversations: Vec<Conversation>,
    /// Apart, as a history goes from hand to hand.
    said: Option<Box<Said>>,
}

/// Messages that were read one after the other, and what they became.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    /// The list as it came, up to the end of the last message.
    list: String,
    written: String,
    finish_reasons: Vec<Cow<'static, str>>,
    ends: Vec<End>,
}

/// Where a message ends.
#[derive(Clone, Debug)]
struct End {
    /// In the list.
    read: usize,
    /// In what was written.
    written: Mark,
}

impl History {
    /// Keeps what a tool answered: an object that goes to the model.
    pub(crate) fn keep_answer(&mut self, json: &str) {
        self.said().keep_value(json);
    }

    /// Lets go of what one huge message needed.
    pub(super) fn keep_little(&mut self) {
        if let Some(said) = &mut self.said {
            said.keep_little();
        }
    }

    pub(super) fn said(&mut self) -> &mut Said {
        self.said.get_or_insert_default()
    }

    /// Whether such a list is kept: one that is to be written into messages that are none yet.
    pub(super) fn is_for(list: &str, messages: &Messages) -> bool {
        let is_fresh = messages.written.is_empty() && messages.finish_reasons.is_empty() && !messages.compacted;
        // What an agent answers comes once, and may be read in another way.
        messages.is_kept && is_fresh && list.len() >= SHORT && messages.side == Side::Inputs && !messages.of_agent
    }

    /// The conversation that this list goes on with, or a new one. Those of its messages that are another's as
    /// well are its own already.
    pub(super) fn take(&mut self, list: &str) -> Conversation {
        let mut longest = (0, 0, 0);
        for (at, conversation) in self.conversations.iter().enumerate().rev() {
            let (messages, read) = conversation.known(list);
            if messages == conversation.ends.len() {
                return self.conversations.remove(at);
            }
            if read > longest.0 {
                longest = (read, messages, at);
            }
        }
        let (_, messages, at) = longest;
        let is_full = self.conversations.len() == MOST;
        let other = (messages > 0).then(|| self.conversations.remove(at));
        // The oldest has to go, and leaves its memory.
        let mut new = if is_full { self.conversations.remove(0) } else { Conversation::default() };
        new.clear();
        if let Some(other) = other {
            new.begin_as(&other, messages);
            self.conversations.push(other);
        }
        new
    }

    /// Keeps a conversation for the lists to come.
    pub(super) fn keep(&mut self, conversation: Conversation) {
        if conversation.ends.is_empty() || conversation.size() > MUCH {
            return;
        }
        self.conversations.push(conversation);
        let mut size: usize = self.conversations.iter().map(Conversation::size).sum();
        while size > MUCH || self.conversations.len() > MOST {
            size -= self.conversations.remove(0).size();
        }
    }
}

impl Conversation {
    /// How many of the messages this list begins with, and how long they are in it.
    fn known(&self, list: &str) -> (usize, usize) {
        let mut read = 0;
        for (messages, end) in self.ends.iter().enumerate() {
            if list.as_bytes().get(read..end.read) != self.list.as_bytes().get(read..end.read) {
                return (messages, read);
            }
            read = end.read;
        }
        (self.ends.len(), read)
    }

    /// Has the first messages of another.
    fn begin_as(&mut self, other: &Self, messages: usize) {
        let ends = &other.ends[..messages];
        if let Some(End { read, written }) = ends.last() {
            self.list.push_str(&other.list[..*read]);
            self.written.push_str(&other.written[..written.length]);
            self.finish_reasons.extend_from_slice(&other.finish_reasons[..written.finish_reasons]);
            self.ends.extend_from_slice(ends);
        }
    }

    fn clear(&mut self) {
        if self.size() > MUCH / MOST {
            *self = Self::default();
        }
        self.list.clear();
        self.written.clear();
        self.finish_reasons.clear();
        self.ends.clear();
    }

    fn size(&self) -> usize {
        let lists =
            size_of::<End>() * self.ends.capacity() + size_of::<Cow<'_, str>>() * self.finish_reasons.capacity();
        self.list.capacity() + self.written.capacity() + lists
    }

    /// Where in the list its known messages end.
    pub(super) fn position(&self) -> usize {
        self.list.len()
    }

    /// Writes the known messages, as the first.
    pub(super) fn write(&self, messages: &mut Messages) {
        if let Some(end) = self.ends.last() {
            messages.written.push_str(&self.written);
            messages.finish_reasons.extend_from_slice(&self.finish_reasons);
            messages.roll_back(&end.written);
        }
    }

    /// A message of the list ends here, and was written.
    pub(super) fn push(&mut self, read: usize, messages: &Messages) {
        // Files are taken out of each list anew.
        if messages.attachments.len() == 0 {
            self.ends.push(End { read, written: messages.mark() });
        }
    }

    /// All of the list was read.
    pub(super) fn finish(&mut self, list: &str, messages: &Messages) {
        if let Some(End { read, written }) = self.ends.last() {
            if read + written.length > MUCH {
                // It will not be kept, so it need not be copied.
                self.ends.clear();
                return;
            }
            self.list.push_str(&list[self.list.len()..*read]);
            self.written.push_str(&messages.written[self.written.len()..written.length]);
            let reasons = &messages.finish_reasons[self.finish_reasons.len()..written.finish_reasons];
            self.finish_reasons.extend_from_slice(reasons);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{json, Value};

    /// What is read of a list, by the way that `messages` are kept.
    fn read(mut messages: Messages, list: &str, instructions: Option<&str>) -> (String, History) {
        let read = messages.push_parts(list);
        if let Some(instructions) = instructions {
            messages.push_system(instructions);
        }
        let out = messages.list().to_owned();
        let files: Vec<_> = messages.take_attachments().into_iter().map(|file| (file.name, file.content)).collect();
        let beside =
            (read, messages.is_compacted(), messages.finish_reasons().to_vec(), messages.count, messages.first);
        (format!("{out} {beside:?} {files:?}"), messages.into_history())
    }

    fn any_parts() -> impl Strategy<Value = Value> {
        let text =
            || prop_oneof![3 => "[a-c \"é]{0,3}", 1 => Just("long ".repeat(300)), 1 => Just("AAEC".repeat(9000))];
        let part = prop_oneof![
            4 => text().prop_map(|text| json!({"type": "text", "content": text})),
            1 => text().prop_map(|text| json!({"type": "reasoning", "content": text})),
            1 => text().prop_map(|text| json!({"type": "compaction", "content": text})),
            1 => text().prop_map(|text| json!({"type": "tool_call", "id": "c", "name": "f", "arguments": {"a": text}})),
            1 => text().prop_map(|text| json!({"type": "tool_call_response", "id": "c", "response": [text]})),
            1 => text().prop_map(|text| json!({"type": "tool_call_response", "id": "c", "response": {"a": text}})),
            1 => text().prop_map(|text| json!({"type": "blob", "mime_type": "image/png", "content": text})),
        ];
        prop::collection::vec(part, 0..3).prop_map(Value::from)
    }

    fn any_message() -> impl Strategy<Value = Value> {
        let role = prop::sample::select(vec!["user", "assistant", "system"]);
        let reason = prop::sample::select(vec![None, Some("stop"), Some("length")]);
        prop_oneof![
            9 => (role, any_parts(), reason).prop_map(|(role, parts, reason)| json!({"role": role, "parts": parts, "finish_reason": reason})),
            1 => Just(json!({"message": {"content": "x"}})),
            1 => prop::sample::select(vec![json!(7), json!({})]),
        ]
    }

    /// A message that says what is yet to be said, in its place a `#` and the number.
    fn any_speaker() -> impl Strategy<Value = String> {
        let role =
            prop::sample::select(vec!["\"role\":\"user\",", "\"role\":\"assistant\",", "\"role\":\"system\",", ""]);
        let beside = prop_oneof![
            3 => Just(""),
            2 => Just(",\"finish_reason\":\"stop\""),
            1 => prop::sample::select(vec![
                ",\"id\":1",
                ",\"content\":\"c\"",
                ",\"tool_calls\":[{\"name\":\"f\"}]",
                ",\"tool_calls\":7",
                ",\"parts\":[]",
                ",\"parts\":null",
                ",\"parts\":\"x\"",
                "x",
            ]),
        ];
        (role, 0..4_usize, beside).prop_map(|(role, number, beside)| format!("{{{role}\"parts\": #{number}{beside}}}"))
    }

    /// What happens to one of a few conversations before it is sent again.
    #[derive(Clone, Debug)]
    enum Change {
        Longer(Vec<Value>),
        Shorter(prop::sample::Index),
        Other(prop::sample::Index, Value),
        Broken(prop::sample::Index),
    }

    fn any_change() -> impl Strategy<Value = Change> {
        prop_oneof![
            5 => prop::collection::vec(any_message(), 0..4).prop_map(Change::Longer),
            1 => any::<prop::sample::Index>().prop_map(Change::Shorter),
            1 => (any::<prop::sample::Index>(), any_message()).prop_map(|(at, message)| Change::Other(at, message)),
            1 => any::<prop::sample::Index>().prop_map(Change::Broken),
        ]
    }

    proptest! {
        #[test]
        fn lists_are_read_as_without_a_history(
            changes in prop::collection::vec((0..3_usize, any_change(), any::<bool>(), prop::option::of("[a-c ]{0,3}")), 1..16),
        ) {
            let first = json!({"role": "system", "parts": [{"type": "text", "content": "You are brief. ".repeat(80)}]});
            let mut conversations = vec![vec![first]; 3];
            let mut history = History::default();
            for (which, change, wrapped, instructions) in changes {
                let messages = &mut conversations[which];
                let mut broken = None;
                match change {
                    Change::Longer(more) => messages.extend(more),
                    Change::Shorter(length) => messages.truncate(length.index(messages.len() + 1)),
                    Change::Other(at, message) if !messages.is_empty() => {
                        let at = at.index(messages.len());
                        messages[at] = message;
                    }
                    Change::Other(..) => {}
                    Change::Broken(at) => broken = Some(at),
                }
                let mut list = Value::from(messages.clone()).to_string();
                if let Some(at) = broken {
                    let places: Vec<_> = (0..list.len()).filter(|&at| list.is_char_boundary(at)).collect();
                    list.truncate(*at.get(&places));
                }
                if wrapped {
                    list = format!("{{\"messages\": {list} }}");
                }
                let messages = Messages::inputs().with_memory("old".to_owned(), history);
                let (with, kept) = read(messages, &list, instructions.as_deref());
                let (without, _) = read(Messages::inputs(), &list, instructions.as_deref());
                prop_assert_eq!(with, without);
                history = kept;
            }
        }

        #[test]
        fn what_was_said_is_read_as_without_a_history(
            said in prop::collection::vec(any_parts(), 4),
            lists in prop::collection::vec(
                (any::<bool>(), any::<bool>(), prop::collection::vec(any_speaker(), 1..4), 0..8_u8, any::<prop::sample::Index>()),
                1..16,
            ),
            answers in prop::collection::vec(any_parts(), 0..3),
        ) {
            let mut history = History::default();
            // What a tool answered, and what looks like parts.
            for json in said.iter().chain(&answers) {
                history.keep_answer(&json.to_string());
                history.keep_answer(&json[0]["response"].to_string());
            }
            for (is_output, of_agent, speakers, shape, at) in lists {
                let instructions = said.get(usize::from(shape) / 2).map(|parts| if of_agent { format!(" {parts}") } else { "x".into() });
                let instructions = instructions.as_deref();
                let mut list = format!("[{}]", speakers.join(", "));
                if shape == 0 {
                    list.clone_from(&speakers[0]);
                }
                for (number, parts) in said.iter().enumerate() {
                    list = list.replace(&format!("#{number}"), &parts.to_string());
                }
                if shape == 1 {
                    let places: Vec<_> = (0..list.len()).filter(|&at| list.is_char_boundary(at)).collect();
                    list.truncate(*at.get(&places));
                }
                let messages = || {
                    let mut messages = if is_output { Messages::outputs() } else { Messages::inputs() };
                    messages.are_of_agent(of_agent);
                    messages
                };
                let (with, kept) = read(messages().with_memory(String::new(), history), &list, instructions);
                let (without, _) = read(messages(), &list, instructions);
                prop_assert_eq!(with, without);
                history = kept;
            }
        }
    }

    fn list(messages: &[String]) -> String {
        let message = |text: &String| json!({"role": "user", "parts": [{"type": "text", "content": text}]});
        messages.iter().map(message).collect::<Value>().to_string()
    }

    fn keep(history: History, messages: &[String]) -> History {
        read(Messages::inputs().with_memory(String::new(), history), &list(messages), None).1
    }

    #[test]
    fn a_conversation_goes_on_where_it_was() {
        let mut messages = vec!["system ".repeat(200), "one".to_owned()];
        let mut history = keep(History::default(), &messages);
        for _ in 0..3 {
            messages.push("more".to_owned());
            let known = history.take(&list(&messages));
            assert_eq!(known.ends.len(), messages.len() - 1);
            assert!(history.conversations.is_empty(), "it is the same");
            history.keep(known);
            history = keep(history, &messages);
        }
        messages[1] = "other".to_owned();
        assert_eq!(history.take(&list(&messages)).ends.len(), 1);
        assert_eq!(history.conversations.len(), 1, "it is another");
        assert_eq!(history.take(&list(&["x".repeat(2000)])).ends.len(), 0);
    }

    #[test]
    fn keeps_the_last_conversations_and_not_much() {
        let text = |number: usize, length: usize| vec![format!("{number} ").repeat(length)];
        let mut history = History::default();
        for number in 0..20 {
            history = keep(history, &text(number, 1000));
        }
        assert_eq!(history.conversations.len(), MOST);
        assert_eq!(history.take(&list(&text(12, 1000))).ends.len(), 1);
        assert_eq!(history.take(&list(&text(11, 1000))).ends.len(), 0);
        for number in 0..20 {
            history = keep(history, &text(number, 50_000));
        }
        let size = |history: &History| history.conversations.iter().map(Conversation::size).sum::<usize>();
        assert!((MUCH / 2..=MUCH).contains(&size(&history)), "{}", size(&history));
        let before = history.conversations.len();
        history = keep(history, &text(1, 1_000_000));
        assert_eq!(history.conversations.len(), before, "too long, and no reason to forget the others");
        assert!(keep(History::default(), &text(1, 10)).conversations.is_empty(), "short");
    }
}

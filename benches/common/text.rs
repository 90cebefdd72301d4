//! Texts and messages that compress about as English and an agent's JSON do, the same in every run.

use serde_json::{json, Value};
use std::fmt::Write;

const SYLLABLES: [&str; 45] = [
    "a", "the", "in", "re", "to", "er", "con", "al", "ti", "o", "be", "pro", "en", "ly", "di", "com", "ver", "ma",
    "si", "per", "ter", "est", "ing", "ra", "lo", "an", "ed", "tion", "ness", "ous", "vi", "ca", "ple", "gen", "un",
    "sub", "gra", "ment", "ist", "ful", "cy", "out", "hy", "trans", "quo",
];
const WORDS: f64 = 2000.0;

pub(crate) struct Text(fastrand::Rng);

impl Text {
    pub(crate) fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// Few words are frequent and many are rare: the n-th is drawn with a chance of about 1/n.
    fn push_word(&mut self, out: &mut String) {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 1,999")]
        let rank = (WORDS.powf(self.0.f64()) - 1.0) as usize;
        if let Some(first) = (rank / SYLLABLES.len()).checked_sub(1) {
            out.push_str(SYLLABLES[first]);
        }
        out.push_str(SYLLABLES[rank % SYLLABLES.len()]);
    }

    /// At least so many bytes of sentences, with a number, a quotation or a new line here and there.
    pub(crate) fn prose(&mut self, bytes: usize) -> String {
        let mut out = String::with_capacity(bytes + 200);
        while out.len() < bytes {
            let start = out.len();
            for _ in 0..self.0.usize(4..16) {
                match self.0.u8(..30) {
                    0 => drop(write!(out, "{} ", self.0.u16(..5000))),
                    1 => {
                        out.push('"');
                        self.push_word(&mut out);
                        out.push_str("\" ");
                    }
                    _ => {
                        self.push_word(&mut out);
                        out.push(' ');
                    }
                }
            }
            if let Some(first) = out.get_mut(start..=start) {
                first.make_ascii_uppercase();
            }
            out.truncate(out.len() - 1);
            out.push_str(if self.0.u8(..6) == 0 { ".\n" } else { ". " });
        }
        out
    }

    pub(crate) fn id(&mut self) -> String {
        format!("call_{:016x}", self.0.u64(..))
    }

    pub(crate) fn count(&mut self, below: i64) -> i64 {
        self.0.i64(1..below)
    }

    /// The arguments of a call to a tool that searches.
    pub(crate) fn arguments(&mut self) -> Value {
        json!({"query": self.prose(100), "limit": self.count(20), "filters": {"since": "2026-01-01", "lang": "en"}})
    }

    /// What the search finds.
    pub(crate) fn hits(&mut self) -> Value {
        let hit = |_| json!({"id": self.id(), "score": self.0.f32(), "title": self.prose(30), "text": self.prose(120)});
        json!({"hits": (0..4).map(hit).collect::<Vec<_>>()})
    }

    /// Messages in the form of OpenTelemetry's conventions, of at least so many bytes; each has about 1 KB.
    pub(crate) fn messages(&mut self, bytes: usize) -> String {
        let mut messages = Vec::new();
        let mut written = 0;
        while written < bytes {
            let role = if messages.len() % 2 == 0 { "user" } else { "assistant" };
            let message = said(role, &self.prose(900.min(bytes)));
            written += message.to_string().len();
            messages.push(message);
        }
        Value::from(messages).to_string()
    }
}

/// A message of one text.
pub(crate) fn said(role: &str, text: &str) -> Value {
    json!({"role": role, "parts": [{"type": "text", "content": text}]})
}

//! An object written member by member.

use super::seen::Seen;
use super::write::{write_attribute, write_f64, write_i64, write_string};
use super::Name;
use opentelemetry::Value;

/// A JSON object under construction. The first member under a name stays; later ones under the
/// same name are left out, because conventions are asked in order of precedence.
#[derive(Clone, Default)]
pub(crate) struct Object {
    /// `,"name":value,"name":value`: without the braces, and with a comma before the first one too.
    members: String,
    list: Vec<Member>,
    seen: Seen,
}

#[derive(Clone, Copy)]
struct Member {
    /// Of its name.
    hash: u64,
    /// Where the member begins in `members`, and where its value does.
    start: usize,
    value: usize,
}

/// A plain name as it is written, with all around it, and its hash.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready<'a> {
    /// `,"name":`
    member: &'a str,
    hash: u64,
}

impl<'a> Ready<'a> {
    #[inline]
    pub(crate) fn new(member: &'a str, hash: u64) -> Self {
        Self { member, hash }
    }

    #[cfg(test)]
    pub(crate) fn member(self) -> &'a str {
        self.member
    }
}

impl Object {
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Adds a member whose value `write` writes. Says whether the name was new.
    pub(crate) fn insert_with<'n>(&mut self, name: impl Into<Name<'n>>, write: impl FnOnce(&mut String)) -> bool {
        let is_new = self.begin(name.into());
        if is_new {
            write(&mut self.members);
        }
        is_new
    }

    /// Writes a name, after which its value has to be written; unless it is there already.
    #[inline]
    fn begin(&mut self, name: Name<'_>) -> bool {
        match name.member() {
            Some(member) => self.begin_ready(Ready { member, hash: name.hash() }),
            None => self.begin_other(name),
        }
    }

    fn begin_ready(&mut self, name: Ready<'_>) -> bool {
        let Self { members, list, seen } = self;
        let is_same = |member: &Member| members.as_bytes()[member.start..member.value] == *name.member.as_bytes();
        if seen.find(list, name.hash, |member| member.hash, is_same).is_some() {
            return false;
        }
        let start = members.len();
        members.push_str(name.member);
        self.push(name.hash, start);
        true
    }

    fn begin_other(&mut self, name: Name<'_>) -> bool {
        if !name.is_plain() {
            return self.begin_other(Name::escaped(&escape(name)));
        }
        if self.find(name.hash(), name.text()).is_some() {
            return false;
        }
        let start = self.members.len();
        self.members.push_str(",\"");
        self.members.push_str(name.text());
        self.members.push_str("\":");
        self.push(name.hash(), start);
        true
    }

    /// Notes a member whose value comes next.
    #[inline]
    fn push(&mut self, hash: u64, start: usize) {
        self.seen.push(hash, self.list.len());
        self.list.push(Member { hash, start, value: self.members.len() });
    }

    #[inline]
    pub(crate) fn insert<'n>(&mut self, name: impl Into<Name<'n>>, value: &Value) -> bool {
        match value {
            Value::String(text) => self.insert_str(name, text.as_str()),
            other => self.insert_with(name, |out| write_attribute(out, other)),
        }
    }

    #[inline]
    pub(crate) fn insert_str<'n>(&mut self, name: impl Into<Name<'n>>, text: &str) -> bool {
        let name = name.into();
        match name.member() {
            Some(member) => self.insert_text(Ready { member, hash: name.hash() }, text),
            None => self.insert_other_text(name, text),
        }
    }

    /// Most members are short texts, under names that stand ready.
    fn insert_text(&mut self, name: Ready<'_>, text: &str) -> bool {
        let is_new = self.begin_ready(name);
        if is_new {
            write_string(&mut self.members, text);
        }
        is_new
    }

    fn insert_other_text(&mut self, name: Name<'_>, text: &str) -> bool {
        let is_new = self.begin_other(name);
        if is_new {
            write_string(&mut self.members, text);
        }
        is_new
    }

    /// Adds a member under a name that stands ready.
    pub(crate) fn insert_ready(&mut self, name: Ready<'_>, value: &Value) -> bool {
        if let Value::String(text) = value {
            return self.insert_text(name, text.as_str());
        }
        let is_new = self.begin_ready(name);
        if is_new {
            write_attribute(&mut self.members, value);
        }
        is_new
    }

    pub(crate) fn insert_i64<'n>(&mut self, name: impl Into<Name<'n>>, number: i64) -> bool {
        self.insert_with(name, |out| write_i64(out, number))
    }

    pub(crate) fn insert_f64<'n>(&mut self, name: impl Into<Name<'n>>, number: f64) -> bool {
        self.insert_with(name, |out| write_f64(out, number))
    }

    pub(crate) fn insert_bool<'n>(&mut self, name: impl Into<Name<'n>>, flag: bool) -> bool {
        self.insert_raw(name, if flag { "true" } else { "false" })
    }

    /// Adds a member whose value is JSON text already.
    pub(crate) fn insert_raw<'n>(&mut self, name: impl Into<Name<'n>>, json: &str) -> bool {
        self.insert_with(name, |out| out.push_str(json))
    }

    /// Adds the members of an object in JSON, where their names are new. `false` when the text is no
    /// object, or has no members.
    pub(crate) fn insert_members(&mut self, json: &str) -> bool {
        let Some(json) = super::scan::object(json) else { return false };
        let mut any = false;
        let read = super::walk::members(json, |name, value| {
            any = true;
            // As it would be written here, so that it is the same name.
            let plain = serde_json::from_str::<std::borrow::Cow<'_, str>>(name).unwrap_or_default();
            self.insert_raw(&plain, value);
        });
        read.is_some() && any
    }

    /// Adds a member whose name and value are JSON text already.
    pub(crate) fn insert_quoted(&mut self, name: &str, json: &str) -> bool {
        self.insert_raw(Name::escaped(&name[1..name.len() - 1]), json)
    }

    /// The last member's value.
    pub(crate) fn last(&self) -> &str {
        self.list.last().map_or("", |last| &self.members[last.value..])
    }

    /// Writes the rest of the last member's value.
    pub(crate) fn end_last(&mut self, write: impl FnOnce(&mut String)) {
        write(&mut self.members);
    }

    /// Adds the members of another object, where their names are new.
    #[inline]
    pub(crate) fn append(&mut self, other: &Self) {
        if self.is_empty() {
            self.members.push_str(&other.members);
            self.list.extend_from_slice(&other.list);
            self.seen.become_like(&other.seen);
        } else {
            self.append_where(other, |_| true);
        }
    }

    /// The same for those whose names, as they are written in JSON, `accept` accepts.
    pub(crate) fn append_where(&mut self, other: &Self, accept: impl Fn(&str) -> bool) {
        for (member, (quoted, value)) in other.list.iter().zip(other.iter()) {
            let name = &quoted[1..quoted.len() - 1];
            if accept(name) {
                self.insert_raw(Name::escaped_with_hash(name, member.hash), value);
            }
        }
    }

    /// The members: their names, quotes included, and their values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.list.iter().enumerate().map(|(position, member)| {
            let end = self.list.get(position + 1).map_or(self.members.len(), |next| next.start);
            (&self.members[member.start + 1..member.value - 1], &self.members[member.value..end])
        })
    }

    /// The JSON text under a name.
    pub(crate) fn get<'n>(&self, name: impl Into<Name<'n>>) -> Option<&str> {
        let position = self.position(name.into())?;
        let end = self.list.get(position + 1).map_or(self.members.len(), |next| next.start);
        Some(&self.members[self.list[position].value..end])
    }

    pub(crate) fn contains<'n>(&self, name: impl Into<Name<'n>>) -> bool {
        self.position(name.into()).is_some()
    }

    /// The members without the braces.
    pub(crate) fn members(&self) -> &str {
        self.members.get(1..).unwrap_or_default()
    }

    /// Appends `{…}`.
    pub(crate) fn write_to(&self, out: &mut String) {
        out.push('{');
        out.push_str(self.members());
        out.push('}');
    }

    /// Bytes of memory for the members.
    pub(crate) fn capacity(&self) -> usize {
        self.members.capacity()
    }

    /// Empties it and keeps its memory.
    pub(crate) fn clear(&mut self) {
        if !self.is_empty() {
            self.members.clear();
            self.list.clear();
            self.seen.clear();
        }
    }

    fn position(&self, name: Name<'_>) -> Option<usize> {
        if name.is_plain() {
            self.find(name.hash(), name.text())
        } else {
            let escaped = escape(name);
            self.find(Name::escaped(&escaped).hash(), &escaped)
        }
    }

    /// The member with a name that is plain, or as it stands in JSON.
    #[inline]
    fn find(&self, hash: u64, name: &str) -> Option<usize> {
        let is_same = |member: &Member| &self.members.as_bytes()[member.start + 2..member.value - 2] == name.as_bytes();
        self.seen.find(&self.list, hash, |member| member.hash, is_same)
    }
}

/// A name as it stands in JSON, without its quotes.
fn escape(name: Name<'_>) -> String {
    let mut quoted = String::new();
    write_string(&mut quoted, name.text());
    quoted.pop();
    quoted.split_off(1)
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{{{}}}", self.members())
    }
}

#[cfg(test)]
mod tests {
    use super::super::name;
    use super::*;
    use proptest::prelude::*;

    /// The same members in a plain list.
    #[derive(Clone, Default)]
    struct Plain(Vec<(String, String)>);

    impl Plain {
        fn insert(&mut self, name: &str, json: String) -> bool {
            let is_new = self.0.iter().all(|(other, _)| other != name);
            if is_new {
                self.0.push((name.into(), json));
            }
            is_new
        }
    }

    fn quoted(text: &str) -> String {
        serde_json::to_string(text).unwrap_or_default()
    }

    proptest! {
        #[test]
        fn members_are_those_of_a_plain_list(steps in prop::collection::vec((0..8u8, "[ab\"\\\\é\n]{0,2}", "[a-c\"\u{1}é]{0,70}"), 0..80)) {
            let (mut object, mut plain) = (Object::default(), Plain::default());
            let mut kept = vec![(Object::default(), Plain::default())];
            for (step, name, text) in steps {
                match step {
                    0 => prop_assert_eq!(object.insert_i64(&name, 7), plain.insert(&name, "7".into())),
                    1 => prop_assert_eq!(object.insert_str(name!("a"), &text), plain.insert("a", quoted(&text))),
                    2 if object.insert_raw(&name, "[") => {
                        object.end_last(|out| { write_string(out, &text); out.push(']'); });
                        plain.insert(&name, format!("[{}]", quoted(&text)));
                    }
                    3 => kept.push((std::mem::take(&mut object), std::mem::take(&mut plain))),
                    4 => {
                        let (other, members) = &kept[text.len() % kept.len()];
                        object.append(other);
                        for (name, json) in &members.0 {
                            plain.insert(name, json.clone());
                        }
                    }
                    5 if text.len() < 20 => {
                        object.clear();
                        plain.0.clear();
                    }
                    _ => prop_assert_eq!(object.insert(&name, &Value::from(text.clone())), plain.insert(&name, quoted(&text))),
                }
                let members: Vec<_> = object.iter().map(|(name, json)| (name.to_owned(), json.to_owned())).collect();
                let expected: Vec<_> = plain.0.iter().map(|(name, json)| (quoted(name), json.clone())).collect();
                let read = |json: &str| serde_json::from_str::<serde_json::Value>(json).ok();
                prop_assert_eq!(members.len(), expected.len());
                for ((name, json), (plain_name, plain_json)) in members.iter().zip(&expected) {
                    prop_assert_eq!((read(name), read(json)), (read(plain_name), read(plain_json)));
                }
                for (name, json) in &plain.0 {
                    prop_assert_eq!(object.get(name).map(read), Some(read(json)));
                }
                prop_assert_eq!(object.last(), members.last().map_or("", |(_, json)| json));
                let mut whole = String::new();
                object.write_to(&mut whole);
                prop_assert_eq!(&whole, &format!("{{{}}}", object.members()));
                let whole: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&whole).unwrap_or_default();
                prop_assert_eq!(whole.len(), plain.0.len());
            }
        }
    }
}

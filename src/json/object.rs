//! An object written member by member.

use super::scan::plain_length;
use super::seen::Seen;
use super::write::{write_attribute, write_f64, write_i64, write_string};
use opentelemetry::Value;

/// A JSON object under construction. The first member under a name stays; later ones under the
/// same name are left out, because conventions are asked in order of precedence.
#[derive(Clone, Default)]
pub(crate) struct Object {
    /// `"name":value,"name":value`, without the braces.
    members: String,
    names: Vec<Name>,
    seen: Seen,
}

#[derive(Clone, Copy)]
struct Name {
    hash: u64,
    /// Where the member begins in `members`, and where its value does.
    start: usize,
    value: usize,
}

impl Object {
    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Adds a member whose value `write` writes. Says whether the name was new.
    pub(crate) fn insert_with(&mut self, name: &str, write: impl FnOnce(&mut String)) -> bool {
        self.insert_named(|out| write_string(out, name), write)
    }

    fn insert_named(&mut self, name: impl FnOnce(&mut String), write: impl FnOnce(&mut String)) -> bool {
        let start = self.members.len();
        if start > 0 {
            self.members.push(',');
        }
        let text = self.members.len();
        name(&mut self.members);
        let hash = Seen::hash(&self.members.as_bytes()[text..]);
        if self.find(hash, &self.members.as_bytes()[text..]).is_some() {
            self.members.truncate(start);
            return false;
        }
        self.seen.push(hash, self.names.len());
        self.members.push(':');
        let value = self.members.len();
        write(&mut self.members);
        self.names.push(Name { hash, start, value });
        true
    }

    pub(crate) fn insert(&mut self, name: &str, value: &Value) -> bool {
        self.insert_with(name, |out| write_attribute(out, value))
    }

    pub(crate) fn insert_str(&mut self, name: &str, text: &str) -> bool {
        self.insert_with(name, |out| write_string(out, text))
    }

    pub(crate) fn insert_i64(&mut self, name: &str, number: i64) -> bool {
        self.insert_with(name, |out| write_i64(out, number))
    }

    pub(crate) fn insert_f64(&mut self, name: &str, number: f64) -> bool {
        self.insert_with(name, |out| write_f64(out, number))
    }

    pub(crate) fn insert_bool(&mut self, name: &str, flag: bool) -> bool {
        self.insert_raw(name, if flag { "true" } else { "false" })
    }

    /// Adds a member whose value is JSON text already.
    pub(crate) fn insert_raw(&mut self, name: &str, json: &str) -> bool {
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
        self.insert_named(|out| out.push_str(name), |out| out.push_str(json))
    }

    /// Adds the members of another object, where their names are new.
    pub(crate) fn append(&mut self, other: &Self) {
        self.append_where(other, |_| true);
    }

    /// The same for those whose names, as they are written in JSON, `accept` accepts.
    pub(crate) fn append_where(&mut self, other: &Self, accept: impl Fn(&str) -> bool) {
        for (name, value) in other.iter().filter(|(name, _)| accept(&name[1..name.len() - 1])) {
            self.insert_quoted(name, value);
        }
    }

    /// The members: their names, quotes included, and their values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.names.iter().enumerate().map(|(position, name)| {
            let end = self.names.get(position + 1).map_or(self.members.len(), |next| next.start);
            let start = name.start + usize::from(name.start > 0);
            (&self.members[start..name.value - 1], &self.members[name.value..end])
        })
    }

    /// The JSON text under a name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let position = self.position(name)?;
        let end = self.names.get(position + 1).map_or(self.members.len(), |next| next.start);
        Some(&self.members[self.names[position].value..end])
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.position(name).is_some()
    }

    /// The members without the braces.
    pub(crate) fn members(&self) -> &str {
        &self.members
    }

    /// Appends `{…}`.
    pub(crate) fn write_to(&self, out: &mut String) {
        out.push('{');
        out.push_str(&self.members);
        out.push('}');
    }

    /// Bytes of memory for the members.
    pub(crate) fn capacity(&self) -> usize {
        self.members.capacity()
    }

    /// Empties it and keeps its memory.
    pub(crate) fn clear(&mut self) {
        self.members.clear();
        self.names.clear();
        self.seen.clear();
    }

    fn position(&self, name: &str) -> Option<usize> {
        /// Names of this crate's own need no memory to be looked up.
        const SHORT: usize = 64;
        let length = name.len() + 2;
        if length <= SHORT && plain_length(name.as_bytes()) == name.len() {
            let mut quoted = [b'"'; SHORT];
            quoted[1..=name.len()].copy_from_slice(name.as_bytes());
            return self.find(Seen::hash(&quoted[..length]), &quoted[..length]);
        }
        let mut quoted = String::with_capacity(length);
        write_string(&mut quoted, name);
        self.find(Seen::hash(quoted.as_bytes()), quoted.as_bytes())
    }

    fn find(&self, hash: u64, quoted: &[u8]) -> Option<usize> {
        let is_same = |name: &Name| {
            let start = name.start + usize::from(name.start > 0);
            &self.members.as_bytes()[start..name.value - 1] == quoted
        };
        self.seen.find(&self.names, hash, |name| name.hash, is_same)
    }
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{{{}}}", self.members)
    }
}

//! Objects read one level deep: names decoded, values left as the text they are.

use crate::json::walk::{self, Walk};
use crate::json::{is_short_and_plain, scan};
use rustc_hash::FxHashSet;
use std::borrow::Cow;

/// The members of a JSON object, in their order.
#[derive(Clone, Default)]
pub(crate) struct Members<'a>(Vec<(Cow<'a, str>, &'a str)>);

impl<'a> Members<'a> {
    pub(crate) fn read(json: &'a str) -> Option<Self> {
        let mut walk = Walk::new(json);
        let members = Self::read_next(&mut walk)?;
        walk.end()?;
        Some(members)
    }

    /// Reads an array of objects; `None` when anything else stands in it.
    pub(super) fn read_all(json: &'a str) -> Option<Vec<Self>> {
        let mut walk = Walk::new(json);
        let mut all = Vec::new();
        walk.elements(|walk| Self::read_next(walk).map(|members| all.push(members)))?;
        walk.end()?;
        Some(all)
    }

    pub(super) fn read_next(walk: &mut Walk<'a>) -> Option<Self> {
        Self::read_next_with(walk, |walk, _| walk.value())
    }

    /// Reads the object that comes next. `read` goes past the values, and is told their names.
    pub(super) fn read_next_with(
        walk: &mut Walk<'a>,
        mut read: impl FnMut(&mut Walk<'a>, &str) -> Option<&'a str>,
    ) -> Option<Self> {
        let mut members = Vec::with_capacity(4);
        walk.members(|walk, name, has_escapes| {
            let name = if has_escapes { decode(name) } else { Cow::Borrowed(escaped(name)?) };
            let value = read(walk, &name)?;
            members.push((name, value));
            Some(())
        })?;
        Some(Self(members))
    }

    /// An object with one member.
    pub(super) fn single(name: &'static str, json: &'a str) -> Self {
        Self(vec![(Cow::Borrowed(name), json)])
    }

    /// The value under a name. `null` is no value, and the last of several counts.
    pub(crate) fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().rev().find(|(other, value)| other == name && *value != "null").map(|(_, value)| *value)
    }

    /// The string under a name, decoded.
    pub(crate) fn get_text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name).filter(|value| is_string(value)).map(decode)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), *value))
    }

    /// The members that are not `known` and not `null`.
    pub(crate) fn rest<'s>(&'s self, known: &'s [&str]) -> impl Iterator<Item = (&'s str, &'a str)> {
        self.iter().filter(move |(name, value)| *value != "null" && !known.contains(name))
    }

    /// The names of the members that hold something.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.rest(&[]).map(|(name, _)| name)
    }

    /// Adds a member, even if there is one of that name.
    pub(super) fn push(&mut self, name: &'a str, json: &'a str) {
        self.0.push((Cow::Borrowed(name), json));
    }

    /// Adds the members of another object whose names are new.
    pub(super) fn append(&mut self, other: &Self, except: &[&str]) {
        let theirs: FxHashSet<&str> = other.names().collect();
        self.0.retain(|(name, value)| *value != "null" || !theirs.contains(name.as_ref()));
        let ours: FxHashSet<String> = self.0.iter().map(|(name, _)| name.to_string()).collect();
        let is_new = |name: &str| !except.contains(&name) && !ours.contains(name);
        self.0.extend(other.0.iter().filter(|(name, _)| is_new(name)).cloned());
    }

    /// Adds JSON under a name that holds nothing yet.
    pub(super) fn add(&mut self, name: &'static str, json: &'a str) {
        if self.get(name).is_none() {
            self.0.retain(|(other, _)| other != name);
            self.0.push((Cow::Borrowed(name), json));
        }
    }

    /// Puts JSON under a name, in place of what it held.
    pub(super) fn replace(&mut self, name: &'static str, json: &'a str) {
        self.remove(name);
        self.0.push((Cow::Borrowed(name), json));
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.0.retain(|(other, _)| other != name);
    }

    /// Moves a value to a name that holds nothing yet.
    pub(super) fn rename(&mut self, from: &str, to: &'static str) {
        if let Some(value) = self.get(from).filter(|_| self.get(to).is_none()) {
            self.0.retain(|(name, _)| name != from);
            self.add(to, value);
        }
    }
}

/// The elements of an array.
pub(super) fn elements(json: &str) -> Option<Vec<&str>> {
    let mut elements = Vec::new();
    walk::elements(json, |element| elements.push(element))?;
    Some(elements)
}

pub(super) fn is_string(json: &str) -> bool {
    json.starts_with('"')
}

pub(super) fn is_object(json: &str) -> bool {
    json.starts_with('{')
}

/// What stands between the quotes of a JSON string, still escaped.
pub(super) fn escaped(json: &str) -> Option<&str> {
    json.strip_prefix('"')?.strip_suffix('"')
}

/// The text of a JSON string; of any other JSON the JSON itself.
pub(super) fn decode(json: &str) -> Cow<'_, str> {
    match escaped(json) {
        Some(text) if is_short_and_plain(text) || scan::plain_length(text.as_bytes()) == text.len() => {
            Cow::Borrowed(text)
        }
        Some(_) => serde_json::from_str(json).map_or(Cow::Borrowed(json), Cow::Owned),
        None => Cow::Borrowed(json),
    }
}

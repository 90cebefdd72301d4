//! One pass over a span's attributes: each goes to the convention that knows it.

use super::names::{bit, family_of, Names, Target, BEGIN, FIRST_SLOTS, MOST};
use super::CONVENTIONS;
use crate::json::{Name, Object, Ready, Seen};
use opentelemetry::{KeyValue, Value};

/// A way to describe a span by attributes.
pub(super) struct Convention {
    /// Attributes by their whole names. A name belongs to one convention.
    pub(super) keys: &'static [&'static str],
    /// Attributes by how their names begin.
    pub(super) families: &'static [&'static str],
    /// Moves what the attributes say into the draft. Called only for spans that have any of them.
    pub(super) convert: fn(&mut View<'_, '_>, &mut super::Draft),
}

/// Declares a convention's attributes: an enum to ask for them by, and their names in that order.
macro_rules! attributes {
    ($($(#[$doc:meta])* $key:ident = $name:literal),* $(,)?) => {
        #[derive(Clone, Copy)]
        // Some are only gone through by position.
        #[allow(dead_code)]
        enum Key { $($(#[$doc])* $key),* }

        impl From<Key> for usize {
            fn from(key: Key) -> Self {
                key as Self
            }
        }

        const KEYS: &[&str] = &[$($name),*];
    };
}
pub(super) use attributes;

const NONE: u32 = u32::MAX;

/// Which attribute stands where, as positions in the span's list. Kept from span to span, so that
/// a span costs no memory here.
#[derive(Debug, Default)]
pub(super) struct Frame {
    names: Names,
    /// By the numbers of names: the place of the attribute in the span's list where a convention knows the whole
    /// name, else that in `families` or `rest`.
    places: Vec<u32>,
    /// The slots in use, in the order of the attributes.
    used: Vec<u32>,
    families: Members,
    rest: Members,
    /// One bit a convention.
    present: u64,
    /// One bit a key of each convention.
    keys: [u64; CONVENTIONS.len()],
}

/// Attributes by their places; each name stands once.
#[derive(Debug, Default)]
struct Members {
    list: Vec<Member>,
    seen: Seen,
}

impl Members {
    /// Adds one whose name is known. Of several with one name the last one counts.
    #[inline]
    fn add_known(&mut self, place: &mut u32, member: Member) {
        if *place == NONE {
            *place = u32::try_from(self.list.len()).unwrap_or(NONE);
            self.list.push(member);
        } else {
            self.list[*place as usize].attribute = member.attribute;
        }
    }

    /// The same for a name that is not known.
    fn add_other(&mut self, attributes: &[KeyValue], member: Member) {
        let name = |member: &Member| attributes[member.attribute as usize].key.as_str();
        let is_same = |other: &Member| name(other) == name(&member);
        if let Some(position) = self.seen.find(&self.list, member.hash, |other| other.hash, is_same) {
            self.list[position].attribute = member.attribute;
        } else {
            self.seen.push(member.hash, self.list.len());
            self.list.push(member);
        }
    }

    #[inline]
    fn clear(&mut self, places: &mut [u32]) {
        if !self.list.is_empty() {
            self.clear_all(places);
        }
    }

    #[inline(never)]
    fn clear_all(&mut self, places: &mut [u32]) {
        for member in &self.list {
            if let Some(place) = places.get_mut(member.number as usize) {
                *place = NONE;
            }
        }
        self.list.clear();
        self.seen.clear();
    }
}

#[derive(Clone, Copy, Debug)]
struct Member {
    attribute: u32,
    /// Of its name; [`NONE`] for one that is not known, which is found by its hash.
    number: u32,
    hash: u64,
    convention: u8,
    family: u8,
    prefix: u8,
}

impl Member {
    #[inline]
    fn new(attribute: u32, number: u32, target: Target) -> Self {
        let (convention, family, prefix) = match target {
            Target::Family { convention, family, prefix } => (convention, family, prefix),
            Target::Slot { .. } | Target::Unknown => (u8::MAX, 0, 0),
        };
        Self { attribute, number, hash: 0, convention, family, prefix }
    }
}

impl Frame {
    /// Sorts the attributes. Of several with one name the last one counts: the SDK appends when an
    /// attribute is set again.
    pub(super) fn read(&mut self, attributes: &[KeyValue]) {
        self.clear();
        if self.places.is_empty() {
            // Not before there is a span: a client starts sooner so.
            (self.names, self.places) = (Names::new(), vec![NONE; MOST]);
        }
        let mut before = BEGIN;
        for (attribute, KeyValue { key, .. }) in (0_u32..).zip(attributes) {
            let name = key.as_str();
            let Some(number) = self.names.number(name, before) else {
                self.add_other(attributes, attribute, name);
                continue;
            };
            before = number as usize;
            let place = &mut self.places[before];
            match self.names.target(before) {
                Target::Slot { convention, bit } => {
                    self.present |= 1 << convention;
                    self.keys[usize::from(convention)] |= bit;
                    if *place == NONE {
                        self.used.push(number);
                    }
                    *place = attribute;
                }
                target @ Target::Family { convention, .. } => {
                    self.present |= 1 << convention;
                    self.families.add_known(place, Member::new(attribute, number, target));
                }
                Target::Unknown => self.rest.add_known(place, Member::new(attribute, number, Target::Unknown)),
            }
        }
    }

    /// Sorts an attribute whose name is not known.
    #[cold]
    fn add_other(&mut self, attributes: &[KeyValue], attribute: u32, name: &str) {
        let target = family_of(name);
        let members = match target {
            Target::Family { convention, .. } => {
                self.present |= 1 << convention;
                &mut self.families
            }
            Target::Slot { .. } | Target::Unknown => &mut self.rest,
        };
        let hash = Name::new(name).hash();
        members.add_other(attributes, Member { hash, ..Member::new(attribute, NONE, target) });
    }

    /// Passes over attributes that no convention knows, if `leave` says so.
    pub(super) fn leave_unknown(&mut self, attributes: &[KeyValue], leave: fn(&KeyValue) -> bool) {
        for member in &mut self.rest.list {
            if leave(&attributes[member.attribute as usize]) {
                member.attribute = NONE;
            }
        }
    }

    fn clear(&mut self) {
        for slot in &self.used {
            self.places[*slot as usize] = NONE;
        }
        self.used.clear();
        self.families.clear(&mut self.places);
        self.rest.clear(&mut self.places);
        self.present = 0;
        self.keys.fill(0);
    }

    pub(super) fn has(&self, convention: usize) -> bool {
        self.present & (1 << convention) != 0
    }

    /// The conventions that the span has attributes of, one bit each.
    pub(super) fn present(&self) -> u64 {
        self.present
    }

    pub(super) fn view<'f, 'a>(&'f mut self, attributes: &'a [KeyValue], convention: usize) -> View<'f, 'a> {
        let (first, keys) = (FIRST_SLOTS[convention], self.keys[convention]);
        let convention = u8::try_from(convention).unwrap_or(u8::MAX);
        View { frame: self, attributes, convention, first, keys }
    }

    /// Calls `each` with what no convention took: attributes that conventions know but had no use
    /// for, those of their families, then the rest. Most come with how their names are written.
    pub(super) fn left<'a>(
        &self,
        attributes: &'a [KeyValue],
        mut each: impl FnMut(Left, Option<Ready<'_>>, &'a KeyValue),
    ) {
        for &slot in &self.used {
            let attribute = self.places[slot as usize];
            if attribute != NONE {
                each(Left::Known, self.names.written(slot), &attributes[attribute as usize]);
            }
        }
        for (left, members) in [(Left::Known, &self.families), (Left::Unknown, &self.rest)] {
            for member in members.list.iter().filter(|member| member.attribute != NONE) {
                each(left, self.names.written(member.number), &attributes[member.attribute as usize]);
            }
        }
    }
}

/// Why an attribute is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// A convention knows it, but another source won.
    Known,
    /// No convention knows it.
    Unknown,
}

/// One convention's attributes.
pub(super) struct View<'f, 'a> {
    frame: &'f mut Frame,
    attributes: &'a [KeyValue],
    convention: u8,
    first: usize,
    /// One bit a key that the span has, or had before it was taken.
    keys: u64,
}

impl<'a> View<'_, 'a> {
    /// Looks at an attribute and leaves it.
    #[inline]
    pub(super) fn peek(&self, key: impl Into<usize>) -> Option<&'a Value> {
        let key = key.into();
        if self.keys & bit(key) == 0 {
            return None;
        }
        let position = self.frame.places[self.first + key];
        (position != NONE).then(|| &self.attributes[position as usize].value)
    }

    /// Whether the span may have any of the attributes between these two, both included: whole groups
    /// that it has nothing of are passed over.
    #[inline]
    pub(super) fn has_any(&self, first: impl Into<usize>, last: impl Into<usize>) -> bool {
        let (first, last) = (bit(first.into()), bit(last.into()));
        let group = last | (last - first);
        self.keys & group != 0
    }

    /// Takes an attribute, so that it does not go to the metadata.
    #[inline]
    pub(super) fn take(&mut self, key: impl Into<usize>) -> Option<&'a Value> {
        let place = &mut self.frame.places[self.first + key.into()];
        let position = std::mem::replace(place, NONE);
        (position != NONE).then(|| &self.attributes[position as usize].value)
    }

    /// Gives an attribute back: on this span its name means something else.
    pub(super) fn disown(&mut self, key: impl Into<usize>) {
        let slot = self.first + key.into();
        let attribute = std::mem::replace(&mut self.frame.places[slot], NONE);
        if attribute != NONE {
            let number = u32::try_from(slot).unwrap_or(NONE);
            self.frame.rest.list.push(Member::new(attribute, number, Target::Unknown));
        }
    }

    /// Takes an attribute if `accept` says so.
    #[inline]
    pub(super) fn take_if(&mut self, key: impl Into<usize>, accept: impl FnOnce(&'a Value) -> bool) -> bool {
        let key = key.into();
        let Some(value) = self.peek(key) else { return false };
        let accepted = accept(value);
        if accepted {
            self.take(key);
        }
        accepted
    }

    /// A text that is not blank, taken.
    pub(super) fn take_text(&mut self, key: impl Into<usize>) -> Option<&'a str> {
        let key = key.into();
        let Some(Value::String(text)) = self.peek(key) else { return None };
        let text = text.as_str();
        (!is_blank(text)).then(|| {
            self.take(key);
            text
        })
    }

    #[inline]
    pub(super) fn peek_text(&self, key: impl Into<usize>) -> Option<&'a str> {
        match self.peek(key)? {
            Value::String(text) if !is_blank(text.as_str()) => Some(text.as_str()),
            _ => None,
        }
    }

    /// Takes an attribute into the metadata under another name.
    pub(super) fn rename<'n>(&mut self, key: impl Into<usize>, metadata: &mut Object, name: impl Into<Name<'n>>) {
        self.take_if(key, |value| !is_empty(value) && metadata.insert(name, value));
    }

    /// Takes attributes that no convention knows if `accept` accepts them; where `until` is given, those
    /// alone that were set before it.
    pub(super) fn take_unknown(&mut self, until: Option<usize>, mut accept: impl FnMut(&'a str, &'a Value) -> bool) {
        let end = until.map_or(NONE, |key| self.frame.places[self.first + key]);
        for member in self.frame.rest.list.iter_mut().filter(|member| member.attribute < end) {
            let KeyValue { key, value, .. } = &self.attributes[member.attribute as usize];
            if accept(key.as_str(), value) {
                member.attribute = NONE;
            }
        }
    }

    /// Whether the span may have members of families.
    pub(super) fn has_families(&self) -> bool {
        !self.frame.families.list.is_empty()
    }

    /// The members of a family: what follows the prefix, and the value.
    pub(super) fn family(&self, family: u8) -> impl Iterator<Item = (&'a str, &'a Value)> + Clone + '_ {
        let members = self.frame.families.list.iter().filter(move |member| {
            member.convention == self.convention && member.family == family && member.attribute != NONE
        });
        members.map(|member| {
            let KeyValue { key, value, .. } = &self.attributes[member.attribute as usize];
            (&key.as_str()[usize::from(member.prefix)..], value)
        })
    }

    /// Takes the members of a family that `accept` accepts.
    pub(super) fn take_family(&mut self, family: u8, mut accept: impl FnMut(&'a str, &'a Value) -> bool) {
        for member in &mut self.frame.families.list {
            if member.convention == self.convention && member.family == family && member.attribute != NONE {
                let KeyValue { key, value, .. } = &self.attributes[member.attribute as usize];
                if accept(&key.as_str()[usize::from(member.prefix)..], value) {
                    member.attribute = NONE;
                }
            }
        }
    }
}

/// The value of an attribute in a list that is not sorted, an event's for example; the last one counts.
pub(super) fn find<'a>(attributes: &'a [KeyValue], name: &str) -> Option<&'a Value> {
    attributes.iter().rev().find(|attribute| attribute.key.as_str() == name).map(|attribute| &attribute.value)
}

/// Whether there is nothing in it but white space.
pub(super) fn is_blank(text: &str) -> bool {
    !text.as_bytes().first().is_some_and(u8::is_ascii_graphic) && text.trim().is_empty()
}

/// Whether a value says nothing: the next source gets its chance then.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        // Most texts begin with a letter, or are JSON with something in it.
        Value::String(text) => match text.as_str().as_bytes() {
            [b'a'..=b'm' | b'o'..=b'z' | b'A'..=b'Z', ..] | [b'{' | b'[', b'"' | b'{', ..] => false,
            _ => matches!(text.as_str().trim(), "" | "[]" | "{}" | "null"),
        },
        Value::Array(array) => match array {
            opentelemetry::Array::String(items) => items.is_empty(),
            opentelemetry::Array::I64(items) => items.is_empty(),
            opentelemetry::Array::F64(items) => items.is_empty(),
            opentelemetry::Array::Bool(items) => items.is_empty(),
            _ => false,
        },
        _ => false,
    }
}

//! One pass over a span's attributes: each goes to the convention that knows it.

use super::CONVENTIONS;
use crate::json::{Name, Object, Seen};
use opentelemetry::{KeyValue, Value};
use rustc_hash::FxHashMap;
use std::sync::LazyLock;

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

/// Where the registry sends an attribute.
#[derive(Clone, Copy)]
enum Target {
    Slot { convention: u8, slot: u16, bit: u64 },
    Family { convention: u8, family: u8, prefix: u8 },
}

struct Registry {
    /// By the hashes of the names.
    slots: FxHashMap<u64, (&'static str, Target)>,
    /// By the first byte of the prefix.
    families: [Vec<(&'static str, Target)>; 256],
    /// The first slot of each convention.
    first: Vec<u16>,
    count: usize,
}

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let mut registry = Registry {
        slots: FxHashMap::default(),
        families: std::array::from_fn(|_| Vec::new()),
        first: Vec::new(),
        count: 0,
    };
    for (convention, Convention { keys, families, .. }) in (0_u8..).zip(CONVENTIONS) {
        let first = u16::try_from(registry.count).unwrap_or(u16::MAX);
        registry.first.push(first);
        for (slot, key) in (first..).zip(*keys) {
            let before = registry.slots.insert(
                Name::new(key).hash(),
                (key, Target::Slot { convention, slot, bit: bit(usize::from(slot - first)) }),
            );
            debug_assert!(before.is_none(), "{key} belongs to two conventions, or has the hash of another one");
        }
        registry.count += keys.len();
        for (family, prefix) in (0_u8..).zip(*families) {
            let target = Target::Family { convention, family, prefix: u8::try_from(prefix.len()).unwrap_or(u8::MAX) };
            registry.families[usize::from(prefix.as_bytes()[0])].push((prefix, target));
        }
    }
    // The longer prefix says more.
    for families in &mut registry.families {
        families.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
    }
    registry
});

impl Registry {
    #[inline]
    fn find(&self, name: &str, hash: u64) -> Option<Target> {
        if let Some((_, target)) = self.slots.get(&hash).filter(|(known, _)| *known == name) {
            return Some(*target);
        }
        let families = &self.families[usize::from(*name.as_bytes().first()?)];
        // Most differ where the prefix ends.
        let begins = |prefix: &str| {
            let last = prefix.len() - 1;
            name.as_bytes().get(last) == Some(&prefix.as_bytes()[last]) && name.starts_with(prefix)
        };
        families.iter().find(|(prefix, _)| begins(prefix)).map(|(_, target)| *target)
    }
}

const NONE: u32 = u32::MAX;

/// The bit of a convention's key. Those beyond the last one share it.
fn bit(key: usize) -> u64 {
    1 << key.min(63)
}

/// Which attribute stands where, as positions in the span's list. Kept from span to span, so that
/// a span costs no memory here.
#[derive(Debug, Default)]
pub(super) struct Frame {
    /// By slot.
    slots: Vec<u32>,
    /// The slots in use, in the order of the attributes.
    used: Vec<u16>,
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
    /// Of several with one name the last one counts.
    #[inline]
    fn add(&mut self, attributes: &[KeyValue], member: Member) {
        let name = |member: &Member| attributes[member.attribute as usize].key.as_str();
        let is_same = |other: &Member| name(other) == name(&member);
        if let Some(position) = self.seen.find(&self.list, member.hash, |other| other.hash, is_same) {
            self.list[position].attribute = member.attribute;
        } else {
            self.seen.push(member.hash, self.list.len());
            self.list.push(member);
        }
    }

    fn clear(&mut self) {
        self.list.clear();
        self.seen.clear();
    }
}

#[derive(Clone, Copy, Debug)]
struct Member {
    hash: u64,
    attribute: u32,
    convention: u8,
    family: u8,
    prefix: u8,
}

impl Member {
    /// An attribute that no convention knows.
    fn unknown(hash: u64, attribute: u32) -> Self {
        Self { hash, attribute, convention: u8::MAX, family: 0, prefix: 0 }
    }

    #[inline]
    fn name(self, attributes: &[KeyValue]) -> Name<'_> {
        Name::with_hash(attributes[self.attribute as usize].key.as_str(), self.hash)
    }
}

impl Frame {
    /// Sorts the attributes. Of several with one name the last one counts: the SDK appends when an
    /// attribute is set again.
    pub(super) fn read(&mut self, attributes: &[KeyValue]) {
        self.clear();
        let registry = &*REGISTRY;
        if self.slots.is_empty() {
            self.slots.resize(registry.count, NONE);
        }
        for (attribute, KeyValue { key, .. }) in (0_u32..).zip(attributes) {
            let name = key.as_str();
            let hash = Name::new(name).hash();
            match registry.find(name, hash) {
                Some(Target::Slot { convention, slot, bit }) => {
                    self.present |= 1 << convention;
                    self.keys[usize::from(convention)] |= bit;
                    let place = &mut self.slots[usize::from(slot)];
                    if *place == NONE {
                        self.used.push(slot);
                    }
                    *place = attribute;
                }
                Some(Target::Family { convention, family, prefix }) => {
                    self.present |= 1 << convention;
                    self.families.add(attributes, Member { hash, attribute, convention, family, prefix });
                }
                None => {
                    self.rest.add(attributes, Member::unknown(hash, attribute));
                }
            }
        }
    }

    fn clear(&mut self) {
        for slot in self.used.drain(..) {
            self.slots[usize::from(slot)] = NONE;
        }
        self.families.clear();
        self.rest.clear();
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
        let first = usize::from(REGISTRY.first[convention]);
        let convention = u8::try_from(convention).unwrap_or(u8::MAX);
        View { frame: self, attributes, convention, first }
    }

    /// Calls `each` with what no convention took: attributes that conventions know but had no use
    /// for, those of their families, then the rest.
    pub(super) fn left<'a>(&self, attributes: &'a [KeyValue], mut each: impl FnMut(Left, Name<'a>, &'a KeyValue)) {
        for position in self.used.iter().map(|slot| self.slots[usize::from(*slot)]).filter(|place| *place != NONE) {
            let attribute = &attributes[position as usize];
            each(Left::Known, attribute.key.as_str().into(), attribute);
        }
        for member in self.families.list.iter().filter(|member| member.attribute != NONE) {
            each(Left::Known, member.name(attributes), &attributes[member.attribute as usize]);
        }
        for member in self.rest.list.iter().filter(|member| member.attribute != NONE) {
            each(Left::Unknown, member.name(attributes), &attributes[member.attribute as usize]);
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
}

impl<'a> View<'_, 'a> {
    /// Looks at an attribute and leaves it.
    #[inline]
    pub(super) fn peek(&self, key: impl Into<usize>) -> Option<&'a Value> {
        let position = self.frame.slots[self.first + key.into()];
        (position != NONE).then(|| &self.attributes[position as usize].value)
    }

    /// Whether the span may have any of the attributes between these two, both included: whole groups
    /// that it has nothing of are passed over.
    #[inline]
    pub(super) fn has_any(&self, first: impl Into<usize>, last: impl Into<usize>) -> bool {
        let (first, last) = (bit(first.into()), bit(last.into()));
        let group = last | (last - first);
        self.frame.keys[usize::from(self.convention)] & group != 0
    }

    /// Takes an attribute, so that it does not go to the metadata.
    #[inline]
    pub(super) fn take(&mut self, key: impl Into<usize>) -> Option<&'a Value> {
        let place = &mut self.frame.slots[self.first + key.into()];
        let position = std::mem::replace(place, NONE);
        (position != NONE).then(|| &self.attributes[position as usize].value)
    }

    /// Gives an attribute back: on this span its name means something else.
    pub(super) fn disown(&mut self, key: impl Into<usize>) {
        let place = &mut self.frame.slots[self.first + key.into()];
        let attribute = std::mem::replace(place, NONE);
        if attribute != NONE {
            let hash = Name::new(self.attributes[attribute as usize].key.as_str()).hash();
            self.frame.rest.list.push(Member::unknown(hash, attribute));
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
        let end = until.map_or(NONE, |key| self.frame.slots[self.first + key]);
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
        // Most texts begin with a letter.
        Value::String(text) if matches!(text.as_str().as_bytes(), [b'a'..=b'm' | b'o'..=b'z' | b'A'..=b'Z', ..]) => {
            false
        }
        Value::String(text) => matches!(text.as_str().trim(), "" | "[]" | "{}" | "null"),
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

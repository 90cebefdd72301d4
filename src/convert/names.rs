//! The names of attributes: which convention each belongs to, and how it is written.

use super::CONVENTIONS;
use crate::json::{is_short_and_plain, Name, Ready};
use rustc_hash::FxHashMap;
use std::sync::LazyLock;

/// Where an attribute goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// To the convention that knows its name.
    Slot {
        convention: u8,
        bit: u64,
    },
    /// To the convention that knows how its name begins.
    Family {
        convention: u8,
        family: u8,
        prefix: u8,
    },
    Unknown,
}

/// The bit of a convention's key. Those beyond the last one share it.
pub(super) fn bit(key: usize) -> u64 {
    1 << key.min(63)
}

/// The slot of each convention's first key.
pub(super) const FIRST_SLOTS: [usize; CONVENTIONS.len()] = {
    let mut first = [0; CONVENTIONS.len()];
    let mut convention = 1;
    while convention < CONVENTIONS.len() {
        first[convention] = first[convention - 1] + CONVENTIONS[convention - 1].keys.len();
        convention += 1;
    }
    first
};

/// How many slots there are.
const SLOTS: usize = FIRST_SLOTS[CONVENTIONS.len() - 1] + CONVENTIONS[CONVENTIONS.len() - 1].keys.len();

/// Families by the first byte of the prefix.
static FAMILIES: LazyLock<[Vec<(&'static str, Target)>; 256]> = LazyLock::new(|| {
    let mut by_byte = std::array::from_fn(|_| Vec::new());
    for (convention, known) in (0_u8..).zip(CONVENTIONS) {
        for (family, prefix) in (0_u8..).zip(known.families) {
            let target = Target::Family { convention, family, prefix: u8::try_from(prefix.len()).unwrap_or(u8::MAX) };
            by_byte[usize::from(prefix.as_bytes()[0])].push((*prefix, target));
        }
    }
    // The longer prefix says more.
    for families in &mut by_byte {
        families.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
    }
    by_byte
});

/// Where an attribute goes whose whole name no convention knows.
pub(super) fn family_of(name: &str) -> Target {
    let Some(first) = name.as_bytes().first() else { return Target::Unknown };
    let families = &FAMILIES[usize::from(*first)];
    families.iter().find(|(prefix, _)| name.starts_with(prefix)).map_or(Target::Unknown, |(_, target)| *target)
}

/// So many names are known, the conventions' own and those that spans came with.
pub(super) const MOST: usize = 2048;

/// The number of the empty name, behind which the first attribute of a span stands.
pub(super) const BEGIN: usize = SLOTS;

/// Known names by their numbers. Those of the conventions' keys are their slots. Spans of one kind have the same
/// attributes in the same order, so that the name that comes next is mostly one that came next before.
#[derive(Debug, Default)]
pub(super) struct Names {
    list: Vec<Known>,
    /// By the hashes of the names.
    numbers: FxHashMap<u64, u32>,
}

#[derive(Debug)]
struct Known {
    name: Box<str>,
    /// `,"name":`
    member: Box<str>,
    hash: u64,
    target: Target,
    /// The numbers of the names that came behind it: the last one, and another one before.
    next: [u32; 2],
}

impl Names {
    /// Knows the conventions' names.
    pub(super) fn new() -> Self {
        let mut names = Self::default();
        for (convention, known) in (0_u8..).zip(CONVENTIONS) {
            for (key, name) in known.keys.iter().enumerate() {
                debug_assert!(is_short_and_plain(name), "{name} is no short name");
                names.learn(name, Target::Slot { convention, bit: bit(key) });
            }
        }
        names.learn("", Target::Unknown);
        debug_assert_eq!(names.numbers.len(), names.list.len(), "two keys have one name, or one hash");
        names
    }

    /// The number of a name that stands behind another one, or comes first. `None` for one that is too long or
    /// comes too late to be known.
    #[inline]
    pub(super) fn number(&mut self, name: &str, before: usize) -> Option<u32> {
        let [last, other] = self.list[before].next;
        if *self.list[last as usize].name == *name {
            Some(last)
        } else if *self.list[other as usize].name == *name {
            Some(other)
        } else {
            self.find(name, before)
        }
    }

    #[inline(never)]
    fn find(&mut self, name: &str, before: usize) -> Option<u32> {
        let number = match self.numbers.get(&Name::new(name).hash()) {
            // Another name may have the same hash.
            Some(&number) => Some(number).filter(|&number| *self.list[number as usize].name == *name)?,
            None if self.list.len() < MOST && is_short_and_plain(name) => self.learn(name, family_of(name)),
            None => return None,
        };
        let next = &mut self.list[before].next;
        *next = [number, next[0]];
        Some(number)
    }

    fn learn(&mut self, name: &str, target: Target) -> u32 {
        let (hash, number) = (Name::new(name).hash(), u32::try_from(self.list.len()).unwrap_or(u32::MAX));
        self.numbers.insert(hash, number);
        let member = format!(",\"{name}\":").into();
        self.list.push(Known { name: name.into(), member, hash, target, next: [0; 2] });
        number
    }

    #[inline]
    pub(super) fn target(&self, number: usize) -> Target {
        self.list[number].target
    }

    /// How a known name is written.
    #[inline]
    pub(super) fn written(&self, number: u32) -> Option<Ready<'_>> {
        self.list.get(number as usize).map(|known| Ready::new(&known.member, known.hash))
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::{Frame, Left};
    use super::*;
    use opentelemetry::KeyValue;
    use proptest::prelude::*;

    /// Where the conventions say that a name goes.
    fn plain_target(name: &str) -> Target {
        for (convention, known) in (0_u8..).zip(CONVENTIONS) {
            if let Some(key) = known.keys.iter().position(|key| *key == name) {
                return Target::Slot { convention, bit: bit(key) };
            }
        }
        let families = (0_u8..).zip(CONVENTIONS).flat_map(|(convention, known)| {
            (0_u8..).zip(known.families).map(move |(family, prefix)| (convention, family, *prefix))
        });
        let longest = families.filter(|(.., prefix)| name.starts_with(prefix)).max_by_key(|(.., prefix)| prefix.len());
        longest.map_or(Target::Unknown, |(convention, family, prefix)| Target::Family {
            convention,
            family,
            prefix: u8::try_from(prefix.len()).unwrap(),
        })
    }

    fn some_name() -> impl Strategy<Value = String> {
        let keys: Vec<&str> = CONVENTIONS.iter().flat_map(|known| known.keys).copied().collect();
        let families: Vec<&str> = CONVENTIONS.iter().flat_map(|known| known.families).copied().collect();
        prop_oneof![
            prop::sample::select(keys).prop_map(ToOwned::to_owned),
            (prop::sample::select(families), "[a-c]{0,2}").prop_map(|(family, rest)| format!("{family}{rest}")),
            "[ab\"é\n]{0,3}|[a]{60,70}",
        ]
    }

    proptest! {
        #[test]
        fn each_name_goes_where_the_conventions_say(spans in prop::collection::vec(prop::collection::vec(some_name(), 0..12), 0..20)) {
            let mut names = Names::new();
            for span in &spans {
                let mut before = BEGIN;
                for name in span {
                    let Some(number) = names.number(name, before) else {
                        prop_assert!(!is_short_and_plain(name));
                        prop_assert_eq!(family_of(name), plain_target(name));
                        continue;
                    };
                    before = number as usize;
                    let known = &names.list[before];
                    prop_assert_eq!(&*known.member, &format!(",{}:", serde_json::to_string(name).unwrap()));
                    prop_assert_eq!((known.target, known.hash), (plain_target(name), Name::new(name).hash()));
                    if let Target::Slot { convention, .. } = known.target {
                        let first = FIRST_SLOTS[usize::from(convention)];
                        prop_assert_eq!(CONVENTIONS[usize::from(convention)].keys[before - first], name);
                    }
                }
            }
        }
    }

    /// What is left of a span's attributes when no convention takes any.
    fn plain_left(attributes: &[KeyValue]) -> Vec<(Left, &KeyValue)> {
        let mut left = Vec::<(u8, &KeyValue)>::new();
        for attribute in attributes {
            let order = match plain_target(attribute.key.as_str()) {
                Target::Slot { .. } => 0,
                Target::Family { .. } => 1,
                Target::Unknown => 2,
            };
            match left.iter_mut().find(|(_, other)| other.key == attribute.key) {
                Some((_, last)) => *last = attribute,
                None => left.push((order, attribute)),
            }
        }
        left.sort_by_key(|(order, _)| *order);
        left.into_iter().map(|(order, kept)| (if order < 2 { Left::Known } else { Left::Unknown }, kept)).collect()
    }

    proptest! {
        #[test]
        fn the_spans_before_do_not_show(spans in prop::collection::vec(prop::collection::vec(some_name(), 0..12), 0..20)) {
            let mut frame = Frame::default();
            for (number, span) in (0..).zip(&spans) {
                let value = |place: i64| number * 100 + place;
                let attributes: Vec<_> =
                    (0..).zip(span).map(|(place, name)| KeyValue::new(name.clone(), value(place))).collect();
                frame.read(&attributes);
                let mut left = Vec::new();
                frame.left(&attributes, |known, written, attribute| {
                    let quoted = serde_json::to_string(attribute.key.as_str()).unwrap();
                    assert!(written.is_none_or(|name| name.member() == format!(",{quoted}:")));
                    left.push((known, attribute));
                });
                prop_assert_eq!(&left, &plain_left(&attributes));
                for (convention, known) in CONVENTIONS.iter().enumerate() {
                    let is_there = left.iter().any(|(_, attribute)| match plain_target(attribute.key.as_str()) {
                        Target::Slot { convention: of, .. } | Target::Family { convention: of, .. } => usize::from(of) == convention,
                        Target::Unknown => false,
                    });
                    prop_assert_eq!(frame.has(convention), is_there);
                    for (key, name) in known.keys.iter().enumerate() {
                        let last = attributes.iter().rfind(|attribute| attribute.key.as_str() == *name);
                        prop_assert_eq!(frame.view(&attributes, convention).take(key), last.map(|last| &last.value));
                    }
                }
            }
        }
    }

    #[test]
    fn what_comes_late_is_not_known() {
        let mut names = Names::new();
        let known = |names: &mut Names, name: &str| names.number(name, BEGIN).is_some();
        for number in 0..2 * MOST {
            known(&mut names, &number.to_string());
        }
        assert_eq!(names.list.len(), MOST);
        assert!(known(&mut names, "0") && known(&mut names, CONVENTIONS[0].keys[0]) && !known(&mut names, "late"));
    }
}

//! A member's name, and what there is to know of it before it is written.

use super::plain::special;

/// A name that is looked at once. One that stands in this crate can be looked at while it is compiled,
/// in a `const`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name<'a> {
    text: &'a str,
    /// `,"name":`, where that stands ready.
    member: Option<&'static str>,
    hash: u64,
    is_plain: bool,
}

impl<'a> Name<'a> {
    #[inline]
    pub(crate) const fn new(text: &'a str) -> Self {
        let (hash, is_plain) = look(text.as_bytes());
        Self { text, member: None, hash, is_plain }
    }

    /// A name as it stands in JSON, without its quotes.
    pub(super) fn escaped(text: &'a str) -> Self {
        Self { is_plain: true, ..Self::new(text) }
    }

    /// The same, with the hash that it is known to have.
    pub(super) fn escaped_with_hash(text: &'a str, hash: u64) -> Self {
        Self { text, member: None, hash, is_plain: true }
    }

    pub(super) fn text(self) -> &'a str {
        self.text
    }

    #[inline]
    pub(super) fn member(self) -> Option<&'static str> {
        self.member
    }

    /// Equal names have equal hashes; others seldom have.
    pub(crate) fn hash(self) -> u64 {
        self.hash
    }

    /// Whether it stands in JSON as it is.
    pub(super) fn is_plain(self) -> bool {
        self.is_plain
    }
}

impl Name<'static> {
    /// See [`name!`].
    pub(crate) const fn of_member(member: &'static str) -> Self {
        let (_, text) = member.split_at(",\"".len());
        let (text, _) = text.split_at(text.len() - "\":".len());
        let name = Self::new(text);
        assert!(name.is_plain, "the name needs an escape");
        Self { member: Some(member), ..name }
    }
}

/// A name that stands in this crate, with what is written for it.
macro_rules! name {
    ($text:literal) => {
        const { $crate::json::Name::of_member(concat!(",\"", $text, "\":")) }
    };
}
pub(crate) use name;

impl<'a, T: AsRef<str> + ?Sized> From<&'a T> for Name<'a> {
    #[inline]
    fn from(text: &'a T) -> Self {
        Self::new(text.as_ref())
    }
}

/// The hash, and whether no byte needs an escape, in one pass over words of eight bytes.
#[inline]
const fn look(bytes: &[u8]) -> (u64, bool) {
    let (words, _) = bytes.as_chunks();
    let mut hash = (bytes.len() as u64).wrapping_mul(FACTOR);
    let mut found = 0;
    let mut at = 0;
    while at < words.len() {
        let word = u64::from_le_bytes(words[at]);
        hash = mix(hash ^ word);
        found |= special(word);
        at += 1;
    }
    let word = last_word(bytes);
    (mix(hash ^ word), (found | special(word)) == 0)
}

/// Whether a text stands in JSON as it is. For short ones.
#[inline]
pub(super) fn is_plain(bytes: &[u8]) -> bool {
    let (words, _) = bytes.as_chunks();
    let found = words.iter().fold(0, |found, word| found | special(u64::from_le_bytes(*word)));
    (found | special(last_word(bytes))) == 0
}

/// Whether a text stands in JSON as it is, and is so short that looking at it costs next to nothing.
#[inline]
pub(crate) fn is_short_and_plain(text: &str) -> bool {
    text.len() <= 64 && is_plain(text.as_bytes())
}

/// The last eight bytes. A shorter text as a whole, some of its bytes twice, and filled up with plain ones.
#[inline]
const fn last_word(bytes: &[u8]) -> u64 {
    const PLAIN: u64 = 0x6161_6161_6161_6161;
    if let Some(word) = bytes.last_chunk() {
        return u64::from_le_bytes(*word);
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return u32::from_le_bytes(*first) as u64 | (u32::from_le_bytes(*last) as u64) << 32;
    }
    match *bytes {
        [] => PLAIN,
        [only] => PLAIN << 8 | only as u64,
        [first, .., last] => PLAIN << 24 | (bytes[bytes.len() / 2] as u64) << 16 | (last as u64) << 8 | first as u64,
    }
}

/// Odd, and otherwise of no meaning.
const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

/// Each bit of the result depends on all bits.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "both halves are used")]
const fn mix(word: u64) -> u64 {
    let product = word as u128 * FACTOR as u128;
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn needs_escape(text: &str) -> bool {
        text.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\')
    }

    proptest! {
        #[test]
        fn plain_is_what_needs_no_escape(mut text in "[a-zé.]{0,40}", odd in "[\"\\\\\n\u{0}\u{1f} \u{7f}]{0,1}", at: prop::sample::Index) {
            let places: Vec<usize> = (0..=text.len()).filter(|&at| text.is_char_boundary(at)).collect();
            text.insert_str(*at.get(&places), &odd);
            prop_assert_eq!(Name::new(&text).is_plain(), !needs_escape(&text));
            prop_assert_eq!(is_plain(text.as_bytes()), !needs_escape(&text));
            prop_assert_eq!(is_short_and_plain(&text), !needs_escape(&text));
            let long = text.repeat(65);
            prop_assert!(!is_short_and_plain(&long) || long.is_empty());
        }

        #[test]
        fn one_byte_makes_another_hash(text in prop::collection::vec(any::<u8>(), 1..40), at: prop::sample::Index, bit in 0..8) {
            let mut other = text.clone();
            other[at.index(text.len())] ^= 1_u8 << bit;
            prop_assert_ne!(look(&text).0, look(&other).0);
            prop_assert_ne!(look(&text).0, look(&text[..text.len() - 1]).0);
        }
    }

    #[test]
    fn similar_names_have_different_hashes() {
        let indexed = (0..10_000).map(|number| format!("llm.input_messages.{number}.message.role"));
        let short = (0..10_000).map(|number| number.to_string());
        let names: HashSet<String> = indexed.chain(short).collect();
        let hashes: HashSet<u64> = names.iter().map(|name| Name::new(name).hash()).collect();
        assert_eq!(hashes.len(), names.len());
        // A list of names tells by the first bits whether one may be among them.
        let mut first_bits = [0; 64];
        for hash in hashes {
            first_bits[(hash >> 58) as usize] += 1;
        }
        assert!(first_bits.iter().all(|&count| (200..450).contains(&count)), "{first_bits:?}");
    }
}

//! How far a text can stand in a JSON string as it is.

/// How many of the first bytes can stand in a JSON string as they are.
#[inline]
pub(crate) fn plain_length(bytes: &[u8]) -> usize {
    // JSON is full of quotes: mostly one stands in the first two words.
    let Some((first, rest)) = bytes.split_first_chunk() else { return few_plain(bytes) };
    let in_first = special(u64::from_le_bytes(*first));
    if in_first != 0 {
        return position(in_first);
    }
    let Some((second, rest)) = rest.split_first_chunk() else { return WORD + few_plain(rest) };
    match special(u64::from_le_bytes(*second)) {
        0 => 2 * WORD + long_plain_length(rest),
        in_second => WORD + position(in_second),
    }
}

const WORD: usize = size_of::<u64>();
const BLOCK: usize = 2 * WORD;

/// Texts are long: the next special byte is likely to be far away.
fn long_plain_length(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    while let Some((block, others)) = rest.split_first_chunk::<BLOCK>() {
        if has_special(block) {
            break;
        }
        rest = others;
    }
    while let Some((word, others)) = rest.split_first_chunk() {
        let special = special(u64::from_le_bytes(*word));
        if special != 0 {
            return bytes.len() - rest.len() + position(special);
        }
        rest = others;
    }
    bytes.len() - rest.len() + few_plain(rest)
}

/// For fewer bytes than a word has.
fn few_plain(bytes: &[u8]) -> usize {
    bytes.iter().position(|&byte| is_special(byte)).unwrap_or(bytes.len())
}

/// A control character, a quote or a backslash. One bit flipped, the quote comes to stand next to the
/// control characters, and all characters but these beyond.
#[inline]
pub(super) fn is_special(byte: u8) -> bool {
    byte ^ 2 <= b' ' || byte == b'\\'
}

/// Written so that the compiler makes vector instructions of it.
#[inline]
pub(super) fn has_special<const BYTES: usize>(block: &[u8; BYTES]) -> bool {
    block.iter().fold(false, |any, &byte| any | is_special(byte))
}

/// Eight bytes at once: the lowest bit that is set stands in the first special byte. (Bits above it
/// may be set in error, by the borrow of the subtraction.)
pub(super) const fn special(word: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; WORD]);
    const HIGH: u64 = ONES << 7;
    let control_or_quote = (word ^ (ONES * 2)).wrapping_sub(ONES * 0x21);
    let backslash = (word ^ (ONES * 0x5C)).wrapping_sub(ONES);
    // A byte from 0x80 on, part of a longer character, is none of these.
    (control_or_quote | backslash) & !word & HIGH
}

/// Where in a word its first special byte stands.
fn position(special: u64) -> usize {
    special.trailing_zeros() as usize / 8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn finds_the_first_special_byte(bytes in proptest::collection::vec(prop_oneof![9 => b' '..=255, 1 => any::<u8>()], 0..40)) {
            let first = bytes.iter().position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\');
            prop_assert_eq!(plain_length(&bytes), first.unwrap_or(bytes.len()));
        }

        #[test]
        fn finds_it_wherever_it_stands(length in 0..140_usize, at in 0..140_usize, byte: u8, wide: bool) {
            let mut bytes = if wide { "é".repeat(length / 2) } else { "~!#".repeat(length / 3) }.into_bytes();
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            let first = bytes.iter().position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\');
            prop_assert_eq!(plain_length(&bytes), first.unwrap_or(bytes.len()));
        }
    }
}

//! Where the bytes stand that mean something in a JSON string: quotes, backslashes and control
//! characters.

use super::plain::{has_special, is_special};

/// The special bytes of a block, as bits. Kept, because in JSON several strings end in one block.
#[derive(Clone, Copy)]
pub(super) struct Specials {
    /// Where the block begins.
    start: usize,
    /// Nothing only at the end of the text.
    found: u64,
}

const BLOCK: usize = u64::BITS as usize;

impl Specials {
    /// For positions from this one on.
    pub(super) fn from(position: usize) -> Self {
        // The block that begins there comes next.
        Self { start: position.wrapping_sub(BLOCK), found: 0 }
    }

    /// Where the first special byte from a position on stands; the end of the text if there is none.
    /// It has to be the same text each time, and no position before the answer of the last time.
    #[inline]
    pub(super) fn next(&mut self, text: &[u8], mut at: usize) -> usize {
        loop {
            let offset = at.wrapping_sub(self.start);
            if offset < BLOCK {
                let found = self.found >> offset;
                if found != 0 {
                    return at + found.trailing_zeros() as usize;
                }
            }
            *self = self.following(text);
            if self.found == 0 {
                return text.len();
            }
            at = at.max(self.start);
        }
    }

    /// The next block with special bytes. Where it begins does not depend on where the last string ended,
    /// so that the processor can look at it ahead.
    #[inline(never)]
    fn following(self, text: &[u8]) -> Self {
        let mut start = self.start.wrapping_add(BLOCK);
        let mut plain_blocks = 0;
        while let Some(block) = text.get(start..).and_then(<[u8]>::first_chunk) {
            // Where special bytes are rare, it is quicker to ask first whether there are any.
            let found = if plain_blocks < 2 || has_special(block) { bits(block) } else { 0 };
            if found != 0 {
                return Self { start, found };
            }
            plain_blocks += 1;
            start += BLOCK;
        }
        let found = match text.get(start..) {
            None | Some([]) => 0,
            Some(rest) => bits_of_few(text, rest),
        };
        Self { start, found }
    }
}

/// Calls `each` with the position of every special byte.
#[inline]
pub(super) fn for_each(text: &[u8], mut each: impl FnMut(usize)) {
    let mut specials = Specials::from(0);
    loop {
        specials = specials.following(text);
        if specials.found == 0 {
            return;
        }
        let mut found = specials.found;
        while found != 0 {
            each(specials.start + found.trailing_zeros() as usize);
            found &= found - 1;
        }
    }
}

/// A bit for each special byte, the lowest for the first.
#[inline]
fn bits(block: &[u8; BLOCK]) -> u64 {
    // Written so that the compiler makes vector instructions of it: in each word of eight bytes, another bit
    // of a byte says that it is special, so that all words have room in one.
    let mut marks = [0; BLOCK];
    for (position, (mark, &byte)) in marks.iter_mut().zip(block).enumerate() {
        *mark = if is_special(byte) { 1_u8 << (position / 8) } else { 0 };
    }
    let words = marks.as_chunks().0;
    match words.iter().fold(0, |all, word| all | u64::from_le_bytes(*word)) {
        0 => 0,
        all => transpose(all),
    }
}

/// The same for fewer bytes, with which a text ends.
fn bits_of_few(text: &[u8], rest: &[u8]) -> u64 {
    if let Some(block) = text.last_chunk() {
        return bits(block) >> (BLOCK - rest.len());
    }
    let mut block = [b' '; BLOCK];
    block[..rest.len()].copy_from_slice(rest);
    bits(&block)
}

/// A word as a square of bits, eight by eight: each row becomes a column.
#[inline]
fn transpose(mut square: u64) -> u64 {
    for (distance, mask) in [(7, 0x00AA_00AA_00AA_00AA), (14, 0x0000_CCCC_0000_CCCC), (28, 0x0000_0000_F0F0_F0F0)] {
        let swapped = (square ^ square >> distance) & mask;
        square ^= swapped ^ swapped << distance;
    }
    square
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        // Plain ones at a stretch, so that there are blocks without any special one.
        let pieces = prop_oneof![
            3 => proptest::collection::vec(any::<u8>(), 0..20),
            2 => (0..300_usize).prop_map(|length| vec![b'x'; length]),
            1 => "é{0,90}".prop_map(String::into_bytes),
        ];
        proptest::collection::vec(pieces, 0..8).prop_map(|pieces| pieces.concat())
    }

    fn needs_escape(byte: u8) -> bool {
        byte < 0x20 || byte == b'"' || byte == b'\\'
    }

    proptest! {
        #[test]
        fn finds_every_special_byte(bytes in bytes()) {
            let expected: Vec<usize> = (0..bytes.len()).filter(|&at| needs_escape(bytes[at])).collect();
            let mut found = Vec::new();
            for_each(&bytes, |at| found.push(at));
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn finds_the_next_one_from_any_position(bytes in bytes(), mut steps in proptest::collection::vec(0..150_usize, 1..40)) {
            let mut at = steps.remove(0).min(bytes.len());
            let mut specials = Specials::from(at);
            for step in steps {
                let expected = (at..bytes.len()).find(|&at| needs_escape(bytes[at])).unwrap_or(bytes.len());
                prop_assert_eq!(specials.next(&bytes, at), expected);
                at = (expected + step).min(bytes.len());
            }
            prop_assert_eq!(specials.next(&bytes, bytes.len()), bytes.len());
        }
    }
}

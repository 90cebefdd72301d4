//! Where the bytes stand that mean something in a JSON string: quotes, backslashes and control
//! characters.

use super::plain::is_special;

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
    pub(super) fn new() -> Self {
        // The first block comes next.
        Self { start: 0_usize.wrapping_sub(BLOCK), found: 0 }
    }

    /// Where the first special byte from a position on stands; the end of the text if there is none.
    /// It has to be the same text each time, and no position before an earlier one.
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

    /// The next block with special bytes. It does not depend on the position where it begins, so that the
    /// processor can look at it ahead; unless the position is far away.
    #[inline(never)]
    fn following(self, text: &[u8]) -> Self {
        let mut start = self.start.wrapping_add(BLOCK);
        while let Some(block) = text.get(start..).and_then(<[u8]>::first_chunk) {
            let found = bits(block);
            if found != 0 {
                return Self { start, found };
            }
            start += BLOCK;
        }
        let rest = text.get(start..).unwrap_or_default();
        let mut block = [b' '; BLOCK];
        if let Some(last) = text.last_chunk() {
            return Self { start, found: bits(last).checked_shr((BLOCK - rest.len()) as u32).unwrap_or(0) };
        }
        block[..rest.len()].copy_from_slice(rest);
        Self { start, found: bits(&block) }
    }
}

/// Calls `each` with the position of every special byte.
#[inline]
pub(super) fn for_each(text: &[u8], mut each: impl FnMut(usize)) {
    let mut specials = Specials::new();
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

/// A word as a square of bits, eight by eight: each row becomes a column.
#[inline]
fn transpose(mut square: u64) -> u64 {
    for (distance, mask) in [(7, 0x00AA_00AA_00AA_00AA), (14, 0x0000_CCCC_0000_CCCC), (28, 0x0000_0000_F0F0_F0F0)] {
        let swapped = (square ^ square >> distance) & mask;
        square ^= swapped ^ swapped << distance;
    }
    square
}

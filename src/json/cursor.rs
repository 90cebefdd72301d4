//! Going through a JSON text from its start, as long as it is JSON.

use super::specials::Specials;

/// How deep objects and arrays may nest. Common readers give up at 128 and up; a few levels are
/// left for what a value is wrapped in.
pub(super) const MAX_DEPTH: usize = 100;

/// A place in a text.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    /// Brackets that [`Self::open`] went past.
    depth: usize,
    specials: Specials,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0, specials: Specials::from(0) }
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Goes to a position beside a byte of ASCII.
    pub(super) fn go_to(&mut self, position: usize) {
        self.at = position;
        self.specials = Specials::from(position);
    }

    /// The text from a position up to here.
    #[inline]
    pub(super) fn text_from(&self, start: usize) -> &'a str {
        // Both ends are beside bytes of ASCII.
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// Goes past white space and an opening bracket.
    pub(super) fn open(&mut self, bracket: u8) -> Option<()> {
        self.white();
        self.expect(bracket)?;
        self.depth += 1;
        (self.depth <= MAX_DEPTH).then_some(())
    }

    /// A bracket that [`Self::open`] went past is closed.
    pub(super) fn close(&mut self) {
        self.depth -= 1;
    }

    /// Whether this byte comes next, white space left out.
    #[inline]
    pub(super) fn comes(&mut self, byte: u8) -> bool {
        self.white();
        self.peek() == Some(byte)
    }

    /// Goes past this byte if it comes next.
    #[inline]
    pub(super) fn goes_past(&mut self, byte: u8) -> bool {
        let comes = self.comes(byte);
        self.at += usize::from(comes);
        comes
    }

    /// Nothing but white space comes any more.
    pub(super) fn end(&mut self) -> Option<()> {
        self.white();
        (self.at == self.text.len()).then_some(())
    }

    /// One value. White space before it is left out.
    #[inline]
    pub(super) fn value(&mut self) -> Option<&'a str> {
        self.white();
        let start = self.at;
        // Most values that somebody asks for are strings.
        if self.peek() == Some(b'"') {
            self.at += 1;
            self.string()?;
        } else {
            self.skip_value()?;
        }
        Some(self.text_from(start))
    }

    /// Goes past a value, without recursion.
    #[inline(never)]
    fn skip_value(&mut self) -> Option<()> {
        // A copy can stay in registers.
        let mut ahead = self.clone();
        let mut open = Open { is_object: false, outer: 0, depth: 0, limit: MAX_DEPTH - self.depth };
        loop {
            // A value begins here, or in an object, after its first quote, the name of a member.
            let is_string = open.is_object && {
                ahead.string()?;
                // In JSON without white space this is looked at first, as is a comma below.
                ahead.goes_past_both(*b":\"") || {
                    ahead.expect_token(b':')?;
                    false
                }
            };
            match if is_string { b'"' } else { ahead.token()? } {
                b'"' => {
                    ahead.string()?;
                }
                b'{' => {
                    open.push(true)?;
                    if !ahead.goes_past(b'}') {
                        ahead.expect_token(b'"')?;
                        continue;
                    }
                    open.pop();
                }
                b'[' => {
                    open.push(false)?;
                    if !ahead.goes_past(b']') {
                        continue;
                    }
                    open.pop();
                }
                b't' => ahead.word(b"rue")?,
                b'f' => ahead.word(b"alse")?,
                b'n' => ahead.word(b"ull")?,
                b'-' | b'0'..=b'9' => {
                    ahead.at -= 1;
                    ahead.at += number_length(ahead.rest())?;
                }
                _ => return None,
            }
            // A value has ended: go on to the next one, or close what closes.
            if open.is_object && ahead.goes_past_both(*b",\"") {
                continue;
            }
            loop {
                if open.depth == 0 {
                    *self = ahead;
                    return Some(());
                }
                match ahead.token()? {
                    b',' => break,
                    b'}' if open.is_object => open.pop(),
                    b']' if !open.is_object => open.pop(),
                    _ => return None,
                }
            }
            if open.is_object {
                ahead.expect_token(b'"')?;
            }
        }
    }

    /// A member's name, quotes included, and the colon after it. Says whether there are escapes in
    /// the name.
    pub(super) fn name(&mut self) -> Option<(&'a str, bool)> {
        let mut ahead = self.clone();
        ahead.expect_token(b'"')?;
        let start = ahead.at - 1;
        let has_escapes = ahead.string()?;
        let name = ahead.text_from(start);
        ahead.expect_token(b':')?;
        *self = ahead;
        Some((name, has_escapes))
    }

    /// The rest of a string, after its first quote. Says whether there are escapes in it.
    #[inline]
    fn string(&mut self) -> Option<bool> {
        let mut has_escapes = false;
        loop {
            self.at = self.specials.next(self.text.as_bytes(), self.at);
            match self.next()? {
                b'"' => return Some(has_escapes),
                b'\\' => self.escape()?,
                _ => return None,
            }
            has_escapes = true;
        }
    }

    /// What stands after a backslash.
    #[inline]
    fn escape(&mut self) -> Option<()> {
        let byte = self.next()?;
        if byte == b'u' {
            self.at += unicode_escape(self.rest())?;
            return Some(());
        }
        IS_ESCAPE[usize::from(byte)].then_some(())
    }

    fn word(&mut self, rest: &[u8]) -> Option<()> {
        self.rest().starts_with(rest).then(|| self.at += rest.len())
    }

    /// Goes past white space and this byte.
    #[inline]
    fn expect_token(&mut self, byte: u8) -> Option<()> {
        (self.token()? == byte).then_some(())
    }

    /// Goes past white space and the byte after it.
    #[inline]
    fn token(&mut self) -> Option<u8> {
        loop {
            match self.next()? {
                b' ' | b'\t' | b'\n' | b'\r' => {}
                byte => return Some(byte),
            }
        }
    }

    /// Goes past two bytes if they come next.
    #[inline]
    fn goes_past_both(&mut self, both: [u8; 2]) -> bool {
        let come = self.rest().first_chunk() == Some(&both);
        if come {
            self.at += 2;
        }
        come
    }

    #[inline]
    pub(super) fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    #[inline]
    pub(super) fn white(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }
}

/// How many of the first bytes are a number.
#[inline(never)]
fn number_length(text: &[u8]) -> Option<usize> {
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    let mut rest = after_digits(unsigned)?;
    if unsigned[0] == b'0' && unsigned.len() - rest.len() > 1 {
        return None;
    }
    let (mut is_integer, mut has_power) = (true, false);
    if let [b'.', fraction @ ..] = rest {
        rest = after_digits(fraction)?;
        is_integer = false;
    }
    if let [b'e' | b'E', power @ ..] = rest {
        rest = after_digits(if let [b'+' | b'-', power @ ..] = power { power } else { power })?;
        (is_integer, has_power) = (false, true);
    }
    let length = text.len() - rest.len();
    // Up to 18 digits always fit, and so does what has a point and no power; the rest is looked at closely.
    if has_power || length > if is_integer { 18 } else { 300 } {
        let number = std::str::from_utf8(&text[..length]).ok()?;
        let fits =
            if is_integer { number.parse::<i64>().is_ok() } else { number.parse::<f64>().is_ok_and(f64::is_finite) };
        return fits.then_some(length);
    }
    Some(length)
}

/// What comes after digits, of which there has to be one.
#[inline]
fn after_digits(text: &[u8]) -> Option<&[u8]> {
    let mut rest = text;
    while let Some((word, others)) = rest.split_first_chunk() {
        let count = digits(u64::from_le_bytes(*word));
        if count < size_of::<u64>() {
            rest = &rest[count..];
            return (rest.len() < text.len()).then_some(rest);
        }
        rest = others;
    }
    while let [b'0'..=b'9', others @ ..] = rest {
        rest = others;
    }
    (rest.len() < text.len()).then_some(rest)
}

/// How many of a word's first bytes are digits.
#[inline]
fn digits(word: u64) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    // A digit becomes less than ten, and 0x76 more leave it below 0x80.
    let values = word ^ (ONES * 0x30);
    let others = (values.wrapping_add(ONES * 0x76) | values) & (ONES << 7);
    others.trailing_zeros() as usize / 8
}

/// What may stand after a backslash, alone.
const IS_ESCAPE: [bool; 256] = {
    let mut is_escape = [false; 256];
    let mut escapes: &[u8] = br#""\/bfnrt"#;
    while let [first, rest @ ..] = escapes {
        is_escape[*first as usize] = true;
        escapes = rest;
    }
    is_escape
};

/// How many bytes after `\u` belong to it.
#[inline(never)]
fn unicode_escape(rest: &[u8]) -> Option<usize> {
    let (digits, rest) = rest.split_first_chunk()?;
    match hex(*digits)? {
        0xD800..=0xDBFF => {
            let low = hex(*rest.strip_prefix(b"\\u")?.first_chunk()?)?;
            (0xDC00..=0xDFFF).contains(&low).then_some(10)
        }
        0xDC00..=0xDFFF => None,
        _ => Some(4),
    }
}

fn hex(digits: [u8; 4]) -> Option<u32> {
    digits.iter().try_fold(0, |sum, &digit| Some(sum << 4 | char::from(digit).to_digit(16)?))
}

/// The open brackets.
struct Open {
    /// Whether the innermost one is an object's.
    is_object: bool,
    /// The same of those around it, as bits, the innermost of them lowest.
    outer: u128,
    depth: usize,
    limit: usize,
}

impl Open {
    #[inline]
    fn push(&mut self, is_object: bool) -> Option<()> {
        self.depth += 1;
        self.outer = self.outer << 1 | u128::from(self.is_object);
        self.is_object = is_object;
        (self.depth <= self.limit).then_some(())
    }

    #[inline]
    fn pop(&mut self) {
        self.depth -= 1;
        self.is_object = self.outer & 1 == 1;
        self.outer >>= 1;
    }
}

//! Going through a JSON text from its start, as long as it is JSON.

use super::plain::plain_length;

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
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Goes to a position beside a byte of ASCII.
    pub(super) fn go_to(&mut self, position: usize) {
        self.at = position;
    }

    /// The text from a position up to here.
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
    pub(super) fn comes(&mut self, byte: u8) -> bool {
        self.white();
        self.peek() == Some(byte)
    }

    /// Goes past this byte if it comes next.
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
    pub(super) fn value(&mut self) -> Option<&'a str> {
        self.white();
        let start = self.at;
        self.skip_value()?;
        Some(self.text_from(start))
    }

    /// Goes past a value, without recursion: the open brackets are kept as bits of a number.
    fn skip_value(&mut self) -> Option<()> {
        let mut open = Open { kinds: 0, depth: 0, limit: MAX_DEPTH - self.depth };
        loop {
            // A value begins here.
            match self.token()? {
                b'{' => {
                    open.push(true)?;
                    if self.goes_past(b'}') {
                        open.pop();
                    } else {
                        self.skip_name()?;
                        continue;
                    }
                }
                b'[' => {
                    open.push(false)?;
                    if self.goes_past(b']') {
                        open.pop();
                    } else {
                        continue;
                    }
                }
                b'"' => {
                    self.string()?;
                }
                b't' => self.word(b"rue")?,
                b'f' => self.word(b"alse")?,
                b'n' => self.word(b"ull")?,
                b'-' | b'0'..=b'9' => {
                    self.at -= 1;
                    self.number()?;
                }
                _ => return None,
            }
            // A value has ended: close what closes, or go on to the next value.
            loop {
                let Some(in_object) = open.top() else { return Some(()) };
                match (self.token()?, in_object) {
                    (b',', true) => {
                        self.skip_name()?;
                        break;
                    }
                    (b',', false) => break,
                    (b'}', true) | (b']', false) => open.pop(),
                    _ => return None,
                }
            }
        }
    }

    /// A member's name, quotes included, and the colon after it. Says whether there are escapes in
    /// the name.
    pub(super) fn name(&mut self) -> Option<(&'a str, bool)> {
        self.white();
        let start = self.at;
        self.expect(b'"')?;
        let has_escapes = self.string()?;
        let name = self.text_from(start);
        self.expect_token(b':')?;
        Some((name, has_escapes))
    }

    fn skip_name(&mut self) -> Option<()> {
        self.expect_token(b'"')?;
        self.string()?;
        self.expect_token(b':')
    }

    /// The rest of a string, after its first quote. Says whether there are escapes in it.
    #[inline]
    fn string(&mut self) -> Option<bool> {
        self.at += plain_length(self.rest());
        match self.next()? {
            b'"' => Some(false),
            b'\\' => self.escaped_string().map(|()| true),
            _ => None,
        }
    }

    /// The rest of a string, after its first backslash. Apart, because most strings have none.
    #[inline(never)]
    fn escaped_string(&mut self) -> Option<()> {
        loop {
            self.escape()?;
            self.at += plain_length(self.rest());
            match self.next()? {
                b'"' => return Some(()),
                b'\\' => {}
                _ => return None,
            }
        }
    }

    /// What stands after a backslash.
    fn escape(&mut self) -> Option<()> {
        match self.next()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => match self.hex()? {
                0xD800..=0xDBFF => {
                    self.word(b"\\u")?;
                    (0xDC00..=0xDFFF).contains(&self.hex()?).then_some(())
                }
                0xDC00..=0xDFFF => None,
                _ => Some(()),
            },
            _ => None,
        }
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.rest().get(..4)?;
        self.at += 4;
        digits.iter().try_fold(0, |sum, &digit| Some(sum << 4 | char::from(digit).to_digit(16)?))
    }

    fn number(&mut self) -> Option<()> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.next()? {
            b'0' => {}
            b'1'..=b'9' => self.digits(),
            _ => return None,
        }
        let (mut integer, mut power) = (true, false);
        if self.peek() == Some(b'.') {
            self.at += 1;
            integer = false;
            self.some_digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            (integer, power) = (false, true);
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.some_digits()?;
        }
        // Up to 18 digits always fit, and so does what has a point and no power; the rest is looked at closely.
        let text = self.text_from(start);
        if integer && text.len() > 18 {
            text.parse::<i64>().ok()?;
        } else if !integer && (power || text.len() > 300) {
            text.parse::<f64>().ok().filter(|number| number.is_finite())?;
        }
        Some(())
    }

    fn some_digits(&mut self) -> Option<()> {
        let start = self.at;
        self.digits();
        (self.at > start).then_some(())
    }

    fn digits(&mut self) {
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
    }

    fn word(&mut self, rest: &[u8]) -> Option<()> {
        self.rest().starts_with(rest).then(|| self.at += rest.len())
    }

    /// Goes past white space and this byte.
    fn expect_token(&mut self, byte: u8) -> Option<()> {
        (self.token()? == byte).then_some(())
    }

    /// Goes past white space and the byte after it.
    fn token(&mut self) -> Option<u8> {
        loop {
            match self.next()? {
                b' ' | b'\t' | b'\n' | b'\r' => {}
                byte => return Some(byte),
            }
        }
    }

    pub(super) fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    pub(super) fn white(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn rest(&self) -> &'a [u8] {
        &self.text.as_bytes()[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }
}

/// The open brackets, innermost last: set bits are objects.
struct Open {
    kinds: u128,
    depth: usize,
    limit: usize,
}

impl Open {
    fn push(&mut self, object: bool) -> Option<()> {
        self.depth += 1;
        self.kinds = self.kinds << 1 | u128::from(object);
        (self.depth <= self.limit).then_some(())
    }

    fn pop(&mut self) {
        self.depth -= 1;
        self.kinds >>= 1;
    }

    fn top(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.kinds & 1 == 1)
    }
}

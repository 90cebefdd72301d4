//! Reading JSON text without building anything.
//!
//! Stricter than RFC 8259 where a server would refuse what the RFC allows: nesting is bounded,
//! integers fit 64 bits, numbers are finite as doubles, surrogates come in pairs.

/// How deep objects and arrays may nest. Common readers give up at 128 and up; a few levels are
/// left for what a value is wrapped in.
pub(crate) const MAX_DEPTH: usize = 100;

/// The object or array that is the whole of `text`, white space around it cut off.
/// `None` for anything else, numbers, words and strings included: `42` in a text is text.
pub(crate) fn document(text: &str) -> Option<&str> {
    let trimmed = trim(text);
    match trimmed.as_bytes().first() {
        Some(b'{' | b'[') => {}
        _ => return None,
    }
    value(trimmed).then_some(trimmed)
}

/// Without the white space around it.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches(WHITE)
}

/// Like [`document`], and an object.
pub(crate) fn object(text: &str) -> Option<&str> {
    document(text).filter(|text| text.starts_with('{'))
}

/// Whether `text` is one JSON value of any kind and nothing else.
pub(crate) fn value(text: &str) -> bool {
    let mut scan = Scan::new(text);
    scan.value().and_then(|_| scan.end()).is_some()
}

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
fn is_special(byte: u8) -> bool {
    byte ^ 2 <= b' ' || byte == b'\\'
}

/// Written so that the compiler makes vector instructions of it.
fn has_special(block: &[u8; BLOCK]) -> bool {
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

const WHITE: [char; 4] = [' ', '\t', '\n', '\r'];

/// A place in a text.
#[derive(Clone)]
pub(super) struct Scan<'a> {
    text: &'a str,
    at: usize,
    /// Brackets that [`Self::open`] went past.
    depth: usize,
}

impl<'a> Scan<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    pub(super) fn position(&self) -> usize {
        self.at
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn deep(levels: usize) -> String {
        "[".repeat(levels) + &"]".repeat(levels)
    }

    #[test]
    fn takes_what_is_json_and_keeps_the_rest_as_text() {
        for good in
            ["{}", "[]", " {\"a\" : [1, -2.5e3, true, null, \"x\\n\\u00e9\\ud83d\\ude00\"] } ", "[9223372036854775807]"]
        {
            assert_eq!(document(good), Some(good.trim()), "{good}");
        }
        for bad in [
            "",
            "42",
            "true",
            "\"text\"",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "{a:1}",
            "[01]",
            "[1.]",
            "[.5]",
            "[+1]",
            "[1e]",
            "[NaN]",
            "[\"\\x\"]",
            "[\"\u{1}\"]",
            "[\"\\ud800\"]",
            "[\"\\udc00\"]",
            "[\"\\ud800\\u0041\"]",
            "[1] x",
            "{]",
            "[}",
            "[9223372036854775808]",
            "[1e999]",
            "[\"open",
        ] {
            assert_eq!(document(bad), None, "{bad}");
        }
    }

    #[test]
    fn takes_the_numbers_that_fit() {
        let digits = "9".repeat(400);
        assert!(value(&format!("0.{digits}")) && value(&format!("1.{digits}e5")));
        assert!(!value(&format!("{digits}.5")) && !value(&format!("{digits}.5e1")) && !value("1.0e309"));
        assert!(value(&format!("{}.5", "9".repeat(300))));
    }

    #[test]
    fn bounds_the_depth() {
        assert!(document(&deep(MAX_DEPTH)).is_some());
        assert!(document(&deep(MAX_DEPTH + 1)).is_none());
        assert!(document(&"[".repeat(100_000)).is_none());
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json(text in r#"[\[\]{}:, "\\a0-9.eE+\-untrfalsD8bc]{0,24}"#) {
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            if value(&text) {
                prop_assert!(theirs.is_ok(), "{text}");
            } else if let Ok(value) = theirs {
                // Only integers beyond i64 are refused here and taken there.
                prop_assert!(text.len() > 18, "{text} is {value}");
            }
        }

        #[test]
        fn takes_all_that_serde_json_writes(parts in proptest::collection::vec((any::<String>(), any::<i64>(), any::<f64>()), 0..8)) {
            let json = serde_json::to_string(&parts).unwrap();
            prop_assert!(value(&json));
            prop_assert!(!value(&json[..json.len() - 1]));
        }

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

        #[test]
        fn takes_the_strings_that_serde_json_takes(
            pieces in proptest::collection::vec(("[ -!#-~é€]{0,70}", r#"|"|\\["\\/bfnrtxu]|\\u[dD][89cCfF]0[0-9a-g]|\\u00[0-9A-G]\{?|[\x00-\x1f]"#), 0..4),
        ) {
            let text: String = pieces.iter().flat_map(|(plain, special)| [plain.as_str(), special]).collect();
            let json = format!("\"{text}\"");
            prop_assert_eq!(value(&json), serde_json::from_str::<String>(&json).is_ok(), "{}", json);
        }

        #[test]
        fn takes_the_numbers_that_serde_json_takes(text in "-?[0-9]{1,22}([.][0-9]{0,20})?([eE][+-]?[0-9]{1,4})?") {
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            // Integers beyond i64 are refused here and taken there.
            let is_integer = text.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit());
            prop_assert_eq!(value(&text), theirs.is_ok() && (!is_integer || text.parse::<i64>().is_ok()), "{}", text);
        }

        #[test]
        fn strings_read_back(text in any::<String>()) {
            let mut json = String::new();
            super::super::write_string(&mut json, &text);
            prop_assert!(value(&json));
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }
}

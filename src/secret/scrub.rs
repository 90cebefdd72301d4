//! Secrets of ours in what others say: a server that repeats the key it was sent, an error that names a proxy.

use base64::prelude::{Engine, BASE64_STANDARD};
use percent_encoding::percent_decode_str;
use reqwest::Url;
use std::ops::Range;

/// So many characters of a secret in a row are taken for a part of it. All keys begin with the same eight.
const PIECE: usize = 9;
/// At the end of a text, where it may have been cut off, so many are enough.
const LAST_PIECE: usize = 4;

const MARKER: &str = "[secret]";

/// What nobody may read: the key, and the password in the endpoint.
#[derive(Default)]
pub(crate) struct Scrubber(Vec<Vec<char>>);

impl std::fmt::Debug for Scrubber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(MARKER)
    }
}

/// A character and where it stands, as it is written.
struct Unit {
    character: char,
    place: Range<usize>,
}

impl Scrubber {
    pub(crate) fn new(key: &str, endpoint: &Url) -> Self {
        let mut secrets = vec![key.trim().to_owned()];
        if let Some(password) = endpoint.password() {
            let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
            let pair = format!("{}:{}", decoded(endpoint.username()), decoded(password));
            // As the header has it, and as people write it.
            secrets.extend([BASE64_STANDARD.encode(pair), password.to_owned(), decoded(password)]);
        } else if endpoint.username().len() >= PIECE {
            secrets.push(endpoint.username().to_owned());
        }
        // White space may stand within a key, and is looked for as it is shown.
        let shown: Vec<_> =
            secrets.iter().map(|secret| in_one_line(secret)).filter(|line| !secrets.contains(line)).collect();
        secrets.extend(shown);
        secrets.retain(|secret| !secret.is_empty());
        Self(secrets.iter().map(|secret| secret.chars().collect()).collect())
    }

    /// The text in one line, as much of it as is shown, and nothing secret in it: neither as it is nor as URLs, JSON or
    /// HTML write it, and no part of it where the text was cut off.
    pub(crate) fn line(&self, text: &str, longest: usize) -> String {
        self.scrub(&in_one_line(text)).chars().take(longest).collect()
    }

    fn scrub(&self, text: &str) -> String {
        let plain: Vec<Unit> = text
            .char_indices()
            .map(|(at, character)| Unit { character, place: at..at + character.len_utf8() })
            .collect();
        let mut found = Vec::new();
        for secret in &self.0 {
            find(secret, &plain, &mut found);
            if text.contains(['%', '\\', '&']) {
                find(secret, &decoded(text), &mut found);
            }
        }
        if found.is_empty() {
            return text.to_owned();
        }
        found.sort_by_key(|place| place.start);
        let (mut out, mut copied) = (String::with_capacity(text.len()), 0);
        for place in found {
            if place.start >= copied {
                out.push_str(&text[copied..place.start]);
                out.push_str(MARKER);
            }
            copied = copied.max(place.end);
        }
        out + &text[copied..]
    }
}

fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Where the secret stands, or a part of it.
fn find(secret: &[char], units: &[Unit], found: &mut Vec<Range<usize>>) {
    let mut at = 0;
    while at < units.len() {
        if !secret.contains(&units[at].character) {
            at += 1;
            continue;
        }
        let mut length = (0..secret.len()).map(|from| common(&secret[from..], &units[at..])).max().unwrap_or_default();
        // Of what is cut off, the beginning is there.
        let is_cut_off = at + common(secret, &units[at..]) == units.len() && units.len() - at >= LAST_PIECE;
        if length < PIECE.min(secret.len()) && !is_cut_off {
            length = 0;
        }
        if length > 0 {
            found.push(units[at].place.start..units[at + length - 1].place.end);
        }
        at += length.max(1);
    }
}

fn common(secret: &[char], units: &[Unit]) -> usize {
    secret.iter().zip(units).take_while(|(character, unit)| **character == unit.character).count()
}

/// The characters that a text stands for: `%2F`, `%252F`, `\/`, `\\/`, `\u002f`, `&#47;`, `&#x2f;` and `&amp;` are one each.
fn decoded(text: &str) -> Vec<Unit> {
    let mut units = Vec::new();
    let mut at = 0;
    while let Some(character) = text[at..].chars().next() {
        let rest = &text[at..];
        let (character, length) = match character {
            '%' => percent(rest),
            '\\' => backslash(rest),
            '&' => entity(rest),
            _ => None,
        }
        .unwrap_or((character, character.len_utf8()));
        units.push(Unit { character, place: at..at + length });
        at += length;
    }
    units
}

fn hexadecimal(digits: Option<&str>) -> Option<char> {
    digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).and_then(char::from_u32)
}

fn percent(text: &str) -> Option<(char, usize)> {
    let mut length = 1;
    while text[length..].starts_with("25") && hexadecimal(text.get(length + 2..length + 4)).is_some() {
        length += 2;
    }
    Some((hexadecimal(text.get(length..length + 2))?, length + 2))
}

fn backslash(text: &str) -> Option<(char, usize)> {
    let slashes = text.bytes().take_while(|byte| *byte == b'\\').count();
    let escaped = &text[slashes..];
    if let Some(character) = escaped.strip_prefix('u').and_then(|rest| hexadecimal(rest.get(..4))) {
        return Some((character, slashes + 5));
    }
    escaped.chars().next().filter(|c| matches!(c, '/' | '"' | '\'')).map(|c| (c, slashes + 1)).or(Some(('\\', slashes)))
}

fn entity(text: &str) -> Option<(char, usize)> {
    let name = text[1..].split_once(';')?.0;
    let character = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => match name.strip_prefix("#x").or_else(|| name.strip_prefix("#X")) {
            Some(digits) => hexadecimal(Some(digits))?,
            None => char::from_u32(name.strip_prefix('#')?.parse().ok()?)?,
        },
    };
    Some((character, name.len() + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "lsv2_pt_0123456789abcdef0123_a/b+c\"d";

    fn line(text: &str) -> String {
        let endpoint = Url::parse("https://someone:pa%2Fss-word@host").unwrap();
        Scrubber::new(KEY, &endpoint).line(text, 500)
    }

    #[test]
    fn keys_are_found_however_they_are_written() {
        let each = |write: fn(u32) -> String| KEY.chars().map(u32::from).map(write).collect::<Vec<_>>().concat();
        let percent = each(|c| format!("%{c:02X}"));
        let unicode = each(|c| format!("\\u{c:04x}"));
        let entities = each(|c| format!("&#{c};"));
        for written in [
            KEY.to_owned(),
            KEY.replace('/', "%2f").replace('+', "%2B").replace('"', "%22"),
            KEY.replace('/', "%252F").replace('"', "%2522"),
            KEY.replace('/', "\\/").replace('"', "\\\""),
            KEY.replace('/', "\\\\/").replace('"', "\\\\\\\""),
            KEY.replace('"', "&quot;").replace('/', "&#x2F;"),
            percent.replace('%', "%25"),
            percent,
            unicode.replace('\\', "\\\\"),
            unicode,
            entities,
        ] {
            assert_eq!(line(&format!("bad key {written}.")), "bad key [secret].");
            // Cut off anywhere, its beginning does not stay either.
            for end in (0..written.len()).filter(|end| written.is_char_boundary(*end)) {
                let shown = line(&format!("bad key{}{}", " ".repeat(3000), &written[..end]));
                assert!(!shown.contains("lsv2"), "{shown}");
            }
        }
        assert_eq!(line(&format!("{KEY}{KEY}, {}", &KEY[12..24])), "[secret][secret], [secret]");
        let wrapped = format!("{}\n   {}", &KEY[..20], &KEY[20..]);
        assert_eq!(line(&wrapped), "[secret] [secret]");
    }

    #[test]
    fn so_are_passwords_of_the_endpoint() {
        let basic = BASE64_STANDARD.encode("someone:pa/ss-word");
        for written in ["pa/ss-word", "pa%2Fss-word", "pa\\/ss-word", &basic] {
            assert_eq!(line(&format!("got {written}!")), "got [secret]!");
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in
            ["a key begins with lsv2_pt_ or lsv2_sk_", "no such run: 0123456", "100 % & so \\ on", "%zz &nbsp; ü"]
        {
            assert_eq!(line(text), text);
        }
        assert_eq!(line(" a\r\n\tb "), "a b");
        assert_eq!(line(&"x".repeat(600)).len(), 500);
    }
}

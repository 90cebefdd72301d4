//! What stands under the name of a secret, in JSON and in texts of any kind.

use std::ops::Range;

/// Words that make a name one of a secret, by themselves.
const ALONE: [&str; 9] =
    ["password", "passwd", "passphrase", "passcode", "pwd", "secret", "authorization", "cookie", "apikey"];
/// These may end a longer word too: `dbpassword`.
const ANYWHERE: [&str; 5] = ["password", "passwd", "passphrase", "passcode", "apikey"];
/// What a key or a token has before it, if it is a secret.
const OF_KEYS: [&str; 11] = [
    "api",
    "access",
    "secret",
    "private",
    "signing",
    "encryption",
    "subscription",
    "account",
    "master",
    "shared",
    "ssh",
];
const OF_TOKENS: [&str; 17] = [
    "access", "refresh", "auth", "id", "session", "security", "bearer", "csrf", "xsrf", "api", "client", "bot",
    "oauth", "personal", "secret", "jwt", "github",
];
/// What may follow without changing what it is.
const AFTER: [&str; 16] = [
    "hash",
    "value",
    "prod",
    "production",
    "staging",
    "dev",
    "test",
    "old",
    "new",
    "current",
    "default",
    "primary",
    "secondary",
    "confirm",
    "confirmation",
    "base64",
];

/// Whether what stands under this name is a secret. Words are told apart by what is no letter, and by capitals.
pub(super) fn is_secret(name: &str) -> bool {
    let (word, rest) = last_word(name);
    // `cookies` and `api_key2`, but not `tokens`, which are counted.
    let (word, rest) =
        if AFTER.iter().any(|other| word.eq_ignore_ascii_case(other)) { last_word(rest) } else { (word, rest) };
    let single = word.strip_suffix(['s', 'S']).unwrap_or(word);
    let is = |word: &str, others: &[&str]| others.iter().any(|other| word.eq_ignore_ascii_case(other));
    if is(single, &ALONE) || ANYWHERE.iter().any(|other| ends_with(single, other)) {
        return true;
    }
    let qualified = |word: &str, kind: &str, others: &[&str]| {
        ends_with(word, kind)
            && match &word[..word.len() - kind.len()] {
                "" => is(last_word(rest).0, others),
                // `accesstoken`
                joined => is(joined, others),
            }
    };
    qualified(single, "key", &OF_KEYS) || qualified(word, "token", &OF_TOKENS)
}

fn ends_with(word: &str, end: &str) -> bool {
    word.len().checked_sub(end.len()).and_then(|at| word.get(at..)).is_some_and(|tail| tail.eq_ignore_ascii_case(end))
}

/// The last word of a name, without digits at its end, and what stands before it.
fn last_word(name: &str) -> (&str, &str) {
    let name = name.trim_end_matches(|c: char| !c.is_ascii_alphabetic());
    let bytes = name.as_bytes();
    let mut start = bytes.len();
    while start > 0 && bytes[start - 1].is_ascii_alphabetic() {
        start -= 1;
        let begins = bytes[start].is_ascii_uppercase()
            && (start == 0
                || bytes[start - 1].is_ascii_lowercase()
                // The last capital of `APIKey` begins a word.
                || bytes.get(start + 1).is_some_and(u8::is_ascii_lowercase));
        if begins {
            break;
        }
    }
    (&name[start..], &name[..start])
}

/// The end of a name, and what assigns a value to it. What stands before is looked at by [`value`].
pub(super) const ASSIGNED: &str = r#"(?i-u:(?:pass(?:word|wd|phrase|code)|pwd|secret|authorization|cookie|token|key)s?(?:[-_ ]?(?:hash|value|prod|production|staging|dev|test|old|new|current|default|primary|secondary|confirm|confirmation|base64))?[0-9_]{0,4}\\*["'`\])]{0,2}(?:[ \t]*(?::=|=>|[:=])|>|[ \t]+(?:is|was)(?:[ \t]*:|[ \t]))[ \t]*)"#;
/// `--db-password x` and `-password x`.
pub(super) const FLAGS: &str =
    r"(?i-u:(?:^|[\s'\x22`\[,])--?(?:[a-z0-9]+-){0,3}(?:pass(?:word|wd|phrase|code)|secret|token|key)[ \t]+)";
/// In a query, where such names stand for secrets alone.
pub(super) const PARAMETERS: &str =
    r"(?i-u:[?&](?:token|auth|sig|signature|jwt|x-amz-signature|x-amz-security-token|x-goog-signature|code_verifier)=)";

/// How a value was assigned to its name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// With nothing in between, or in quotes.
    Sign,
    /// With blanks, as in prose and in code.
    LooseSign,
    /// `is`
    Word,
    Tag,
}

/// Where the value stands whose name ends in `found`.
pub(super) fn value(text: &str, found: Range<usize>) -> Option<Range<usize>> {
    let operator = text[found.clone()].trim_end_matches([' ', '\t']);
    let name_end = found.start + operator.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()).len();
    let (by, name_end) = match operator.as_bytes().last()? {
        b'>' if !operator.ends_with("=>") => (By::Tag, name_end),
        b'=' | b':' | b'>' => {
            let is_loose = text[found.clone()].ends_with([' ', '\t']);
            let words = text[found.start..name_end].trim_end();
            match words.strip_suffix("is").or_else(|| words.strip_suffix("was")).map(str::trim_end) {
                Some(name) if name.len() < words.len() - 2 => (By::LooseSign, found.start + name.len()),
                _ => (if is_loose { By::LooseSign } else { By::Sign }, name_end),
            }
        }
        _ => (By::Word, found.start + operator.rfind([' ', '\t'])?),
    };
    let name = name_before(text, name_end);
    if !is_secret(name) {
        return None;
    }
    let rest = &text[found.end..];
    if let Some(quoted) = quoted(rest) {
        return (!is_placeholder(&rest[quoted.clone()])).then(|| shifted(quoted, found.end));
    }
    if ends_with(last_word(name).0, "cookie") || ends_with(last_word(name).0, "cookies") {
        let end = rest.find(['\r', '\n', '"', '\'', '<', '\\']).unwrap_or(rest.len());
        return (by != By::Word && rest[..end].contains('=')).then(|| found.end..found.end + end);
    }
    let scheme = if ends_with(last_word(name).0, "authorization") { scheme(rest) } else { 0 };
    let token = token(&rest[scheme..]);
    // In code the name of a variable follows: `password=password`, `key=settings.api_key`.
    if token.is_empty() || is_placeholder(token) || ends_with(name, token) || (is_code(token) && is_secret(token)) {
        return None;
    }
    let after = &rest[scheme + token.len()..];
    let is_meant = match by {
        By::Sign => true,
        By::Tag => after.starts_with('<') || after.starts_with("\\u003c"),
        By::Word => is_strong(token),
        By::LooseSign => is_strong(token) || scheme > 0 || (is_last(after) && !is_code(token) && !is_prose(name)),
    };
    is_meant.then(|| found.end + scheme..found.end + scheme + token.len())
}

/// Where the argument or the parameter stands that follows `found`.
pub(super) fn argument(text: &str, found: Range<usize>) -> Option<Range<usize>> {
    let is_flag = text[found.clone()].contains('-') && !text[found.clone()].ends_with('=');
    let name = text[found.clone()].trim_end();
    if is_flag && !is_secret(name) && !name.ends_with("-token") && !name.ends_with("-key") {
        return None;
    }
    let rest = &text[found.end..];
    if let Some(quoted) = quoted(rest) {
        return Some(shifted(quoted, found.end));
    }
    let token = token(rest);
    let is_meant = !token.is_empty() && !token.starts_with('-') && !is_placeholder(token);
    is_meant.then(|| found.end..found.end + token.len())
}

fn shifted(range: Range<usize>, by: usize) -> Range<usize> {
    range.start + by..range.end + by
}

/// The words before this place that may belong to a name.
fn name_before(text: &str, end: usize) -> &str {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-. ".contains(byte);
    let bytes = &text.as_bytes()[..end];
    let start = end - bytes.iter().rev().take(48).take_while(|byte| is_part(byte)).count();
    // A line end that is written as two characters has a letter in it.
    let is_escape = start > 0 && bytes[start - 1] == b'\\' && matches!(bytes.get(start), Some(b'n' | b'r' | b't'));
    &text[start + usize::from(is_escape)..end]
}

/// What stands between the quotes with which a text begins, be they escaped or not.
fn quoted(text: &str) -> Option<Range<usize>> {
    // Python's bytes and Rust's: `b'…'`.
    let prefixed = text.starts_with(['b', 'r', 'u', 'f']) && text[1..].starts_with(['"', '\'']);
    let slashes = text.bytes().take_while(|byte| *byte == b'\\').count() + usize::from(prefixed);
    let quote = *text.as_bytes().get(slashes).filter(|byte| matches!(byte, b'"' | b'\'' | b'`'))?;
    let start = slashes + 1;
    let (mut at, mut before) = (start, 0);
    for byte in &text.as_bytes()[start..] {
        match *byte {
            b'\\' => before += 1,
            byte if byte == quote && before <= slashes - usize::from(prefixed) => {
                return (at - before > start).then(|| start..at - before)
            }
            b'\n' if slashes == usize::from(prefixed) && quote == b'\'' => return None,
            _ => before = 0,
        }
        at += 1;
    }
    // It was cut off.
    (at > start).then_some(start..at)
}

/// The length of `Bearer ` and its like.
fn scheme(text: &str) -> usize {
    let word = text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
    let known = ["bearer", "basic", "digest", "token", "negotiate", "apikey"];
    if known.iter().any(|other| text[..word].eq_ignore_ascii_case(other)) {
        let rest = &text[word..];
        let blanks = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        return if blanks > 0 { word + blanks } else { 0 };
    }
    0
}

/// A value without quotes.
fn token(text: &str) -> &str {
    let is_end = |c: char| c.is_whitespace() || "\"'`<>,;&".contains(c);
    let mut end = text.find(is_end).unwrap_or(text.len());
    // A line end or a quote that is written as two characters ends it too.
    let bytes = text.as_bytes();
    let escape = |at: &usize| {
        bytes[*at] == b'\\' && matches!(bytes.get(at + 1), Some(b'n' | b'r' | b't' | b'"' | b'\'' | b'\\'))
    };
    if let Some(at) = (0..end).find(escape) {
        end = at;
    }
    text[..end].trim_end_matches([')', ']', '}', '.'])
}

/// Words of which nobody makes a secret: types, descriptions, what was taken out before.
fn is_placeholder(value: &str) -> bool {
    let value = value.trim().trim_end_matches(['?', '!']);
    let known = [
        "",
        "null",
        "none",
        "nil",
        "true",
        "false",
        "undefined",
        "required",
        "optional",
        "missing",
        "invalid",
        "wrong",
        "incorrect",
        "expired",
        "empty",
        "str",
        "string",
        "text",
        "any",
        "bytes",
        "object",
        "secretstr",
        "redacted",
        "hidden",
        "varchar",
    ];
    known.iter().any(|other| value.eq_ignore_ascii_case(other))
        || ["[redacted", "[secret", "${", "$(", "{{", "%("].iter().any(|start| value.starts_with(start))
        || value.chars().all(|c| matches!(c, '*' | '.' | '…' | '•' | '=' | '-' | '_' | '|' | '(' | '{' | '['))
}

/// No ordinary word: it has digits, odd characters, capitals in odd places, or is very long.
fn is_strong(value: &str) -> bool {
    let value = value.trim_end_matches(['.', '!', '?', ':']);
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    if value.len() < 4 || is_code(value) {
        return false;
    }
    if digits == value.len() {
        return digits >= 6;
    }
    let is_odd = |c: char| c.is_ascii_punctuation() && !"-'._/()".contains(c);
    let lower = value.bytes().any(|byte| byte.is_ascii_lowercase());
    let inner_capital = lower && value.bytes().skip(1).any(|byte| byte.is_ascii_uppercase());
    digits > 0 || value.contains(is_odd) || inner_capital || value.len() >= 24
}

/// `settings.key` and `read(` are names of something.
fn is_code(value: &str) -> bool {
    let is_path = value.contains('.') && value.bytes().all(|byte| byte.is_ascii_alphabetic() || b"._".contains(&byte));
    is_path || value.contains('(') || (value.contains('[') && value.contains('.'))
}

/// Whether nothing else is said on the line.
fn is_last(after: &str) -> bool {
    let after = after.trim_start_matches([' ', '\t', '.']);
    after.is_empty() || after.starts_with(['\n', '\r', ',', ';', '"', '\'', '}', '&']) || after.starts_with("\\n")
}

/// Names that stand in prose with a colon behind them as well.
fn is_prose(name: &str) -> bool {
    ["secret", "secrets"].iter().any(|word| last_word(name).0.eq_ignore_ascii_case(word))
        && !name.contains(['_', '-', '.'])
}

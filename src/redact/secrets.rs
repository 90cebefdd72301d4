//! Shapes of common secrets.

use super::rules::Pattern;

/// Names of members and headers under which secrets stand, and of attributes with whole database queries.
pub(super) const NAMES: [&str; 14] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "api_key",
    "apikey",
    "password",
    "passwd",
    "client_secret",
    "access_token",
    "refresh_token",
    "db.statement",
    "db.query.text",
];

/// `\b` and the classes are those of ASCII: the keys are, and it is faster.
const KEYS: &str = r"(?-u:\b)(?:sk-[A-Za-z0-9_-]{16,}|[srp]k_(?:live|test)_[A-Za-z0-9]{10,}|lsv2_[a-z]{2}_[A-Za-z0-9_]{10,}|(?:AKIA|ASIA)[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{30,}|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,}|xox[a-z]-[A-Za-z0-9-]{10,}|hf_[A-Za-z0-9]{20,})";
const WEB_TOKENS: &str = r"(?-u:\b)eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?";
const BEARER: &str = r"(?i-u:\b(bearer|basic)[ \t]+)[A-Za-z0-9._~+/=-]{8,}";
/// A block without its end was cut off: all of it that is there goes.
const PRIVATE_KEYS: &str = r"(?s)-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\z)";
const URL_PASSWORDS: &str = r"([A-Za-z][A-Za-z0-9+.-]*://[^\s/:@]*):[^\s/@]+@";
const E_MAIL: &str = r#"[^\s@<>"'`(),;:/\\\[\]{}|=&?#!*]+@(?:[^\s@<>"'`(),;:/\\\[\]{}|=&?#!*.]+\.)+[A-Za-z\u{80}-\u{10FFFF}][^\s@<>"'`(),;:/\\\[\]{}|=&?#!*.]+"#;
const CARDS: &str = r"(?-u:\b)(?:[0-9]{13,19}|[0-9]{4}[ -][0-9]{4}[ -][0-9]{4}[ -][0-9]{1,7}|[0-9]{4}[ -][0-9]{6}[ -][0-9]{4,5})(?-u:\b)";
/// By themselves: after four groups of a card may come other digits.
const LONG_CARDS: &str = r"(?-u:\b)(?:[0-9]{4}[ -]){4}[0-9]{1,3}(?-u:\b)";

pub(super) fn patterns() -> Vec<Pattern> {
    let pattern = |pattern, replacement| Pattern::new(pattern, replacement).ok();
    [
        pattern(PRIVATE_KEYS, "[redacted private key]"),
        pattern(URL_PASSWORDS, "$1:[redacted]@"),
        pattern(KEYS, "[redacted key]"),
        pattern(WEB_TOKENS, "[redacted token]"),
        pattern(BEARER, "$1 [redacted]").map(|pattern| pattern.checked(is_credential)),
        pattern(E_MAIL, "[redacted email]"),
        pattern(LONG_CARDS, "[redacted card]").map(|pattern| pattern.checked(is_card)),
        pattern(CARDS, "[redacted card]").map(|pattern| pattern.checked(is_card)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Prose has bearers too: a credential has a digit, or is longer than words are.
fn is_credential(found: &str) -> bool {
    let token = found.split_ascii_whitespace().last().unwrap_or_default();
    token.len() >= 24 || token.bytes().any(|byte| byte.is_ascii_digit() || byte == b'=')
}

/// Whether digits begin as those of a card do, and the last one is the right check digit (Luhn).
fn is_card(found: &str) -> bool {
    let digits: Vec<u8> = found.bytes().filter(u8::is_ascii_digit).map(|digit| digit - b'0').collect();
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(position, &digit)| match u32::from(digit) {
            digit if position % 2 == 0 => digit,
            digit if digit > 4 => 2 * digit - 9,
            digit => 2 * digit,
        })
        .sum();
    (13..=19).contains(&digits.len()) && (2..=6).contains(&digits[0]) && sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use crate::Redactor;

    #[test]
    fn secrets_are_found() {
        let redactor = Redactor::common_secrets();
        // In pieces, so that nobody takes them for real ones.
        let key = |prefix: &str, length| format!("{prefix}{}", "aB3dE6gH9jK2".repeat(8).split_at(length).0);
        for secret in [
            key("sk-", 48),
            key("sk-proj-", 40),
            key("sk-ant-api03-", 40),
            key("sk_live_", 24),
            key("lsv2_pt_", 32),
            format!("AK{}", "IAIOSFODNN7EXAMPLE"),
            key("AIza", 35),
            key("ghp_", 36),
            key("github_pat_", 60),
            key("xoxb-", 30),
            key("hf_", 34),
            format!("{}.{}.{}", key("eyJ", 20), key("eyJ", 40), key("", 43)),
            format!("{}.{}", key("eyJ", 20), key("eyJ", 40)),
            "alice.o'neil+tag@mail.example.co.uk".split_once('\'').unwrap().1.to_owned(),
            "müller@bücher.example".to_owned(),
            "4111111111111111".to_owned(),
            "5500 0055 5555 5559".to_owned(),
            "3782-822463-10005".to_owned(),
            "6011111111111117".to_owned(),
            "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----".to_owned(),
            "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq".to_owned(),
        ] {
            for (before, after) in [("", ""), ("It is ", "."), ("key=", "\n"), ("<", ">"), ("2024 1234 ", " 12")] {
                let redacted = redactor.redact(&format!("{before}{secret}{after}"));
                assert!(redacted.contains("[redacted ") && !redacted.contains(&secret), "{redacted}");
                assert!(redacted.starts_with(before), "{redacted}");
            }
        }
        let bearer = redactor.redact("Authorization: Bearer abcdef.123456 and BASIC dXNlcjpwYXNz=");
        assert_eq!(bearer, "Authorization: Bearer [redacted] and BASIC [redacted]");
        assert_eq!(redactor.redact("postgres://app:hunter2@db:5432/x"), "postgres://app:[redacted]@db:5432/x");
        assert_eq!(
            redactor.redact(r#"{"Password":1,"a":[{"api_key":{"b":2}}]}"#),
            r#"{"Password":"[redacted]","a":[{"api_key":"[redacted]"}]}"#
        );
    }

    #[test]
    fn queries_are_hidden_whether_nested_or_not() {
        let redacted = Redactor::common_secrets()
            .redact(r#"{"db.statement":"SELECT 1","db":{"query":{"text":"x"},"system":"pg"}}"#);
        assert_eq!(redacted, r#"{"db.statement":"[redacted]","db":{"query":{"text":"[redacted]"},"system":"pg"}}"#);
    }

    #[test]
    fn what_is_no_secret_stays() {
        let redactor = Redactor::common_secrets();
        for text in [
            "the bearer of good tidings, basic knowledge, Bearer authentication",
            "4111111111111112",
            "1795000000000000",
            "1795000000123456789",
            "id 01a1fa70-7758-7bc2-9e24-efd0dc5f29c5",
            "4bf92f3577b34da6a3ce929d0e0e4736",
            "a@b",
            "left-pad@1.3.0, @angular/core@17.0.1",
            "https://example.org/a@b",
            "task-force sk-learn ask-me-anything-you-like-today",
            "4 8 15 16 23 42 4 8 15 16 23 42",
            "2024-11-20 19:30:37 5500 0055",
        ] {
            assert_eq!(redactor.redact(text), text);
        }
    }
}

//! Shapes of common secrets.

use super::rules::Pattern;
use super::{named, MARKER};
use std::ops::Range;

/// Attributes with whole database queries.
pub(super) const QUERIES: [&str; 2] = ["db.statement", "db.query.text"];

/// What can stand before a secret that does not belong to it. Besides what is no letter (ASCII alone: the keys are, and
/// it is faster), that is what stands for something else: a line end that is written as `\n`, `%3D`, a colour.
const BEFORE: &str =
    r"((?-u:\b)|\\[nrtbfv0]|\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}|%[0-9A-Fa-f]{2}|\x1b\[[0-9;]*m|\[[0-9;]{1,5}m)";
const KEYS: &str = r"(?:sk-[A-Za-z0-9_-]{16,}|[srp]k_(?:live|test)_[A-Za-z0-9]{10,}|lsv2_[a-z]{2}_[A-Za-z0-9_]{10,}|(?:AKIA|ASIA)[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{30,}|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,}|xox[a-z]-[A-Za-z0-9-]{10,}|hf_[A-Za-z0-9]{20,})";
const WEB_TOKENS: &str = r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?";
const BEARER: &str = r"(?i-u:(bearer|basic)[ \t]+)[A-Za-z0-9._~+/=-]{8,}";
/// A block without its end was cut off: all of it that is there goes.
const PRIVATE_KEYS: &str = r"(?s)-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\z)";
/// Up to where the password begins.
const URL_USERS: &str = r#"[A-Za-z][A-Za-z0-9+.-]*:(?:\\*/){2}[^\s/:@\[\\"'<>?#]*:"#;
const E_MAIL: &str = r#"[^\s@<>"'`(),;:/\\\[\]{}|=&?#!*]+@(?:[^\s@<>"'`(),;:/\\\[\]{}|=&?#!*.]+\.)+[A-Za-z\u{80}-\u{10FFFF}][^\s@<>"'`(),;:/\\\[\]{}|=&?#!*.]+"#;
const CARDS: &str = r"((?-u:\b)|\\[nrt])(?:[0-9]{13,19}|[0-9]{4}[ -][0-9]{4}[ -][0-9]{4}[ -][0-9]{1,7}|[0-9]{4}[ -][0-9]{6}[ -][0-9]{4,5})(?-u:\b)";
/// By themselves: after four groups of a card may come other digits.
const LONG_CARDS: &str = r"((?-u:\b)|\\[nrt])(?:[0-9]{4}[ -]){4}[0-9]{1,3}(?-u:\b)";

pub(super) fn patterns() -> Vec<Pattern> {
    let pattern = |pattern: &str, replacement| Pattern::new(pattern, replacement).ok();
    let after = |before: &str, shape: &str, replacement| pattern(&[before, shape].concat(), replacement);
    let value = |found: &str, value| Pattern::new(found, MARKER).ok().map(|pattern| pattern.before(value));
    [
        pattern(PRIVATE_KEYS, "[redacted private key]"),
        value(URL_USERS, url_password),
        value(named::ASSIGNED, named::value),
        value(named::FLAGS, named::argument),
        value(named::PARAMETERS, named::argument),
        after(BEFORE, KEYS, "$1[redacted key]"),
        after(BEFORE, WEB_TOKENS, "$1[redacted token]"),
        after(BEFORE, BEARER, "$1$2 [redacted]").map(|pattern| pattern.checked(is_credential)),
        pattern(E_MAIL, "[redacted email]"),
        pattern(LONG_CARDS, "$1[redacted card]").map(|pattern| pattern.checked(is_card)),
        pattern(CARDS, "$1[redacted card]").map(|pattern| pattern.checked(is_card)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// From behind the user's name to the last `@` before the host. A password may have slashes in it, and even an `@`.
fn url_password(text: &str, found: Range<usize>) -> Option<Range<usize>> {
    let rest = &text[found.end..];
    let end = rest.find(|c: char| c.is_whitespace() || "\"'<>`".contains(c)).unwrap_or(rest.len());
    let rest = &rest[..end];
    // The next URL, where one follows at once, has a password of its own.
    let rest = rest.find("://").map_or(rest, |next| &rest[..next]);
    let is_digit = |c: char| c.is_ascii_digit();
    let port = rest.len() - rest.trim_start_matches(is_digit).len();
    if (1..=5).contains(&port) && !rest[port..].starts_with(|c| c != '/' && c != '?' && c != '#' && c != '\\') {
        return None;
    }
    let before_query = rest.split(['?', '#']).next().unwrap_or_default();
    let at = before_query.rfind('@').or_else(|| rest.rfind('@'))?;
    (at > 0).then(|| found.end..found.end + at)
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

    /// Each of these has the secret once, and nothing else that is one.
    #[test]
    fn secrets_are_found_by_their_names() {
        const SECRET: &str = "Hunter2!x";
        let redactor = Redactor::common_secrets();
        for text in [
            // Headers and parameters, however they are spelt.
            "api-key: SECRET",
            "x_api_key=SECRET",
            "X-Api-Key: SECRET",
            "apiKey: 'SECRET'",
            "APIKEY=SECRET",
            "OPENAI_API_KEY=SECRET",
            "export DB_PASSWORD=SECRET",
            "set_cookie: sid=SECRET; Path=/",
            "Set-Cookie: sid=SECRET",
            "cookie=a=SECRET",
            "Authorization: SECRET",
            "authorization: token SECRET",
            "Proxy-Authorization: Digest SECRET",
            "https://host/x?access_token=SECRET&b=1",
            "https://host/x?a=1&api-key=SECRET",
            "?token=SECRET",
            "/cb?a&sig=SECRET#x",
            "POST grant=x&client_secret=SECRET&b=2",
            "X-Amz-Security-Token: SECRET",
            "aws_secret_access_key = SECRET",
            "Server=db;Uid=sa;Pwd=SECRET;",
            "AccountKey=SECRET;x",
            "password_hash=SECRET",
            "api_key2=SECRET",
            // JSON and its like.
            r#"{"password":"SECRET"}"#,
            r#"{"a":1}{"password": "SECRET"}"#,
            "{\"a\":1}\n{\"b\":{\"dbPassword\":\"SECRET\"}}\n",
            r#"got {"user":"x","password":"SECRET"} from it"#,
            r#"{"line":"{\"password\":\"SECRET\"}"}"#,
            r#"log: {\"password\":\"SECRET\"}, done"#,
            r#"log: {\\\"client_secret\\\": \\\"SECRET\\\"}"#,
            r#"data: {"x-api-key":["SECRET"]}"#,
            r#"  {"cookie":{"sid":"SECRET"}}, and"#,
            "{'password': 'SECRET', 'a': 1}",
            "{b'x-api-key': b'SECRET'}",
            r#"{"password":"SECRET" cut off"#,
            r#"{"access_token":"SECRET"#,
            "password: \"SECRET\"",
            "passwd: `SECRET`",
            // Amid prose, and on the command line.
            "the password is SECRET, as ever",
            "My password: SECRET. Keep it",
            "password was SECRET",
            "password is: SECRET",
            "its passphrase is 'SECRET'",
            "user=x password=SECRET ok",
            "password => SECRET",
            "the API key is SECRET",
            "psql --password SECRET -h x",
            "cmd --api-key=SECRET",
            "cmd --db-password 'SECRET'",
            "<password>SECRET</password>",
            "password\nSECRET".split_once('\n').map_or("", |_| "password:\tSECRET"),
            r"line\npassword=SECRET\nnext",
            r"a\napi_key: SECRET\r\n",
            // URLs.
            "postgres://app:SECRET@db/x",
            "redis://:SECRET@db",
            "amqp://a:SECRET@b:5672/v?x=1",
            r"postgres:\/\/app:SECRET@db",
            "git clone https://x:SECRET@host/a.git and https://host/b@c",
        ] {
            for secret in [SECRET, "hunter2hunter2", "0aB/c+d=="] {
                let redacted = redactor.redact(&text.replace("SECRET", secret));
                assert!(redacted.contains("[redacted") && !redacted.contains(secret), "{text}: {redacted}");
            }
        }
        // No word alone, but what is assigned to such a name.
        for text in [
            "password=SECRET",
            "password: SECRET",
            "{\"password\":\"SECRET\"} x",
            "password = SECRET\n",
            "pwd:SECRET,",
            "password=MySECRETPassword1",
            "pwd=secretSECRETpassword",
        ] {
            let redacted = redactor.redact(&text.replace("SECRET", "rosebud"));
            assert!(!redacted.contains("rosebud"), "{redacted}");
        }
        for (url, expected) in [
            ("postgres://app:p@ss@db:5432/x", "postgres://app:[redacted]@db:5432/x"),
            ("postgres://app:p/ss@db:5432/x", "postgres://app:[redacted]@db:5432/x"),
            ("postgres://app:p/@ss/@db:5432/x?a=b", "postgres://app:[redacted]@db:5432/x?a=b"),
            ("postgres://app:p?ss@db", "postgres://app:[redacted]@db"),
            ("a://b:c@d a://b:c@d,a://b:c@d", "a://b:[redacted]@d a://b:[redacted]@d,a://b:[redacted]@d"),
            ("http://host:8080/a@b", "http://host:8080/a@b"),
            ("http://[::1]:80/a@b", "http://[::1]:80/a@b"),
        ] {
            assert_eq!(redactor.redact(url), expected);
        }
        let key = format!("sk-{}", "aB3dE6gH9jK2".repeat(3));
        for before in [r"a\n", r"a\r\n", r"a\t", r"\u000a", "%3D", "x%20", "\u{1b}[31m", r"\\n"] {
            let redacted = redactor.redact(&format!("{before}{key} b"));
            assert_eq!(redacted, format!("{before}[redacted key] b"));
        }
        // What was taken out is not taken for a secret.
        for text in ["password=[redacted]", "api_key: [redacted key]", "{\"password\": \"[redacted]\"} x"] {
            assert_eq!(redactor.redact(text), text);
        }
    }

    #[test]
    fn names_of_secrets_are_told_from_others() {
        let redactor = Redactor::common_secrets();
        let hides = |name: &str| redactor.redact(&format!("{{\"{name}\":\"x\"}}")).contains("[redacted]");
        for name in [
            "password",
            "Password",
            "user_password",
            "userPassword",
            "PGPASSWORD",
            "password2",
            "passwords",
            "new-password",
            "password_hash",
            "api-key",
            "x_api_key",
            "apiKey",
            "openAIApiKey",
            "APIKey",
            "x-goog-api-key",
            "api_keys",
            "set_cookie",
            "Set-Cookie",
            "cookies",
            "http.request.header.authorization",
            "http.request.header.cookie.0",
            "access.token",
            "Proxy_Authorization",
            "secret",
            "client_secret",
            "clientSecret",
            "webhookSecret",
            "access_token",
            "accessToken",
            "accesstoken",
            "refresh-token",
            "id_token",
            "session_token",
            "X-Amz-Security-Token",
            "private_key",
            "privateKey",
            "secret_access_key",
            "pwd",
            "db.statement",
        ] {
            assert!(hides(name), "{name}");
        }
        for name in [
            "max_tokens",
            "token_count",
            "tokens",
            "total_tokens",
            "new_token",
            "token",
            "input_tokens",
            "access_tokens",
            "invalid_token",
            "next_page_token",
            "tokenizer",
            "key",
            "keys",
            "primary_key",
            "monkey",
            "turkey",
            "keyword",
            "author",
            "secretary",
            "compass",
            "passage",
            "password_policy",
            "cookie_count",
            "secret_count",
            "forgot_passwords_count",
            "cryptocurrency",
            "idtokens",
            "max_completion_tokens",
            "cache_key",
            "public_key",
            "sort_key",
            "",
            "_",
            "7",
        ] {
            assert!(!hides(name), "{name}");
        }
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
            "Your password is incorrect. The password must be at least 8 characters: forgot your password?",
            "password: must have 12 characters, among them a digit; the password is required",
            "The secret: be kind. The key: patience. The token: a ring.",
            "max_tokens=4096, token_count: 1234567, tokens: 123456, total_tokens = 99999999, \"max_tokens\": 4096",
            "the API key is missing or was revoked; set the API key before the first call, as the key is used at once",
            "def login(user: str, password: str = None): return check(password=password, key=key)",
            "api_key = settings.api_key; password = os.environ.get(name); client = Client(api_key=api_key)",
            "authorization: required. Authorization is granted by the owner. cookie: yes, cookies are good",
            "if password == other and secret != that then token = next(tokens)",
            "<secret>, <key>x</key>, password> and pwd",
            "https://example.org/a?page=2&token_count=7&sort=key#x",
            "{\"max_tokens\": 5}\n{\"usage\": {\"total_tokens\": 123456}}",
            "access tokens: 120000",
            "PWD: the working directory. cmd --max-tokens 100 --key-file x",
        ] {
            assert_eq!(redactor.redact(text), text);
        }
    }
}

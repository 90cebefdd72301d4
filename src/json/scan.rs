//! Reading JSON text without building anything.
//!
//! Stricter than RFC 8259 where a server would refuse what the RFC allows: nesting is bounded,
//! integers fit 64 bits, numbers are finite as doubles, surrogates come in pairs.

use super::cursor::Cursor;

pub(crate) use super::plain::plain_length;

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
    let mut cursor = Cursor::new(text);
    cursor.value().and_then(|_| cursor.end()).is_some()
}

const WHITE: [char; 4] = [' ', '\t', '\n', '\r'];

#[cfg(test)]
mod tests {
    use super::super::cursor::MAX_DEPTH;
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
            "{\"a\":1,,b\":2}",
            "{\"a\"::1\"}",
            "[\"a\":\"b\"]",
            "[\"a\",\"b\":1]",
            "{\"a\",\"b\"}",
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

    fn name() -> impl Strategy<Value = String> {
        "[a-c]{0,9}|[a-cé\"\\\\\n]{0,80}"
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i32>().prop_map(Into::into),
            (-1e9..1e9).prop_map(|number: f64| number.into()),
            name().prop_map(Into::into),
        ];
        leaf.prop_recursive(3, 24, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                proptest::collection::vec((name(), inner), 0..6)
                    .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
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
        fn agrees_with_serde_json_about_documents_with_one_wrong_byte(
            members in proptest::collection::vec((name(), json()), 0..6), pretty: bool, at: prop::sample::Index, byte in "[\\[\\]{}:,\"\\\\ \n1a]",
        ) {
            let value: serde_json::Value = members.into_iter().collect::<serde_json::Map<_, _>>().into();
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            prop_assert!(document(&text).is_some(), "{}", text);
            let places: Vec<usize> = (0..text.len()).filter(|&at| text.as_bytes()[at].is_ascii()).collect();
            let place = *at.get(&places);
            let wrong = format!("{}{byte}{}", &text[..place], &text[place + 1..]);
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&wrong);
            prop_assert_eq!(super::value(&wrong), theirs.is_ok(), "{}", wrong);
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

//! Rules that look at a text alone.

use super::RedactorError;
use regex::{Regex, RegexSet};
use std::ops::Range;

/// A regular expression and what to write instead of its matches.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    regex: Regex,
    replacement: String,
    /// A match counts only if this says so.
    check: Option<fn(&str) -> bool>,
    /// Not the match is replaced, but what this finds behind it, if there is something.
    value: Option<Value>,
}

/// Where in a text a value stands, whose name was found at a place in it.
pub(super) type Value = fn(&str, Range<usize>) -> Option<Range<usize>>;

impl Pattern {
    pub(super) fn new(pattern: &str, replacement: &str) -> Result<Self, RedactorError> {
        let refused = |reason: String| RedactorError::Pattern { pattern: pattern.to_owned(), reason };
        let regex = Regex::new(pattern).map_err(|error| refused(last_line(&error.to_string())))?;
        if regex.is_match("") {
            return Err(refused("it matches the empty text, and so everywhere".into()));
        }
        Ok(Self { regex, replacement: replacement.to_owned(), check: None, value: None })
    }

    pub(super) fn checked(self, check: fn(&str) -> bool) -> Self {
        Self { check: Some(check), ..self }
    }

    pub(super) fn before(self, value: Value) -> Self {
        Self { value: Some(value), ..self }
    }

    /// `None` when there is nothing to replace.
    pub(super) fn apply(&self, text: &str) -> Option<String> {
        match self.value {
            Some(value) => self.apply_to_values(text, value),
            None => self.apply_to_matches(text),
        }
    }

    fn apply_to_values(&self, text: &str, value: Value) -> Option<String> {
        let mut out = String::new();
        let (mut copied, mut at) = (0, 0);
        while let Some(found) = self.regex.find_at(text, at) {
            match value(text, found.range()) {
                Some(place) => {
                    out.push_str(&text[copied..place.start]);
                    out.push_str(&self.replacement);
                    (copied, at) = (place.end, place.end);
                }
                None => at = found.end(),
            }
        }
        (copied > 0).then(|| {
            out.push_str(&text[copied..]);
            out
        })
    }

    fn apply_to_matches(&self, text: &str) -> Option<String> {
        let mut out = String::new();
        let (mut copied, mut at) = (0, 0);
        while let Some(found) = self.regex.find_at(text, at) {
            let accepted = !found.is_empty() && self.check.is_none_or(|check| check(found.as_str()));
            if !accepted {
                // A shorter match may begin inside of this one.
                let Some(character) = text[found.start()..].chars().next() else { break };
                at = found.start() + character.len_utf8();
                continue;
            }
            out.push_str(&text[copied..found.start()]);
            if self.replacement.contains('$') {
                if let Some(groups) = self.regex.captures_at(text, found.start()) {
                    groups.expand(&self.replacement, &mut out);
                }
            } else {
                out.push_str(&self.replacement);
            }
            (copied, at) = (found.end(), found.end());
        }
        (copied > 0).then(|| {
            out.push_str(&text[copied..]);
            out
        })
    }
}

/// Errors of `regex` draw the pattern with a mark under the fault; the last line says it in words.
fn last_line(error: &str) -> String {
    let line = error.lines().last().unwrap_or(error).trim();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// All patterns, and one look that tells whether any of them matches: mostly none does.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    patterns: Vec<Pattern>,
    any: Option<RegexSet>,
}

impl Patterns {
    pub(super) fn new(patterns: Vec<Pattern>) -> Self {
        Self { patterns, any: None }
    }

    /// Makes ready for many texts. Together the patterns may be too large; then each is asked by itself.
    pub(super) fn prepare(&mut self) {
        if self.patterns.len() > 1 {
            self.any = RegexSet::new(self.patterns.iter().map(|pattern| pattern.regex.as_str())).ok();
        }
    }

    /// `None` when nothing matches.
    pub(super) fn apply(&self, text: &str) -> Option<String> {
        if self.any.as_ref().is_some_and(|any| !any.is_match(text)) {
            return None;
        }
        let mut changed = None;
        for pattern in &self.patterns {
            changed = pattern.apply(changed.as_deref().unwrap_or(text)).or(changed);
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_and_dollars_are_expanded() {
        let pattern = Pattern::new(r"(?<user>\w+)@(\w+)", "$$$user@[$2]").unwrap();
        assert_eq!(pattern.apply("a@b, c@d!").as_deref(), Some("$a@[b], $c@[d]!"));
        assert_eq!(pattern.apply("nobody"), None);
        // What stands around a match counts for it too.
        let pattern = Pattern::new(r"\bx+\b", "$0!").unwrap();
        assert_eq!(pattern.apply("ax xx é").as_deref(), Some("ax xx! é"));
    }

    #[test]
    fn bad_patterns_say_what_is_wrong() {
        let error = Pattern::new("a(b", "").unwrap_err().to_string();
        assert!(
            error.contains("\"a(b\"") && error.contains("unclosed group") && error.contains("with_pattern"),
            "{error}"
        );
        let error = Pattern::new("a*", "").unwrap_err().to_string();
        assert!(error.contains("empty text"), "{error}");
        let error = Pattern::new("(a{1000}){1000}", "").unwrap_err().to_string();
        assert!(error.contains("size limit"), "{error}");
    }

    #[test]
    fn an_assertion_alone_replaces_nothing_and_ends() {
        assert_eq!(Pattern::new(r"\b", "x").unwrap().apply("a é b"), None);
    }
}

//! JSON as text: written once, checked once, never built as a tree.
//!
//! Span attributes already hold JSON as text, and LangSmith takes JSON as text. So text that is
//! valid passes through unchanged ([`scan::document`] says whether it is), and everything else is
//! written straight into the buffer that is sent ([`Object`]).

mod cursor;
mod edit;
mod name;
mod object;
mod plain;
pub(crate) mod scan;
mod seen;
mod specials;
pub(crate) mod walk;
mod write;

pub(crate) use name::{is_short_and_plain, name, Name};
pub(crate) use object::{Object, Ready};
pub(crate) use seen::Seen;
pub(crate) use write::{write_array, write_attribute, write_f64, write_hex, write_i64, write_string, HEX};

use serde::Serialize;

/// JSON text that is known to be valid.
#[derive(Clone, PartialEq, Eq)]
pub struct Json(String);

impl Json {
    /// Serializes any value.
    ///
    /// # Errors
    /// When the value's `Serialize` fails, or a map in it has keys that are not strings.
    pub fn new(value: &(impl Serialize + ?Sized)) -> Result<Self, serde_json::Error> {
        serde_json::to_string(value).map(Self)
    }

    /// Takes JSON text as it is, after checking it: valid, no deeper than
    /// 100 levels, every integer within 64 bits. `None` when it is not.
    pub fn parse(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        scan::document(&text).is_some().then_some(Self(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads the text as a value of any type.
    ///
    /// # Errors
    /// When the JSON does not have the shape that `T` asks for.
    pub fn read<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.0)
    }

    /// Trusts the caller, who wrote the text with the functions of this module.
    pub(crate) fn from_trusted(text: String) -> Self {
        // The text itself is in no panic: it may hold what is to be redacted.
        debug_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok(), "not JSON");
        Self(text)
    }

    /// The object without a member. `None` for what is no object.
    pub(crate) fn without(self, name: &str) -> Option<Self> {
        if !self.0.contains(name) {
            return Some(self);
        }
        let mut object = Object::from_json(&self.0)?;
        object.remove(name);
        let mut text = String::with_capacity(self.0.len());
        object.write_to(&mut text);
        Some(Self(text))
    }

    pub(crate) fn is_object(&self) -> bool {
        self.0.trim_start().starts_with('{')
    }

    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

impl Serialize for Json {
    /// Gives the value itself, with `serde_json` as the very text.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value: &serde_json::value::RawValue =
            serde_json::from_str(&self.0).map_err(|_| serde::ser::Error::custom("the JSON is nested too deeply"))?;
        value.serialize(serializer)
    }
}

impl std::fmt::Debug for Json {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

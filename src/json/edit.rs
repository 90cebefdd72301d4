//! Changing an object that is written: rare, so it is built anew.

use super::{Json, Object};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

impl Object {
    /// Reads the text of an object. `None` when it is something else.
    pub(crate) fn from_json(json: &str) -> Option<Self> {
        serde_json::from_str::<Members>(json).ok().map(|Members(object)| object)
    }

    /// Takes out the member of this name.
    pub(crate) fn remove(&mut self, name: &str) -> Option<Json> {
        let value = Json::from_trusted(self.get(name)?.to_owned());
        let mut quoted = String::new();
        super::write_string(&mut quoted, name);
        let mut others = Self::default();
        for (other, value) in self.iter().filter(|(other, _)| *other != quoted) {
            others.insert_quoted(other, value);
        }
        *self = others;
        Some(value)
    }

    /// Adds a member, in the place of one of the same name if there is one.
    pub(crate) fn replace_raw(&mut self, name: &str, json: &str) {
        if self.contains(name) {
            self.remove(name);
        }
        self.insert_raw(name, json);
    }

    /// The names of the members.
    pub(crate) fn names(&self) -> Vec<String> {
        self.iter().filter_map(|(name, _)| serde_json::from_str(name).ok()).collect()
    }
}

/// The members in the order of the text.
struct Members(Object);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members(Object::default()))
    }
}

impl<'de> Visitor<'de> for Members {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Self, A::Error> {
        while let Some((name, value)) = members.next_entry::<Cow<'de, str>, &RawValue>()? {
            self.0.insert_raw(&name, value.get());
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_go_and_change() {
        let mut object = Object::from_json(r#"{"a":1,"b\"":[2, {"c":3}],"d":"x"}"#).unwrap();
        assert_eq!(object.names(), ["a", "b\"", "d"]);
        assert_eq!(object.get("b\""), Some(r#"[2, {"c":3}]"#));
        assert_eq!(object.remove("a").as_ref().map(Json::as_str), Some("1"));
        assert_eq!(object.remove("a"), None);
        object.replace_raw("d", "4");
        object.replace_raw("e", "5");
        assert_eq!(object.members(), r#""b\"":[2, {"c":3}],"d":4,"e":5"#);
        assert!(Object::from_json("[]").is_none());
    }
}

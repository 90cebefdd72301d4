//! Changing an object that is written: rare, so it is built anew.

use super::{walk, Json, Object};

impl Object {
    /// Reads the text of an object. `None` when it is something else.
    pub(crate) fn from_json(json: &str) -> Option<Self> {
        let mut object = Self::default();
        walk::members(json, |name, value| {
            object.insert_quoted(name, value);
        })?;
        Some(object)
    }

    /// Keeps the members of which `keep` says so. It gets their names as JSON, quotes included.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&str, &str) -> bool) {
        let mut kept = Self::default();
        // The members are an object's, so the walk goes through.
        let _ = walk::members(&self.to_json(), |name, value| {
            if keep(name, value) {
                kept.insert_quoted(name, value);
            }
        });
        *self = kept;
    }

    /// Takes out the member of this name.
    pub(crate) fn remove(&mut self, name: &str) -> Option<Json> {
        let value = Json::from_trusted(self.get(name)?.to_owned());
        let mut quoted = String::new();
        super::write_string(&mut quoted, name);
        self.retain(|other, _| other != quoted);
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
        let mut names = Vec::new();
        // As above.
        let _ = walk::members(&self.to_json(), |name, _| names.extend(serde_json::from_str::<String>(name)));
        names
    }

    fn to_json(&self) -> String {
        let mut json = String::with_capacity(self.members().len() + 2);
        self.write_to(&mut json);
        json
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

//! Going through JSON one level at a time, checking it on the way: whoever reads to the end needs
//! no look at the whole before. Values stay the text they are.

use super::cursor::Cursor;

/// Calls `each` with every element of an array. `None` when the text is no array.
pub(crate) fn elements<'a>(json: &'a str, mut each: impl FnMut(&'a str)) -> Option<()> {
    let mut walk = Walk::new(json);
    walk.elements(|walk| walk.value().map(&mut each))?;
    walk.end()
}

/// Calls `each` with the name, quotes included, and the value of every member of an object. `None` when
/// the text is no object.
pub(crate) fn members<'a>(json: &'a str, mut each: impl FnMut(&'a str, &'a str)) -> Option<()> {
    let mut walk = Walk::new(json);
    walk.members(|walk, name, _| walk.value().map(|value| each(name, value)))?;
    walk.end()
}

/// A place in a JSON text. What comes next is told by who calls: `None` when something else stands
/// there.
#[derive(Clone)]
pub(crate) struct Walk<'a>(Cursor<'a>);

impl<'a> Walk<'a> {
    pub(crate) fn new(json: &'a str) -> Self {
        Self(Cursor::new(json))
    }

    /// Goes through an object. `each` is given the members' names, quotes included, and whether
    /// there are escapes in them, and reads the values.
    pub(crate) fn members(&mut self, mut each: impl FnMut(&mut Self, &'a str, bool) -> Option<()>) -> Option<()> {
        self.nested(b'{', b'}', 0, |walk| {
            let (name, has_escapes) = walk.0.name()?;
            each(walk, name, has_escapes)
        })
    }

    /// Goes through an array. `each` reads the elements.
    pub(crate) fn elements(&mut self, each: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.elements_from(0, each)
    }

    /// Like [`Self::elements`], for an array that is known up to a position where an element has ended.
    pub(crate) fn elements_from(&mut self, position: usize, each: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.nested(b'[', b']', position, each)
    }

    /// How much of the text was gone past.
    pub(crate) fn position(&self) -> usize {
        self.0.position()
    }

    /// Goes past a value.
    pub(crate) fn value(&mut self) -> Option<&'a str> {
        self.0.value()
    }

    /// Goes past a value that is known by its text: `find` is given all that comes, and answers how long a value is
    /// that it begins with.
    pub(crate) fn known(&mut self, find: impl FnOnce(&'a [u8]) -> Option<usize>) -> Option<&'a str> {
        self.0.white();
        let start = self.0.position();
        self.0.go_to(start + find(self.0.rest())?);
        Some(self.0.text_from(start))
    }

    /// Whether an object comes next.
    pub(crate) fn is_object(&mut self) -> bool {
        self.0.comes(b'{')
    }

    /// The text that `read` goes past.
    pub(crate) fn text_of<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<(&'a str, T)> {
        self.0.white();
        let start = self.0.position();
        let value = read(self)?;
        Some((self.0.text_from(start), value))
    }

    /// Nothing more may come.
    pub(crate) fn end(mut self) -> Option<()> {
        self.0.end()
    }

    fn nested(
        &mut self,
        open: u8,
        close: u8,
        after: usize,
        mut each: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        self.0.open(open)?;
        let mut is_more = if after == 0 {
            !self.0.goes_past(close)
        } else {
            self.0.go_to(after);
            self.is_more(close)?
        };
        while is_more {
            each(self)?;
            is_more = self.is_more(close)?;
        }
        self.0.close();
        Some(())
    }

    fn is_more(&mut self, close: u8) -> Option<bool> {
        if self.0.goes_past(close) {
            return Some(false);
        }
        self.0.expect(b',').map(|()| true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                proptest::collection::vec((any::<String>(), inner), 0..8)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn finds_what_serde_json_wrote(value in json(), pretty: bool) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            let mut read = Vec::<Value>::new();
            let is_array = elements(&text, |element| read.push(serde_json::from_str(element).unwrap())).is_some();
            prop_assert_eq!(is_array, value.is_array());
            if is_array {
                prop_assert_eq!(&Value::from(read), &value);
            }
            let mut read = serde_json::Map::new();
            let is_object = members(&text, |name, value| {
                read.insert(serde_json::from_str(name).unwrap(), serde_json::from_str(value).unwrap());
            });
            prop_assert_eq!(is_object.is_some(), value.is_object());
            if is_object.is_some() {
                prop_assert_eq!(Value::from(read), value);
            }
        }

        #[test]
        fn no_text_panics(text in ".{0,60}") {
            let _ = members(&text, |_, _| {});
            let _ = elements(&text, |_| {});
        }

        #[test]
        fn no_text_of_brackets_is_walked_for_ever(text in r#"[\[\]{}:,"\\ 1]{0,12}"#) {
            let _ = members(&text, |_, _| {});
            let _ = elements(&text, |_| {});
        }
    }

    #[test]
    fn goes_on_behind_an_element() {
        let read = |json, position| {
            let (mut walk, mut read) = (Walk::new(json), Vec::new());
            walk.elements_from(position, |walk| walk.value().map(|value| read.push(value)))?;
            walk.end().map(|()| read)
        };
        assert_eq!(read("[{}, [1], 2 ]", 0), Some(vec!["{}", "[1]", "2"]));
        assert_eq!(read("[{}, [1], 2 ]", 3), Some(vec!["[1]", "2"]));
        assert_eq!(read("[{}, [1], 2 ]", 8), Some(vec!["2"]));
        assert_eq!(read("[{} ]", 3), Some(vec![]));
        for bad in ["[{}", "[{},", "[{},]", "[{} 1]", "[{}]]", "({}]"] {
            assert_eq!(read(bad, 3), None, "{bad}");
        }
    }

    #[test]
    fn a_bracket_that_does_not_belong_ends_the_walk() {
        assert_eq!(elements("[}", |_| {}), None);
        assert_eq!(elements("[1 }", |_| {}), None);
        assert_eq!(members("{]", |_, _| {}), None);
    }
}

//! Going through JSON that [`scan`](super::scan) has accepted, one level at a time. Values stay the
//! text they are; since the text is known to be valid, going past one only looks for its end.

use super::scan::plain_length;

/// Calls `each` with the name, quotes included, and the value of every member of an object.
/// `None` when the text is no object.
pub(crate) fn members<'a>(json: &'a str, mut each: impl FnMut(&'a str, &'a str)) -> Option<()> {
    Walk { text: json, at: 0 }.members(&mut each)
}

/// Calls `begin` for every object of an array and then `each` with its members. `None` when the
/// text is no array, or something else stands in it.
pub(crate) fn objects<'a, T>(
    json: &'a str,
    mut begin: impl FnMut() -> T,
    mut each: impl FnMut(&mut T, &'a str, &'a str),
) -> Option<Vec<T>> {
    let mut walk = Walk { text: json, at: 0 };
    walk.open(b'[')?;
    let mut objects = Vec::new();
    while !walk.closes(b']')? {
        let mut object = begin();
        walk.members(&mut |name, value| each(&mut object, name, value))?;
        objects.push(object);
    }
    Some(objects)
}

/// Calls `each` with every element of an array. `None` when the text is no array.
pub(crate) fn elements<'a>(json: &'a str, mut each: impl FnMut(&'a str)) -> Option<()> {
    let mut walk = Walk { text: json, at: 0 };
    walk.open(b'[')?;
    while !walk.closes(b']')? {
        each(walk.value()?);
    }
    Some(())
}

struct Walk<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Walk<'a> {
    fn members(&mut self, each: &mut impl FnMut(&'a str, &'a str)) -> Option<()> {
        self.open(b'{')?;
        while !self.closes(b'}')? {
            let name = self.value()?;
            self.white();
            // The colon.
            self.at += 1;
            each(name, self.value()?);
        }
        Some(())
    }

    fn open(&mut self, bracket: u8) -> Option<()> {
        self.white();
        (self.peek()? == bracket).then(|| self.at += 1)
    }

    /// Goes past a comma, or past the closing bracket.
    fn closes(&mut self, bracket: u8) -> Option<bool> {
        self.white();
        let byte = self.peek()?;
        if byte == b',' || byte == bracket {
            self.at += 1;
        }
        Some(byte == bracket)
    }

    fn value(&mut self) -> Option<&'a str> {
        self.white();
        let start = self.at;
        match self.peek()? {
            b'"' => self.string()?,
            b'{' | b'[' => self.nested()?,
            _ => {
                let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r');
                let rest = &self.text.as_bytes()[start..];
                self.at += rest.iter().position(is_end).unwrap_or(rest.len());
            }
        }
        self.text.get(start..self.at)
    }

    fn nested(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Some(());
            }
        }
    }

    fn string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            self.at += plain_length(self.text.as_bytes().get(self.at..)?);
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
    }

    fn white(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
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
    }
}

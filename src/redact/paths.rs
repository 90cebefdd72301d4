//! Rules that look at where a value stands.

use super::RedactorError;

/// The fields that a path can begin with.
const FIELDS: [&str; 12] = [
    "name",
    "inputs",
    "outputs",
    "error",
    "events",
    "metadata",
    "invocation_params",
    "tags",
    "attachments",
    "feedback",
    "otel",
    "runtime",
];

/// The steps are followed by one bit each, and one for the end.
const MAX_STEPS: usize = 60;

#[derive(Clone, Debug)]
pub(super) struct Path(Vec<Step>);

#[derive(Clone, Debug)]
enum Step {
    Name(String),
    Any,
    AnyDepth,
}

/// How far a path has come: bit `n` says that its first `n` steps are done.
type State = u64;

impl Path {
    pub(super) fn parse(path: &str) -> Result<Self, RedactorError> {
        let refused = |reason| Err(RedactorError::Path { path: path.to_owned(), reason });
        let steps: Vec<_> = path
            .split('.')
            .map(|step| match step {
                "*" => Step::Any,
                "**" => Step::AnyDepth,
                name => Step::Name(name.to_owned()),
            })
            .collect();
        if steps.iter().any(|step| matches!(step, Step::Name(name) if name.is_empty())) {
            return refused("it has an empty part");
        }
        if steps.len() > MAX_STEPS {
            return refused("it has more than 60 parts");
        }
        match &steps[0] {
            Step::Name(field) if !FIELDS.iter().any(|known| known.eq_ignore_ascii_case(field)) => {
                refused("it begins with no field of a run (name, inputs, outputs, error, events, metadata, invocation_params, tags, attachments, feedback, otel, runtime)")
            }
            _ => Ok(Self(steps)),
        }
    }

    fn start(&self) -> State {
        self.with_none(1)
    }

    /// `**` may stand for nothing.
    fn with_none(&self, mut state: State) -> State {
        for (position, step) in self.0.iter().enumerate() {
            if matches!(step, Step::AnyDepth) && state & (1 << position) != 0 {
                state |= 1 << (position + 1);
            }
        }
        state
    }

    fn step(&self, state: State, name: &str) -> State {
        if state == 0 {
            return 0;
        }
        let mut next = 0;
        for (position, step) in self.0.iter().enumerate().filter(|(position, _)| state & (1 << position) != 0) {
            next |= match step {
                Step::AnyDepth => 1 << position,
                Step::Any => 1 << (position + 1),
                Step::Name(expected) if expected.eq_ignore_ascii_case(name) => 1 << (position + 1),
                Step::Name(_) => 0,
            };
        }
        self.with_none(next)
    }

    fn is_done(&self, state: State) -> bool {
        state & (1 << self.0.len()) != 0
    }
}

/// Where the walk stands, and how far each path has come there.
#[derive(Debug, Default)]
pub(super) struct Position {
    paths: Vec<Path>,
    /// One a path for every level, the innermost level last.
    states: Vec<State>,
    /// The names of the levels, joined by dots.
    text: String,
    /// Lengths of `text` at the levels above.
    lengths: Vec<usize>,
    /// Somebody asks for `text`.
    is_told: bool,
    /// Whether what stands under a name is hidden, wherever that is.
    hides: Option<fn(&str) -> bool>,
}

impl Position {
    pub(super) fn new(paths: Vec<Path>, is_told: bool) -> Self {
        let mut position = Self { paths, is_told, ..Self::default() };
        position.reset();
        position
    }

    pub(super) fn hiding(self, hides: Option<fn(&str) -> bool>) -> Self {
        Self { hides, ..self }
    }

    pub(super) fn has_rules(&self) -> bool {
        self.hides.is_some() || !self.paths.is_empty()
    }

    /// Back to where no field is entered.
    pub(super) fn reset(&mut self) {
        self.states.clear();
        self.states.extend(self.paths.iter().map(Path::start));
        self.text.clear();
        self.lengths.clear();
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Goes down one level. Says whether a path ends there, or on the way: a name with dots in it
    /// counts as several.
    pub(super) fn enter(&mut self, name: &str) -> bool {
        if self.is_told {
            self.lengths.push(self.text.len());
            if !self.text.is_empty() {
                self.text.push('.');
            }
            self.text.push_str(name);
        }
        let mut found = self.hides.is_some_and(|hides| hides(name) || name.split('.').any(hides));
        let above = self.states.len() - self.paths.len();
        for (number, path) in self.paths.iter().enumerate() {
            let mut state = self.states[above + number];
            for part in name.split('.') {
                state = path.step(state, part);
                found |= path.is_done(state);
            }
            self.states.push(state);
        }
        found
    }

    pub(super) fn leave(&mut self) {
        if let Some(length) = self.lengths.pop() {
            self.text.truncate(length);
        }
        self.states.truncate(self.states.len() - self.paths.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(path: &str, names: &[&str]) -> bool {
        let mut position = Position::new(vec![Path::parse("tags").unwrap(), Path::parse(path).unwrap()], true);
        let found = names.iter().filter(|name| position.enter(name)).count() > 0;
        assert_eq!(position.text(), names.join("."));
        for _ in names {
            position.leave();
        }
        assert_eq!((position.text(), position.states.len()), ("", 2));
        found
    }

    #[test]
    fn paths_are_followed() {
        for (path, names) in [
            ("inputs.user.email", &["inputs", "user", "email"][..]),
            ("inputs.user.email", &["inputs", "user.email"]),
            ("metadata.user", &["metadata", "user.email"]),
            ("Inputs.USER.email", &["inputs", "user", "Email"]),
            ("metadata.*.password", &["metadata", "db", "password"]),
            ("**.authorization", &["metadata", "http.request.header.authorization"]),
            ("**.authorization", &["inputs", "a", "0", "Authorization"]),
            ("inputs.**.x.**.y", &["inputs", "x", "y"]),
            ("inputs.**.x.**.y", &["inputs", "a", "x", "x", "b", "y"]),
            ("inputs.*.0", &["inputs", "list", "0"]),
            ("inputs.**", &["inputs"]),
            ("**", &["name"]),
        ] {
            assert!(finds(path, names), "{path} {names:?}");
        }
        for (path, names) in [
            ("inputs.user.email", &["inputs", "user"][..]),
            ("inputs.user.email", &["outputs", "user", "email"]),
            ("metadata.*.password", &["metadata", "password"]),
            ("metadata.*.password", &["metadata", "a", "b", "password"]),
            ("**.authorization", &["inputs", "authorizations"]),
            ("inputs.email", &["inputs", "x", "email"]),
        ] {
            assert!(!finds(path, names), "{path} {names:?}");
        }
    }

    #[test]
    fn what_is_no_path_is_told() {
        for (path, words) in
            [("", "empty part"), ("inputs..a", "empty part"), ("input.a", "no field"), ("messages", "no field")]
        {
            let error = Path::parse(path).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("with_path"), "{error}");
        }
        assert!(Path::parse(&format!("inputs{}", ".a".repeat(60))).is_err());
    }
}

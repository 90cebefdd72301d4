//! Secrets and personal data are taken out of runs before they are sent.
//!
//! [`Redactor`] is what the application configures. For the sender's thread it becomes a [`Redaction`],
//! which goes through the fields of each run (`fields`), through their JSON without building a tree
//! (`walk`), and puts the decoded texts before the rules (`rules`, `paths`, `secrets`).

mod fields;
mod named;
mod paths;
mod rules;
mod secrets;
mod walk;

pub(crate) use fields::Redaction;

use paths::Path;
use rules::Pattern;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

/// What stands in the place of what was taken out.
const MARKER: &str = "[redacted]";

/// What is taken out of every run before it is sent: see
/// [`Config::with_redactor`](crate::Config::with_redactor).
///
/// ```
/// use opentelemetry_langsmith::{Config, Redactor};
///
/// let redactor = Redactor::common_secrets()
///     .with_pattern(r"\b\d{3}-\d{2}-\d{4}\b", "[ssn]")?
///     .with_path("inputs.user.address")?
///     .with_path("**.iban")?
///     .with_fn(|place, text| (place.path() == "metadata.user_id").then(|| format!("user {}", text.len())));
/// assert_eq!(redactor.redact("mail alice@example.org, 123-45-6789"), "mail [redacted email], [ssn]");
/// let config = Config::default().with_redactor(redactor);
/// # Ok::<(), opentelemetry_langsmith::RedactorError>(())
/// ```
///
/// # What is looked at
///
/// Every text of a run: its name, error and tags, and in the inputs, outputs, events, metadata (attributes,
/// resource and baggage among it), parameters, feedback and what describes the span (links among it) every
/// string and every name of a member. JSON is looked at as what it says, not as it is written: `\u0073k-…` is `sk-…`. A string
/// that holds JSON itself, such as the arguments of a tool call, is looked at as JSON and as a text; where JSON stands
/// amid other text, or there are lines of it, paths and names of secrets count as well. Of
/// attached files the names are looked at, and what is in them if they are text or JSON.
///
/// What no rule matches stays as it is, to the byte. Numbers, `true` and `false` are changed by
/// [paths](Self::with_path) alone. Ids, times, the run's type and the project's name are never changed.
///
/// # When a rule fails
///
/// A function that panics costs the field that it was called for: the whole of it is hidden rather
/// than sent as it was. That is told once, and counted by [`failures`](Self::failures).
///
/// # What it costs
///
/// Nothing where none is configured. Where one is, its rules are applied once to each run, on the
/// sender's thread.
#[derive(Clone, Default)]
#[must_use]
pub struct Redactor {
    patterns: Vec<Pattern>,
    paths: Vec<Path>,
    /// Whether what stands under a name is hidden.
    hides: Option<fn(&str) -> bool>,
    functions: Vec<Function>,
    drops_binary: bool,
    failures: Arc<AtomicU64>,
}

type Function = Arc<dyn Fn(&Place<'_>, &str) -> Option<String> + Send + Sync>;

impl Redactor {
    /// No rules yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Rules for what should never leave the house, and can be told by its shape:
    ///
    /// * API keys and tokens of OpenAI, Anthropic, `LangSmith`, AWS, Google, GitHub, GitLab, Slack, Stripe
    ///   and Hugging Face;
    /// * JSON web tokens, and what follows `Bearer` and `Basic`;
    /// * private keys in PEM blocks, and passwords in URLs;
    /// * e-mail addresses;
    /// * card numbers: 13 to 19 digits, alone or in the usual groups, that begin as cards do and whose check
    ///   digit is right;
    /// * whatever stands under a name of a secret, at any depth: `password`, `passwd`, `pwd`, `passphrase`, `secret`,
    ///   `authorization`, `cookie`, `api_key`, `private_key`, `access_token` and their like, with other words before
    ///   them, and however the words are joined: `X-Api-Key`, `dbPassword`, `OPENAI_API_KEY`. Numbers of tokens have other
    ///   names (`max_tokens`, `token_count`) and stay;
    /// * the same in texts: `api-key: …`, `"password":"…"` in lines of JSON and amid prose, `?access_token=…`,
    ///   `--password …`, `<password>…`, and `password is …` where what follows is no ordinary word;
    /// * whatever stands under `db.statement` or `db.query.text`.
    ///
    /// A secret that is encoded (base64, percent) or cut in two is not found by its shape.
    pub fn common_secrets() -> Self {
        let paths = secrets::QUERIES.iter().filter_map(|name| Path::parse(&format!("**.{name}")).ok());
        let hides: fn(&str) -> bool = named::is_secret;
        Self { patterns: secrets::patterns(), paths: paths.collect(), hides: Some(hides), ..Self::default() }
    }

    /// Replaces what a regular expression matches, in the syntax of the crate
    /// [`regex`](https://docs.rs/regex/latest/regex/#syntax). In `replacement`, `$1` and `$name` stand
    /// for groups and `$$` for a dollar sign.
    ///
    /// # Errors
    /// [`RedactorError::Pattern`] when it is no regular expression, would be too large, or matches
    /// the empty text.
    pub fn with_pattern(mut self, pattern: &str, replacement: &str) -> Result<Self, RedactorError> {
        self.patterns.push(Pattern::new(pattern, replacement)?);
        Ok(self)
    }

    /// Replaces what stands at a path by `"[redacted]"`, whatever it is.
    ///
    /// A path begins with a field: `name`, `inputs`, `outputs`, `error`, `events`, `metadata`,
    /// `invocation_params`, `tags`, `attachments` (by their names), `feedback` (with `key`, `score`, `value` and `comment`
    /// in each row), `otel` or `runtime`. Then come the names of members, or
    /// positions in a list. `*` is any one of them, `**` any number, none included: `inputs.user.email`,
    /// `metadata.*.password`, `**.authorization`. Upper and lower case are the same. A name with dots in it
    /// counts as several: `metadata.user.email` is the member `user.email` too, as attributes are called.
    ///
    /// Whole `inputs`, `outputs` and `metadata` become `{}`.
    ///
    /// # Errors
    /// [`RedactorError::Path`] when it has an empty part, more than 60 parts, or begins with something that
    /// is no field.
    pub fn with_path(mut self, path: &str) -> Result<Self, RedactorError> {
        self.paths.push(Path::parse(path)?);
        Ok(self)
    }

    /// Asks `function` about every text, after all other rules: `Some` is what to send instead. It is called
    /// on the sender's thread, under the subscriber that [`Config::with_on_run`](crate::Config::with_on_run) tells of,
    /// and shall not block.
    pub fn with_fn(mut self, function: impl Fn(&Place<'_>, &str) -> Option<String> + Send + Sync + 'static) -> Self {
        self.functions.push(Arc::new(function));
        self
    }

    /// Leaves out attached files that are neither text nor JSON: nobody can look into them.
    pub fn without_binary_attachments(mut self) -> Self {
        self.drops_binary = true;
        self
    }

    /// What becomes of a text that stands nowhere in particular, for trying rules out.
    ///
    /// A rule that fails costs the whole text.
    pub fn redact(&self, text: &str) -> String {
        Redaction::once(self.clone()).loose_text(text)
    }

    /// How many fields were hidden as a whole because a rule failed. Clones count together.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor")
            .field("patterns", &self.patterns.len())
            .field("paths", &self.paths.len())
            .field("functions", &self.functions.len())
            .field("failures", &self.failures())
            .finish_non_exhaustive()
    }
}

/// Where a text stands that the function of [`Redactor::with_fn`] is asked about.
#[derive(Debug)]
pub struct Place<'a> {
    path: &'a str,
    is_name: bool,
}

impl Place<'_> {
    /// The field, and the names and positions below it: `inputs.messages.0.content`. Empty for a text that stands
    /// nowhere.
    pub fn path(&self) -> &str {
        self.path
    }

    /// The field alone: `inputs`.
    pub fn field(&self) -> &str {
        self.path.split('.').next().unwrap_or_default()
    }

    /// Whether it is the name of a member. The path is then that of the object it is in.
    pub fn is_name(&self) -> bool {
        self.is_name
    }
}

/// Why a rule was not taken.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedactorError {
    /// It cannot be used as a regular expression.
    #[error("the pattern {pattern:?} cannot be used: {reason}; correct it where Redactor::with_pattern is called")]
    Pattern {
        /// What was given.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It is no path.
    #[error("the path {path:?} cannot be used: {reason}; write one like inputs.user.email or **.password where Redactor::with_path is called")]
    Path {
        /// What was given.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl fmt::Debug for RedactorError {
    /// A `main` that returns an error prints its `Debug`: that shall be the sentence too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

//! The wire model: what LangSmith calls a run. No conversion happens here.

pub(crate) mod attachment;
mod builder;
mod dotted_order;
mod error;
mod feedback;
mod id;
mod run_type;
mod setters;
mod time;
mod usage;
mod usage_from;
mod usage_sum;

pub use builder::RunBuilder;
pub use dotted_order::{DottedOrder, ParseDottedOrderError};
pub use error::RunError;
pub use id::RunId;
pub use run_type::{ParseRunTypeError, RunType};
pub use usage::UsageMetadata;

pub(crate) use attachment::Attachment;
pub(crate) use feedback::Feedback;
pub(crate) use time::Timestamp;

use crate::json::{is_short_and_plain, Json, Object};
use chrono::{DateTime, Utc};
use std::borrow::Cow;
use std::sync::Arc;

/// The longest name that LangSmith takes, in characters.
pub(crate) const MAX_NAME: usize = 128;

/// One run: LangSmith's word for a span.
///
/// Its id, its trace's id and its parent's id are all read off its [`DottedOrder`], so they cannot
/// contradict each other. A run without spans is made with [`Run::builder`].
#[derive(Clone, Debug)]
pub struct Run {
    pub(crate) dotted_order: DottedOrder,
    pub(crate) name: Cow<'static, str>,
    pub(crate) run_type: RunType,
    pub(crate) start: Timestamp,
    pub(crate) end: Option<Timestamp>,
    /// `None`: the configured project.
    pub(crate) project: Option<Project>,
    pub(crate) tags: Vec<String>,
    pub(crate) inputs: Option<Json>,
    pub(crate) outputs: Option<Json>,
    pub(crate) error: Option<String>,
    pub(crate) events: Option<Json>,
    pub(crate) extra: Box<Extra>,
    pub(crate) reference_example_id: Option<RunId>,
    pub(crate) attachments: Vec<Attachment>,
    pub(crate) feedback: Vec<Feedback>,
}

/// Where a trace goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Project {
    Name(Arc<str>),
    Id(RunId),
}

/// The members of a run's `extra`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extra {
    pub(crate) metadata: Object,
    pub(crate) invocation_params: Object,
    /// What only describes the span: scope, kind, links, dropped counts, `tracing`'s own fields.
    pub(crate) otel: Object,
    /// Members that stand beside this crate's own in `runtime`.
    pub(crate) runtime: Object,
}

impl Extra {
    /// Adds the members of another one, where their names are new.
    fn append(&mut self, other: &Self) {
        self.metadata.append(&other.metadata);
        self.invocation_params.append(&other.invocation_params);
        self.otel.append(&other.otel);
        self.runtime.append(&other.runtime);
    }
}

impl Run {
    /// A run with nothing in it.
    pub(crate) fn bare(
        dotted_order: DottedOrder,
        name: Cow<'static, str>,
        run_type: RunType,
        start: Timestamp,
    ) -> Self {
        Self {
            dotted_order,
            name,
            run_type,
            start,
            end: None,
            project: None,
            tags: Vec::new(),
            inputs: None,
            outputs: None,
            error: None,
            events: None,
            extra: Box::default(),
            reference_example_id: None,
            attachments: Vec::new(),
            feedback: Vec::new(),
        }
    }

    /// One that is to be filled.
    pub(crate) fn empty() -> Self {
        Self::bare(DottedOrder::with_segments(0), Cow::Borrowed(""), RunType::Chain, Timestamp::default())
    }

    /// Begins a run that starts now and is the root of its trace, until [`RunBuilder::child_of`] or
    /// [`RunBuilder::start_time`] say otherwise.
    ///
    /// ```
    /// use opentelemetry_langsmith::{Run, RunType};
    ///
    /// let parent = Run::builder("plan a trip", RunType::Chain)
    ///     .inputs(&serde_json::json!({"question": "Where to?"}))
    ///     .build()?;
    /// let child = Run::builder("ask the model", RunType::Llm).child_of(&parent).end_now().build()?;
    /// assert_eq!(child.parent_id(), Some(parent.id()));
    /// assert_eq!(child.trace_id(), parent.trace_id());
    /// # Ok::<(), opentelemetry_langsmith::RunError>(())
    /// ```
    pub fn builder(name: impl Into<Cow<'static, str>>, run_type: RunType) -> RunBuilder {
        RunBuilder::new(name.into(), run_type)
    }

    /// Opens the run again, to say how it went on: [`Client::update`](crate::Client::update) sends
    /// the result. Its place in the trace stays.
    ///
    /// ```
    /// use opentelemetry_langsmith::{Run, RunType};
    ///
    /// let run = Run::builder("France", RunType::Chain).inputs("What is its capital?").build()?;
    /// let ended = run.edit().outputs("Paris").end_now().build()?;
    /// assert_eq!((ended.id(), ended.start_time()), (run.id(), run.start_time()));
    /// # Ok::<(), opentelemetry_langsmith::RunError>(())
    /// ```
    pub fn edit(&self) -> RunBuilder {
        RunBuilder::edit(self.clone())
    }

    /// Takes over what an update says.
    pub(crate) fn merge(&mut self, update: Self) {
        let Self {
            end,
            tags,
            inputs,
            outputs,
            error,
            events,
            mut extra,
            reference_example_id,
            attachments,
            feedback,
            ..
        } = update;
        self.end = end.or(self.end);
        self.inputs = inputs.or(self.inputs.take());
        self.outputs = outputs.or(self.outputs.take());
        self.error = error.or(self.error.take());
        self.events = events.or(self.events.take());
        self.reference_example_id = reference_example_id.or(self.reference_example_id);
        extra.append(&self.extra);
        self.extra = extra;
        if !tags.is_empty() {
            self.tags = tags;
        }
        self.attachments.extend(attachments);
        self.feedback.extend(feedback);
    }

    /// The run's own id.
    pub fn id(&self) -> RunId {
        self.dotted_order.id()
    }

    /// The id of the trace, which is the id of its root run.
    pub fn trace_id(&self) -> RunId {
        self.dotted_order.trace_id()
    }

    /// The parent's id; `None` on a root.
    pub fn parent_id(&self) -> Option<RunId> {
        self.dotted_order.parent_id()
    }

    /// Where the run stands in its trace.
    pub fn dotted_order(&self) -> &DottedOrder {
        &self.dotted_order
    }

    /// The name that LangSmith shows.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What kind of work it is.
    pub fn run_type(&self) -> RunType {
        self.run_type
    }

    /// When it started, to the microsecond.
    pub fn start_time(&self) -> DateTime<Utc> {
        self.start.to_datetime()
    }

    /// When it ended; `None` while it runs.
    pub fn end_time(&self) -> Option<DateTime<Utc>> {
        self.end.map(Timestamp::to_datetime)
    }

    /// The name of the project it goes to; `None` for the configured one, and for one that is
    /// named by its id.
    pub fn project(&self) -> Option<&str> {
        match &self.project {
            Some(Project::Name(name)) => Some(name),
            Some(Project::Id(_)) | None => None,
        }
    }

    /// The tags, in the order they were given.
    pub fn tags(&self) -> &[String] {
        &self.tags
    }

    /// The inputs, a JSON object.
    pub fn inputs(&self) -> Option<&Json> {
        self.inputs.as_ref()
    }

    /// The outputs, a JSON object.
    pub fn outputs(&self) -> Option<&Json> {
        self.outputs.as_ref()
    }

    /// The error; a run that has one shows as failed.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// What happened while it ran, a JSON array of objects.
    pub fn events(&self) -> Option<&Json> {
        self.events.as_ref()
    }

    /// The JSON text of one member of `extra.metadata`.
    pub fn metadata(&self, name: &str) -> Option<&str> {
        self.extra.metadata.get(name)
    }
}

/// Cuts a name to what LangSmith takes: at most 128 characters, no NUL, not empty.
/// `None` when the name is fine as it is.
pub(crate) fn shorten_name(name: &str) -> Option<String> {
    if is_short_and_plain(name) && !name.is_empty() {
        return None;
    }
    let long = name.len() > MAX_NAME && name.chars().nth(MAX_NAME).is_some();
    if name.is_empty() {
        return Some("unnamed".into());
    }
    if !long && !name.contains('\0') {
        return None;
    }
    let mut short: String = name.chars().filter(|&c| c != '\0').take(MAX_NAME).collect();
    if long {
        short.pop();
        short.push('…');
    }
    if short.is_empty() {
        Some("unnamed".into())
    } else {
        Some(short)
    }
}

use super::{shorten_name, DottedOrder, Extra, Project, Run, RunId, RunType, Timestamp, UsageMetadata};
use crate::error::RunError;
use crate::json::Json;
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::borrow::Cow;

/// Builds a [`Run`] by hand; see [`Run::builder`].
///
/// What cannot be taken is remembered and told by [`build`](Self::build).
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until build() is called"]
pub struct RunBuilder {
    run: Run,
    id: Option<RunId>,
    parent: Option<DottedOrder>,
    failed: Option<RunError>,
}

impl RunBuilder {
    pub(super) fn new(name: Cow<'static, str>, run_type: RunType) -> Self {
        let start = Timestamp::now();
        let failed =
            (name.is_empty() || shorten_name(&name).is_some()).then(|| RunError::Name(name.chars().take(40).collect()));
        let run = Run {
            dotted_order: DottedOrder::with_segments(0),
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
            extra: Extra::default(),
            reference_example_id: None,
            attachments: Vec::new(),
        };
        Self { run, id: None, parent: None, failed }
    }

    pub(super) fn edit(run: Run) -> Self {
        let id = Some(run.id());
        let parent = run.dotted_order.parent();
        // What was attached has been sent with the first part.
        let run = Run { attachments: Vec::new(), ..run };
        Self { run, id, parent, failed: None }
    }

    /// Gives the run an id of your own instead of a new UUIDv7. LangSmith finds runs best when the
    /// id is a UUIDv7 of the run's start.
    pub fn id(mut self, id: RunId) -> Self {
        self.id = Some(id);
        self
    }

    /// Puts the run under `parent`, in the parent's project.
    pub fn child_of(mut self, parent: &Run) -> Self {
        self.run.project.clone_from(&parent.project);
        self.child_of_order(parent.dotted_order())
    }

    /// Puts the run under a run of which only the dotted order is known.
    pub fn child_of_order(mut self, parent: &DottedOrder) -> Self {
        self.parent = Some(parent.clone());
        self
    }

    /// When the run started. A start before the parent's becomes the parent's.
    pub fn start_time(mut self, start: DateTime<Utc>) -> Self {
        self.run.start = Timestamp::from_datetime(start);
        self
    }

    /// When the run ended. An end before the start becomes the start.
    pub fn end_time(mut self, end: DateTime<Utc>) -> Self {
        self.run.end = Some(Timestamp::from_datetime(end));
        self
    }

    /// The run ends now.
    pub fn end_now(self) -> Self {
        self.end_time(Utc::now())
    }

    /// What went in. A value that is no JSON object becomes `{"input": value}`.
    pub fn inputs(mut self, inputs: &(impl Serialize + ?Sized)) -> Self {
        self.run.inputs = self.object("input", inputs);
        self
    }

    /// What came out. A value that is no JSON object becomes `{"output": value}`.
    pub fn outputs(mut self, outputs: &(impl Serialize + ?Sized)) -> Self {
        self.run.outputs = self.object("output", outputs);
        self
    }

    /// Why it failed. An empty text becomes `error`, because LangSmith shows success otherwise.
    pub fn error(mut self, error: impl Into<String>) -> Self {
        let error = error.into();
        self.run.error = Some(if error.is_empty() { "error".into() } else { error });
        self
    }

    /// Adds one member to `extra.metadata`. The first value under a name stays.
    pub fn metadata(mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Self {
        if let Some(json) = self.json("metadata", value) {
            self.run.extra.metadata.insert_raw(name, json.as_str());
        }
        self
    }

    /// What the run used; LangSmith prices llm runs by it.
    pub fn usage(self, usage: &UsageMetadata) -> Self {
        self.metadata("usage_metadata", usage)
    }

    /// Adds a tag, once.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        let tag = tag.into();
        if !self.run.tags.contains(&tag) {
            self.run.tags.push(tag);
        }
        self
    }

    /// The project, where it is not the configured one. Runs of one trace share one project.
    pub fn project(mut self, project: &str) -> Self {
        self.run.project = Some(Project::Name(project.into()));
        self
    }

    /// The run, with its place in its trace worked out.
    ///
    /// # Errors
    /// [`RunError`] says which value could not be taken: a name that is empty, has a NUL or more
    /// than 128 characters; a value that cannot be JSON; an id that is also an ancestor's.
    pub fn build(self) -> Result<Run, RunError> {
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        let mut run = self.run;
        if let Some(parent) = &self.parent {
            run.start = run.start.max(parent.start());
        }
        let id = self.id.unwrap_or_else(|| RunId::random(run.start));
        run.dotted_order = match self.parent {
            Some(parent) => parent.child_at(id, run.start).ok_or(RunError::OwnAncestor(id))?,
            None => DottedOrder::root(id, run.start.to_datetime()),
        };
        run.end = run.end.map(|end| end.max(run.start));
        Ok(run)
    }

    fn object(&mut self, name: &'static str, value: &(impl Serialize + ?Sized)) -> Option<Json> {
        let json = self.json(name, value)?;
        Some(if json.is_object() { json } else { Json::from_trusted(format!("{{\"{name}\":{}}}", json.as_str())) })
    }

    fn json(&mut self, name: &'static str, value: &(impl Serialize + ?Sized)) -> Option<Json> {
        match Json::new(value) {
            Ok(json) => Some(json),
            Err(reason) => {
                self.failed.get_or_insert(RunError::Json { field: name, reason: reason.to_string() });
                None
            }
        }
    }
}

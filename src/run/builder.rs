use super::{shorten_name, DottedOrder, Extra, Project, Run, RunId, RunType, Timestamp, UsageMetadata};
use crate::json::Json;
use crate::run::RunError;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Builds a [`Run`] by hand; see [`Run::builder`].
///
/// What cannot be taken is remembered and told by [`build`](Self::build).
///
/// Only a run that is built has an id and a place, so what needs these takes no builder. A child
/// stands under a run:
///
/// ```compile_fail,E0308
/// # use opentelemetry_langsmith::{Run, RunType};
/// let parent = Run::builder("parent", RunType::Chain);
/// let child = Run::builder("child", RunType::Llm).child_of(&parent); // expected `&Run`, found `&RunBuilder`
/// ```
/// and an update is one of a run, which it names by its id:
///
/// ```compile_fail,E0308
/// # use opentelemetry_langsmith::{Client, Run, RunType};
/// # fn update(client: &Client) {
/// client.update(Run::builder("no id yet", RunType::Chain).outputs("done")); // expected `Run`, found `RunBuilder`
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until build() is called"]
pub struct RunBuilder {
    run: Run,
    id: Option<RunId>,
    parent: Option<DottedOrder>,
    /// What the run had before it was opened again. What is said now wins.
    before: Box<Extra>,
    failed: Option<RunError>,
}

impl RunBuilder {
    pub(super) fn new(name: Cow<'static, str>, run_type: RunType) -> Self {
        let start = Timestamp::now();
        let failed =
            (name.is_empty() || shorten_name(&name).is_some()).then(|| RunError::Name(name.chars().take(40).collect()));
        let run = Run::bare(DottedOrder::with_segments(0), name, run_type, start);
        Self { run, id: None, parent: None, before: Box::default(), failed }
    }

    pub(super) fn edit(mut run: Run) -> Self {
        let id = Some(run.id());
        let parent = run.dotted_order.parent();
        let before = std::mem::take(&mut run.extra);
        // What was attached has been sent with the first part.
        run.attachments.clear();
        run.feedback.clear();
        Self { run, id, parent, before, failed: None }
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

    /// Adds one member to `extra.metadata`. The first value under a name stays, but for those that
    /// the run had before [`Run::edit`].
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

    /// Takes over an `extra` as LangSmith has it: an object, of which the members `metadata`,
    /// `invocation_params` and `runtime` are objects too. All other members go to the metadata. What
    /// was said before stays.
    pub fn extra(mut self, extra: &(impl Serialize + ?Sized)) -> Self {
        let Some(json) = self.json("extra", extra) else { return self };
        let Some(members) = members(json.as_str()) else {
            self.failed.get_or_insert(RunError::Json { field: "extra", reason: "it is no object".into() });
            return self;
        };
        let own = &mut self.run.extra;
        for (name, value) in members {
            let place = match &*name {
                "metadata" => &mut own.metadata,
                "invocation_params" => &mut own.invocation_params,
                "runtime" => &mut own.runtime,
                _ => {
                    own.metadata.insert_raw(&name, value.get());
                    continue;
                }
            };
            match members_of(value) {
                Some(members) => {
                    for (name, value) in members {
                        place.insert_raw(&name, value.get());
                    }
                }
                None if value.get() == "null" => {}
                None => drop(own.metadata.insert_raw(&name, value.get())),
            }
        }
        self
    }

    /// What happened while it ran: a list of objects with `name` and `time`. LangSmith reads the
    /// time to the first token off an event `new_token`.
    pub fn events(mut self, events: &(impl Serialize + ?Sized)) -> Self {
        let Some(json) = self.json("events", events) else { return self };
        if json.as_str().trim_start().starts_with('[') {
            self.run.events = Some(json);
        } else {
            self.failed.get_or_insert(RunError::Json { field: "events", reason: "they are no list".into() });
        }
        self
    }

    /// The example of a dataset that this run answers.
    pub fn reference_example_id(mut self, id: RunId) -> Self {
        self.run.reference_example_id = Some(id);
        self
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
        run.extra.append(&self.before);
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

type Members<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

/// The members of an object; `None` when it is something else.
fn members(json: &str) -> Option<Members<'_>> {
    serde_json::from_str(json).ok()
}

fn members_of(value: &RawValue) -> Option<Members<'_>> {
    members(value.get())
}

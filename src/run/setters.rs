//! Changing a run that is there. What places it in its trace cannot be changed.

use super::{shorten_name, Run, RunError, RunType, Timestamp, UsageMetadata};
use crate::json::{Json, Object};
use chrono::{DateTime, Utc};
use serde::Serialize;

/// Setters, for the hook of [`Config::with_on_run`](crate::Config::with_on_run) above all. None of
/// them changes the run's ids, its start, its place in the trace or its project, which are the whole
/// trace's affair.
impl Run {
    /// Gives it another name; one that LangSmith would not take is cut to 128 characters, without NUL.
    pub fn set_name(&mut self, name: impl Into<String>) {
        let name = name.into();
        self.name = shorten_name(&name).unwrap_or(name).into();
    }

    /// Makes it another kind of work.
    pub fn set_run_type(&mut self, run_type: RunType) {
        self.run_type = run_type;
    }

    /// When it ended. An end before the start becomes the start.
    pub fn set_end_time(&mut self, end: DateTime<Utc>) {
        self.end = Some(Timestamp::from_datetime(end).max(self.start));
    }

    /// What went in, instead of what was there. A value that is no JSON object becomes
    /// `{"input": value}`; a [`Json`] is taken as it is.
    ///
    /// # Errors
    /// [`RunError::Json`] when the value cannot be JSON. The run stays as it was.
    pub fn set_inputs(&mut self, inputs: &(impl Serialize + ?Sized)) -> Result<(), RunError> {
        self.inputs = Some(object("input", json("inputs", inputs)?));
        Ok(())
    }

    /// Takes the inputs out.
    pub fn take_inputs(&mut self) -> Option<Json> {
        self.inputs.take()
    }

    /// What came out, instead of what was there. A value that is no JSON object becomes
    /// `{"output": value}`; a [`Json`] is taken as it is.
    ///
    /// # Errors
    /// [`RunError::Json`] when the value cannot be JSON. The run stays as it was.
    pub fn set_outputs(&mut self, outputs: &(impl Serialize + ?Sized)) -> Result<(), RunError> {
        self.outputs = Some(object("output", json("outputs", outputs)?));
        Ok(())
    }

    /// Takes the outputs out.
    pub fn take_outputs(&mut self) -> Option<Json> {
        self.outputs.take()
    }

    /// Why it failed. An empty text becomes `error`, because LangSmith shows success otherwise.
    pub fn set_error(&mut self, error: impl Into<String>) {
        let error = error.into();
        self.error = Some(if error.is_empty() { "error".into() } else { error });
    }

    /// Takes the error out: the run shows as succeeded.
    pub fn take_error(&mut self) -> Option<String> {
        self.error.take()
    }

    /// What happened while it ran: a list of objects with `name` and `time`.
    ///
    /// # Errors
    /// [`RunError::Json`] when the value is no list, or cannot be JSON. The run stays as it was.
    pub fn set_events(&mut self, events: &(impl Serialize + ?Sized)) -> Result<(), RunError> {
        let events = json("events", events)?;
        if !events.as_str().trim_start().starts_with('[') {
            return Err(RunError::Json { field: "events", reason: "they are no list".into() });
        }
        self.events = Some(events);
        Ok(())
    }

    /// Takes the events out.
    pub fn take_events(&mut self) -> Option<Json> {
        self.events.take()
    }

    /// The names in `extra.metadata`, in the order they were given.
    pub fn metadata_names(&self) -> Vec<String> {
        self.extra.metadata.names()
    }

    /// Sets one member of `extra.metadata`, in the place of what was there under that name.
    ///
    /// # Errors
    /// [`RunError::Json`] when the value cannot be JSON. The run stays as it was.
    pub fn set_metadata(&mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Result<(), RunError> {
        self.extra.metadata.replace_raw(name, json("metadata", value)?.as_str());
        Ok(())
    }

    /// Takes one member out of `extra.metadata`.
    pub fn take_metadata(&mut self, name: &str) -> Option<Json> {
        self.extra.metadata.remove(name)
    }

    /// The JSON text of one parameter of the model's call, of `extra.invocation_params`.
    pub fn invocation_param(&self, name: &str) -> Option<&str> {
        self.extra.invocation_params.get(name)
    }

    /// Sets one parameter of the model's call, in the place of what was there under that name.
    ///
    /// # Errors
    /// [`RunError::Json`] when the value cannot be JSON. The run stays as it was.
    pub fn set_invocation_param(&mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Result<(), RunError> {
        self.extra.invocation_params.replace_raw(name, json("invocation_params", value)?.as_str());
        Ok(())
    }

    /// Takes one parameter of the model's call out.
    pub fn take_invocation_param(&mut self, name: &str) -> Option<Json> {
        self.extra.invocation_params.remove(name)
    }

    /// Adds a tag, once.
    pub fn add_tag(&mut self, tag: impl Into<String>) {
        let tag = tag.into();
        if !self.tags.contains(&tag) {
            self.tags.push(tag);
        }
    }

    /// Keeps the tags of which `keep` says so.
    pub fn retain_tags(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.tags.retain(|tag| keep(tag));
    }

    /// What the run used, as LangSmith prices it; `None` when there is nothing that can be read.
    pub fn usage(&self) -> Option<UsageMetadata> {
        serde_json::from_str(self.metadata("usage_metadata")?).ok()
    }

    /// What the run used, instead of what was there, in the outputs too where it stands there.
    pub fn set_usage(&mut self, usage: &UsageMetadata) {
        // Numbers and names always are JSON.
        let Ok(usage) = Json::new(usage) else { return };
        self.extra.metadata.replace_raw("usage_metadata", usage.as_str());
        let outputs = self.outputs.as_ref().and_then(|outputs| Object::from_json(outputs.as_str()));
        if let Some(mut outputs) = outputs.filter(|outputs| outputs.contains("usage_metadata")) {
            outputs.replace_raw("usage_metadata", usage.as_str());
            let mut json = String::new();
            outputs.write_to(&mut json);
            self.outputs = Some(Json::from_trusted(json));
        }
    }

    /// Name and media type of each file that belongs to the run.
    pub fn attachments(&self) -> impl Iterator<Item = (&str, &str)> {
        self.attachments.iter().map(|attachment| (&*attachment.name, &*attachment.mime_type))
    }

    /// Keeps the files of which `keep`, given name and media type, says so.
    pub fn retain_attachments(&mut self, mut keep: impl FnMut(&str, &str) -> bool) {
        self.attachments.retain(|attachment| keep(&attachment.name, &attachment.mime_type));
    }

    /// Whether LangSmith adds its counts of tokens to those of the trace.
    pub(crate) fn is_counted(&self) -> bool {
        let outputs = self.outputs.as_ref().filter(|_| self.run_type == RunType::Llm);
        self.extra.metadata.contains("usage_metadata")
            || outputs.is_some_and(|outputs| outputs.as_str().contains("\"usage_metadata\""))
    }

    /// Its counts are those of runs below it: they are shown, and not added up once more.
    pub(crate) fn aggregate_counts(&mut self) {
        if let Some(usage) = self.take_metadata("usage_metadata") {
            self.extra.metadata.insert_raw("ls_aggregated_usage", usage.as_str());
        }
        self.outputs = self.outputs.take().and_then(|outputs| outputs.without("usage_metadata"));
    }

    /// Leaves nothing of it but its name, its type, its times, its place, and that it failed.
    pub(crate) fn strip(&mut self, why: &str) {
        self.tags.clear();
        self.attachments.clear();
        self.feedback.clear();
        (self.inputs, self.outputs, self.events, self.reference_example_id) = (None, None, None, None);
        if self.error.is_some() {
            self.set_error("");
        }
        *self.extra = super::Extra::default();
        self.extra.metadata.insert_str("langsmith_left_out", why);
    }
}

fn json(field: &'static str, value: &(impl Serialize + ?Sized)) -> Result<Json, RunError> {
    Json::new(value).map_err(|reason| RunError::Json { field, reason: reason.to_string() })
}

fn object(name: &'static str, json: Json) -> Json {
    if json.is_object() {
        json
    } else {
        Json::from_trusted(format!("{{\"{name}\":{}}}", json.as_str()))
    }
}

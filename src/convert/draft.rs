//! What conventions write into: the run as it comes to be. The first writer of a field wins.

use super::frame::is_blank;
use super::messages::{History, Messages, Side};
use super::options::Options;
use super::usage::Usage;
use crate::hooks::Hide;
use crate::json::{scan, write_attribute, write_f64, write_string, Json, Name, Object};
use crate::run::{Attachment, Extra, Feedback, Run, RunId, RunType, Timestamp};
use opentelemetry::Value;
use std::borrow::Cow;

/// How sure a run type is: MAPPING §4, surest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TypeRank {
    /// `langsmith.span.kind`
    Explicit,
    /// `openinference.span.kind`
    OpenInference,
    /// `gen_ai.operation.name`
    Operation,
    /// What other conventions call the kind of a span. Of several the stronger one's counts.
    Kind,
    /// An attribute that only such spans have.
    Presence,
    Nothing,
}

/// Where a name comes from: MAPPING §3, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameSource {
    Explicit,
    /// `traceloop.entity.name`
    Entity,
    /// Counts for tools.
    Tool,
    /// Counts for agents and workflows.
    Agent,
    /// What the application calls the whole call of a framework.
    Function,
}

/// Memory that one run leaves to the next.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// It has nothing that a list or an object would keep.
    pub(super) run: Option<Box<Run>>,
    pub(super) name: String,
    pub(super) inputs: String,
    pub(super) outputs: String,
    pub(super) usage: String,
    pub(super) finish_reason: String,
    pub(super) history: History,
}

impl Memory {
    /// Takes back that of a run.
    pub(super) fn recycle(&mut self, mut boxed: Box<Run>) {
        let run = &mut *boxed;
        if let Cow::Owned(name) = std::mem::take(&mut run.name) {
            self.name = name;
        }
        if let Some(inputs) = run.inputs.take() {
            self.inputs = inputs.into_string();
        }
        if let Some(outputs) = run.outputs.take() {
            self.outputs = outputs.into_string();
        }
        // What few runs have keeps no memory.
        (run.tags, run.attachments, run.feedback) = (Vec::new(), Vec::new(), Vec::new());
        (run.error, run.events) = (None, None);
        let Extra { metadata, invocation_params, otel, runtime } = &mut *run.extra;
        for object in [metadata, invocation_params, otel, runtime] {
            object.clear();
        }
        self.run = Some(boxed).filter(|run| run.extra.metadata.capacity() <= MUCH);
        // Neither does what one huge run needed.
        for text in [&mut self.inputs, &mut self.outputs] {
            if text.capacity() > MUCH {
                *text = String::new();
            }
        }
    }
}

/// More than this is given back.
const MUCH: usize = 256 << 10;

#[derive(Debug)]
pub(super) struct Draft<'o> {
    pub(super) options: &'o Options,
    /// What is not sent, nor said in another place.
    pub(super) hide: Hide,
    run_type: (TypeRank, RunType),
    names: [Option<Cow<'static, str>>; 5],
    pub(super) inputs: Option<Json>,
    pub(super) outputs: Option<Json>,
    /// This crate wrote the outputs: they have no members but its own.
    pub(super) outputs_are_ours: bool,
    pub(super) memory: &'o mut Memory,
    pub(super) extra: &'o mut Extra,
    pub(super) usage: &'o mut Usage,
    pub(super) tags: &'o mut Vec<String>,
    pub(super) attachments: &'o mut Vec<Attachment>,
    pub(super) feedback: &'o mut Vec<Feedback>,
    pub(super) reference_example_id: Option<RunId>,
    pub(super) events: Events,
    /// What the attributes say of an error; the status decides whether there is one.
    pub(super) error_type: Option<String>,
    /// An attribute says that there was an error, whatever the status is.
    pub(super) failed: Option<String>,
    /// It may be called by the name of an agent or a workflow.
    pub(super) is_agent: bool,
    /// It is an agent at work.
    pub(super) is_invoked_agent: bool,
    pub(super) has_messages: bool,
    /// Instructions that came without messages. They go before those that a later source has.
    pub(super) instructions: Option<String>,
    pub(super) is_text_completion: bool,
    pub(super) is_rig: bool,
    /// The instrumentation is known to count the cached tokens of Anthropic's models beside the input.
    pub(super) exclusive_input: bool,
    pub(super) finish_reason: Option<String>,
    /// Where the application wanted the run to stand, as far as attributes say.
    pub(super) placement: Vec<(&'static str, String)>,
    /// The span was made by `tracing`.
    pub(super) is_tracing: bool,
    /// An error stands in the span's own attributes.
    pub(super) has_exception: bool,
    pub(super) interrupted: bool,
    pub(super) first_token: Option<Timestamp>,
    pub(super) started: Timestamp,
}

/// The run's events, as a JSON array that grows.
#[derive(Debug, Default)]
pub(super) struct Events {
    text: String,
}

impl Events {
    pub(super) fn push(&mut self, write: impl FnOnce(&mut String)) {
        self.text.push(if self.text.is_empty() { '[' } else { ',' });
        write(&mut self.text);
    }

    pub(super) fn finish(mut self) -> Option<Json> {
        (!self.text.is_empty()).then(|| {
            self.text.push(']');
            Json::from_trusted(self.text)
        })
    }
}

impl<'o> Draft<'o> {
    /// A draft in memory that earlier runs used.
    #[inline]
    pub(super) fn new(
        memory: &'o mut Memory,
        usage: &'o mut Usage,
        run: &'o mut Run,
        started: Timestamp,
        (options, hide): (&'o Options, Hide),
    ) -> Self {
        let Run { extra, tags, attachments, feedback, .. } = run;
        Self {
            options,
            hide,
            run_type: (TypeRank::Nothing, RunType::Chain),
            names: [None, None, None, None, None],
            inputs: None,
            outputs: None,
            outputs_are_ours: false,
            memory,
            extra,
            usage,
            tags,
            attachments,
            feedback,
            reference_example_id: None,
            events: Events::default(),
            error_type: None,
            failed: None,
            is_agent: false,
            is_invoked_agent: false,
            has_messages: false,
            instructions: None,
            is_text_completion: false,
            is_rig: false,
            exclusive_input: false,
            finish_reason: None,
            placement: Vec::new(),
            is_tracing: false,
            has_exception: false,
            interrupted: false,
            first_token: None,
            started,
        }
    }

    pub(super) fn set_run_type(&mut self, rank: TypeRank, run_type: RunType) {
        if rank < self.run_type.0 {
            self.run_type = (rank, run_type);
        }
    }

    pub(super) fn run_type(&self) -> RunType {
        self.run_type.1
    }

    pub(super) fn set_name(&mut self, source: NameSource, name: &str) {
        if !is_blank(name) {
            let memory = &mut self.memory.name;
            self.names[source as usize].get_or_insert_with(|| {
                name.clone_into(memory);
                std::mem::take(memory).into()
            });
        }
    }

    /// The name for a run of the type that it turned out to be.
    #[inline]
    pub(super) fn take_name(&mut self) -> Option<Cow<'static, str>> {
        if self.names.iter().all(Option::is_none) {
            return None;
        }
        let [explicit, entity, tool, agent, function] = std::mem::take(&mut self.names);
        explicit
            .or(entity)
            .or_else(|| tool.filter(|_| self.run_type() == RunType::Tool))
            .or_else(|| agent.filter(|_| self.is_agent))
            .or(function)
    }

    pub(super) fn has(&self, side: Side) -> bool {
        match side {
            Side::Inputs => self.inputs.is_some(),
            Side::Outputs => self.outputs.is_some(),
        }
    }

    pub(super) fn side(&mut self, side: Side) -> &mut Option<Json> {
        match side {
            Side::Inputs => &mut self.inputs,
            Side::Outputs => &mut self.outputs,
        }
    }

    /// Messages that are written into the memory of this side, and know those of earlier runs.
    pub(super) fn messages(&mut self, side: Side) -> Messages {
        let text = match side {
            Side::Inputs => &mut self.memory.inputs,
            Side::Outputs => &mut self.memory.outputs,
        };
        Messages::on(side).with_memory(std::mem::take(text), std::mem::take(&mut self.memory.history))
    }

    /// Writes one side of the run, if nobody has, and if `write` says that it wrote an object.
    pub(super) fn set_with(&mut self, side: Side, write: impl FnOnce(&mut String) -> bool) -> bool {
        match side {
            Side::Inputs => self.inputs_with(write),
            Side::Outputs => self.outputs_with(write),
        }
    }

    /// Writes the inputs, if nobody has, and if `write` says that it wrote an object.
    pub(super) fn inputs_with(&mut self, write: impl FnOnce(&mut String) -> bool) -> bool {
        set_with(&mut self.inputs, &mut self.memory.inputs, write)
    }

    pub(super) fn outputs_with(&mut self, write: impl FnOnce(&mut String) -> bool) -> bool {
        set_with(&mut self.outputs, &mut self.memory.outputs, write)
    }

    /// Adds tools to the inputs, if there are any and they have none.
    pub(super) fn add_tools(&mut self, json: &str) {
        if let Some(inputs) = self.inputs.take_if(|inputs| !inputs.as_str().contains("\"tools\"")) {
            self.inputs = Some(with_member(inputs, "tools", json));
        }
    }

    /// Takes a value as the inputs: a JSON object as it is, everything else under `input`.
    pub(super) fn set_inputs(&mut self, value: &Value) -> bool {
        self.inputs_with(|out| write_object(out, "input", value))
    }

    pub(super) fn set_outputs(&mut self, value: &Value) -> bool {
        self.outputs_with(|out| write_object(out, "output", value))
    }

    /// Adds a tag, once. They stand in the part of a run that cannot be left out, so neither they nor
    /// their number may grow without end.
    pub(super) fn tag(&mut self, tag: &str) {
        let tag = tag.trim();
        let tag = tag.char_indices().nth(MAX_TAG).map_or(tag, |(end, _)| &tag[..end]);
        if !tag.is_empty() && self.tags.len() < MAX_TAGS && !self.tags.iter().any(|other| other == tag) {
            self.tags.push(tag.to_owned());
        }
    }

    /// Adds tags that came as a list, as a JSON list, or separated by commas.
    pub(super) fn tags(&mut self, value: &Value) {
        for tag in crate::lineage::tags(value) {
            self.tag(&tag);
        }
    }

    /// Groups the run with others into a thread.
    pub(super) fn set_thread(&mut self, value: &Value) -> bool {
        self.set_id("thread_id", value)
    }

    /// Whom the run is for.
    pub(super) fn set_user(&mut self, value: &Value) -> bool {
        self.set_id("user_id", value)
    }

    /// Says whether the value needs no other place.
    fn set_id(&mut self, name: &str, value: &Value) -> bool {
        if super::frame::is_empty(value) {
            return false;
        }
        let mut id = String::new();
        write_string(&mut id, &value.as_str());
        let metadata = &mut self.extra.metadata;
        metadata.insert_raw(name, &id) || metadata.get(name) == Some(&*id)
    }

    pub(super) fn set_agent(&mut self) {
        (self.is_agent, self.is_invoked_agent) = (true, true);
    }

    /// The first token came this long after the start.
    pub(super) fn first_token_after(&mut self, seconds: f64) -> bool {
        let Ok(after) = std::time::Duration::try_from_secs_f64(seconds) else { return false };
        let at = self.started.saturating_add(after);
        self.first_token.get_or_insert(at);
        true
    }
}

/// Characters of one tag.
const MAX_TAG: usize = 500;
const MAX_TAGS: usize = 500;

fn set_with(field: &mut Option<Json>, memory: &mut String, write: impl FnOnce(&mut String) -> bool) -> bool {
    if field.is_some() {
        return false;
    }
    let mut text = std::mem::take(memory);
    text.clear();
    let written = write(&mut text);
    if written {
        *field = Some(Json::from_trusted(text));
    } else {
        *memory = text;
    }
    written
}

/// The object with one more member.
pub(super) fn with_member(object: Json, name: &str, json: &str) -> Json {
    let mut text = object.into_string();
    text.truncate(text.trim_end().len() - 1);
    if !text.trim_end().ends_with('{') {
        text.push(',');
    }
    write_string(&mut text, name);
    text.push(':');
    text.push_str(json);
    text.push('}');
    Json::from_trusted(text)
}

/// Writes a value as an object: JSON objects pass through, everything else goes under `name`.
/// Texts are JSON when they are an object or a list; `42` in a text is text.
pub(super) fn write_object(out: &mut String, name: &str, value: &Value) -> bool {
    if super::frame::is_empty(value) {
        return false;
    }
    if let Value::String(text) = value {
        if let Some(object) = scan::object(text.as_str()) {
            out.push_str(object);
            return true;
        }
    }
    write_member(out, name, value)
}

/// Writes JSON as an object: anything but an object goes under `name`.
pub(super) fn write_raw_object(out: &mut String, name: &str, json: &str) {
    if json.starts_with('{') {
        out.push_str(json);
    } else {
        out.push('{');
        write_string(out, name);
        out.push(':');
        out.push_str(json);
        out.push('}');
    }
}

/// Writes an object of one member.
pub(super) fn write_member(out: &mut String, name: &str, value: &Value) -> bool {
    out.push('{');
    write_string(out, name);
    out.push(':');
    write_any(out, value);
    out.push('}');
    true
}

/// Writes a value, a text that is a JSON document as that document.
pub(super) fn write_any(out: &mut String, value: &Value) {
    match value {
        Value::String(text) => match scan::document(text.as_str()) {
            Some(json) => out.push_str(json),
            None => write_string(out, text.as_str()),
        },
        other => write_attribute(out, other),
    }
}

/// Adds a member, a text that is a JSON document as that document.
pub(super) fn insert_any(object: &mut Object, name: &str, value: &Value) -> bool {
    object.insert_with(name, |out| write_any(out, value))
}

/// Adds a member; one that says the same may be there already.
pub(super) fn insert_once(object: &mut Object, name: &str, value: &Value) -> bool {
    let mut json = String::new();
    write_attribute(&mut json, value);
    !super::frame::is_empty(value) && (object.insert(name, value) || object.get(name) == Some(&*json))
}

/// Adds a member that is a number: `tracing` delivers unsigned integers as text.
pub(super) fn insert_number<'n>(object: &mut Object, name: impl Into<Name<'n>>, value: &Value) -> bool {
    match number(value) {
        Some(Number::Integer(number)) => object.insert_i64(name, number),
        Some(Number::Float(number)) => object.insert_with(name, |out| write_f64(out, number)),
        None => object.insert(name, value),
    }
}

/// A number of either kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Integer(i64),
    Float(f64),
}

/// Reads a number from whatever form it came in.
pub(super) fn number(value: &Value) -> Option<Number> {
    match value {
        Value::I64(number) => Some(Number::Integer(*number)),
        Value::F64(number) => number.is_finite().then_some(Number::Float(*number)),
        Value::String(text) => {
            let text = text.as_str().trim();
            text.parse()
                .map(Number::Integer)
                .ok()
                .or_else(|| text.parse().ok().filter(|number: &f64| number.is_finite()).map(Number::Float))
        }
        _ => None,
    }
}

pub(super) fn float(value: &Value) -> Option<f64> {
    match number(value)? {
        #[allow(clippy::cast_precision_loss)]
        Number::Integer(number) => Some(number as f64),
        Number::Float(number) => Some(number),
    }
}

/// Reads a flag, a text one too.
pub(super) fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) if text.as_str().eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.as_str().eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

//! The runs with all their content, merged from posts and patches.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use chrono::Utc;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::dotted;
use super::ledger::Entered;
use super::operation::{Feedback, Operation, Route, Verb};
use super::run::{Attachment, ReceivedRun};
use super::tree::ReceivedTrace;

/// How long nothing new must have come for a trace before it counts as complete: children may follow
/// their root in a later request.
pub(super) const SETTLE: Duration = Duration::from_millis(200);

#[derive(Debug, Default)]
pub(super) struct Store {
    runs: Vec<Held>,
    by_id: HashMap<Uuid, usize>,
    traces: Vec<Trace>,
    by_trace: HashMap<String, usize>,
}

#[derive(Debug)]
struct Held {
    id: Uuid,
    fields: Map<String, Value>,
    attachments: BTreeMap<String, Attachment>,
    feedback: Vec<Feedback>,
    posts: u32,
    patches: u32,
    trace: usize,
}

#[derive(Debug)]
struct Trace {
    runs: Vec<usize>,
    /// Runs without an end.
    open: usize,
    root_ended: bool,
    changed: Instant,
    /// Whether it was handed out since it changed.
    told: bool,
}

impl Store {
    /// Computes what the server computes for a single run that does not say where it belongs.
    pub(super) fn fill_in(&self, operation: &mut Operation) {
        if operation.route != Route::Single || operation.verb != Verb::Post {
            return;
        }
        let start = operation
            .text("start_time")
            .and_then(dotted::rfc3339_micros)
            .map_or_else(|| Utc::now().timestamp_micros(), |(micros, _)| micros);
        let mut order = dotted::write_segment(start, operation.id);
        let mut trace_id = operation.id.to_string();
        let parent = operation
            .text("parent_run_id")
            .and_then(|parent| Uuid::try_parse(parent).ok())
            .and_then(|parent| self.by_id.get(&parent));
        if let Some(parent) = parent.map(|at| &self.runs[*at]) {
            if let Some(above) = parent.text("dotted_order") {
                order = format!("{above}.{order}");
            }
            if let Some(trace) = parent.text("trace_id") {
                trace.clone_into(&mut trace_id);
            }
        } else if operation.fields.contains_key("parent_run_id") {
            // Nothing is known of the parent, so nothing true could be written.
            return;
        }
        for (key, value) in [("dotted_order", order), ("trace_id", trace_id)] {
            operation.fields.entry(key).or_insert_with(|| Value::String(value));
        }
    }

    /// Merges an operation into its run. A repeated post is counted, but changes nothing.
    pub(super) fn merge(&mut self, operation: Operation, entered: Entered) {
        let at = match self.by_id.get(&operation.id) {
            Some(at) => *at,
            None => self.open(&operation),
        };
        let run = &mut self.runs[at];
        let was_open = run.is_open();
        match operation.verb {
            Verb::Post => run.posts += 1,
            Verb::Patch => run.patches += 1,
        }
        if entered == Entered::Repeated {
            return;
        }
        run.attachments.extend(operation.attachments);
        // A post that comes after its patch is older than it.
        let overwrite = operation.verb == Verb::Patch;
        for (key, value) in operation.fields {
            if overwrite || !run.fields.contains_key(&key) {
                run.fields.insert(key, value);
            }
        }
        let trace = &mut self.traces[run.trace];
        if was_open && !run.is_open() {
            trace.open -= 1;
        }
        trace.root_ended |= run.text("parent_run_id").is_none() && !run.is_open();
        trace.changed = Instant::now();
        trace.told = false;
    }

    /// Gives feedback to its run, in the place of what came with the same id. `false`: the run is in another trace.
    pub(super) fn add_feedback(&mut self, feedback: Feedback) -> bool {
        let Some(run) = self.by_id.get(&feedback.run_id).map(|at| &mut self.runs[*at]) else { return true };
        let trace = run.text("trace_id").and_then(|trace| Uuid::try_parse(trace).ok());
        let is_right = trace.is_none_or(|trace| trace == feedback.trace_id);
        match run.feedback.iter_mut().find(|known| known.id == feedback.id) {
            Some(known) => *known = feedback,
            None => run.feedback.push(feedback),
        }
        is_right
    }

    /// Every run in the order of arrival.
    pub(super) fn runs(&self) -> Vec<ReceivedRun> {
        self.runs.iter().map(Held::show).collect()
    }

    /// The first run of that name.
    pub(super) fn run(&self, name: &str) -> Option<ReceivedRun> {
        self.runs.iter().find(|run| run.text("name") == Some(name)).map(Held::show)
    }

    /// Every trace in the order of arrival.
    pub(super) fn traces(&self) -> Vec<ReceivedTrace> {
        self.traces.iter().map(|trace| self.show(trace)).collect()
    }

    /// A trace that is complete, has settled, and was not handed out since.
    pub(super) fn take_complete(&mut self) -> Option<ReceivedTrace> {
        let at = self.traces.iter().position(|trace| {
            !trace.told && trace.root_ended && trace.open == 0 && trace.changed.elapsed() >= SETTLE
        })?;
        self.traces[at].told = true;
        Some(self.show(&self.traces[at]))
    }

    fn show(&self, trace: &Trace) -> ReceivedTrace {
        let runs = trace.runs.iter().map(|at| self.runs[*at].show()).collect();
        ReceivedTrace::new(runs)
    }

    /// Makes room for a run not heard of before.
    fn open(&mut self, operation: &Operation) -> usize {
        let trace_id = operation.text("trace_id").map_or_else(|| operation.id.to_string(), str::to_owned);
        let trace = *self.by_trace.entry(trace_id).or_insert_with(|| {
            self.traces.push(Trace {
                runs: Vec::new(),
                open: 0,
                root_ended: false,
                changed: Instant::now(),
                told: false,
            });
            self.traces.len() - 1
        });
        let at = self.runs.len();
        self.runs.push(Held {
            id: operation.id,
            fields: Map::new(),
            attachments: BTreeMap::new(),
            feedback: Vec::new(),
            posts: 0,
            patches: 0,
            trace,
        });
        self.traces[trace].runs.push(at);
        self.traces[trace].open += 1;
        self.by_id.insert(operation.id, at);
        at
    }
}

impl Held {
    fn text(&self, key: &str) -> Option<&str> {
        self.fields.get(key).and_then(Value::as_str)
    }

    fn is_open(&self) -> bool {
        self.text("end_time").is_none()
    }

    fn show(&self) -> ReceivedRun {
        let mut run = ReceivedRun::from_fields(self.id.to_string(), self.fields.clone(), self.attachments.clone());
        run.feedback = self.feedback.iter().map(|feedback| feedback.row.clone()).collect();
        run.posts = self.posts;
        run.patches = self.patches;
        run
    }
}

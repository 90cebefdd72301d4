//! Inputs and outputs that rise from the model's calls to a root that has none of its own. What rises has passed
//! the hook and has been hidden and redacted as it is sent.

use crate::json::Json;
use crate::lineage::Node;
use crate::run::{attachment, Attachment, Run, RunId, RunType, Timestamp};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;

/// Bytes of one text that rises, of the files that it refers to, and of all that waits for its root.
const LARGEST: usize = 1 << 20;
const LARGEST_FILES: usize = 8 << 20;
const MOST: usize = 16 << 20;

/// Remembers, for each trace whose root is not done, what its first model call took in and its last one
/// gave out.
#[derive(Debug, Default)]
pub(super) struct Bubble {
    /// `None`: in traces out of which a filter has left something.
    wanted: Option<bool>,
    traces: FxHashMap<RunId, Calls>,
    /// In the order they began. May name traces that are done.
    order: VecDeque<RunId>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Calls {
    first: Option<(Timestamp, Said)>,
    last: Option<(Timestamp, Said)>,
}

/// One side of a call, with the files that it refers to.
#[derive(Clone, Debug)]
struct Said {
    json: Json,
    files: Vec<Attachment>,
}

impl Said {
    /// `None` for what is too large to wait.
    fn new(json: &Json, files: &[Attachment]) -> Option<Self> {
        if json.as_str().len() > LARGEST {
            return None;
        }
        let referred = || files.iter().filter(|file| refers(json.as_str(), &file.name));
        if referred().map(|file| file.content.len()).sum::<usize>() > LARGEST_FILES {
            return None;
        }
        Some(Self { json: json.clone(), files: referred().cloned().collect() })
    }

    fn bytes(&self) -> usize {
        self.json.as_str().len() + self.files.iter().map(|file| file.content.len()).sum::<usize>()
    }
}

/// Whether a text names the file: as `"name"`, or as `"attachment:name"`.
fn refers(json: &str, name: &str) -> bool {
    json.match_indices(name).any(|(at, _)| {
        let before = json[..at].ends_with('"') || json[..at].ends_with("attachment:");
        before && json[at + name.len()..].starts_with('"')
    })
}

impl Calls {
    fn bytes(&self) -> usize {
        [&self.first, &self.last].into_iter().flatten().map(|(_, said)| said.bytes()).sum()
    }
}

/// What a root took over, as it was sent with the calls.
#[derive(Debug, Default)]
pub(super) struct Risen {
    inputs: Option<Json>,
    outputs: Option<Json>,
    files: Vec<Attachment>,
}

impl Risen {
    pub(super) fn is_empty(&self) -> bool {
        self.inputs.is_none() && self.outputs.is_none()
    }

    /// Takes out of the root what is still as it rose: it has been hidden and redacted already, and rules that
    /// were applied twice would say another thing here than there.
    pub(super) fn take_from(self, run: &mut Run) -> Self {
        let Self { inputs, outputs, files } = self;
        let same =
            |field: &mut Option<Json>, risen: Option<Json>| risen.and_then(|risen| field.take_if(|is| *is == risen));
        let (inputs, outputs) = (same(&mut run.inputs, inputs), same(&mut run.outputs, outputs));
        let is_risen = |file: &mut Attachment| files.iter().any(|risen| risen.name == file.name);
        let files = run.attachments.extract_if(.., is_risen).collect();
        Self { inputs, outputs, files }
    }

    /// Puts it back.
    pub(super) fn put_into(self, run: &mut Run) {
        run.inputs = self.inputs.or(run.inputs.take());
        run.outputs = self.outputs.or(run.outputs.take());
        self.files.into_iter().for_each(|file| attachment::add_referred(&mut run.attachments, file));
    }
}

impl Bubble {
    pub(super) fn new(wanted: Option<bool>) -> Self {
        Self { wanted, ..Self::default() }
    }

    /// Gives a root that goes by what the calls below it left for it. They have gone by before.
    pub(super) fn fill(&mut self, run: &mut Run, node: &Node) -> Risen {
        let mut risen = Risen::default();
        let calls = if self.traces.is_empty() || !node.is_root() { None } else { self.take(run.id()) };
        let Some(calls) = calls.filter(|_| run.run_type != RunType::Llm && self.is_wanted(node)) else { return risen };
        let mut rise = |field: &mut Option<Json>, said: Option<(Timestamp, Said)>| match said {
            Some((_, Said { json, files })) if field.is_none() => {
                *field = Some(json);
                risen.files.extend(files);
                field.clone()
            }
            _ => None,
        };
        risen.inputs = rise(&mut run.inputs, calls.first);
        risen.outputs = rise(&mut run.outputs, calls.last);
        risen.files.iter().for_each(|file| attachment::add_referred(&mut run.attachments, file.clone()));
        risen
    }

    /// A call that is sent goes by.
    pub(super) fn note(&mut self, run: &Run, node: &Node) {
        if run.run_type == RunType::Llm && !node.is_root() && self.is_wanted(node) && node.trace().has_root() {
            self.note_call(run);
        }
    }

    fn is_wanted(&self, node: &Node) -> bool {
        self.wanted.unwrap_or_else(|| node.trace().is_filtered())
    }

    fn note_call(&mut self, run: &Run) {
        let trace = run.trace_id();
        let order = &mut self.order;
        let calls = self.traces.entry(trace).or_insert_with(|| {
            order.push_back(trace);
            Calls::default()
        });
        let before = calls.bytes();
        if calls.first.as_ref().is_none_or(|(start, _)| run.start < *start) {
            if let Some(inputs) = run.inputs.as_ref().and_then(|json| Said::new(json, &run.attachments)) {
                calls.first = Some((run.start, inputs));
            }
        }
        let end = run.end.unwrap_or(run.start);
        if calls.last.as_ref().is_none_or(|(last, _)| end >= *last) {
            let outputs = run.outputs.as_ref().and_then(|json| Said::new(json, &run.attachments));
            if let Some(Said { json, files }) = outputs {
                // LangSmith adds the tokens up over the whole trace already.
                if let Some(json) = json.without("usage_metadata") {
                    calls.last = Some((end, Said { json, files }));
                }
            }
        }
        self.bytes = self.bytes + calls.bytes() - before;
        while self.bytes > MOST {
            let Some(first) = self.order.pop_front() else { return };
            self.take(first);
        }
        if self.order.len() > 2 * self.traces.len() + 64 {
            let traces = &self.traces;
            self.order.retain(|trace| traces.contains_key(trace));
        }
    }

    fn take(&mut self, trace: RunId) -> Option<Calls> {
        let calls = self.traces.remove(&trace)?;
        self.bytes -= calls.bytes();
        Some(calls)
    }
}

//! Inputs and outputs that rise from the model's calls to a root that has none of its own.

use crate::json::Json;
use crate::lineage::Node;
use crate::run::{Run, RunId, RunType, Timestamp};
use rustc_hash::FxHashMap;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

/// Bytes of one text that rises, and of all that wait for their roots.
const LARGEST: usize = 1 << 20;
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
    first: Option<(Timestamp, Json)>,
    last: Option<(Timestamp, Json)>,
}

impl Calls {
    fn bytes(&self) -> usize {
        [&self.first, &self.last].into_iter().flatten().map(|(_, json)| json.as_str().len()).sum()
    }
}

impl Bubble {
    pub(super) fn new(wanted: Option<bool>) -> Self {
        Self { wanted, ..Self::default() }
    }

    /// A run goes by, children before their root.
    pub(super) fn pass(&mut self, run: &mut Run, node: &Node) {
        if node.is_root() {
            let calls = if self.traces.is_empty() { None } else { self.take(run.id()) };
            if let Some(calls) = calls {
                if run.run_type != RunType::Llm && self.is_wanted(node) {
                    run.inputs = run.inputs.take().or(calls.first.map(|(_, json)| json));
                    run.outputs = run.outputs.take().or(calls.last.map(|(_, json)| json));
                }
            }
        } else if run.run_type == RunType::Llm && self.is_wanted(node) && node.trace().has_root() {
            self.note(run);
        }
    }

    fn is_wanted(&self, node: &Node) -> bool {
        self.wanted.unwrap_or_else(|| node.trace().is_filtered())
    }

    fn note(&mut self, run: &Run) {
        let trace = run.trace_id();
        let order = &mut self.order;
        let calls = self.traces.entry(trace).or_insert_with(|| {
            order.push_back(trace);
            Calls::default()
        });
        let before = calls.bytes();
        let small = |json: &&Json| json.as_str().len() <= LARGEST;
        if calls.first.as_ref().is_none_or(|(start, _)| run.start < *start) {
            if let Some(inputs) = run.inputs.as_ref().filter(small) {
                calls.first = Some((run.start, inputs.clone()));
            }
        }
        let end = run.end.unwrap_or(run.start);
        if calls.last.as_ref().is_none_or(|(last, _)| end >= *last) {
            if let Some(outputs) = run.outputs.as_ref().filter(small).and_then(without_usage) {
                calls.last = Some((end, outputs));
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

/// The outputs without the tokens in them: LangSmith adds those up over the whole trace already.
fn without_usage(outputs: &Json) -> Option<Json> {
    if !outputs.as_str().contains("usage_metadata") {
        return Some(outputs.clone());
    }
    let mut members: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(outputs.as_str()).ok()?;
    members.remove("usage_metadata");
    Json::new(&members).ok()
}

//! Traces, and how they look on a terminal.

use std::collections::{HashMap, HashSet};
use std::fmt::{self, Write as _};

use serde_json::Value;

use super::run::ReceivedRun;

/// The runs of one trace; [`Display`](fmt::Display) draws them as a tree.
///
/// ```text
/// ● chain answer_question  41.2 ms
/// ├─ retriever search  10.1 ms
/// ├─ tool weather  5.0 ms  ✗ timeout
/// └─ llm chat  20.5 ms  120→45 tokens
/// ```
/// A run without an end is marked `pending`; a run whose parent is not there stands at the left after a `○`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ReceivedTrace {
    /// The root run's id.
    pub trace_id: String,
    /// The runs by dotted order: parents before their children, and earlier before later.
    pub runs: Vec<ReceivedRun>,
}

impl ReceivedTrace {
    pub(super) fn new(mut runs: Vec<ReceivedRun>) -> Self {
        runs.sort_by(|one, other| one.dotted_order.cmp(&other.dotted_order));
        let trace_id = runs.first().map(|run| run.trace_id.clone()).unwrap_or_default();
        Self { trace_id, runs }
    }

    /// Whether the root is there and every run has ended.
    pub fn is_complete(&self) -> bool {
        self.runs.iter().any(|run| run.parent_run_id.is_none()) && !self.runs.iter().any(ReceivedRun::is_pending)
    }
}

impl fmt::Display for ReceivedTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known: HashSet<&str> = self.runs.iter().map(|run| run.id.as_str()).collect();
        let mut children: HashMap<&str, Vec<&ReceivedRun>> = HashMap::new();
        let mut tops = Vec::new();
        for run in &self.runs {
            match run.parent_run_id.as_deref() {
                Some(parent) if known.contains(parent) => {
                    children.entry(parent).or_default().push(run);
                }
                _ => tops.push(run),
            }
        }
        for top in tops {
            let mark = if top.parent_run_id.is_none() { '●' } else { '○' };
            writeln!(f, "{mark} {}", line(top))?;
            // A stack of its own: a chain of ten thousand runs must not overflow the thread's.
            let mut stack = Vec::new();
            push_children(&mut stack, &mut children, top, "");
            while let Some((run, indent, last)) = stack.pop() {
                let (branch, below) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
                writeln!(f, "{indent}{branch}{}", line(run))?;
                push_children(&mut stack, &mut children, run, &format!("{indent}{below}"));
            }
        }
        Ok(())
    }
}

/// Puts the children on the stack in reverse, so that the first comes off first.
fn push_children<'a>(
    stack: &mut Vec<(&'a ReceivedRun, String, bool)>,
    children: &mut HashMap<&str, Vec<&'a ReceivedRun>>,
    parent: &ReceivedRun,
    indent: &str,
) {
    let below = children.remove(parent.id.as_str()).unwrap_or_default();
    for (nth, child) in below.into_iter().rev().enumerate() {
        stack.push((child, indent.to_owned(), nth == 0));
    }
}

fn line(run: &ReceivedRun) -> String {
    let mut line = format!("{} {}", printable(&run.run_type), printable(&run.name));
    match run.duration() {
        Some(duration) => {
            let _ = write!(line, "  {:.1} ms", duration.as_secs_f64() * 1e3);
        }
        None if run.is_pending() => line.push_str("  pending"),
        None => {}
    }
    if let Some(tokens) = run.usage().and_then(tokens) {
        let _ = write!(line, "  {tokens} tokens");
    }
    if let Some(error) = &run.error {
        let first = error.lines().next().unwrap_or_default();
        let _ = write!(line, "  ✗ {}", printable(first));
    }
    line
}

fn tokens(usage: &Value) -> Option<String> {
    let count = |key: &str| usage.get(key).and_then(Value::as_u64);
    match (count("input_tokens"), count("output_tokens")) {
        (None, None) => count("total_tokens").map(|total| total.to_string()),
        (input, output) => Some(format!("{}→{}", input.unwrap_or(0), output.unwrap_or(0))),
    }
}

/// Names and errors come from anywhere: a control character in one must not steer a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

//! Traces through services in two and three languages.

use crate::programs::{Language, Programs};
use crate::service::{self, Headers, Service};
use crate::{sdk_of, Fallible};
use opentelemetry_langsmith::testing::{LocalLangSmith, ReceivedRun, ReceivedTrace};
use serde_json::{json, Value};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long runs may be on their way.
const PATIENCE: Duration = Duration::from_secs(10);

/// Names of runs in their order, each with the position of its parent.
type Tree = Vec<(String, Option<usize>)>;

/// Runs all scenarios and prints their traces; what is wrong with them.
pub(crate) fn run(receiver: &LocalLangSmith, programs: &Programs, service: &Service) -> Fallible<Vec<String>> {
    let mut faults = Vec::new();
    for first in Language::ALL {
        for last in Language::ALL {
            let (first_name, last_name) = (first.name(), last.name());
            let title = format!("{first_name} → rust → {last_name}");
            let begin = vec![
                (format!("{first_name} asks"), None),
                (format!("{first_name} prepares"), Some(0)),
                (format!("POST /ask/{last_name}"), Some(0)),
                ("search".to_owned(), Some(2)),
                ("call".to_owned(), Some(2)),
            ];
            let mut scenario = Scenario::begin(receiver, title.clone());
            let answer = programs.run(first, "first", &format!("{}/ask/{last_name}", service.url), &title)?;
            scenario.equal("the answer", &answer, &"42".to_owned());
            let runs = scenario.end(&with_end(begin, last), &title);
            for run in &runs[2..] {
                scenario.inherits(run);
            }
            faults.append(&mut scenario.faults);
        }
    }
    for last in Language::ALL {
        for headers in [Headers::Propagated, Headers::ByHand] {
            let begin = vec![("rust asks".to_owned(), None), ("call".to_owned(), Some(0))];
            let mut scenario = Scenario::begin(receiver, format!("rust → {}, headers {headers}", last.name()));
            let answer = service.ask(last, headers)?;
            scenario.equal("the answer", &answer, &json!({"answer": "42"}));
            scenario.end(&with_end(begin, last), service::PROJECT);
            faults.append(&mut scenario.faults);
        }
    }
    Ok(faults)
}

fn with_end(mut tree: Tree, last: Language) -> Tree {
    let call = tree.len() - 1;
    tree.push((format!("{} answers", last.name()), Some(call)));
    tree.push((format!("{} model", last.name()), Some(call + 1)));
    tree
}

struct Scenario<'a> {
    receiver: &'a LocalLangSmith,
    title: String,
    /// How many traces there were before.
    before: usize,
    faults: Vec<String>,
}

impl<'a> Scenario<'a> {
    fn begin(receiver: &'a LocalLangSmith, title: String) -> Self {
        Self { receiver, title, before: receiver.traces().len(), faults: Vec::new() }
    }

    fn fault(&mut self, what: &str) {
        self.faults.push(format!("{}: {what}", self.title));
    }

    fn equal<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, is: &T, expected: &T) {
        if is != expected {
            self.fault(&format!("{what} is {is:?} instead of {expected:?}"));
        }
    }

    /// Waits for the trace, prints it, and looks whether it is one, as expected, in this project. Its runs.
    fn end(&mut self, expected: &Tree, project: &str) -> Vec<ReceivedRun> {
        let started = Instant::now();
        let traces = loop {
            let traces = self.receiver.traces().split_off(self.before);
            let ended = traces.iter().flat_map(|trace| &trace.runs).filter(|run| !run.is_pending()).count();
            if ended >= expected.len() || started.elapsed() > PATIENCE {
                break traces;
            }
            sleep(Duration::from_millis(20));
        };
        println!("{}", self.title);
        for trace in &traces {
            println!("{trace}");
        }
        self.equal("the number of traces", &traces.len(), &1);
        let runs: Vec<_> = traces.into_iter().flat_map(|ReceivedTrace { runs, .. }| runs).collect();
        let names: Vec<_> = runs.iter().map(|run| run.name.as_str()).collect();
        self.equal("the order", &names, &expected.iter().map(|(name, _)| name.as_str()).collect());
        for (run, (name, parent)) in runs.iter().zip(expected) {
            let parent = parent.and_then(|parent| runs.get(parent));
            self.equal(&format!("the parent of {name}"), &run.parent_run_id.as_ref(), &parent.map(|parent| &parent.id));
            let above = parent.map(|parent| format!("{}.", parent.dotted_order)).unwrap_or_default();
            if !run.dotted_order.starts_with(&above) {
                self.fault(&format!("{name} has the dotted order {}, not below {above}", run.dotted_order));
            }
            self.equal(&format!("the trace of {name}"), &run.trace_id, &runs[0].id);
            self.equal(&format!("the project of {name}"), &run.session_name.as_deref(), &Some(project));
        }
        runs
    }

    /// Tags and metadata of where the trace began.
    fn inherits(&mut self, run: &ReceivedRun) {
        let maker = format!("{} ({})", run.name, sdk_of(run));
        for tag in ["blue", "green one"] {
            // The SDK for JavaScript gives its runs no tags of those above.
            if sdk_of(run) != "langsmith-js" && !run.tags.iter().any(|other| other == tag) {
                self.fault(&format!("{maker} has the tags {:?}, {tag:?} not among them", run.tags));
            }
        }
        let metadata = json!({
            "user": "Jürgen \"J\" O'Hara; a=b, c", "discount": "5%", "visits": 7, "nested": {"list": [1, null, true]}
        });
        for (name, value) in metadata.as_object().into_iter().flatten() {
            let is = run.metadata(name).unwrap_or(&Value::Null);
            self.equal(&format!("the metadata {name:?} of {maker}"), is, value);
        }
    }
}

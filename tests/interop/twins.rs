//! The same runs made through the Python SDK and through this crate differ in nothing that LangSmith reads.

use crate::programs::{Language, Programs};
use crate::service::{self, Service};
use crate::{sdk_of, Fallible};
use opentelemetry_langsmith::testing::{LocalLangSmith, ReceivedRun};
use opentelemetry_langsmith::{Client, Run, RunType, SpanExt, UsageMetadata};
use serde::Deserialize;
use serde_json::{json, Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tracing_opentelemetry::OpenTelemetrySpanExt;

const TWINS: &str = "twins.json";

/// What may differ, and why. A `*` at the end stands for anything.
const ALLOWED: &[(&str, &str)] = &[
    ("id", "every run has its own"),
    ("trace_id", "every run has its own"),
    ("dotted_order", "made of start and id"),
    ("start_time", "each ran at its own time"),
    ("end_time", "each ran at its own time"),
    ("extra.runtime.*", "says which SDK made the run, and on what"),
    ("extra.metadata.ls_method", "the SDK's: by which of its functions it was made"),
    ("extra.metadata.LANGSMITH_*", "the SDK's: its environment"),
    ("extra.metadata.revision_id", "the SDK's: the git revision it runs in"),
    ("status", "this crate's: LangSmith reads it off end and error as well"),
    ("extra.otel.*", "this crate's: the span's scope, and where in the code it was"),
    ("extra.metadata.OTEL_*", "this crate's: the span's ids in other backends"),
    ("extra.metadata.service.name", "this crate's: the span's resource"),
    ("extra.invocation_params.*", "this crate's: the request as OpenTelemetry's attributes tell it"),
    ("outputs.usage_metadata", "a repetition; what counts is extra.metadata.usage_metadata, which does not differ"),
];

#[derive(Deserialize)]
struct Twin {
    name: String,
    run_type: String,
    inputs: Value,
    outputs: Option<Value>,
    error: Option<String>,
    usage: Option<UsageMetadata>,
    tags: Vec<String>,
    metadata: Map<String, Value>,
}

/// Makes every twin three times and prints how they differ; which differences are not allowed.
pub(crate) fn compare(receiver: &LocalLangSmith, programs: &Programs, service: &Service) -> Fallible<Vec<String>> {
    let path = programs.path(Language::Python, TWINS);
    let twins: Vec<Twin> = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
    let before = receiver.runs().len();
    programs.run(Language::Python, "twins", &path.to_string_lossy(), service::PROJECT)?;
    for twin in &twins {
        twin.trace();
        twin.submit(&service.handle.client())?;
    }
    service.handle.client().flush(Duration::from_secs(10))?;

    let runs = receiver.runs().split_off(before);
    let (theirs, ours): (Vec<_>, Vec<_>) = runs.iter().partition(|run| sdk_of(run) == "langsmith-py");
    let (spans, by_hand): (Vec<_>, Vec<_>) = ours.into_iter().partition(|run| run.metadata("OTEL_SPAN_ID").is_some());
    let mut faults = Vec::new();
    let mut allowed = BTreeMap::<usize, BTreeSet<String>>::new();
    for (maker, ours) in [("a span", spans), ("Client::submit", by_hand)] {
        for twin in &twins {
            let find = |runs: &[&ReceivedRun]| runs.iter().find(|run| run.name == twin.name).map(|run| fields(run));
            let (Some(theirs), Some(ours)) = (find(&theirs), find(&ours)) else {
                faults.push(format!("{:?} did not come, from Python or from {maker}", twin.name));
                continue;
            };
            for field in theirs.keys().chain(ours.keys()).collect::<BTreeSet<_>>() {
                let (theirs, ours) = (theirs.get(field), ours.get(field));
                if theirs == ours {
                    continue;
                }
                match ALLOWED.iter().position(|(pattern, _)| matches(field, pattern)) {
                    Some(reason) => drop(allowed.entry(reason).or_default().insert(field.clone())),
                    None => faults.push(format!(
                        "{:?} from Python and from {maker} differ in {field}: {} and {}",
                        twin.name,
                        show(theirs),
                        show(ours)
                    )),
                }
            }
        }
    }
    println!("{} runs of the Python SDK and their twins by this crate differ in", theirs.len());
    for (number, fields) in allowed {
        let fields: Vec<_> = fields.iter().map(String::as_str).collect();
        println!("  {}  ({})", fields.join(", "), ALLOWED[number].1);
    }
    println!();
    Ok(faults)
}

fn show(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".to_owned(), Value::to_string)
}

fn matches(field: &str, pattern: &str) -> bool {
    pattern.strip_suffix('*').map_or(field == pattern, |prefix| field.starts_with(prefix))
}

/// Everything that was received of a run, by name. What has members that stand for themselves is taken apart.
fn fields(run: &ReceivedRun) -> BTreeMap<String, Value> {
    let mut fields = BTreeMap::new();
    let whole = json!({
        "id": run.id, "trace_id": run.trace_id, "parent_run_id": run.parent_run_id, "dotted_order": run.dotted_order,
        "name": run.name, "run_type": run.run_type, "start_time": run.start_time, "end_time": run.end_time,
        "session_name": run.session_name, "session_id": run.session_id, "tags": run.tags, "status": run.status,
        "error": run.error, "inputs": run.inputs, "events": run.events,
        "serialized": run.serialized, "reference_example_id": run.reference_example_id,
        "attachments": run.attachments.keys().collect::<Vec<_>>(), "extra": run.extra,
    });
    let mut add = |name: &str, value: &Value| {
        if !value.is_null() {
            fields.insert(name.to_owned(), value.clone());
        }
    };
    run.other.iter().for_each(|(name, value)| add(name, value));
    for (name, value) in whole.as_object().into_iter().flatten().filter(|(name, _)| *name != "extra") {
        add(name, value);
    }
    // No outputs and empty ones are the same.
    for (name, value) in run.outputs.iter().filter_map(Value::as_object).flatten() {
        add(&format!("outputs.{name}"), value);
    }
    for (part, members) in run.extra.as_object().into_iter().flatten() {
        for (name, value) in members.as_object().into_iter().flatten() {
            add(&format!("extra.{part}.{name}"), value);
        }
    }
    fields
}

impl Twin {
    fn run_type(&self) -> RunType {
        self.run_type.parse().expect("a run type")
    }

    /// Makes the run as a span, the way an instrumented program does.
    fn trace(&self) {
        let span = tracing::info_span!(parent: None, "twin", otel.name = self.name);
        span.set_run_type(self.run_type());
        span.record_inputs(&self.inputs);
        span.add_tags(&self.tags);
        for (name, value) in &self.metadata {
            // What LangSmith calls by names of its own has other names in OpenTelemetry.
            let attribute = match name.as_str() {
                "ls_provider" => "gen_ai.provider.name".to_owned(),
                "ls_model_name" => "gen_ai.request.model".to_owned(),
                "ls_temperature" => "gen_ai.request.temperature".to_owned(),
                "ls_max_tokens" => "gen_ai.request.max_tokens".to_owned(),
                // The crate says it by itself.
                "ls_model_type" => continue,
                other => format!("langsmith.metadata.{other}"),
            };
            match value {
                Value::String(text) => span.set_attribute(attribute, text.clone()),
                Value::Bool(flag) => span.set_attribute(attribute, *flag),
                other => match other.as_i64() {
                    Some(number) => span.set_attribute(attribute, number),
                    None => span.set_attribute(attribute, other.as_f64().expect("a number")),
                },
            }
        }
        span.in_scope(|| {});
        if let Some(outputs) = &self.outputs {
            span.record_outputs(outputs);
        }
        if let Some(usage) = &self.usage {
            span.record_usage(usage);
        }
        if let Some(error) = &self.error {
            span.record_error(error);
        }
    }

    /// Makes the run by hand.
    fn submit(&self, client: &Client) -> Fallible {
        let mut run = Run::builder(self.name.clone(), self.run_type()).inputs(&self.inputs);
        for tag in &self.tags {
            run = run.tag(tag);
        }
        for (name, value) in &self.metadata {
            run = run.metadata(name, value);
        }
        if let Some(outputs) = &self.outputs {
            run = run.outputs(outputs);
        }
        if let Some(usage) = &self.usage {
            run = run.usage(usage);
        }
        if let Some(error) = &self.error {
            run = run.error(error);
        }
        Ok(client.submit(run.end_now().build()?)?)
    }
}

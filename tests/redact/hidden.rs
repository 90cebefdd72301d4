//! What is hidden is hidden: the words of an attribute that is an input, or an output, are nowhere on the wire, however
//! it comes, and whatever comes beside it.

use crate::common::{export_all, server, span};
use opentelemetry::{Array, KeyValue, StringValue, Value};
use opentelemetry_langsmith::testing::{attribute_families, attribute_names, run_of, ReceivedRun};
use opentelemetry_langsmith::{Config, Json};
use opentelemetry_sdk::trace::SpanData;
use serde_json::json;
use std::collections::{BTreeMap, HashMap, HashSet};

/// What comes behind the prefix of a family.
const MEMBERS: [&str; 14] = [
    "0.content",
    "0.role",
    "0.message.content",
    "0.message.contents.0.message_content.text",
    "0.message.tool_calls.0.tool_call.function.arguments",
    "0.tool_calls.0.arguments",
    "0.document.content",
    "0.prompt.text",
    "0.completion.text",
    "0.tool.json_schema",
    "0.parameters",
    "function_tool.output",
    "text",
    "own",
];

/// Names that look like those of conventions, or of a function's arguments, and are known to none.
const OTHERS: [&str; 8] = [
    "llm.prompt.0.content",
    "llm.completion.0.content",
    "gen_ai.something.new",
    "ai.prompt.other",
    "lk.said",
    "traceloop.entity.other",
    "question",
    "arguments_of_a_function",
];

/// The ways to say it.
const SHAPES: usize = 9;

fn value(shape: usize, text: &str) -> Value {
    let string = |value: serde_json::Value| Value::from(value.to_string());
    match shape {
        0 => Value::from(text.to_owned()),
        1 => string(json!({ "own": text })),
        2 => string(json!([{"role": "user", "content": text}])),
        3 => string(json!([{"role": "assistant", "parts": [{"type": "text", "content": text}]}])),
        4 => string(
            json!({"messages": [{"role": "user", "content": text}], "tools": [{"name": "t", "description": text}]}),
        ),
        5 => string(json!({"args": [], "kwargs": { "own": text }})),
        6 => Value::Array(Array::String(vec![StringValue::from(text.to_owned())])),
        7 => string(json!({
            "config": {"system_instruction": text, "tools": [{"function_declarations": [{"name": "f", "description": text}]}]},
            "contents": [{"role": "user", "parts": [{"text": text}]}],
            "content": {"role": "model", "parts": [{"text": text}]},
            "input": text, "prompt": text, "instructions": text,
        })),
        _ => string(json!(text)),
    }
}

/// Attributes beside which others mean something else.
fn contexts() -> Vec<Vec<KeyValue>> {
    let kinds = |name: &'static str, kinds: &[&'static str]| -> Vec<Vec<KeyValue>> {
        kinds.iter().map(|kind| vec![KeyValue::new(name, *kind)]).collect()
    };
    let mut contexts = vec![
        vec![],
        vec![KeyValue::new("level", "INFO"), KeyValue::new("target", "app")],
        vec![KeyValue::new("level", "INFO"), KeyValue::new("mlflow.spanType", "\"LLM\"")],
        vec![KeyValue::new("mlflow.spanType", "\"RETRIEVER\"")],
        vec![KeyValue::new(
            "mlflow.spanInputs",
            r#"{"messages":[{"role":"user","content":"x"}],"tools":[],"question":1}"#,
        )],
        vec![KeyValue::new("gen_ai.tool.name", "t"), KeyValue::new("gen_ai.tool.call.outcome", "failed")],
        vec![KeyValue::new("lk.function_tool.name", "t"), KeyValue::new("lk.function_tool.is_error", true)],
        vec![
            KeyValue::new("lk.function_tool.name", "t"),
            KeyValue::new("lk.function_tool.is_error", true),
            KeyValue::new("error.type", "tool_error"),
        ],
        vec![KeyValue::new("gen_ai.input.messages", r#"[{"role":"user","parts":[{"type":"text","content":"x"}]}]"#)],
        vec![KeyValue::new("input.value", "x"), KeyValue::new("output.value", "y")],
        vec![
            KeyValue::new("logfire.msg_template", "{x}"),
            KeyValue::new("logfire.json_schema", SCHEMA),
            KeyValue::new("logfire.span_type", "span"),
        ],
    ];
    contexts.extend(kinds(
        "gen_ai.operation.name",
        &["chat", "execute_tool", "embeddings", "search_memory", "invoke_agent"],
    ));
    contexts.extend(kinds("openinference.span.kind", &["LLM", "TOOL", "RETRIEVER", "RERANKER", "EMBEDDING"]));
    contexts
}

/// Where a text stands in a run.
#[derive(Clone, Copy, Debug, Default)]
struct Sides {
    inputs: bool,
    outputs: bool,
}

/// One attribute that says something nobody else says.
#[derive(Debug)]
struct Plant {
    name: String,
    shape: usize,
    text: String,
}

fn plants() -> Vec<Plant> {
    let members = attribute_families().flat_map(|family| MEMBERS.map(|member| format!("{family}{member}")));
    let names: HashSet<String> =
        attribute_names().map(str::to_owned).chain(members).chain(OTHERS.map(str::to_owned)).collect();
    let mut names: Vec<String> = names.into_iter().collect();
    names.sort();
    assert!(names.len() > 400, "{}", names.len());
    let plants = names.iter().flat_map(|name| (0..SHAPES).map(move |shape| (name.clone(), shape)));
    plants.enumerate().map(|(number, (name, shape))| Plant { name, shape, text: format!("zq{number:05}qz") }).collect()
}

impl Plant {
    fn attribute(&self) -> KeyValue {
        KeyValue::new(self.name.clone(), value(self.shape, &self.text))
    }
}

/// The runs of these spans, by the numbers that they were given.
fn runs(config: impl Fn(Config) -> Config, spans: Vec<Vec<KeyValue>>) -> BTreeMap<u64, ReceivedRun> {
    let server = server();
    let count = spans.len();
    let spans = (1..).zip(spans).map(|(number, attributes)| {
        // What places a span elsewhere is no content.
        let attributes = attributes.into_iter().filter(|attribute| !places(attribute.key.as_str())).collect();
        SpanData { attributes, ..span(u128::from(number) << 64 | u128::from(number), number, 0) }
    });
    let spans: Vec<_> = spans.collect();
    export_all(config(crate::common::config(&server)), spans.chunks(500).map(<[_]>::to_vec).collect());
    assert_eq!(server.received(), count as u64);
    let number = |run: &ReceivedRun| {
        let id = run.extra["metadata"]["OTEL_SPAN_ID"].as_str().expect("it is in the metadata");
        u64::from_str_radix(id, 16).expect("a number")
    };
    server.runs().into_iter().map(|run| (number(&run), run)).collect()
}

fn places(name: &str) -> bool {
    matches!(
        name,
        "langsmith.span.id"
            | "langsmith.span.parent_id"
            | "langsmith.span.dotted_order"
            | "langsmith.trace.id"
            | "langsmith.is_root"
            | "langsmith.root"
            | "langsmith.traceable_parent_otel_span_id"
    )
}

/// The texts of ours that stand in a text.
fn texts(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("zq").filter_map(|(at, _)| text.get(at..at + 9)).filter(|text| text.ends_with("qz"))
}

/// What fields without a dot are depends on who made the span: arguments of a function, or anything.
type Maker = (bool, bool);

fn maker(attributes: &[KeyValue]) -> Maker {
    let last = |name: &str| attributes.iter().rfind(|attribute| attribute.key.as_str() == name);
    let is_tracing = ["code.module.name", "target", "busy_ns", "level"].into_iter().any(|name| last(name).is_some());
    let schema = last("logfire.json_schema").is_some_and(|schema| schema.value.as_str() == SCHEMA);
    (is_tracing, schema)
}

const SCHEMA: &str = r#"{"type":"object","properties":{"question":{}}}"#;

/// On which side each text stands where nothing is hidden, in any company of that kind.
fn sides(plants: &[Plant]) -> HashMap<(Maker, String), Sides> {
    let mut sides = HashMap::<(Maker, String), Sides>::new();
    for context in contexts() {
        for plant in plants.iter().filter(|plant| !places(&plant.name)) {
            let attributes = [context.clone(), vec![plant.attribute()]].concat();
            let maker = maker(&attributes);
            let run = run_of(&SpanData { attributes, ..span(1, 1, 0) });
            for (json, is_input) in [(run.inputs(), true), (run.outputs(), false)] {
                for text in texts(json.map(Json::as_str).unwrap_or_default()) {
                    let side = sides.entry((maker, text.to_owned())).or_default();
                    side.inputs |= is_input;
                    side.outputs |= !is_input;
                }
            }
        }
    }
    sides
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

#[test]
fn no_word_of_what_is_hidden_is_on_the_wire() {
    let plants = plants();
    let sides = sides(&plants);
    assert!(sides.len() > 1000, "{} of {}", sides.len(), plants.len());
    let contexts = contexts();
    // Each attribute in each company, and mixed with others at random.
    let mut each: Vec<Vec<KeyValue>> = Vec::new();
    for context in &contexts {
        let maker = maker(context);
        let content = plants.iter().filter(|plant| sides.contains_key(&(maker, plant.text.clone())));
        each.extend(content.map(|plant| [context.clone(), vec![plant.attribute()]].concat()));
    }
    let mut mixed = Vec::new();
    let mut dice = Dice(7);
    for number in 0..6_000 {
        let mut attributes = contexts[dice.below(contexts.len())].clone();
        for _ in 0..=number % 12 {
            let at = dice.below(attributes.len() + 1);
            attributes.insert(at, plants[dice.below(plants.len())].attribute());
        }
        mixed.push(attributes);
    }
    let by_text: HashMap<&str, &Plant> = plants.iter().map(|plant| (&*plant.text, plant)).collect();
    for (inputs, outputs) in [(true, false), (false, true), (true, true)] {
        let mut spans = mixed.clone();
        if !(inputs && outputs) {
            spans.extend(each.iter().cloned());
        }
        let hide = |config: Config| config.with_hide_inputs(inputs).with_hide_outputs(outputs);
        let mut leaks = BTreeMap::new();
        for (number, run) in runs(hide, spans.clone()) {
            // What is an input here and an output there is hidden where both are.
            let is_hidden = |side: &Sides| match (side.inputs, side.outputs) {
                (false, false) => false,
                (true, false) => inputs,
                (false, true) => outputs,
                (true, true) => inputs && outputs,
            };
            let maker = maker(&spans[usize::try_from(number).unwrap() - 1]);
            let whole = format!("{run:?}");
            for text in texts(&whole).filter(|text| sides.get(&(maker, (*text).to_owned())).is_some_and(is_hidden)) {
                let plant = by_text[text];
                let at = whole.find(text).unwrap();
                let before = whole[..at].char_indices().rev().nth(150).map_or(0, |(at, _)| at);
                let company = spans[usize::try_from(number).unwrap() - 1]
                    .iter()
                    .map(|attribute| attribute.key.as_str().to_owned());
                leaks
                    .entry((plant.name.clone(), plant.shape))
                    .or_insert_with(|| (company.collect::<Vec<_>>(), whole[before..at].to_owned()));
            }
        }
        let lines = leaks
            .iter()
            .map(|((name, shape), (company, before))| format!("{name} {shape} beside {company:?}: …{before}"));
        let lines: Vec<_> = lines.take(60).collect();
        assert!(
            leaks.is_empty(),
            "hidden inputs {inputs}, outputs {outputs}: {} leaks\n{}",
            leaks.len(),
            lines.join("\n")
        );
    }
}

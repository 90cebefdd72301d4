//! `#[instrument]` alone.

use super::{event_names, Traced, Unanswered};
use opentelemetry_langsmith::{RunType, SpanExt};
use serde_json::json;
use std::error::Error;
use tracing::instrument;

struct Shop {
    name: &'static str,
}

#[derive(Debug)]
#[allow(dead_code, reason = "Debug reads it")]
struct Order {
    item: &'static str,
}

impl Shop {
    #[instrument(ret, skip(self, secret), fields(shop = self.name, region.code = 7))]
    fn sell(&self, item: &str, pieces: u32, price: f64, gift: bool, order: &Order, secret: &str) -> String {
        format!("{pieces} {item} {secret}")
    }
}

#[test]
fn arguments_become_inputs_and_what_is_returned_outputs() {
    let runs = Traced::start().runs(|| {
        Shop { name: "corner" }.sell("tea", 2, 1.5, true, &Order { item: "tea" }, "hush");
    });
    let run = &runs["sell"];
    let inputs = json!({
        "shop": "corner", "item": "tea", "pieces": 2, "price": 1.5, "gift": true, "order": "Order { item: \"tea\" }",
    });
    // `tracing-opentelemetry` hands unsigned numbers over as texts.
    let mut received = run.inputs.clone().unwrap();
    received["pieces"] = received["pieces"].as_str().map_or(received["pieces"].clone(), |text| text.parse().unwrap());
    assert_eq!(received, inputs);
    assert_eq!(run.outputs, Some(json!({"output": "2 tea hush"})));
    assert_eq!(run.metadata("region.code"), Some(&json!(7)), "names with dots describe the run");
    assert_eq!((run.run_type.as_str(), run.error.as_deref()), ("chain", None));
    assert!(run.events.is_empty(), "what is returned is no event: {:?}", run.events);
}

#[instrument(ret)]
fn texts(text: &str) -> String {
    text.to_owned()
}

#[instrument(ret(Display))]
fn shown(text: &str) -> String {
    text.to_owned()
}

#[instrument(ret)]
fn structured() -> Option<Order> {
    Some(Order { item: "tea" })
}

#[instrument(ret)]
fn nothing() {}

#[test]
fn texts_come_back_as_they_were() {
    for text in
        ["it's \"so\"", "tab\tline\nend", "soft\u{ad}hyphen", "e\u{301}", "nul\0", "\\", "{\"a\": 1}", "42", "ö✓🦀"]
    {
        let runs = Traced::start().runs(|| {
            texts(text);
            shown(text);
        });
        let json = serde_json::from_str(text).ok().filter(serde_json::Value::is_object);
        for name in ["texts", "shown"] {
            let expected = json.clone().unwrap_or_else(|| json!({ "output": text }));
            assert_eq!(runs[name].outputs, Some(expected), "{name} {text:?}");
        }
        assert_eq!(runs["texts"].inputs.as_ref().unwrap()["text"], json.unwrap_or_else(|| json!(text)), "{text:?}");
    }
}

#[test]
fn other_values_come_back_as_debug_writes_them() {
    let runs = Traced::start().runs(|| {
        structured();
        nothing();
    });
    assert_eq!(runs["structured"].outputs, Some(json!({"output": "Some(Order { item: \"tea\" })"})));
    assert_eq!(runs["nothing"].outputs, Some(json!({"output": "()"})));
}

#[instrument(err)]
fn fails() -> Result<(), Unanswered> {
    Err(Unanswered::new())
}

#[instrument(err(Debug))]
fn fails_in_debug() -> Result<(), Unanswered> {
    Err(Unanswered::new())
}

#[instrument(ret, err)]
fn either(works: bool) -> Result<u8, Unanswered> {
    if works {
        Ok(7)
    } else {
        Err(Unanswered::new())
    }
}

#[instrument(err)]
fn fails_and_tells_why() -> Result<(), Unanswered> {
    let error = Unanswered::new();
    tracing::warn!(error = &error as &dyn Error, "gives up");
    Err(error)
}

#[instrument]
fn fails_with_an_event() {
    tracing::error!(error = &Unanswered::new() as &dyn Error, "it went wrong");
}

#[instrument]
fn fails_with_an_event_alone() {
    tracing::error!(error = &Unanswered::new() as &dyn Error);
}

#[instrument]
fn only_warns() {
    tracing::warn!(error = &Unanswered::new() as &dyn Error, "that was close");
}

#[instrument]
fn says_that_it_failed() {
    tracing::error!("out of {}", "luck");
}

#[test]
fn errors_tell_what_tracing_was_told() {
    let runs = Traced::start().runs(|| {
        let _ = (fails(), fails_in_debug(), fails_and_tells_why());
        fails_with_an_event();
        fails_with_an_event_alone();
        only_warns();
        says_that_it_failed();
    });
    let error = |name: &str| runs[name].error.clone().unwrap_or_default();
    // `err` shows the error alone; `err(Debug)` all that Debug shows.
    assert_eq!(error("fails"), "the model did not answer");
    assert!(error("fails_in_debug").contains("timed out after 3 s"), "{}", error("fails_in_debug"));
    let chain = "the model did not answer\nCaused by: timed out after 3 s";
    for name in ["fails_and_tells_why", "fails_with_an_event", "fails_with_an_event_alone"] {
        assert_eq!(error(name), chain, "{name}");
    }
    assert_eq!(event_names(&runs["fails_with_an_event"]), ["it went wrong"]);
    assert_eq!(error("says_that_it_failed"), "out of luck");
    assert_eq!(runs["only_warns"].error, None);
    assert_eq!(event_names(&runs["fails"]), ["exception"]);
}

#[test]
fn a_result_is_either_output_or_error() {
    let runs = Traced::start().runs(|| drop(either(true)));
    assert_eq!(runs["either"].outputs, Some(json!({"output": "7"})));
    assert_eq!(runs["either"].error, None);
    let runs = Traced::start().runs(|| drop(either(false)));
    assert_eq!(runs["either"].outputs, None);
    assert_eq!(runs["either"].error.as_deref(), Some("the model did not answer"));
}

#[instrument(name = "renamed", target = "other::place", level = "debug")]
fn original() {}

#[instrument(fields(otel.name = %dynamic))]
fn named_by_a_field(dynamic: &str) {}

mod inner {
    /// As a function of another crate would be.
    #[tracing::instrument(target = "other_crate::search")]
    pub(super) fn search(query: &str) -> usize {
        tracing::info!(target: "third_crate", "looks for {query}");
        query.len()
    }
}

#[instrument]
fn outer() -> usize {
    inner::search("tea") + inner::search("milk")
}

#[test]
fn names_and_targets_are_as_they_were_given() {
    let runs = Traced::start().runs(|| {
        original();
        named_by_a_field("seventh");
        outer();
    });
    assert_eq!(runs["renamed"].extra["otel"]["target"], json!("other::place"));
    assert_eq!(runs["seventh"].inputs, Some(json!({"dynamic": "seventh"})));
    let searches: Vec<_> = runs.0.iter().filter(|run| run.name == "search").collect();
    assert_eq!(searches.len(), 2);
    for search in searches {
        assert_eq!(search.parent_run_id.as_ref(), Some(&runs["outer"].id));
        assert_eq!(search.extra["otel"]["target"], json!("other_crate::search"));
        assert_eq!(search.events[0]["kwargs"]["target"], json!("third_crate"));
    }
}

#[instrument(ret)]
fn ask(question: &str) -> &'static str {
    tracing::Span::current().set_run_type(RunType::Llm);
    "Paris"
}

#[test]
fn arguments_are_inputs_of_whatever_type_the_run_is_given() {
    let runs = Traced::start().runs(|| {
        ask("the capital?");
    });
    assert_eq!(runs["ask"].run_type, "llm");
    assert_eq!(runs["ask"].inputs, Some(json!({"question": "the capital?"})));
    assert_eq!(runs["ask"].outputs, Some(json!({"output": "Paris"})));
}

/// Names that a framework has attributes by are a function's own here.
#[instrument]
fn ask_a_model(prompt: &str, tools: &str, events: i64, agent_name: &str, model_name: &str, final_result: &str) {}

#[test]
fn arguments_are_not_taken_for_a_frameworks_attributes() {
    let runs = Traced::start().runs(|| ask_a_model("p", "t", 3, "a", "m", "r"));
    let run = &runs["ask_a_model"];
    let inputs =
        json!({"prompt": "p", "tools": "t", "events": 3, "agent_name": "a", "model_name": "m", "final_result": "r"});
    assert_eq!((run.inputs.as_ref(), run.outputs.as_ref()), (Some(&inputs), None));
}

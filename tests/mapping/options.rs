//! What the application decides about conversion, and what holds when it decides nothing.

use crate::{attributes, run_with};
use opentelemetry_langsmith::testing::ReceivedRun;
use opentelemetry_langsmith::{Config, FunctionArgs, NamePolicy};
use serde_json::json;

fn chat(configure: fn(Config) -> Config, name: &'static str, model: &'static str) -> String {
    let chat = attributes! {"gen_ai.operation.name" => "chat", "gen_ai.request.model" => model};
    run_with(configure, name, chat).name
}

#[test]
fn names_are_the_spans_own_unless_they_shall_be_more() {
    let enrich: fn(Config) -> Config = |config| config.with_name_policy(NamePolicy::Enrich);
    assert_eq!(chat(|config| config, "chat", "gpt-4o"), "chat");
    assert_eq!(chat(|config| config.with_name_policy(NamePolicy::SpanName), "chat", "gpt-4o"), "chat");
    assert_eq!(chat(enrich, "chat", "gpt-4o"), "chat gpt-4o");
    // A name that says more than the operation stays, and so does one without a model.
    assert_eq!(chat(enrich, "ask", "gpt-4o"), "ask");
    assert_eq!(chat(enrich, "chat", ""), "chat");
}

#[test]
fn providers_have_the_names_that_langsmith_prices_under_or_the_applications_own() {
    let provider = |configure: fn(Config) -> Config, name: &'static str| {
        let run = run_with(configure, "span", attributes! {"gen_ai.provider.name" => name});
        let text = |key| run.metadata(key).map(|value| value.as_str().unwrap().to_owned());
        (text("ls_provider").unwrap(), text("gen_ai_provider_name"))
    };
    let pair = |name: &str, raw: &str| (name.to_owned(), Some(raw.to_owned()).filter(|raw| raw != name));
    assert_eq!(provider(|config| config, "aws.bedrock"), pair("amazon_bedrock", "aws.bedrock"));
    assert_eq!(provider(|config| config, "openai"), pair("openai", "openai"));
    let own: fn(Config) -> Config =
        |config| config.with_provider_alias("aws.bedrock", "bedrock").with_provider_alias("openai", "house");
    assert_eq!(provider(own, "aws.bedrock"), pair("bedrock", "aws.bedrock"));
    assert_eq!(provider(own, "OpenAI"), pair("house", "OpenAI"));
    assert_eq!(provider(own, "gcp.gemini"), pair("google_genai", "gcp.gemini"));
}

/// A function of `#[tracing::instrument]`'s, as the layer records it.
fn function(configure: impl FnOnce(Config) -> Config, inputs: Option<&'static str>) -> ReceivedRun {
    let mut span = attributes! {
        "code.module.name" => "app",
        "question" => "\"why?\"",
        "self" => "App { secret: 7 }",
        "net.peer" => "dotted",
        "session.x" => "y",
    }
    .to_vec();
    span.extend(inputs.map(|inputs| ("input.value", inputs.into())));
    run_with(configure, "answer", span)
}

#[test]
fn arguments_are_inputs_or_metadata_or_nothing() {
    let kept = |run: &ReceivedRun| ["question", "self"].map(|name| run.metadata(name).cloned());
    let own = Some(json!({"input": "own"}));
    let this = Some(json!("App { secret: 7 }"));
    for configure in [|config: Config| config, |config: Config| config.with_function_args(FunctionArgs::Inputs)] {
        let run = function(configure, None);
        assert_eq!(run.inputs, Some(json!({"question": "why?"})));
        assert_eq!(kept(&run), [None, this.clone()]);
        let run = function(configure, Some("own"));
        assert_eq!((&run.inputs, kept(&run)), (&own, [Some(json!("\"why?\"")), this.clone()]));
    }
    for inputs in [None, Some("own")] {
        let expected = inputs.and(own.clone());
        let run = function(|config| config.with_function_args(FunctionArgs::Metadata), inputs);
        assert_eq!((&run.inputs, kept(&run)), (&expected, [Some(json!("why?")), this.clone()]));
        let run = function(|config| config.with_function_args(FunctionArgs::Off), inputs);
        assert_eq!((&run.inputs, kept(&run)), (&expected, [None, None]));
        assert_eq!(run.metadata("net.peer"), Some(&json!("dotted")), "only what may be an argument is left out");
    }
}

#[test]
fn attributes_of_other_spans_are_no_arguments() {
    let run = run_with(|config| config.with_function_args(FunctionArgs::Off), "span", [("question", "why?")]);
    assert_eq!((run.inputs, run.extra["metadata"]["question"].clone()), (None, json!("why?")));
}

//! Hostile names, values, times and events.

use crate::common::{assert_flawless, at, config, export_all, run_of, server, span, with};
use opentelemetry::trace::{Event, Link, Status};
use opentelemetry::{Array, KeyValue, StringValue, Value};
use opentelemetry_langsmith::testing::ReceivedRun;
use opentelemetry_sdk::trace::SpanData;
use serde_json::json;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn named(name: &str) -> ReceivedRun {
    let mut span = span(1, 1, 0);
    span.name = name.to_owned().into();
    run_of(span)
}

/// The run of a span that has this value among its attributes.
fn valued(value: impl Into<Value>) -> serde_json::Value {
    let run = run_of(with(span(1, 1, 0), "x.value", value));
    run.metadata("x.value").unwrap_or_else(|| panic!("the value is lost: {run:?}")).clone()
}

#[test]
fn names() {
    assert_eq!(named("").name, "unnamed");
    assert_eq!(named("\0\0").name, "unnamed");
    assert_eq!(named("a\0b").name, "ab");
    let huge = "ü".repeat(1 << 20);
    let run = named(&huge);
    assert_eq!(run.name.chars().count(), 128);
    assert!(huge.starts_with(run.name.trim_end_matches('…')));
    assert_eq!(run.metadata("otel_span_name"), Some(&json!(huge)), "the whole name is kept");
    for odd in ["\u{1}\u{7f}\u{85}\u{2028}", "\"\r\n--boundary", "👩‍👩‍👧‍👦", "\u{feff}"] {
        assert_eq!(named(odd).name, odd);
    }
}

#[test]
fn numbers_that_json_cannot_tell() {
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        // As a text or as null, whatever it is, the run around it is valid.
        assert!(!valued(number).is_number());
        assert!(valued(Value::Array(Array::F64(vec![number, 1.5])))[1] == json!(1.5));
    }
    assert_eq!(valued(i64::MIN), json!(i64::MIN));
    assert_eq!(valued(i64::MAX), json!(i64::MAX));
    assert_eq!(valued(f64::MAX), json!(f64::MAX));
    assert_eq!(valued(5e-324), json!(5e-324));
    assert!(valued(-0.0).as_f64() == Some(0.0));
}

#[test]
fn numbers_where_counts_and_parameters_belong() {
    for key in [
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.output_tokens",
        "gen_ai.request.temperature",
        "gen_ai.request.max_tokens",
        "gen_ai.response.time_to_first_chunk",
    ] {
        for value in [
            Value::from(f64::NAN),
            f64::INFINITY.into(),
            f64::MAX.into(),
            (-1).into(),
            i64::MIN.into(),
            i64::MAX.into(),
            "99999999999999999999999999".into(),
            "1e999".into(),
            "NaN".into(),
            "".into(),
            true.into(),
            Value::Array(Array::I64(vec![])),
        ] {
            let span = with(with(span(1, 1, 0), "gen_ai.operation.name", "chat"), key, value.clone());
            let run = run_of(span);
            if let Some(usage) = run.usage() {
                assert!(usage["input_tokens"].as_u64().is_some(), "{key} = {value}: {usage}");
            }
        }
    }
}

#[test]
fn json_texts() {
    let deep_list = "[".repeat(100_000) + &"]".repeat(100_000);
    let deep_object = "{\"a\":".repeat(100_000) + "1" + &"}".repeat(100_000);
    let texts = [
        deep_list.as_str(),
        &deep_object,
        &"[".repeat(100_000),
        "{",
        "{}}",
        "{\"a\":1,}",
        "{'a':1}",
        "{\"a\":NaN}",
        "{\"a\":1e999}",
        "{\"a\":123456789012345678901234567890}",
        "{\"a\":18446744073709551615,\"b\":-9223372036854775808}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\\udc00\\ud800\"}",
        "{\"\\ud83d\":1}",
        "{\"a\":\"\\u0000\"}",
        "{\"a\":\"\0\"}",
        "{\"a\":1,\"a\":2}",
        "{\"\":{\"\":[]}}",
        "\u{feff}{}",
        "null",
        "[]",
        "\"text\"",
        "\0",
        "",
    ];
    let keys = [
        "input.value",
        "output.value",
        "langsmith.inputs",
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.system_instructions",
        "gen_ai.tool.definitions",
        "gen_ai.tool.call.arguments",
        "langsmith.usage_metadata",
        "langsmith.attachments",
        "langsmith.span.tags",
        "langsmith.span.runtime",
        "langsmith.metadata.x",
        "x.unknown",
        "argument",
    ];
    let server = server();
    let mut spans = Vec::new();
    for text in texts {
        for key in keys {
            let id = spans.len() as u64 + 1;
            spans.push(with(with(span(id.into(), id, 0), "gen_ai.operation.name", "chat"), key, text.to_owned()));
        }
        // All of them together, in a span of `tracing`'s.
        let id = spans.len() as u64 + 1;
        let all = with(span(id.into(), id, 0), "busy_ns", 5);
        spans.push(keys.into_iter().fold(all, |span, key| with(span, key, text.to_owned())));
    }
    let count = spans.len();
    let stats = export_all(config(&server), spans.chunks(50).map(<[_]>::to_vec).collect());
    assert_eq!(stats.sent, count as u64, "{stats:?}");
    assert_flawless(&server, count);
}

#[test]
fn a_json_object_goes_through_as_it_is() {
    let text = r#"{"b":1,"a":[1.0,1e2,"\u00e9\n"],"big":9223372036854775807}"#;
    let run = run_of(with(span(1, 1, 0), "input.value", text));
    assert_eq!(run.inputs, Some(serde_json::from_str(text).unwrap()));
    // LangSmith refuses integers that do not fit 64 bits with a sign, so such JSON stays a text.
    let text = r#"{"big":9223372036854775808}"#;
    let run = run_of(with(span(1, 1, 0), "input.value", text));
    assert_eq!(run.inputs, Some(json!({"input": text})));
}

#[test]
fn nuls_and_control_characters_everywhere() {
    let odd = "\0\u{1}\u{1f}\u{7f}\u{2028}\u{ffff}\"\\\r\n";
    let mut span = span(1, 1, 0);
    for key in ["input.value", "output.value", "langsmith.span.tags", "langsmith.metadata.\0", "\0", "a.\0\"b", ""] {
        span = with(span, key, odd);
    }
    span.status = Status::error(odd);
    span.events.events.push(Event::new(odd, at(1), vec![KeyValue::new(odd, odd)], 0));
    span.links.links.push(Link::new(span.span_context.clone(), vec![KeyValue::new(odd, odd)], 0));
    span.instrumentation_scope =
        opentelemetry::InstrumentationScope::builder(odd).with_version(odd).with_attributes([]).build();
    let run = run_of(span);
    // What a database cannot hold may be left out; nothing else of it.
    let kept = |text: &str| text.replace('\0', "").contains(odd.replace('\0', "").trim());
    assert!(kept(run.error.as_deref().unwrap()), "{run:?}");
    assert!(kept(run.metadata("").and_then(serde_json::Value::as_str).unwrap()), "{run:?}");
}

#[test]
fn duplicate_keys_say_what_the_last_one_says() {
    let mut span = span(1, 1, 0);
    for number in 0..100 {
        span = with(span, "x.same", number);
        span = with(span, "input.value", format!("{{\"n\":{number}}}"));
    }
    let run = run_of(span);
    assert_eq!(run.metadata("x.same"), Some(&json!(99)));
    assert_eq!(run.inputs, Some(json!({"n": 99})));
}

#[test]
fn arrays() {
    assert_eq!(valued(Value::Array(Array::I64(vec![1, -2, i64::MAX]))), json!([1, -2, i64::MAX]));
    assert_eq!(valued(Value::Array(Array::Bool(vec![true, false]))), json!([true, false]));
    assert_eq!(valued(Value::Array(Array::F64(vec![]))), json!([]));
    let texts = ["", "\"", "\0"].map(StringValue::from).to_vec();
    assert_eq!(valued(Value::Array(Array::String(texts))).as_array().map(Vec::len), Some(3));
    assert_eq!(valued(Value::Array(Array::I64(vec![7; 100_000]))).as_array().map(Vec::len), Some(100_000));
}

fn timed(start: SystemTime, end: SystemTime) -> ReceivedRun {
    let mut span = span(1, 1, 0);
    (span.start_time, span.end_time) = (start, end);
    span.events.events.push(Event::new("moment", start, Vec::new(), 0));
    span.events.events.push(Event::new("new_token", end, Vec::new(), 0));
    run_of(span)
}

#[test]
fn times_that_langsmith_cannot_tell() {
    let year = Duration::from_secs(365 * 24 * 3600);
    let early = UNIX_EPOCH - 100 * year;
    let late = UNIX_EPOCH + 20_000 * year;
    for (start, end) in [(early, at(0)), (at(0), late), (early, early), (late, late), (early, late), (late, early)] {
        let run = timed(start, end);
        assert!(run.duration().is_some(), "{run:?}");
        let told = run.metadata("otel_start_time").map(|time| time.as_str().unwrap());
        // Only a start that LangSmith can tell is all there is to it.
        assert_eq!(told.is_none(), start == at(0), "{run:?}");
        let year = if start == early { "1870-" } else { "+2195" };
        assert!(told.is_none_or(|told| told.starts_with(year)), "{run:?}");
    }
    // As far as the clock can be turned.
    let mut farthest = Duration::from_secs(u64::MAX / 2);
    let far = loop {
        match UNIX_EPOCH.checked_add(farthest) {
            Some(far) => break far,
            None => farthest /= 2,
        }
    };
    let back = UNIX_EPOCH.checked_sub(farthest).unwrap_or(UNIX_EPOCH);
    timed(far, back);
    timed(back, far);
}

#[test]
fn an_end_before_the_start() {
    let run = timed(at(5_000_000), at(0));
    assert_eq!(run.duration(), Some(Duration::ZERO));
}

#[test]
fn clocks_that_disagree_between_parent_and_child() {
    let server = server();
    let year = Duration::from_secs(365 * 24 * 3600);
    let timed = |mut span: SpanData, start: SystemTime| {
        (span.start_time, span.end_time) = (start, start);
        span
    };
    let spans = vec![
        timed(span(1, 3, 2), UNIX_EPOCH - year),
        timed(span(1, 2, 1), UNIX_EPOCH + 20_000 * year),
        timed(span(1, 1, 0), at(0)),
    ];
    export_all(config(&server), vec![spans]);
    assert_flawless(&server, 3);
    let run = server.run("span 3").unwrap();
    assert!(run.metadata("otel_start_time").unwrap().as_str().unwrap().starts_with("1969-01-01"), "{run:?}");
}

#[test]
fn events_and_links_by_the_thousand() {
    let mut span = span(1, 1, 0);
    for number in 0..5000 {
        span.events.events.push(Event::new(format!("event {number}"), at(number), Vec::new(), 3));
        span.links.links.push(Link::new(span.span_context.clone(), Vec::new(), 3));
    }
    span.events.dropped_count = u32::MAX;
    span.links.dropped_count = u32::MAX;
    span.dropped_attributes_count = u32::MAX;
    let run = run_of(span);
    assert_eq!((run.events.len(), &run.extra["otel"]["omitted_events_count"]), (64, &json!(4936)));
}

//! A secret in every possible place of many spans is found nowhere outside.

use crate::common::log::Log;
use crate::common::{assert_adds_up, config, server, span, with, CountedIds, LONG};
use base64::prelude::{Engine, BASE64_STANDARD};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer,
    TracerProvider,
};
use opentelemetry::{Array, Context, InstrumentationScope, KeyValue, StringValue, Value};
use opentelemetry_langsmith::testing::{Fault, LocalLangSmith};
use opentelemetry_langsmith::{
    Client, Config, DropReason, LangSmithExporter, LangSmithSpanProcessor, OnRun, Redactor, Run, RunType,
};
use opentelemetry_sdk::propagation::BaggagePropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use opentelemetry_sdk::trace::SpanExporter as _;
use opentelemetry_sdk::Resource;
use std::collections::HashMap;
use std::path::PathBuf;

/// What is searched for: no spelling of the secret is without it.
const CORE: &str = "q7zx9w2k4m8p";
const SECRET: &str = "hush-q7zx9w2k4m8p";
/// The same in JSON, spelled so that only a reader of JSON finds it.
const ESCAPED: &str = r"\u0068us\u0068\u002dq7zx9w2k4m8p";
const MARKER: &str = "[gone]";

fn redactor() -> Redactor {
    Redactor::new().with_pattern("(?i)hush-[0-9a-z]{12}", MARKER).unwrap()
}

fn log() -> Log {
    Log::start("trace")
}

/// JSON with the secret in values and names, nested, escaped, in strings that hold JSON, and in text after it.
fn json(number: usize) -> String {
    let inner = format!(r#"{{"key {ESCAPED}":["{ESCAPED}",{{"deep":"a {SECRET} b"}}]}}"#);
    let twice = serde_json::to_string(&serde_json::json!({ "arguments": inner, "cut": format!("{{\"a\":\"{SECRET}") }))
        .unwrap();
    let mut thrice = String::new();
    serde_json::to_string(&twice).unwrap().clone_into(&mut thrice);
    format!(
        r#"{{"messages":[{{"role":"user","content":"no. {number}: {SECRET}"}},{{"{ESCAPED}":"{ESCAPED}","tool_calls":[{{"arguments":{thrice}}}]}}],"n":9007199254740993}}"#
    )
}

/// A file of text, too large to stay where it was.
fn file() -> String {
    BASE64_STANDARD.encode(format!("{SECRET}\n{}{SECRET}", "some text\n".repeat(5000)))
}

fn text(value: impl Into<StringValue>) -> Value {
    Value::String(value.into())
}

/// One way to plant the secret.
type Plant = fn(usize, &mut opentelemetry_sdk::trace::Span);

/// Every attribute, event and status in which a text can stand.
const PLANTS: &[Plant] = &[
    |_, span| span.set_attribute(KeyValue::new("plain", SECRET)),
    |_, span| span.set_attribute(KeyValue::new(format!("key.{SECRET}"), 1)),
    |number, span| span.set_attribute(KeyValue::new("some.json", json(number))),
    |_, span| {
        let list = vec![StringValue::from("x"), format!("it is {SECRET}").into()];
        span.set_attribute(KeyValue::new("list", Value::Array(Array::String(list))));
    },
    |number, span| {
        span.set_attribute(KeyValue::new("input.value", json(number)));
        span.set_attribute(KeyValue::new("output.value", json(number)));
    },
    |_, span| {
        span.set_attribute(KeyValue::new("input.value", SECRET));
        span.set_attribute(KeyValue::new("output.value", format!("\"{ESCAPED}\"")));
    },
    |_, span| {
        span.set_attribute(KeyValue::new("gen_ai.operation.name", "chat"));
        let messages = format!(
            r#"[{{"role":"user","parts":[{{"type":"text","content":"{ESCAPED}"}},{{"type":"tool_call","name":"{SECRET}","id":"{SECRET}","arguments":{{"{SECRET}":1}}}}]}}]"#
        );
        for name in
            ["gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions", "gen_ai.tool.definitions"]
        {
            span.set_attribute(KeyValue::new(name, messages.clone()));
        }
        for name in ["gen_ai.request.model", "gen_ai.provider.name", "gen_ai.conversation.id", "gen_ai.response.id"] {
            span.set_attribute(KeyValue::new(name, SECRET));
        }
        let stops = vec![StringValue::from(SECRET)];
        span.set_attribute(KeyValue::new("gen_ai.request.stop_sequences", Value::Array(Array::String(stops))));
        span.set_attribute(KeyValue::new("gen_ai.usage.input_tokens", 5));
    },
    |_, span| {
        span.set_attribute(KeyValue::new("gen_ai.operation.name", "execute_tool"));
        for name in ["gen_ai.tool.name", "gen_ai.tool.description", "gen_ai.tool.call.id", "gen_ai.tool.call.result"] {
            span.set_attribute(KeyValue::new(name, SECRET));
        }
        span.set_attribute(KeyValue::new("gen_ai.tool.call.arguments", format!(r#"{{"a":"{ESCAPED}"}}"#)));
    },
    |_, span| {
        span.set_attribute(KeyValue::new("langsmith.span.tags", format!("a,{SECRET},b {SECRET}")));
        for name in ["langsmith.metadata.thread_id", "session.id", "user.id", "thread_id", "langsmith.trace.name"] {
            span.set_attribute(KeyValue::new(name, format!("thread {SECRET}")));
        }
        span.set_attribute(KeyValue::new(format!("langsmith.metadata.{SECRET}"), SECRET));
        span.set_attribute(KeyValue::new("langsmith.metadata", format!(r#"{{"{ESCAPED}":{{"x":"{ESCAPED}"}}}}"#)));
    },
    |_, span| {
        let attributes = vec![KeyValue::new("a", SECRET), KeyValue::new(format!("b.{SECRET}"), text(json(1)))];
        span.add_event(format!("event {SECRET}"), attributes);
    },
    |_, span| span.record_error(&std::io::Error::other(format!("failed with {SECRET}"))),
    |_, span| span.set_status(Status::error(format!("wrong: {SECRET}"))),
    |_, span| {
        span.set_status(Status::error(""));
        let attributes = [("exception.type", SECRET), ("exception.message", SECRET), ("exception.stacktrace", SECRET)];
        span.add_event("exception", attributes.map(|(name, value)| KeyValue::new(name, value)).to_vec());
    },
    |_, span| {
        for name in
            ["error.type", "url.full", "db.statement", "http.request.header.x-other", "code.file.path", "target"]
        {
            span.set_attribute(KeyValue::new(name, format!("https://{SECRET}/")));
        }
    },
    |_, span| span.update_name(format!("name {SECRET}")),
    |_, span| span.update_name(format!("{}{SECRET} {}", "long ".repeat(24), "more ".repeat(40))),
    |_, span| {
        let context = SpanContext::new(TraceId::from(7), SpanId::from(7), TraceFlags::SAMPLED, true, TraceState::NONE);
        span.add_link(context, vec![KeyValue::new("a", SECRET), KeyValue::new(format!("b.{SECRET}"), text(json(2)))]);
    },
    |number, span| {
        span.set_attribute(KeyValue::new("gen_ai.operation.name", "chat"));
        if number % 180 < 18 {
            let part = |name| {
                format!(r#"{{"type":"blob","mime_type":"text/plain","filename":"{name}","content":"{}"}}"#, file())
            };
            let messages = format!(r#"[{{"role":"user","parts":[{},{}]}}]"#, part(SECRET), part(ESCAPED));
            span.set_attribute(KeyValue::new("gen_ai.input.messages", messages));
        }
    },
];

/// A process whose resource, scope and baggage hold the secret too; so many spans, in traces of ten.
fn trace(config: Config, spans: usize) -> opentelemetry_langsmith::Stats {
    let processor = LangSmithSpanProcessor::new(config).unwrap();
    let (client, propagator) = (processor.handle().client(), processor.handle().propagator());
    let resource = Resource::builder_empty()
        .with_attributes([KeyValue::new("service.name", SECRET), KeyValue::new(format!("r.{SECRET}"), text(json(3)))]);
    let provider = SdkTracerProvider::builder()
        .with_span_processor(processor)
        .with_id_generator(CountedIds::default())
        .with_resource(resource.build())
        .build();
    let scope = InstrumentationScope::builder(format!("scope {SECRET}")).with_version(SECRET);
    let tracer = provider.tracer_with_scope(scope.build());
    let quoted = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<Vec<_>>().concat();
    let metadata = format!(r#"{{"thread_id":"{ESCAPED}","{ESCAPED}":["{SECRET}"]}}"#);
    let baggage = format!("langsmith-metadata={},langsmith-tags={}", quoted(&metadata), quoted(SECRET));
    let headers = HashMap::from([("baggage".to_owned(), baggage)]);
    let mut parent = Context::new();
    for number in 0..spans {
        if number % 10 == 0 {
            parent = propagator.extract(&headers);
            parent = BaggagePropagator::new().extract_with_context(&parent, &headers);
        }
        let mut span = tracer.build_with_context(SpanBuilder::from_name(format!("span {number}")), &parent);
        PLANTS[number % PLANTS.len()](number, &mut span);
        if number % 10 == 0 {
            parent = parent.with_span(span);
        }
    }
    drop(parent);
    provider.shutdown_with_timeout(LONG).unwrap();
    assert_adds_up(&client.stats());
    client.stats()
}

/// Runs by hand, with the secret in every part of them, posted and updated.
fn by_hand(config: Config) {
    let client = Client::new(config).unwrap();
    let value: serde_json::Value = serde_json::from_str(&json(4)).unwrap();
    let run = |name: &str| {
        Run::builder(name.to_owned(), RunType::Llm)
            .inputs(&value)
            .tag(SECRET)
            .metadata(SECRET, &value)
            .metadata("thread_id", SECRET)
            .events(&[serde_json::json!({"name": SECRET, "time": "2026-11-20T00:00:00Z", "kwargs": value})])
            .extra(&serde_json::json!({"invocation_params": value, "runtime": value, "other": value}))
    };
    let posted = run(SECRET).build().unwrap();
    client.submit(posted.clone()).unwrap();
    client.flush(LONG).unwrap();
    client
        .update(posted.edit().outputs(&value).error(SECRET).metadata("late", SECRET).end_now().build().unwrap())
        .unwrap();
    client.submit(run("one piece").child_of(&posted).outputs(SECRET).end_now().build().unwrap()).unwrap();
    let joined = run("joined").child_of(&posted).build().unwrap();
    client.submit(joined.clone()).unwrap();
    client.update(joined.edit().outputs(SECRET).end_now().build().unwrap()).unwrap();
    client.shutdown(LONG).unwrap();
}

/// Spans that have to wait for their parents, behind the exporter.
fn export(config: Config) {
    let exporter = LangSmithExporter::new(config).unwrap();
    let mut child = with(span(1, 2, 1), "plain", SECRET);
    child.name = SECRET.into();
    crate::common::export(&exporter, vec![child]).unwrap();
    exporter.shutdown_with_timeout(LONG).unwrap();
}

/// All bodies that came, as text.
fn received(server: &LocalLangSmith) -> String {
    server.requests().iter().map(|request| String::from_utf8_lossy(&request.plain).into_owned()).collect()
}

/// Nothing of it is in there, in no spelling and in no file that was cut out.
fn assert_none(what: &str, text: &str) {
    if let Some(at) = text.to_ascii_lowercase().find(CORE) {
        let around = |at: usize| (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        panic!("{what}: {}", &text[around(at.saturating_sub(300))..around((at + 100).min(text.len()))]);
    }
}

#[test]
fn a_secret_is_found_nowhere() {
    const SPANS: usize = 10_000;
    let log = log();
    let server = server();
    let config = config(&server).with_redactor(redactor());
    // Some batches are compressed anew, tried again and split on their way.
    server.respond([Fault::status(503), Fault::status(413), Fault::status(422).body("no"), Fault::status(500)]);
    let stats = trace(config.clone(), SPANS);
    assert_eq!((stats.sent, stats.dropped_total()), (SPANS as u64, 0), "{stats}");
    by_hand(config.clone());
    export(config.clone());
    assert_eq!(server.violations(), Vec::<String>::new());
    let bodies = received(&server);
    assert_none("a body", &bodies);
    assert!(bodies.matches(MARKER).count() > 3 * SPANS);
    assert!(server
        .runs()
        .iter()
        .any(|run| run.attachments.values().any(|file| file.bytes.starts_with(MARKER.as_bytes()))));

    // Runs that the server does not want are told of, by their names.
    server.respond([Fault::status(422).body("no such run").forever()]);
    let client = Client::new(config.clone()).unwrap();
    client.submit(Run::builder(format!("refused {SECRET}"), RunType::Chain).end_now().build().unwrap()).unwrap();
    client.shutdown(LONG).unwrap_err();
    server.respond([Fault::status(503).forever()]);
    let client = Client::new(config.with_retry_deadline(std::time::Duration::from_millis(50))).unwrap();
    client.submit(Run::builder(SECRET, RunType::Chain).end_now().build().unwrap()).unwrap();
    client.shutdown(LONG).unwrap_err();
    crate::common::eventually("a line about the refused run", || log.text().contains(&format!("refused {MARKER}")));
    assert_none("the log", &log.text());
    assert_none("a body", &received(&server));
}

/// What the runs below a span take over from it, and what it is called.
fn named_attributes() -> Vec<KeyValue> {
    ["langsmith.span.tags", "langsmith.metadata.note", "session.id", "user.id", "plain", "input.value", "output.value"]
        .map(|name| KeyValue::new(name, SECRET))
        .to_vec()
}

/// The roots that go on with a trace have its name, tags and metadata too.
#[test]
fn a_secret_in_a_long_trace_is_found_nowhere() {
    let log = log();
    for live in [true, false] {
        let server = server();
        let config = config(&server).with_redactor(redactor()).with_trace_runs(10);
        let builder = SdkTracerProvider::builder()
            .with_resource(Resource::builder_empty().with_attribute(KeyValue::new("service.name", SECRET)).build());
        let provider = if live {
            builder.with_span_processor(LangSmithSpanProcessor::new(config).unwrap()).build()
        } else {
            builder.with_batch_exporter(LangSmithExporter::new(config).unwrap()).build()
        };
        let tracer = provider.tracer("long");
        for name in [SECRET.to_owned(), format!("{}{SECRET}", "long ".repeat(24))] {
            let attributes =
                named_attributes().into_iter().chain([KeyValue::new("langsmith.trace.name", name.clone())]);
            let root = tracer.span_builder(name).with_attributes(attributes);
            let root = Context::new().with_span(root.start_with_context(&tracer, &Context::new()));
            for number in 0..30 {
                tracer.start_with_context("child", &root).end();
                if live && number == 15 {
                    // Some of the roots are sent before they end.
                    provider.force_flush().unwrap();
                }
            }
            root.span().end();
        }
        provider.shutdown_with_timeout(LONG).unwrap();
        assert_eq!(server.violations(), Vec::<String>::new());
        let parts: Vec<_> =
            server.runs().into_iter().filter(|run| run.metadata("continues_trace_id").is_some()).collect();
        assert_eq!(parts.len(), 6, "{}", server.tree());
        for part in parts {
            assert!(part.name.contains(MARKER) || part.name.starts_with("long long"), "{part:?}");
            assert_eq!(part.tags, [MARKER]);
            assert_eq!(part.metadata("note"), Some(&MARKER.into()));
            assert_eq!(part.metadata("service.name"), Some(&MARKER.into()));
        }
        assert_none("a body", &received(&server));
        assert_none("the log", &log.text());
    }
}

/// Runs that are shown while their spans are open, and completed later.
#[test]
fn a_secret_in_a_run_that_is_shown_early_is_found_nowhere() {
    let log = log();
    let hidden = |config: Config| config.with_hide_inputs(true).with_hide_outputs(true).with_hide_metadata(true);
    for redacts in [true, false] {
        let server = server();
        let config = config(&server)
            .with_pending_after(std::time::Duration::from_millis(1))
            .with_pending_runs(opentelemetry_langsmith::PendingRuns::All);
        let processor =
            LangSmithSpanProcessor::new(if redacts { config.with_redactor(redactor()) } else { hidden(config) });
        let processor = processor.unwrap();
        let client = processor.handle().client();
        let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
        let tracer = provider.tracer("early");
        let mut attributes = named_attributes();
        if !redacts {
            // Tags and names are not hidden.
            attributes.retain(|attribute| attribute.key.as_str() != "langsmith.span.tags");
        }
        let mut parent = Context::new();
        let mut open = Vec::new();
        for plant in PLANTS {
            let name = if redacts { format!("early {SECRET}") } else { "early".to_owned() };
            let span = tracer.span_builder(name).with_attributes(attributes.clone());
            parent = parent.with_span(span.start_with_context(&tracer, &parent));
            open.push((parent.clone(), plant));
        }
        let spans = open.len();
        assert!(server.wait_for_runs(spans, LONG));
        assert!(server.runs().iter().all(opentelemetry_langsmith::testing::ReceivedRun::is_pending));
        for (number, (context, plant)) in open.into_iter().enumerate() {
            let span = context.span();
            if redacts {
                let mut late = tracer.build_with_context(SpanBuilder::from_name("late"), &context);
                plant(number, &mut late);
                span.update_name(format!("done {SECRET}"));
            }
            for attribute in &attributes {
                span.set_attribute(KeyValue::new(attribute.key.clone(), format!("later {SECRET}")));
            }
            span.end();
        }
        provider.shutdown_with_timeout(LONG).unwrap();
        assert_eq!(server.violations(), Vec::<String>::new());
        let runs = server.runs();
        assert_eq!(runs.iter().filter(|run| run.patches == 1).count(), spans);
        assert!(runs.iter().all(|run| !run.is_pending()));
        assert_adds_up(&client.stats());
        assert_none("a body", &received(&server));
        assert_none("the log", &log.text());
    }
}

/// A directory for failed traces, removed in the end.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("redact-{}", uuid::Uuid::new_v4().simple())))
    }

    /// All files in it, those that were set aside too: their names, what is in them, and what the bodies in them are.
    fn text(&self) -> String {
        let list = |path: PathBuf| std::fs::read_dir(path).into_iter().flatten().map(|entry| entry.unwrap().path());
        let mut text = String::new();
        for path in list(self.0.clone()).chain(list(self.0.join("rejected"))).filter(|path| path.is_file()) {
            let content = std::fs::read_to_string(&path).unwrap();
            let file: serde_json::Value = serde_json::from_str(&content).unwrap();
            let body = BASE64_STANDARD.decode(file["body_base64"].as_str().unwrap()).unwrap();
            let is_compressed = file["headers"]["Content-Encoding"] == "zstd";
            let body = if is_compressed { zstd::decode_all(&*body).unwrap() } else { body };
            text.extend([path.display().to_string(), content, String::from_utf8_lossy(&body).into_owned()]);
        }
        text
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What an outage leaves on disk when all of this was traced, and again when the server has come back and refused a part.
fn left_on_disk(change: impl Fn(Config) -> Config) -> [String; 2] {
    let (server, directory) = (server(), Directory::new());
    server.respond(Fault::status(503).forever());
    let now = std::time::Duration::ZERO;
    let config = change(config(&server).with_spool_dir(&directory.0).with_retry_deadline(now));
    let stats = trace(config.clone(), 10 * PLANTS.len());
    assert_eq!((stats.spooled + stats.dropped(DropReason::Hook), stats.sent), (stats.submitted, 0), "{stats}");
    by_hand(config.clone());
    export(config.clone());
    let kept = directory.text();
    server.respond(Fault::status(400).times(20));
    let client = Client::new(config).unwrap();
    crate::common::eventually("some are set aside, and the rest is delivered", || client.spool().waiting == 0);
    client.shutdown(LONG).unwrap();
    assert!(client.spool().rejected > 0 && client.spool().delivered_runs > 0, "{:?}", client.spool());
    [kept, directory.text()]
}

#[test]
fn a_secret_is_in_no_file_on_disk() {
    let _ = log();
    let texts = left_on_disk(|config| config.with_redactor(redactor()));
    for text in &texts {
        assert_none("a file", text);
        assert!(text.contains(MARKER));
    }
    assert!(texts[0].matches(MARKER).count() > 500);
    // The same by a hook: what it drops, and what it adds.
    let dropping = left_on_disk(|config| {
        config.with_redactor(redactor()).with_on_run(|run| {
            if run.name().contains('7') {
                return OnRun::Drop;
            }
            run.add_tag(format!("a tag with {SECRET}"));
            OnRun::Keep
        })
    });
    for text in &dropping {
        assert_none("a file", text);
        assert!(text.contains(&format!("a tag with {MARKER}")) && !text.contains("span 7"));
    }
    // Without rules it is there to be found.
    for text in left_on_disk(|config| config) {
        assert!(text.contains(CORE));
    }
}

/// Contents that are hidden come onto no disk, and no run that a hook does not want.
#[test]
fn what_is_hidden_is_in_no_file_on_disk() {
    let _ = log();
    let kept = |change: &dyn Fn(Config) -> Config| {
        let (server, directory) = (server(), Directory::new());
        server.respond(Fault::status(503).forever());
        let now = std::time::Duration::ZERO;
        let client =
            Client::new(change(config(&server).with_spool_dir(&directory.0).with_retry_deadline(now))).unwrap();
        for name in ["seen", "unseen"] {
            let run = Run::builder(name, RunType::Llm).inputs(SECRET).outputs(&[SECRET]).metadata("note", SECRET);
            client.submit(run.end_now().build().unwrap()).unwrap();
        }
        client.shutdown(LONG).unwrap();
        assert!(client.stats().spooled > 0, "{}", client.stats());
        directory.text()
    };
    let hide = |config: Config| config.with_hide_inputs(true).with_hide_outputs(true).with_hide_metadata(true);
    let hidden = kept(&hide);
    assert_none("a file", &hidden);
    assert!(hidden.contains("seen"));
    let drop = |run: &mut Run| if run.name() == "unseen" { OnRun::Drop } else { OnRun::Keep };
    assert!(!kept(&|config| config.with_on_run(drop)).contains("unseen"));
    let open = kept(&|config| config);
    assert!(open.matches(CORE).count() >= 6 && open.contains("unseen"), "{open}");
}

/// Without rules the same is found in all these places: the test above looks for something that is there.
#[test]
fn without_rules_it_is_found_in_every_place() {
    let _ = log();
    let server = server();
    let open = config(&server);
    // The other test owns the log, and this one would write to it if something went wrong.
    trace(open.clone(), 10 * PLANTS.len() * 5);
    by_hand(open.clone());
    export(open);
    let runs = server.runs();
    let holds = |value: &serde_json::Value| value.to_string().contains(CORE);
    let some = |what: &str, found: bool| assert!(found, "never in {what}");
    some("names", runs.iter().any(|run| run.name.contains(CORE)));
    some("inputs", runs.iter().any(|run| run.inputs.as_ref().is_some_and(holds)));
    some("outputs", runs.iter().any(|run| run.outputs.as_ref().is_some_and(holds)));
    some("errors", runs.iter().any(|run| run.error.as_ref().is_some_and(|error| error.contains(CORE))));
    some("events", runs.iter().any(|run| run.events.iter().any(holds)));
    some("tags", runs.iter().any(|run| run.tags.iter().any(|tag| tag.contains(CORE))));
    for part in ["metadata", "invocation_params", "otel", "runtime"] {
        some(part, runs.iter().any(|run| run.extra.get(part).is_some_and(holds)));
    }
    for key in ["service.name", "thread_id", "scope_name", "links"] {
        let is_there = |run: &opentelemetry_langsmith::testing::ReceivedRun| run.extra.to_string().contains(key);
        some(key, runs.iter().any(is_there));
    }
    let files: Vec<_> = runs.iter().flat_map(|run| &run.attachments).collect();
    some("file names", files.iter().any(|(name, _)| name.contains(CORE)));
    some("files", files.iter().any(|(_, file)| String::from_utf8_lossy(&file.bytes).contains(CORE)));
    let bodies = received(&server);
    some("escaped text", bodies.contains(ESCAPED));
    some("nested text", bodies.contains(&ESCAPED.replace('\\', "\\\\\\\\")));
}

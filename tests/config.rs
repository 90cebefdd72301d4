//! Settings: where they come from, which of them win, and what is said of wrong ones.

mod common;

use common::{assert_flawless, run_of, server, span, with, KEY, LONG};
use opentelemetry::trace::{Span as _, Tracer, TracerProvider};
use opentelemetry_langsmith::testing::{Fault, LocalLangSmith};
use opentelemetry_langsmith::{
    Client, Config, ConfigError, LangSmithExporter, LangSmithSpanProcessor, Region, Run, RunIds, RunType,
};
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::time::Duration;

/// All variables there are, so that none of the machine's own gets into a test.
const NAMES: [&str; 14] = [
    "API_KEY",
    "ENDPOINT",
    "PROJECT",
    "SESSION",
    "WORKSPACE_ID",
    "TRACING",
    "MAX_INGEST_MEMORY_BYTES",
    "BATCH_INGEST_SIZE_LIMIT",
    "RUN_COMPRESSION_LEVEL",
    "DISABLE_RUN_COMPRESSION",
    "FAILED_TRACES_DIR",
    "FAILED_TRACES_MAX_MB",
    "TRACING_V2",
    "HIDE_INPUTS",
];

/// With these variables set and no others.
fn environment<T>(variables: &[(&str, &str)], test: impl FnOnce() -> T) -> T {
    let mut all: Vec<(String, Option<String>)> = Vec::new();
    for prefix in ["LANGSMITH_", "LANGCHAIN_"] {
        all.extend(NAMES.iter().map(|name| (format!("{prefix}{name}"), None)));
    }
    for (name, value) in variables {
        all.retain(|(other, _)| other != name);
        all.push(((*name).to_owned(), Some((*value).to_owned())));
    }
    temp_env::with_vars(all, test)
}

/// What building says, by each of the three doors.
fn refusals(config: impl Fn() -> Result<Config, ConfigError>) -> Vec<ConfigError> {
    vec![
        config().and_then(Client::new).map(drop).expect_err("a client"),
        config().and_then(LangSmithExporter::new).map(drop).expect_err("an exporter"),
        config().and_then(LangSmithSpanProcessor::new).map(drop).expect_err("a processor"),
    ]
}

fn assert_names(errors: &[ConfigError], words: &[&str]) {
    for error in errors {
        let text = error.to_string();
        for word in words {
            assert!(text.contains(word), "{text:?} does not name {word}");
        }
    }
}

#[test]
fn a_missing_key() {
    environment(&[], || {
        assert_names(&refusals(Config::from_env), &["LANGSMITH_API_KEY", "with_api_key", "LANGSMITH_TRACING"]);
        assert_eq!(LangSmithExporter::from_env().map(drop), Err(ConfigError::MissingApiKey));
        assert_eq!(LangSmithSpanProcessor::from_env().map(drop), Err(ConfigError::MissingApiKey));
    });
    // Empty is missing.
    for empty in ["", " ", "\t\n"] {
        environment(&[("LANGSMITH_API_KEY", empty)], || {
            assert_names(&refusals(Config::from_env), &["LANGSMITH_API_KEY", "with_api_key"]);
        });
        let errors = refusals(|| Ok(Config::default().with_api_key(empty)));
        assert_names(&errors, &["LANGSMITH_API_KEY", "with_api_key"]);
    }
}

#[test]
fn malformed_endpoints() {
    for endpoint in [
        "localhost:1984",
        "api.smith.langchain.com",
        "ftp://host",
        "http://",
        "https://host?x=1",
        "https://host/#x",
        "http://[::1",
        "http://host:99999",
        "\0",
        "nonsense",
    ] {
        let errors = refusals(|| Ok(Config::default().with_api_key(KEY).with_endpoint(endpoint)));
        assert_names(&errors, &["LANGSMITH_ENDPOINT", "with_endpoint"]);
        if !endpoint.contains('\0') {
            environment(&[("LANGSMITH_API_KEY", KEY), ("LANGSMITH_ENDPOINT", endpoint)], || {
                assert_names(&refusals(Config::from_env), &["LANGSMITH_ENDPOINT", "with_endpoint"]);
            });
        }
    }
}

#[test]
fn invalid_numbers_and_flags_in_variables() {
    for (variable, setter, values) in [
        ("MAX_INGEST_MEMORY_BYTES", "with_queue_bytes", &["many", "-1", "1.5", "1e9", "99999999999999999999999"][..]),
        ("BATCH_INGEST_SIZE_LIMIT", "with_batch_runs", &["many", "-1", "0x10", "10 runs"]),
        ("RUN_COMPRESSION_LEVEL", "with_compression_level", &["high", "3.5", "99999999999"]),
        ("FAILED_TRACES_MAX_MB", "with_spool_bytes", &["many", "-1", "0.5", "100 MB"]),
        ("TRACING", "with_tracing", &["maybe", "2", "yess"]),
        ("DISABLE_RUN_COMPRESSION", "without_compression", &["maybe", "-"]),
    ] {
        for value in values {
            for prefix in ["LANGSMITH_", "LANGCHAIN_"] {
                environment(&[("LANGSMITH_API_KEY", KEY), (&format!("{prefix}{variable}"), value)], || {
                    let error = Config::from_env().map(drop).expect_err(value);
                    assert_names(&[error], &[&format!("LANGSMITH_{variable}"), setter, value]);
                });
            }
        }
    }
}

#[test]
fn numbers_out_of_range() {
    let config = || Config::default().with_api_key(KEY);
    for (setter, configs) in [
        ("with_batch_runs", vec![config().with_batch_runs(0), config().with_batch_runs(10_001)]),
        ("with_batch_bytes", vec![config().with_batch_bytes(0), config().with_batch_bytes(1023)]),
        ("with_queue_bytes", vec![config().with_queue_bytes(0), config().with_queue_bytes(65_535)]),
        ("with_concurrency", vec![config().with_concurrency(0), config().with_concurrency(1001)]),
        ("with_spool_bytes", vec![config().with_spool_bytes(0), config().with_spool_bytes(65_535)]),
        ("with_compression_level", vec![config().with_compression_level(23), config().with_compression_level(-8)]),
        ("with_request_timeout", vec![config().with_request_timeout(Duration::ZERO)]),
    ] {
        for config in configs {
            assert_names(&refusals(|| Ok(config.clone())), &[setter]);
        }
    }
    for (variable, value, setter) in [
        ("LANGSMITH_BATCH_INGEST_SIZE_LIMIT", "0", "with_batch_runs"),
        ("LANGSMITH_MAX_INGEST_MEMORY_BYTES", "0", "with_queue_bytes"),
        ("LANGSMITH_RUN_COMPRESSION_LEVEL", "100", "with_compression_level"),
        ("LANGSMITH_FAILED_TRACES_MAX_MB", "0", "with_spool_bytes"),
    ] {
        environment(&[("LANGSMITH_API_KEY", KEY), (variable, value)], || {
            assert_names(&refusals(Config::from_env), &[variable, setter, value]);
        });
    }
}

#[test]
fn limits_of_nothing_that_make_sense() {
    let server = server();
    let config = common::config(&server)
        .with_held_bytes(0)
        .with_held_time(Duration::ZERO)
        .with_open_spans(0)
        .with_flush_interval(Duration::ZERO)
        .with_retry_deadline(Duration::ZERO)
        .with_retry_waits(Duration::ZERO, Duration::ZERO);
    let processor = LangSmithSpanProcessor::new(config.clone()).unwrap();
    let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
    provider.tracer("zero").start("live").end();
    provider.shutdown_with_timeout(LONG).unwrap();
    common::export_all(config, vec![vec![span(1, 2, 1), span(1, 1, 0)]]);
    assert_flawless(&server, 3);
}

#[test]
fn a_workspace_that_no_header_can_carry() {
    for workspace in ["a\nb", "a\0b"] {
        let errors = refusals(|| Ok(Config::default().with_api_key(KEY).with_workspace_id(workspace)));
        assert_names(&errors, &["LANGSMITH_WORKSPACE_ID", "with_workspace_id"]);
    }
}

/// One run, and the request that it came with.
fn sent(config: Config, server: &LocalLangSmith) -> opentelemetry_langsmith::testing::ReceivedRequest {
    server.clear();
    let client = Client::new(config.with_flush_interval(Duration::from_millis(10))).unwrap();
    for _ in 0..3 {
        client.submit(Run::builder("run", RunType::Chain).end_now().build().unwrap()).unwrap();
    }
    client.shutdown(LONG).unwrap();
    assert_flawless(server, 3);
    server.requests().into_iter().find(|request| request.method == "POST").unwrap()
}

#[test]
fn variables_are_read() {
    let server = server();
    let endpoint = format!("  {}/  ", server.endpoint());
    for prefix in ["LANGSMITH_", "LANGCHAIN_"] {
        let name = |name: &str| format!("{prefix}{name}");
        let variables = [
            (name("API_KEY"), KEY),
            (name("ENDPOINT"), &*endpoint),
            (name("PROJECT"), "from the environment"),
            (name("WORKSPACE_ID"), "workspace"),
            (name("BATCH_INGEST_SIZE_LIMIT"), "2"),
            (name("DISABLE_RUN_COMPRESSION"), "TRUE"),
            (name("TRACING"), "true"),
        ];
        let variables: Vec<_> = variables.iter().map(|(name, value)| (&**name, *value)).collect();
        environment(&variables, || {
            let request = sent(Config::from_env().unwrap(), &server);
            assert_eq!(request.header("x-api-key"), Some(KEY));
            assert_eq!(request.header("x-tenant-id"), Some("workspace"));
            assert_eq!(request.header("content-encoding"), None);
            assert_eq!(request.run_ids.len(), 2);
            assert_eq!(server.runs()[0].session_name.as_deref(), Some("from the environment"));
        });
    }
}

#[test]
fn the_new_name_of_a_variable_beats_the_old_one() {
    let server = server();
    let endpoint = server.endpoint();
    let variables = [
        ("LANGCHAIN_API_KEY", "old"),
        ("LANGSMITH_API_KEY", KEY),
        ("LANGCHAIN_ENDPOINT", "http://old.invalid"),
        ("LANGSMITH_ENDPOINT", &endpoint),
        ("LANGCHAIN_PROJECT", "old"),
        // Empty is unset, so the old one counts.
        ("LANGSMITH_PROJECT", ""),
        ("LANGCHAIN_TRACING", "false"),
        ("LANGSMITH_TRACING", "true"),
    ];
    environment(&variables, || {
        let request = sent(Config::from_env().unwrap(), &server);
        assert_eq!(request.header("x-api-key"), Some(KEY));
        assert_eq!(server.runs()[0].session_name.as_deref(), Some("old"));
    });
}

#[test]
fn an_empty_variable_is_unset() {
    let server = server();
    let names = NAMES.map(|name| format!("LANGSMITH_{name}"));
    for empty in ["", "  "] {
        let mut variables: Vec<_> = names.iter().map(|name| (&**name, empty)).collect();
        variables.retain(|(name, _)| *name != "LANGSMITH_API_KEY");
        variables.push(("LANGSMITH_API_KEY", KEY));
        environment(&variables, || {
            let config = Config::from_env().unwrap().with_endpoint(server.endpoint());
            let request = sent(config, &server);
            assert_eq!(request.header("content-encoding"), Some("zstd"));
            assert_eq!(request.header("x-tenant-id"), None);
            assert_eq!(server.runs()[0].session_name.as_deref(), Some("default"));
        });
    }
}

#[test]
fn code_beats_the_environment() {
    let server = server();
    let variables = [
        ("LANGSMITH_API_KEY", "environment"),
        ("LANGSMITH_ENDPOINT", "http://environment.invalid"),
        ("LANGSMITH_PROJECT", "environment"),
        ("LANGSMITH_WORKSPACE_ID", "environment"),
        ("LANGSMITH_BATCH_INGEST_SIZE_LIMIT", "100"),
        ("LANGSMITH_DISABLE_RUN_COMPRESSION", "true"),
        ("LANGSMITH_RUN_COMPRESSION_LEVEL", "1"),
        ("LANGSMITH_MAX_INGEST_MEMORY_BYTES", "0"),
        ("LANGSMITH_TRACING", "false"),
    ];
    environment(&variables, || {
        let config = Config::from_env()
            .unwrap()
            .with_tracing(true)
            .with_api_key(KEY)
            .with_endpoint(server.endpoint())
            .with_project("code")
            .with_workspace_id("code")
            .with_batch_runs(2)
            // Zero, from the environment, would be refused.
            .with_queue_bytes(1 << 20)
            .with_compression_level(3);
        let request = sent(config, &server);
        assert_eq!(request.header("x-api-key"), Some(KEY));
        assert_eq!(request.header("x-tenant-id"), Some("code"));
        assert_eq!(request.header("content-encoding"), Some("zstd"));
        assert_eq!(request.run_ids.len(), 2);
        assert_eq!(server.runs()[0].session_name.as_deref(), Some("code"));
    });
    environment(&[("LANGSMITH_API_KEY", KEY), ("LANGSMITH_RUN_COMPRESSION_LEVEL", "3")], || {
        let config = Config::from_env().unwrap().with_endpoint(server.endpoint()).without_compression();
        assert_eq!(sent(config, &server).header("content-encoding"), None);
    });
    environment(&[("LANGSMITH_TRACING", "true")], || {
        let client = Client::new(Config::from_env().unwrap().with_tracing(false)).unwrap();
        assert!(!client.is_enabled());
    });
}

/// Runs that find nobody go to the directory that a variable names, or to the one that code names.
#[test]
fn a_directory_for_failed_traces() {
    let directory = std::env::temp_dir().join(format!("config-{}", uuid::Uuid::new_v4().simple()));
    let path = |name: &str| directory.join(name);
    let files = |name: &str| std::fs::read_dir(path(name)).map_or(0, Iterator::count);
    let nowhere = server().endpoint();
    let give_up = |config: Config| {
        let config = config.with_endpoint(&nowhere).with_retry_deadline(Duration::ZERO).with_batch_runs(1);
        let client = Client::new(config).unwrap();
        for _ in 0..2 {
            let random: String = (0..40_000).map(|_| uuid::Uuid::new_v4().simple().to_string()).collect();
            let run = Run::builder("large", RunType::Chain).outputs(&serde_json::json!({ "random": random }));
            client.submit(run.end_now().build().unwrap()).unwrap();
        }
        let _ = client.shutdown(LONG);
        client.stats().spooled
    };
    let first = path("LANGSMITH").display().to_string();
    let older = path("LANGCHAIN").display().to_string();
    let variables = [("LANGSMITH_API_KEY", KEY), ("LANGSMITH_FAILED_TRACES_DIR", &first)];
    environment(&[&variables[..], &[("LANGSMITH_FAILED_TRACES_MAX_MB", "1")]].concat(), || {
        assert_eq!(give_up(Config::from_env().unwrap()), 1, "the second does not fit into a megabyte");
        assert_eq!(files("LANGSMITH"), 1);
        // Code beats both.
        let config = Config::from_env().unwrap().with_spool_dir(path("code")).with_spool_bytes(10 << 20);
        assert_eq!(give_up(config), 2);
        assert_eq!((files("LANGSMITH"), files("code")), (1, 2));
    });
    let variables = [("LANGSMITH_API_KEY", KEY), ("LANGCHAIN_FAILED_TRACES_DIR", &older)];
    environment(&variables, || assert_eq!(give_up(Config::from_env().unwrap()), 2));
    assert_eq!(files("LANGCHAIN"), 2);
    environment(&[("LANGSMITH_API_KEY", KEY)], || assert_eq!(give_up(Config::from_env().unwrap()), 0));
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn regions() {
    for (region, name) in
        [(Region::Us, "api"), (Region::Eu, "eu.api"), (Region::Apac, "apac.api"), (Region::AwsUs, "aws.api")]
    {
        assert_eq!(region.endpoint(), format!("https://{name}.smith.langchain.com"));
        let config = Config::default().with_endpoint("http://elsewhere.invalid").with_region(region);
        assert!(format!("{config:?}").contains(region.endpoint()));
    }
}

/// A key that no header can carry: the error does not show it either.
#[test]
fn an_invalid_key_is_not_shown() {
    for key in [format!("{KEY}\n"), format!("\"{KEY}\r\n\""), format!("{KEY}\0"), format!("é{KEY}\u{7f}")] {
        let errors = refusals(|| Ok(Config::default().with_api_key(key.clone())));
        assert_names(&errors, &["LANGSMITH_API_KEY", "with_api_key"]);
        for error in errors {
            assert!(!format!("{error} {error:?} {error:#?}").contains("must_not_show"), "{error:?}");
        }
    }
}

#[test]
fn a_key_from_a_file_may_end_in_a_line_break() {
    let server = server();
    environment(&[("LANGSMITH_API_KEY", &format!("{KEY}\n"))], || {
        let request = sent(Config::from_env().unwrap().with_endpoint(server.endpoint()), &server);
        assert_eq!(request.header("x-api-key"), Some(KEY));
    });
}

#[test]
fn nothing_prints_the_key() {
    let server = server();
    server.respond(Fault::status(401).body(format!("the key {KEY} is wrong")).forever());
    let config = common::config(&server).with_endpoint(server.endpoint().replace("://", "://user:pass_must_not_show@"));
    let client = Client::new(config.clone()).unwrap();
    let exporter = LangSmithExporter::new(config.clone()).unwrap();
    let processor = LangSmithSpanProcessor::new(config.clone()).unwrap();
    let handle = processor.handle();
    client.submit(Run::builder("run", RunType::Chain).build().unwrap()).unwrap();
    let error = client.flush(LONG).unwrap_err();
    let mut printed = vec![
        format!("{config:?} {config:#?}"),
        format!("{client:?} {client:#?}"),
        format!("{exporter:?} {exporter:#?}"),
        format!("{processor:?} {processor:#?} {handle:?}"),
        format!("{error} {error:?}"),
    ];
    let provider = SdkTracerProvider::builder().with_span_processor(processor).with_simple_exporter(exporter).build();
    provider.tracer("key").start("span").end();
    printed.push(format!("{provider:?}"));
    printed.push(format!("{:?}", provider.shutdown().unwrap_err()));
    printed.push(format!("{:?}", client.shutdown(LONG)));
    for text in printed {
        assert!(!text.contains("must_not_show"), "{text}");
    }
}

#[test]
fn a_project_by_the_resource() {
    use opentelemetry_sdk::Resource;
    let server = server();
    let processor = LangSmithSpanProcessor::new(common::config(&server).with_project("configured")).unwrap();
    let resource = Resource::builder().with_service_name("shop").build();
    let provider = SdkTracerProvider::builder().with_span_processor(processor).with_resource(resource).build();
    provider.tracer("resource").start("root").end();
    provider.shutdown_with_timeout(LONG).unwrap();
    let run = server.run("root").unwrap();
    assert_eq!(run.session_name.as_deref(), Some("configured"));
    assert_eq!(run.metadata("service.name"), Some(&"shop".into()));
}

#[test]
fn headers_with_credentials_are_not_sent_on() {
    let mut hostile = span(1, 1, 0);
    for name in ["authorization", "Cookie", "x-api-key", "proxy-authorization"] {
        hostile.attributes.push(opentelemetry::KeyValue::new(format!("http.request.header.{name}"), "must_not_show"));
    }
    let run = run_of(with(hostile, "http.request.header.accept", "text/plain"));
    assert!(run.metadata("http.request.header.accept").is_some());
    assert!(!format!("{run:?}").contains("must_not_show"), "{run:?}");
}

/// Both kinds of ids are there to be chosen, and all that is built can be sent between threads.
#[test]
fn types() {
    fn assert_send_sync<T: Send + Sync + std::fmt::Debug>() {}
    assert_send_sync::<Config>();
    assert_send_sync::<Client>();
    assert_send_sync::<LangSmithExporter>();
    assert_send_sync::<LangSmithSpanProcessor>();
    assert_send_sync::<opentelemetry_langsmith::Handle>();
    assert_send_sync::<ConfigError>();
    assert_send_sync::<Run>();
    assert_eq!(RunIds::default(), RunIds::V7);
}

//! Files of others, files that are none, and who may read them.

use crate::common::{self, assert_flawless, eventually, in_time, LONG};
use crate::{config, fill, listed, name, submit, Directory};
use base64::prelude::{Engine, BASE64_STANDARD};
use opentelemetry_langsmith::testing::{Fault, LocalLangSmith};
use opentelemetry_langsmith::{Client, Config, ConfigError};
use serde_json::{json, Value};
use std::fs::{self, File};
use std::time::{Duration, SystemTime};

/// Written by LangSmith's SDK for Python, 0.15.0: an agent and a model's call, posted and patched.
const ZSTD: &str = include_str!("python/zstd.json");
const PLAIN: &str = include_str!("python/plain.json");

fn assert_python(server: &LocalLangSmith, runs: usize) {
    assert_flawless(server, runs);
    for run in server.runs() {
        assert_eq!(run.extra.pointer("/runtime/sdk"), Some(&json!("langsmith-py")));
    }
    assert_eq!(server.run("ask").and_then(|run| run.outputs), Some(json!({"answer": "yes"})));
    assert!(server.run("agent").is_some());
}

#[test]
fn files_of_the_python_sdk() {
    in_time(|| {
        let (server, directory) = (common::server(), Directory::new());
        directory.put("trace_1795262503.094509_20923481.json", ZSTD);
        directory.put("trace_1795262509.010235_661579c4.json", PLAIN);
        let client = Client::new(config(&server, &directory)).unwrap();
        eventually("the files are gone", || client.spool().waiting == 0);
        assert_python(&server, 4);
        assert_eq!(client.spool().delivered_runs, 4);
        assert!(directory.aside().is_empty());
        // The same bytes, and no more headers than the file has.
        let sent: Vec<_> = server.requests().into_iter().filter(|request| request.method == "POST").collect();
        for (request, file) in sent.iter().zip([ZSTD, PLAIN]) {
            let file: Value = serde_json::from_str(file).unwrap();
            assert_eq!(*request.body, *BASE64_STANDARD.decode(file["body_base64"].as_str().unwrap()).unwrap());
        }
    });
}

/// They are split, and rewritten for old servers, as this crate's own are.
#[test]
fn files_of_the_python_sdk_and_a_server_that_is_difficult() {
    for status in [400, 404, 413, 415] {
        in_time(move || {
            let (server, directory) = (common::server(), Directory::new());
            server.respond(Fault::status(status));
            directory.put("trace_1795262509.010235_661579c4.json", if status == 415 { ZSTD } else { PLAIN });
            let client = Client::new(config(&server, &directory)).unwrap();
            eventually("the file is gone", || client.spool().waiting == 0);
            assert_python(&server, 2);
        });
    }
}

#[test]
fn a_file_for_the_other_endpoint() {
    in_time(|| {
        let (server, directory) = (common::server(), Directory::new());
        let id = uuid::Uuid::now_v7();
        let (seconds, nanos) = id.get_timestamp().unwrap().to_unix();
        let start = chrono::DateTime::from_timestamp(i64::try_from(seconds).unwrap(), nanos).unwrap();
        let run = json!({
            "id": id, "trace_id": id, "dotted_order": format!("{}{id}", start.format("%Y%m%dT%H%M%S%6fZ")),
            "name": "batched", "run_type": "chain", "start_time": start.to_rfc3339(), "session_name": "default",
        });
        let body = BASE64_STANDARD.encode(json!({"post": [run], "patch": []}).to_string());
        let headers = json!({"Content-Type": "application/json"});
        let file = json!({"version": 1, "endpoint": "runs/batch", "headers": headers, "body_base64": body});
        directory.put("trace_1795262509.010235_661579c4.json", file.to_string());
        let client = Client::new(config(&server, &directory)).unwrap();
        eventually("the file is gone", || client.spool().waiting == 0);
        assert_flawless(&server, 1);
        assert_eq!(client.spool().delivered_runs, 1);
    });
}

/// Who can write a file cannot thereby use another key, or send elsewhere.
#[test]
fn headers_in_a_file_are_not_trusted() {
    in_time(|| {
        let (server, directory) = (common::server(), Directory::new());
        let mut file: Value = serde_json::from_str(ZSTD).unwrap();
        for header in ["x-api-key", "X-Tenant-Id", "Authorization", "Host", "Cookie", "X-Forwarded-For"] {
            file["headers"][header] = "smuggled".into();
        }
        directory.put("trace_1795262503.094509_20923481.json", file.to_string());
        let client = Client::new(config(&server, &directory)).unwrap();
        eventually("the file is gone", || client.spool().waiting == 0);
        let requests = server.requests();
        assert_eq!(requests.len(), 1);
        assert!(!format!("{:?}", requests[0].headers).contains("smuggled"));
        assert!(requests[0].headers.iter().any(|(name, value)| name == "x-api-key" && value == common::KEY));
    });
}

#[test]
fn what_is_damaged_or_strange_is_set_aside_and_never_sent() {
    in_time(|| {
        let (server, directory) = (common::server(), Directory::new());
        fill(&server, &directory, 2);
        let whole = fs::read(&directory.waiting()[0]).unwrap();
        let changed = |pointer: &str, value: Value| {
            let mut file: Value = serde_json::from_slice(&whole).unwrap();
            *file.pointer_mut(pointer).unwrap() = value;
            file.to_string().into_bytes()
        };
        let body: Value = serde_json::from_slice(&whole).unwrap();
        let body = BASE64_STANDARD.decode(body["body_base64"].as_str().unwrap()).unwrap();
        let strange = [
            Vec::new(),
            b"{}".to_vec(),
            b"no JSON".to_vec(),
            vec![0; 100_000],
            whole[..whole.len() / 2].to_vec(),
            whole[..whole.len() - 1].to_vec(),
            changed("/endpoint", json!("feedback")),
            changed("/endpoint", json!("runs/multipart/../../admin")),
            changed("/endpoint", json!("http://elsewhere/runs/multipart")),
            changed("/body_base64", json!("%%%")),
            changed("/body_base64", json!(BASE64_STANDARD.encode(&body[..body.len() / 2]))),
            changed("/body_base64", json!(BASE64_STANDARD.encode("no zstd"))),
            changed("/headers/Content-Type", json!("text/html")),
            changed("/headers/Content-Encoding", json!("gzip")),
        ];
        for (number, content) in strange.iter().enumerate() {
            // Older than the good ones.
            directory.put(&format!("trace_1000000000.{number:06}_0000000a.json"), content);
        }
        // None of the spool's business.
        let others = ["notes.txt", "trace_1.json.bak", "trace.json", "other_1.json"];
        for other in others {
            directory.put(other, "mine");
        }
        fs::create_dir(directory.spool().join("trace_1000000000.000000_0000000b.json")).unwrap();
        #[cfg(unix)]
        {
            let target = directory.0.join("elsewhere.json");
            fs::write(&target, &whole).unwrap();
            std::os::unix::fs::symlink(target, directory.spool().join("trace_1000000000.000000_0000000c.json"))
                .unwrap();
        }

        let client = Client::new(config(&server, &directory)).unwrap();
        eventually("all are dealt with", || client.spool().waiting == 0);
        assert_flawless(&server, 2);
        assert_eq!(server.requests().len(), 2);
        let spool = client.spool();
        assert_eq!((spool.delivered, spool.rejected), (2, strange.len() as u64), "{spool:?}");
        assert_eq!(directory.aside().len(), strange.len());
        for (file, content) in directory.aside().iter().zip(&strange) {
            assert_eq!(&fs::read(file).unwrap(), content, "{}", name(file));
        }
        for other in others {
            assert_eq!(fs::read_to_string(directory.spool().join(other)).unwrap(), "mine");
        }
    });
}

/// Files that were never finished are removed, unless somebody may still be writing them.
#[test]
fn unfinished_files() {
    in_time(|| {
        let (server, directory) = (common::server(), Directory::new());
        let age = |name: &str, seconds: u64| {
            let file = File::options().write(true).open(directory.put(name, "{\"version\":1,")).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
            file
        };
        age("trace_1000000000.000000_0000000a.tmp", 3600);
        age("trace_1000000000.000000_0000000b.tmp", 0);
        age("something.tmp", 3600);
        let locked = age("trace_1000000000.000000_0000000c.tmp", 3600);
        locked.lock().unwrap();
        let client = Client::new(config(&server, &directory)).unwrap();
        let left = || listed(&directory.spool()).iter().map(|path| name(path)).collect::<Vec<_>>();
        eventually("one is gone", || left().len() < 4);
        client.shutdown(LONG).unwrap();
        let expected =
            ["something.tmp", "trace_1000000000.000000_0000000b.tmp", "trace_1000000000.000000_0000000c.tmp"];
        assert_eq!(left(), expected);
        assert_eq!((server.requests().len(), client.spool().rejected), (0, 0));
    });
}

#[cfg(unix)]
#[test]
fn they_are_for_this_user_alone() {
    use std::os::unix::fs::PermissionsExt;
    in_time(|| {
        let (server, directory) = (common::server(), Directory::new());
        fill(&server, &directory, 3);
        let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&directory.spool()), 0o700);
        for file in directory.waiting() {
            assert_eq!(mode(&file), 0o600, "{}", name(&file));
        }
        // A directory that was there keeps its mode.
        fs::set_permissions(directory.spool(), fs::Permissions::from_mode(0o750)).unwrap();
        let client = Client::new(config(&server, &directory)).unwrap();
        submit(&client, 1);
        client.shutdown(LONG).unwrap();
        assert_eq!(mode(&directory.spool()), 0o750);
    });
}

#[test]
fn a_directory_that_cannot_be() {
    let directory = Directory::new();
    let file = directory.put("a file", "");
    for path in [file.clone(), file.join("below")] {
        let error = Client::new(Config::default().with_api_key("any").with_spool_dir(&path)).map(drop).unwrap_err();
        assert!(matches!(&error, ConfigError::SpoolDirectory { directory, .. } if *directory == path), "{error}");
        let text = error.to_string();
        assert!(text.contains("LANGSMITH_FAILED_TRACES_DIR") && text.contains("with_spool_dir"), "{text}");
        assert!(text.contains("a file"), "{text}");
    }
    // Whoever has switched tracing off is not bothered.
    Client::new(Config::default().with_tracing(false).with_spool_dir(file)).unwrap();
}

//! The example that uploads a file of runs: what it makes of real files, and what becomes of runs that are refused.

#[path = "../examples/upload_traces/generate.rs"]
mod generate;
#[path = "../examples/upload_traces/index.rs"]
mod index;
#[path = "../examples/upload_traces/record.rs"]
mod record;
#[path = "../examples/upload_traces/scan.rs"]
mod scan;
#[path = "../examples/upload_traces/upload.rs"]
mod upload;

use chrono::{DateTime, Utc};
use index::{Index, Notes};
use opentelemetry_langsmith::testing::{Fault, LocalLangSmith, ReceivedRun};
use opentelemetry_langsmith::Config;
use proptest::prelude::*;
use serde_json::{json, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;
use upload::{Outcome, Source, Uploader};

/// A file that is removed in the end, with the file of failures beside it.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = std::env::temp_dir().join(format!("upload-{name}-{}.json", std::process::id()));
        std::fs::write(&path, content).unwrap();
        Self(path)
    }

    fn failures(&self) -> PathBuf {
        self.0.with_extension("failed.jsonl")
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = (std::fs::remove_file(&self.0), std::fs::remove_file(self.failures()));
    }
}

fn now() -> DateTime<Utc> {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

fn uploader(server: &LocalLangSmith) -> Uploader {
    let config = Config::default().with_api_key("key").with_endpoint(server.endpoint()).with_project("uploaded");
    Uploader::new(config.with_retry_waits(Duration::from_millis(2), Duration::from_millis(10))).unwrap()
}

fn upload(server: &LocalLangSmith, file: &Temporary, seed: u64) -> (Outcome, Notes, usize) {
    let index = Index::read(File::open(&file.0).unwrap(), now(), seed).unwrap();
    let outcome = uploader(server).upload(&Source::Indexed(&file.0, &index), &file.failures()).unwrap();
    (outcome, index.notes, index.traces)
}

fn by_name(server: &LocalLangSmith) -> BTreeMap<String, ReceivedRun> {
    assert_eq!(server.violations(), Vec::<String>::new());
    server.runs().into_iter().map(|run| (run.name.clone(), run)).collect()
}

const ROOT: &str = "11111111-1111-4111-8111-111111111111";

#[test]
fn real_files_are_taken_as_they_are() {
    let child = |name: &str, id: &str, parent: &str, start: &str| json!({"id": id, "parent_run_id": parent, "trace_id": ROOT, "name": name, "run_type": "llm", "start_time": start});
    let runs = json!([
        // The child comes first, and begins before its parent by another clock.
        [child("early child", "c1", ROOT, "2025-01-01T09:59:59.5")],
        [{
            "id": ROOT, "trace_id": ROOT, "parent_run_id": null, "name": "root", "run_type": "chain",
            "start_time": "2025-01-01T10:00:00", "end_time": "2025-01-01T10:00:09+00:00",
            "inputs": {"question": "why {\" ] and \\ ?"}, "outputs": null, "error": null, "tags": ["a", 7],
            "extra": {"metadata": {"thread_id": "t"}, "runtime": {"sdk": "old"}}, "events": [],
            "child_run_ids": ["c1"], "feedback_stats": {"x": {"n": 1}}, "total_cost": 0.1,
        }],
        child("zoned child", "c2", ROOT, "2025-01-01T12:00:01+02:00"),
        child("grandchild", "c3", "c2", "2025-01-01 10:00:02.25"),
        child("orphan", "c4", "nowhere", "2025-01-01T10:00:03Z"),
        child("orphan's child", "c5", "c4", "2025-01-01T10:00:03Z"),
        child("own parent", "c6", "c6", "2025-01-01T10:00:03Z"),
        child("circle a", "c7", "c8", "2025-01-01T10:00:03Z"),
        child("circle b", "c8", "c7", "2025-01-01T10:00:03Z"),
        child("same id", "c5", ROOT, "2025-01-01T10:00:03Z"),
        {"id": "c9", "parent_run_id": "c2", "start_time": "yesterday", "run_type": "agent", "name": 7,
         "inputs": ["a", "list"], "error": {"code": 1}, "extra": "odd", "tags": "odd", "events": "odd"},
        {"name": "x".repeat(300) + "\0", "start_time": 1_735_725_605.5},
        {},
    ]);
    let file = Temporary::new("messy", runs.to_string());
    let server = LocalLangSmith::start().unwrap();
    let (outcome, notes, traces) = upload(&server, &file, 1);
    assert_eq!(outcome, Outcome { delivered: 12, failed: 0, failures: None });
    assert_eq!(notes, Notes { without_parent: 1, cut: 2, without_start: 2, duplicates: 1 });
    assert_eq!(traces, 6);

    let runs = by_name(&server);
    let parent = |name: &str| runs[name].parent_run_id.clone();
    let id = |name: &str| Some(runs[name].id.clone());
    assert_eq!(parent("root"), None);
    assert_eq!((parent("early child"), parent("zoned child")), (id("root"), id("root")));
    assert_eq!((parent("grandchild"), parent("7")), (id("zoned child"), id("zoned child")));
    assert_eq!((parent("orphan"), parent("orphan's child")), (None, id("orphan")));
    assert_eq!(parent("own parent"), None);
    assert!(parent("circle a") == id("circle b") || parent("circle b") == id("circle a"));
    // The latest moment in the file is now.
    assert_eq!(runs["root"].end_time.as_deref(), Some("2026-11-20T12:00:00.000000+00:00"));
    assert_eq!(runs["root"].start_time, "2026-11-20T11:59:51.000000+00:00");
    assert_eq!(runs["early child"].start_time, runs["root"].start_time);
    assert_eq!(runs["zoned child"].start_time, "2026-11-20T11:59:52.000000+00:00");
    assert_eq!(runs["grandchild"].start_time, "2026-11-20T11:59:53.250000+00:00");
    assert_eq!(runs["7"].start_time, runs["zoned child"].start_time);

    let root = &runs["root"];
    assert_eq!((root.inputs.clone(), root.error.clone()), (Some(json!({"question": "why {\" ] and \\ ?"})), None));
    assert_eq!(root.metadata("thread_id"), Some(&json!("t")));
    assert_eq!(root.metadata("original_run_id"), Some(&json!(ROOT)));
    assert_eq!(root.tags, ["a", "7"]);
    assert_eq!(runs["7"].inputs, Some(json!({"input": ["a", "list"]})));
    assert_eq!((runs["7"].error.as_deref(), runs["7"].run_type.as_str()), (Some("{\"code\":1}"), "chain"));
    assert_eq!(runs["7"].metadata("original_run_type"), Some(&json!("agent")));
    assert!(runs.contains_key("unnamed") && runs.contains_key(&"x".repeat(128)));
    for run in runs.values() {
        assert_eq!(run.id.as_bytes()[14], b'7', "ids are of version 7: {}", run.id);
        assert_eq!(run.session_name.as_deref(), Some("uploaded"));
    }
}

fn ids(server: &LocalLangSmith) -> BTreeSet<String> {
    server.runs().into_iter().map(|run| run.dotted_order).collect()
}

fn generated(runs: u64) -> Vec<u8> {
    let mut out = Vec::new();
    generate::generate(&mut out, runs, 7).unwrap();
    out
}

#[test]
fn the_same_seed_gives_the_same_ids_and_another_one_others() {
    assert_eq!(generated(100), generated(100));
    let file = Temporary::new("seeds", generated(100));
    let orders = [3, 3, 4].map(|seed| {
        let server = LocalLangSmith::start().unwrap();
        upload(&server, &file, seed);
        ids(&server)
    });
    assert_eq!(orders[0], orders[1]);
    assert!(orders[0].is_disjoint(&orders[2]));
}

#[test]
fn an_upload_that_is_repeated_changes_nothing() {
    let file = Temporary::new("repeated", generated(250));
    let server = LocalLangSmith::start().unwrap();
    let first = upload(&server, &file, 3).0;
    let before = ids(&server);
    // LangSmith answers 409: the runs are there.
    assert_eq!(upload(&server, &file, 3).0, first);
    assert_eq!(ids(&server), before);
}

#[test]
fn two_thousand_runs_make_a_thousand_traces() {
    let file = Temporary::new("many", generated(2_000));
    let server = LocalLangSmith::start().unwrap();
    let (outcome, notes, traces) = upload(&server, &file, 1);
    assert_eq!((outcome.delivered, outcome.failed, notes, traces), (2_000, 0, Notes::default(), 1_000));
    assert_eq!(server.violations(), Vec::<String>::new());
    assert!(server.traces().iter().all(|trace| trace.runs.len() == 2));
}

#[test]
fn passing_trouble_costs_nothing() {
    let file = Temporary::new("trouble", generated(500));
    let server = LocalLangSmith::start().unwrap();
    server.respond([Fault::status(429).header("retry-after", "0"), Fault::status(503), Fault::close_after_storing()]);
    assert_eq!(upload(&server, &file, 1).0, Outcome { delivered: 500, failed: 0, failures: None });
    // What was stored and not answered was sent again, which is no violation.
    assert_eq!(server.violations(), Vec::<String>::new());
    assert_eq!(server.received(), 500);
}

#[test]
fn what_failed_can_be_fed_back_and_nothing_else_is_in_the_file() {
    let file = Temporary::new("failing", generated(400));
    let whole = LocalLangSmith::start().unwrap();
    upload(&whole, &file, 1);

    let server = LocalLangSmith::start().unwrap();
    // Refusals until the first batches are split down to some single runs.
    server.respond(Fault::status(422).times(40));
    let (outcome, ..) = upload(&server, &file, 1);
    assert!(outcome.failed > 0 && outcome.delivered > 0, "{outcome:?}");
    assert_eq!(outcome.delivered, server.received());
    let failures = outcome.failures.clone().unwrap();
    let text = std::fs::read_to_string(&failures).unwrap();
    assert_eq!(text.lines().count() as u64, outcome.failed);
    for line in text.lines() {
        let failed: Value = serde_json::from_str(line).unwrap();
        assert_eq!(failed["why"], json!("refused"));
    }

    // A second time some fail again, and go to a file of their own.
    let again = Temporary::new("failing-again", &text);
    server.respond(Fault::status(422).times(40));
    let second = uploader(&server).upload(&Source::Failed(&again.0), &again.failures()).unwrap();
    assert_eq!(second.delivered + second.failed, outcome.failed);
    server.respond([]);
    if let Some(failures) = second.failures {
        let last = Temporary::new("failing-last", std::fs::read_to_string(&failures).unwrap());
        let third = uploader(&server).upload(&Source::Failed(&last.0), &last.failures()).unwrap();
        assert_eq!((third.delivered, third.failed), (second.failed, 0));
    }
    assert_eq!(server.violations(), Vec::<String>::new());
    let content = |server: &LocalLangSmith| {
        let runs = server.runs().into_iter();
        runs.map(|run| {
            (run.dotted_order.clone(), (run.inputs, run.outputs, run.error, run.extra, run.end_time, run.tags))
        })
        .collect::<BTreeMap<_, _>>()
    };
    assert_eq!(content(&server), content(&whole), "as if nothing had failed");
}

fn objects(text: &[u8], step: usize) -> std::io::Result<Vec<Value>> {
    /// Reads a few bytes at a time, so that everything is cut everywhere.
    struct Slowly<'a>(&'a [u8], usize);
    impl std::io::Read for Slowly<'_> {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let taken = self.1.min(self.0.len()).min(out.len());
            out[..taken].copy_from_slice(&self.0[..taken]);
            self.0 = &self.0[taken..];
            Ok(taken)
        }
    }
    let mut found = scan::Objects::new(Slowly(text, step));
    let mut all = Vec::new();
    while let Some((offset, object)) = found.next()? {
        let start = usize::try_from(offset).unwrap();
        assert_eq!(&text[start..start + object.len()], object);
        all.push(serde_json::from_slice(object)?);
    }
    Ok(all)
}

proptest! {
    #[test]
    fn objects_are_found_whatever_is_in_them(texts in prop::collection::vec("[\\[\\]{}\",\\\\ aé\n]{0,12}", 0..5), step in 1_usize..9) {
        let values: Vec<_> = texts.iter().map(|text| json!({text.as_str(): [{"x": text}, text]})).collect();
        let lines = values.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
        for text in [json!(values).to_string(), serde_json::to_string_pretty(&values).unwrap(), json!([values, []]).to_string(), lines] {
            prop_assert_eq!(&objects(text.as_bytes(), step).unwrap(), &values);
        }
    }
}

#[test]
fn a_file_that_is_broken_says_where() {
    for (text, words) in [
        ("[{\"a\": 1}, 5]", "byte 11: there should be a run"),
        ("[{\"a\": 1}, {\"b\": ", "ends within the run that begins at byte 11"),
        ("<html>", "byte 0: there should be a run, a JSON object, but it is <"),
    ] {
        let reason = objects(text.as_bytes(), 3).unwrap_err().to_string();
        assert!(reason.contains(words), "{reason}");
    }
    let reason = Index::read(&b"[{\"id\": nonsense}]"[..], now(), 1).err().unwrap().to_string();
    assert!(reason.contains("the run at byte 1 is no JSON"), "{reason}");
    assert_eq!(objects(b"\xEF\xBB\xBF [ ]", 4).unwrap(), Vec::<Value>::new());
}

#[test]
fn a_chain_without_end_is_cut_into_traces() {
    let runs: Vec<_> = (0..1_250)
        .map(|number| json!({"id": format!("{number}"), "parent_run_id": (number > 0).then(|| format!("{}", number - 1))}))
        .collect();
    let index = Index::read(json!(runs).to_string().as_bytes(), now(), 1).unwrap();
    assert_eq!((index.traces, index.notes.cut), (3, 2));
    assert!(index.runs().all(|(.., at)| index.place(at).depth() <= 500));
}

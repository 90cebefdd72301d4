//! Batches that are split, cut and sent in another way, and what answers say besides their status.

use crate::common::{assert_adds_up, assert_flawless, patient, posts, run, server, submit, LONG};
use opentelemetry_langsmith::testing::{Fault, LocalLangSmith};
use opentelemetry_langsmith::{Client, DropReason, FlushError, Stats};
use std::sync::{Arc, Mutex};

/// Sends ten runs in one batch against a script.
fn ten_runs(script: impl IntoIterator<Item = Fault>) -> (LocalLangSmith, Stats, Result<(), FlushError>) {
    let server = server();
    server.respond(script);
    let client = Client::new(patient(&server)).unwrap();
    submit(&client, 10);
    let result = client.flush(LONG);
    let stats = client.stats();
    let _ = client.shutdown(LONG);
    assert_adds_up(&stats);
    (server, stats, result)
}

/// After the faults all is delivered, once.
fn recovers(script: impl IntoIterator<Item = Fault>, tries: usize) {
    let (server, stats, result) = ten_runs(script);
    result.unwrap();
    assert_eq!((stats.sent, stats.dropped_total()), (10, 0), "{stats:?}");
    let posts = posts(&server);
    assert_eq!(posts.len(), tries);
    for request in &posts {
        assert_eq!(request.body, posts[0].body, "every try sends the same bytes");
    }
    assert_eq!(server.violations(), Vec::<String>::new());
    assert_eq!(server.received(), 10);
}

#[test]
fn every_try_sends_the_same_bytes() {
    recovers(Fault::status(503).times(2), 3);
    recovers([Fault::status(503), Fault::status(429), Fault::close_before_answer(), Fault::status(502)], 5);
}

/// The runs are there although nobody said so: the second try gets a 409.
#[test]
fn an_answer_that_was_lost() {
    recovers([Fault::close_after_storing()], 2);
    recovers([Fault::close_after_storing(), Fault::status(503), Fault::close_before_answer()], 4);
}

/// The server takes no request that has any of these runs in it. They are told by id, and no others.
fn refuse(status: u16, poisoned: &[usize]) {
    const RUNS: usize = 16;
    // Which answers that takes is found by playing the splitting through: halves, the first one first. It may be
    // about the compression, so the whole is tried without it before.
    let mut script = Vec::from_iter((!poisoned.is_empty()).then(|| Fault::status(status)));
    let mut waiting = vec![(0, RUNS)];
    while let Some((from, to)) = waiting.pop() {
        if !poisoned.iter().any(|run| (from..to).contains(run)) {
            script.push(Fault::ok());
            continue;
        }
        script.push(Fault::status(status));
        if to - from > 1 {
            let middle = from + (to - from) / 2;
            waiting.extend([(middle, to), (from, middle)]);
        }
    }
    let server = server();
    server.respond(script);
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let config = patient(&server).with_on_drop(move |id, reason| tell.lock().unwrap().push((id, reason)));
    let client = Client::new(config).unwrap();
    let runs: Vec<_> = (0..RUNS).map(|number| run(number.to_string(), 10)).collect();
    for run in &runs {
        client.submit(run.clone()).unwrap();
    }
    let error = client.flush(LONG).unwrap_err();
    assert!(matches!(error, FlushError::Dropped { dropped, .. } if dropped == poisoned.len() as u64), "{error:?}");
    let counted = client.stats();
    assert_adds_up(&counted);
    assert_eq!(counted.dropped(DropReason::Refused), poisoned.len() as u64, "{counted:?}");
    assert_eq!(counted.sent, (RUNS - poisoned.len()) as u64, "{counted:?}");
    for number in 0..RUNS {
        assert_eq!(server.run(&number.to_string()).is_none(), poisoned.contains(&number), "{status}: run {number}");
    }
    assert_flawless(&server, RUNS - poisoned.len());
    let refused: Vec<_> = poisoned.iter().map(|number| (runs[*number].id(), DropReason::Refused)).collect();
    assert_eq!(*told.lock().unwrap(), refused);
    let _ = client.shutdown(LONG);
}

#[test]
fn only_the_refused_run_is_lost() {
    for status in [400, 422] {
        for poisoned in [&[0][..], &[15], &[7, 8], &[0, 5, 10, 15]] {
            refuse(status, poisoned);
        }
    }
}

#[test]
fn too_many_bytes_are_sent_in_halves() {
    let (server, stats, result) = ten_runs([Fault::status(413), Fault::status(413)]);
    result.unwrap();
    assert_eq!((stats.sent, stats.dropped_total()), (10, 0), "{stats:?}");
    let sizes: Vec<_> = posts(&server).iter().map(|request| request.run_ids.len()).collect();
    assert_eq!(sizes, [10, 5, 2, 3, 5]);
    assert_flawless(&server, 10);
}

/// A run that is too large by itself loses its largest field and says so.
#[test]
fn one_run_that_is_too_large() {
    let server = server();
    server.respond(Fault::status(413));
    let client = Client::new(patient(&server)).unwrap();
    client.submit(run("large".into(), 50_000)).unwrap();
    client.flush(LONG).unwrap();
    assert_flawless(&server, 1);
    let outputs = server.run("large").unwrap().outputs.unwrap().to_string();
    assert!(outputs.contains("left out") && outputs.len() < 1000, "{outputs}");
    client.shutdown(LONG).unwrap();
}

#[test]
fn one_run_that_is_too_large_whatever_is_left_out() {
    let (server, stats, result) = ten_runs(Fault::status(413).forever());
    result.unwrap_err();
    assert_eq!(stats.dropped(DropReason::Refused), 10, "{stats:?}");
    assert_eq!(server.received(), 0);
}

#[test]
fn an_old_server_gets_the_same_runs_as_json() {
    let server = server();
    server.respond(Fault::status(404));
    let client = Client::new(patient(&server)).unwrap();
    let parent = run("parent".into(), 100);
    let child = opentelemetry_langsmith::Run::builder("child", opentelemetry_langsmith::RunType::Llm)
        .child_of(&parent)
        .inputs("what?")
        .error("none")
        .metadata("k", &1)
        .tag("t")
        .end_now()
        .build()
        .unwrap();
    client.submit(parent).unwrap();
    client.submit(child).unwrap();
    client.flush(LONG).unwrap();
    submit(&client, 3);
    client.flush(LONG).unwrap();
    let paths: Vec<_> = posts(&server).into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/runs/multipart", "/runs/batch", "/runs/batch"], "and it is remembered");
    assert_flawless(&server, 5);
    let child = server.run("child").unwrap();
    assert_eq!(child.inputs, Some(serde_json::json!({"input": "what?"})));
    assert_eq!(child.error.as_deref(), Some("none"));
    assert_eq!(child.metadata("k"), Some(&1.into()));
    assert_eq!(child.parent_run_id, server.run("parent").map(|parent| parent.id));
    client.shutdown(LONG).unwrap();
}

#[test]
fn a_server_that_knows_neither_way() {
    let (server, stats, result) = ten_runs(Fault::status(404).forever());
    result.unwrap_err();
    assert_eq!(stats.dropped(DropReason::Refused), 10, "{stats:?}");
    assert_eq!(posts(&server).len(), 2);
}

#[test]
fn a_server_that_reads_no_zstd() {
    let server = server();
    server.respond(Fault::status(415));
    let client = Client::new(patient(&server)).unwrap();
    for _ in 0..2 {
        submit(&client, 10);
        client.flush(LONG).unwrap();
    }
    let encodings: Vec<_> =
        posts(&server).iter().map(|request| request.header("content-encoding").map(str::to_owned)).collect();
    assert_eq!(encodings[0].as_deref(), Some("zstd"));
    assert!(encodings[1].is_none() && encodings.last().unwrap().is_none(), "{encodings:?}");
    assert_eq!(server.violations(), Vec::<String>::new());
    assert_eq!(client.stats().sent, 20);
    client.shutdown(LONG).unwrap();
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = server();
    let location = format!("{}/runs/multipart", elsewhere.endpoint());
    for status in [301, 302, 307, 308] {
        let (_server, stats, result) = ten_runs(Fault::status(status).header("location", &location).forever());
        result.unwrap_err();
        assert_eq!(stats.dropped(DropReason::Refused), 10, "{stats:?}");
    }
    assert_eq!(elsewhere.requests().len(), 0, "the key goes nowhere else");
}

#[test]
fn answers_that_nobody_can_read() {
    // Bodies without end are not read, and bodies of no text are no trouble.
    for body in [vec![b'x'; 50 << 20], vec![0xff; 1000], Vec::new()] {
        let (_server, stats, _) = ten_runs(Fault::status(410).body(body).forever());
        assert_eq!(stats.dropped(DropReason::Refused), 10);
    }
}

//! What a shutdown leaves behind is told run by run.

use crate::common::{eventually, in_time, run, server, LONG};
use crate::states::{endless, State, LATE};
use opentelemetry_langsmith::{Client, DropReason, Run, RunType};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[test]
fn runs_under_way_and_in_finished_batches() {
    in_time(|| {
        for state in [State::Stalled, State::Backoff, State::Hold] {
            let server = server();
            state.trouble(&server);
            let told = Arc::new(Mutex::new(Vec::new()));
            let tell = Arc::clone(&told);
            // Two are under way, the others wait, and one fills up.
            let config = endless(&server)
                .with_batch_runs(4)
                .with_concurrency(2)
                .with_on_drop(move |id, reason| tell.lock().unwrap().push((id, reason)));
            let client = Client::new(config).unwrap();
            let runs: Vec<_> = (0..42).map(|number| run(number.to_string(), 10)).collect();
            for run in &runs {
                client.submit(run.clone()).unwrap();
            }
            let _ = client.shutdown(Duration::from_millis(300));
            eventually("all are told", || told.lock().unwrap().len() >= runs.len());
            let mut told = told.lock().unwrap().clone();
            let mut expected: Vec<_> = runs.iter().map(|run| (run.id(), DropReason::ShutDown)).collect();
            told.sort_by_key(|(id, _)| *id);
            expected.sort_by_key(|(id, _)| *id);
            assert_eq!(told, expected, "{state:?}");
        }
    });
}

#[test]
fn an_update_that_waits_for_its_post() {
    in_time(|| {
        let server = server();
        State::Stalled.trouble(&server);
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = Arc::clone(&told);
        let config = endless(&server)
            .with_flush_interval(Duration::ZERO)
            .with_on_drop(move |id, reason| tell.lock().unwrap().push((id, reason)));
        let client = Client::new(config).unwrap();
        let post = Run::builder("started", RunType::Chain).build().unwrap();
        client.submit(post.clone()).unwrap();
        eventually("the post is under way", || !server.requests().is_empty());
        client.update(post.edit().outputs("done").end_now().build().unwrap()).unwrap();
        let _ = client.shutdown(Duration::from_millis(300));
        eventually("both are told", || *told.lock().unwrap() == vec![(post.id(), DropReason::ShutDown); 2]);
    });
}

/// It shall not block; if it does all the same, the shutdown ends in time.
#[test]
fn a_hook_that_blocks() {
    in_time(|| {
        let server = server();
        State::Stalled.trouble(&server);
        let config = endless(&server).with_on_drop(|_, _| std::thread::sleep(Duration::from_secs(2)));
        let client = Client::new(config).unwrap();
        for number in 0..3 {
            client.submit(run(number.to_string(), 10)).unwrap();
        }
        let start = Instant::now();
        client.shutdown(Duration::from_millis(300)).unwrap_err();
        assert!(start.elapsed() < Duration::from_millis(300) + LATE, "{:?}", start.elapsed());
        // The deadline holds on a busy machine too, where the sender's thread may count a moment later.
        eventually("all are counted", || client.stats().dropped(DropReason::ShutDown) == 3);
        let _ = client.shutdown(LONG);
    });
}

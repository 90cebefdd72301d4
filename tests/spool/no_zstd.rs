//! Files that hold compressed bodies, and a server that does not read them any more.

use crate::common::judge::{status, taken, Judge};
use crate::common::{self, assert_adds_up, eventually, in_time, KEY, LONG};
use crate::{run, Directory};
use opentelemetry_langsmith::{Client, Config};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::Arc;
use std::time::Duration;

/// Whether the client that sends them knows the server from before or not, and in files of one run and of many.
#[test]
fn compressed_files_are_sent_without_compression() {
    for (answer, known, of_each) in
        [(400, false, 1), (400, false, 10), (400, true, 1), (400, true, 10), (415, false, 10), (415, true, 10)]
    {
        in_time(move || {
            let directory = Directory::new();
            // What all bodies are answered with, or those that are compressed, or none.
            let (all, compressed) = (Arc::new(AtomicU16::new(0)), Arc::new(AtomicU16::new(0)));
            let rules = [Arc::clone(&all), Arc::clone(&compressed)];
            let judge = Judge::ruled(move |seen| {
                let [all, compressed] = [0, 1].map(|rule: usize| rules[rule].load(Ordering::SeqCst));
                match (all, compressed) {
                    (0, 0) => taken(),
                    (0, answer) if seen.compressed => status(answer, "Invalid request"),
                    (0, _) => taken(),
                    (answer, _) => status(answer, "no"),
                }
            });
            let config = Config::default()
                .with_api_key(KEY)
                .with_endpoint(judge.endpoint())
                .with_spool_dir(directory.spool())
                .with_batch_runs(of_each)
                .with_flush_interval(Duration::from_millis(5))
                .with_retry_deadline(Duration::ZERO)
                .with_retry_waits(Duration::from_millis(5), Duration::from_millis(20));
            let first = Client::new(config.clone()).unwrap();
            first.submit(run("before", 32)).unwrap();
            first.flush(LONG).unwrap();
            all.store(503, Ordering::SeqCst);
            for number in 0..20 {
                first.submit(run(number, 32)).unwrap();
            }
            first.flush(LONG).unwrap();
            assert_eq!(first.stats().spooled, 20);
            let sender = if known {
                // It is about to take files when the server is replaced.
                all.store(0, Ordering::SeqCst);
                compressed.store(answer, Ordering::SeqCst);
                common::submit(&first, 1);
                first
            } else {
                first.shutdown(LONG).unwrap();
                compressed.store(answer, Ordering::SeqCst);
                all.store(0, Ordering::SeqCst);
                Client::new(config).unwrap()
            };
            eventually("the files are gone", || sender.spool().waiting == 0);
            let spool = sender.spool();
            assert_eq!((spool.delivered_runs, spool.rejected), (20, 0), "{answer}, {known}, {of_each}: {spool:?}");
            assert_eq!(judge.accepted().len(), 21 + usize::from(known));
            sender.shutdown(LONG).unwrap();
            assert_adds_up(&sender.stats());
        });
    }
}

//! Hooks that do what no hook should: the sender goes on.

use crate::common::{assert_adds_up, config, in_time, run, server, LONG};
use opentelemetry_langsmith::{Client, Config, DropReason, FlushError, OnRun};
use std::sync::{Arc, Mutex, OnceLock};

/// Panics once more when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("the payload panics as well");
    }
}

#[test]
fn a_payload_that_panics_when_it_is_dropped() {
    in_time(|| {
        let hooks: [fn(Config) -> Config; 2] = [
            |config| {
                config.with_on_run(|run| {
                    if run.name() == "1" {
                        std::panic::panic_any(Bomb);
                    }
                    OnRun::Keep
                })
            },
            |config| config.with_on_drop(|_, _| std::panic::panic_any(Bomb)),
        ];
        for (number, hook) in hooks.into_iter().enumerate() {
            let server = server();
            if number == 1 {
                // Once more without compression.
                server.respond(opentelemetry_langsmith::testing::Fault::status(422).times(2));
            }
            let client = Client::new(hook(config(&server).with_batch_runs(1).with_concurrency(1))).unwrap();
            for number in 0..3 {
                client.submit(run(number.to_string(), 10)).unwrap();
                let _ = client.flush(LONG);
            }
            let _ = client.shutdown(LONG);
            let stats = client.stats();
            assert_adds_up(&stats);
            assert_eq!((stats.sent, stats.dropped_total(), stats.queued), (2, 1, 0), "{number}: {stats:?}");
        }
    });
}

/// The last one goes where nobody may wait for what is left.
#[test]
fn the_last_client_is_dropped_in_a_hook() {
    in_time(|| {
        let server = server();
        let client = Arc::new(Mutex::new(None::<Client>));
        let within = Arc::clone(&client);
        let config = config(&server).with_on_run(move |_| {
            drop(within.lock().unwrap().take());
            OnRun::Keep
        });
        let own = Client::new(config).unwrap();
        *client.lock().unwrap() = Some(own.clone());
        for number in 0..3 {
            own.submit(run(number.to_string(), 10)).unwrap();
        }
        drop(own);
        assert!(server.wait_for_runs(3, LONG));
    });
}

/// It would wait for itself.
#[test]
fn a_hook_that_flushes_or_shuts_down() {
    in_time(|| {
        let server = server();
        let client = Arc::new(OnceLock::<Client>::new());
        let (within, answers) = (Arc::clone(&client), Arc::new(Mutex::new(Vec::new())));
        let heard = Arc::clone(&answers);
        let config = config(&server).with_on_run(move |_| {
            let client = within.get().expect("it was set before anything was submitted");
            heard.lock().unwrap().extend([client.flush(LONG), client.shutdown(LONG)]);
            OnRun::Keep
        });
        let client = client.get_or_init(|| Client::new(config).unwrap());
        for number in 0..3 {
            client.submit(run(number.to_string(), 10)).unwrap();
        }
        client.flush(LONG).unwrap();
        client.shutdown(LONG).unwrap();
        assert_eq!(client.stats().sent, 3, "{:?}", client.stats());
        assert_eq!(client.stats().dropped(DropReason::Panicked), 0);
        assert_eq!(*answers.lock().unwrap(), vec![Err(FlushError::InHook); 6]);
    });
}

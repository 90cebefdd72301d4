//! The process forks amid it all. The second one tries what it has inherited, and ends.

use crate::common::weather::FORKED;
use crate::common::{eventually, run, LONG};
use fork::{fork, waitpid_nohang, Fork};
use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry_langsmith::{Client, FlushError, SubmitError};
use opentelemetry_sdk::trace::SdkTracerProvider;

/// Whoever calls it holds no lock that the second process could wait for.
pub(crate) fn fork_amid(provider: &SdkTracerProvider, client: &Client) {
    match fork().expect("a second process") {
        Fork::Parent(child) => {
            let mut status = None;
            eventually("the second process has ended", || {
                status = waitpid_nohang(child).expect("it is a child of this one");
                status.is_some()
            });
            assert_eq!(status, Some(0), "the second process fails");
        }
        Fork::Child => {
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(provider, client)));
            std::process::exit(i32::from(done.is_err()));
        }
    }
}

fn work(provider: &SdkTracerProvider, client: &Client) {
    // This finds out that it is another process, after which the queue is not touched any more. A thread of the first process
    // may have been adding something to it when it was forked, which is never brought to its end here.
    assert!(matches!(client.flush(60 * LONG), Err(FlushError::Forked)));
    let tracer = provider.tracer("fork");
    (0..100).for_each(|_| tracer.in_span(FORKED, |_| ()));
    assert_eq!(client.submit(run(FORKED.into(), 10)), Err(SubmitError::Forked));
    provider.force_flush().unwrap_err();
    assert!(matches!(client.shutdown(60 * LONG), Err(FlushError::Forked)));
}

//! What the benches share: spans and traces to work on, clocks, and a server to send to.

#![allow(dead_code, reason = "each bench uses a part of it")]

pub(crate) mod clock;
pub(crate) mod plan;
pub(crate) mod profiles;
#[path = "../../tests/common/sink.rs"]
pub(crate) mod sink;
pub(crate) mod steps;
pub(crate) mod text;

use opentelemetry_langsmith::Config;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use std::time::Duration;

/// The SDK's batch processor holds 2,048 spans by default. No round makes more before it flushes, so that none is
/// ever dropped.
pub(crate) const ROUND: usize = 2000;

/// The defaults, to a server that takes everything.
pub(crate) fn config(sink: &sink::Sink) -> Config {
    Config::default().with_api_key("not-a-key").with_endpoint(sink.endpoint())
}

/// What `spans` spans take, where they are made in rounds of several: `round` says how many it made, and what they
/// took. At least one round is made.
pub(crate) fn per_span(spans: u64, mut round: impl FnMut() -> (usize, Duration)) -> Duration {
    let (mut made, mut spent) = (0, Duration::ZERO);
    while made < u128::from(spans) {
        let (count, time) = round();
        made += count as u128;
        spent += time;
    }
    let nanos = spent.as_nanos() * u128::from(spans) / made.max(1);
    Duration::from_nanos(u64::try_from(nanos).expect("less than 500 years"))
}

/// An exporter that does nothing.
#[derive(Debug)]
pub(crate) struct Discard;

impl SpanExporter for Discard {
    async fn export(&self, _batch: Vec<SpanData>) -> OTelSdkResult {
        Ok(())
    }
}

//! Crates whose spans tell how bytes travel, and nothing of the application.

use opentelemetry_sdk::trace::SpanData;

const PLUMBING: [&str; 12] = [
    "h2",
    "hyper",
    "hyper_util",
    "opentelemetry",
    "opentelemetry_http",
    "opentelemetry_langsmith",
    "opentelemetry_otlp",
    "opentelemetry_sdk",
    "reqwest",
    "rustls",
    "tonic",
    "tower",
];

pub(super) fn is_plumbing(span: &SpanData) -> bool {
    PLUMBING.contains(&&*super::crate_name(span))
}

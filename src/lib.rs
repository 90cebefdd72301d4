//! Sends OpenTelemetry spans to LangSmith as runs: what is traced with `tracing` or with
//! OpenTelemetry's own API shows up there as a tree of chains, model calls, tools and retrievers,
//! with inputs, outputs, errors and token counts.
//!
//! ```no_run
//! # #[cfg(feature = "tracing")]
//! # mod example {
//! use opentelemetry::trace::TracerProvider as _;
//! use opentelemetry_langsmith::LangSmithSpanProcessor;
//! use opentelemetry_sdk::trace::SdkTracerProvider;
//! use tracing_subscriber::prelude::*;
//!
//! #[tracing::instrument(ret)]
//! fn answer(question: &str) -> String { format!("{question} Yes.") }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let langsmith = LangSmithSpanProcessor::from_env()?; // reads LANGSMITH_API_KEY
//!     let provider = SdkTracerProvider::builder().with_span_processor(langsmith).build();
//!     let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("app"));
//!     tracing_subscriber::registry().with(spans).with(tracing_subscriber::fmt::layer()).init();
//!     answer("Does it work?");
//!     Ok(provider.shutdown()?)
//! }
//! # }
//! # fn main() {}
//! ```
//!
//! # Where to look
//!
//! * [`LangSmithSpanProcessor`] is the recommended way in: it sees spans when they start, so each
//!   run is sent as soon as its span ends. [`LangSmithExporter`] fits a pipeline that is there
//!   already; it waits with a span until the spans above it have ended.
//! * [`Config`] has all settings, from environment variables or code.
#![cfg_attr(feature = "tracing", doc = "* [`SpanExt`] says more about a run than its span says by itself;")]
#![cfg_attr(
    feature = "tracing",
    doc = "  [`llm_span!`], [`agent_span!`], [`tool_span!`] and [`retriever_span!`] make spans that have the fields for it;"
)]
#![cfg_attr(feature = "tracing", doc = "  [`InterruptExt`] tells of futures that are dropped before they are done.")]
//! * [`SpanFilter`] says which spans become runs; plumbing does not. [`Config`] says which traces are
//!   sent, to which projects, and whether runs are shown while they run.
#![cfg_attr(
    feature = "redact",
    doc = "* [`Redactor`] takes secrets and personal data out of runs; [`Config::with_hide_inputs`] hides whole fields."
)]
//! * [`Config::with_on_run`] shows each run to a hook, which may change or drop it.
//! * [`Handle`] tells what the current run is called in LangSmith; its [`LangSmithPropagator`]
//!   carries a trace from service to service.
//! * [`Run::builder`] and [`Client`] send runs that were never spans; [`BatchSummary`] adds up those
//!   of a batch job. [`Stats`] counts what became of all of them.
//! * [`Config::with_spool_dir`] keeps on disk what cannot be delivered, until it can be.
#![cfg_attr(
    feature = "testing",
    doc = "* [`testing::LocalLangSmith`] is a LangSmith on loopback for tests: it keeps what it gets and checks every rule."
)]
//!
//! Before the program ends, call the provider's `shutdown`. It sends what is left, within 5 seconds,
//! and says if something was lost. Dropping the provider does not do that: tracers hold it too, and
//! the subscriber holds a tracer until the process ends.
//!
//! The README has what becomes of a span, field by field, all limits, and what to do when
//! nothing arrives.
//!
//! # Features
//!
//! * `tracing` (default): `SpanExt`.
//! * `redact` (default): `Redactor`.
//! * `rustls` (default) or `native-tls`: TLS. Without either, only `http://` endpoints can be reached.
//! * `testing`: `testing::LocalLangSmith`; single steps of the road from a span to a request.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod age_order;
mod batch_summary;
mod config;
mod convert;
mod env;
mod error;
mod exporter;
mod handle;
mod hooks;
mod json;
mod lineage;
mod lock;
mod padded;
mod prefetch;
mod processor;
mod propagator;
#[cfg(feature = "redact")]
mod redact;
mod run;
mod secret;
mod sender;
#[cfg(feature = "tracing")]
mod span_ext;
mod stats;
#[cfg(test)]
mod test_span;
#[cfg(feature = "testing")]
pub mod testing;

pub use batch_summary::{BatchSummary, CountedOn};
pub use config::{Config, PendingRuns, Region};
pub use convert::{FunctionArgs, InputTokens, NamePolicy};
pub use error::{ConfigError, FlushError, SubmitError};
pub use exporter::LangSmithExporter;
pub use handle::{Handle, RunRef};
pub use hooks::OnRun;
pub use json::Json;
pub use lineage::{RunIds, SpanFilter};
pub use processor::LangSmithSpanProcessor;
pub use propagator::LangSmithPropagator;
#[cfg(feature = "redact")]
pub use redact::{Place, Redactor, RedactorError};
pub use run::{
    DottedOrder, ParseDottedOrderError, ParseRunTypeError, Run, RunBuilder, RunError, RunId, RunType, UsageMetadata,
};
pub use sender::Client;
#[cfg(feature = "tracing")]
pub use span_ext::{InterruptExt, InterruptGuard, SpanExt};
pub use stats::{DropReason, SpoolStats, Stats};

/// What the macros need, wherever they are used.
#[cfg(feature = "tracing")]
#[doc(hidden)]
pub mod __private {
    pub use tracing;
    pub use tracing::field::Empty;
}

#[cfg(all(doctest, feature = "redact", feature = "testing", feature = "tracing"))]
#[doc = include_str!("../README.md")]
struct Readme;

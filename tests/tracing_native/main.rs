//! `tracing` as the native tongue: what `#[instrument]`, log events and `SpanExt` become, through the real layer and
//! over the wire to the strict receiver.

mod instrument;
mod interrupted;
mod logs;
mod span_ext;
mod span_macros;
mod tasks;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_langsmith::testing::{LocalLangSmith, ReceivedRun};
use opentelemetry_langsmith::{Config, LangSmithSpanProcessor};
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use std::future::Future;
use tracing::Dispatch;
use tracing_subscriber::prelude::*;

/// An application that traces to a receiver of its own.
struct Traced {
    server: LocalLangSmith,
    provider: SdkTracerProvider,
    dispatch: Dispatch,
}

impl Traced {
    fn start() -> Self {
        Self::sampled(Sampler::AlwaysOn)
    }

    fn sampled(sampler: Sampler) -> Self {
        Self::new(sampler, |config| config)
    }

    fn configured(configure: impl FnOnce(Config) -> Config) -> Self {
        Self::new(Sampler::AlwaysOn, configure)
    }

    fn new(sampler: Sampler, configure: impl FnOnce(Config) -> Config) -> Self {
        let server = LocalLangSmith::start().unwrap();
        let config = configure(Config::default().with_api_key("key").with_endpoint(server.endpoint()));
        let processor = LangSmithSpanProcessor::new(config).unwrap();
        let provider = SdkTracerProvider::builder().with_sampler(sampler).with_span_processor(processor).build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let dispatch = Dispatch::new(tracing_subscriber::registry().with(layer));
        Self { server, provider, dispatch }
    }

    /// What became of the spans of `work`.
    fn runs(self, work: impl FnOnce()) -> Runs {
        tracing::dispatcher::with_default(&self.dispatch, work);
        self.finish()
    }

    /// The same for a future, on a runtime of one thread.
    fn runs_async<F: Future>(self, work: impl FnOnce() -> F) -> Runs {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        self.runs(|| drop(runtime.block_on(work())))
    }

    fn finish(self) -> Runs {
        self.provider.shutdown().unwrap();
        assert_eq!(self.server.violations(), Vec::<String>::new());
        Runs(self.server.runs())
    }
}

/// What the receiver got, each run by its name.
#[derive(Debug)]
struct Runs(Vec<ReceivedRun>);

impl Runs {
    fn get(&self, name: &str) -> &ReceivedRun {
        self.0.iter().find(|run| run.name == name).unwrap_or_else(|| panic!("no run {name} in {self:#?}"))
    }

    /// The name of the run above.
    fn above(&self, name: &str) -> Option<&str> {
        let parent = self.get(name).parent_run_id.as_ref()?;
        self.0.iter().find(|run| run.id == *parent).map(|run| &*run.name)
    }
}

impl std::ops::Index<&str> for Runs {
    type Output = ReceivedRun;

    fn index(&self, name: &str) -> &ReceivedRun {
        self.get(name)
    }
}

/// The names of a run's events.
fn event_names(run: &ReceivedRun) -> Vec<&str> {
    run.events.iter().filter_map(|event| event["name"].as_str()).collect()
}

/// An error with one below it.
#[derive(Debug, thiserror::Error)]
#[error("the model did not answer")]
struct Unanswered(#[from] std::io::Error);

impl Unanswered {
    fn new() -> Self {
        Self(std::io::Error::new(std::io::ErrorKind::TimedOut, "timed out after 3 s"))
    }
}

//! Two steps of a span's road by themselves: the run that it becomes, and the body that runs are sent in.

use std::cell::RefCell;
use std::sync::Arc;

use opentelemetry_sdk::trace::SpanData;

use crate::config::Config;
use crate::convert::{self, Converter, Counts};
use crate::lineage::{self, RunIds};
use crate::run::Run;
use crate::sender::{OpenBatch, Operation, Shared};

thread_local! {
    // As the sender's thread does, a thread keeps the memory for the next call.
    static CONVERTER: RefCell<Converter> = RefCell::new(converter(&Config::default()));
    static BATCH: RefCell<Option<OpenBatch>> = const { RefCell::new(None) };
}

fn converter(config: &Config) -> Converter {
    Converter::new(Arc::default(), config.conversion.clone(), config.hide, Counts::Certain)
        .with_event_limits(config.events)
}

/// The run that a span becomes when it stands alone: for debugging and for benches.
///
/// What has a parent becomes a root here, as it does where the parent never comes. The settings are those of
/// [`Config::default`]; its filter and hooks are not asked.
///
/// ```
/// use opentelemetry::trace::{Span as _, Tracer, TracerProvider};
/// use opentelemetry::KeyValue;
/// use opentelemetry_langsmith::testing::run_of;
/// use opentelemetry_langsmith::RunType;
/// use opentelemetry_sdk::trace::SdkTracerProvider;
///
/// let tracer = SdkTracerProvider::default().tracer("example");
/// let mut span = tracer.start("chat gpt-4o-mini");
/// span.set_attribute(KeyValue::new("gen_ai.operation.name", "chat"));
/// span.set_attribute(KeyValue::new("gen_ai.request.model", "gpt-4o-mini"));
///
/// let run = run_of(&span.exported_data().expect("it is recording"));
/// assert_eq!(run.run_type(), RunType::Llm);
/// assert_eq!(run.metadata("ls_model_name"), Some("\"gpt-4o-mini\""));
/// ```
pub fn run_of(span: &SpanData) -> Run {
    CONVERTER.with_borrow_mut(|converter| *converter.convert(span, &lineage::alone(span, RunIds::default()), false))
}

/// The attributes that are known by their whole names, of all conventions.
///
/// ```
/// use opentelemetry_langsmith::testing::attribute_names;
///
/// assert!(attribute_names().any(|name| name == "gen_ai.input.messages"));
/// ```
pub fn attribute_names() -> impl Iterator<Item = &'static str> {
    convert::attribute_names()
}

/// How the names of attributes begin that are known as families: `gen_ai.prompt.` stands for `gen_ai.prompt.0.content`
/// and others.
pub fn attribute_families() -> impl Iterator<Item = &'static str> {
    convert::attribute_families()
}

/// The body of the request that posts these runs: multipart parts, compressed with zstd, byte for byte as the
/// sender sends them by default. For debugging and for benches.
///
/// All of them come into one body, where the sender begins a new one after [`Config::with_batch_runs`] runs or
/// [`Config::with_batch_bytes`] bytes. Its first line has the boundary, after two dashes.
///
/// ```
/// use opentelemetry_langsmith::testing::body_of;
/// use opentelemetry_langsmith::{Run, RunType};
///
/// let run = Run::builder("plan a trip", RunType::Chain).inputs("Where to?").end_now().build()?;
/// let body = body_of(&[run]);
/// assert!(body.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]), "every zstd frame begins so");
/// # Ok::<(), opentelemetry_langsmith::RunError>(())
/// ```
///
/// # Panics
/// If there is no memory for the compressor.
pub fn body_of(runs: &[Run]) -> Vec<u8> {
    let config = Config::default();
    let shared = Shared::new(&config.project);
    BATCH.with_borrow_mut(|kept| {
        let mut batch = kept
            .take()
            .unwrap_or_else(|| OpenBatch::new(config.compression_level).expect("there is memory for a compressor"));
        for run in runs {
            batch.prepare(run, Operation::Post, &shared, config.batch_bytes);
            batch.add();
        }
        let body = batch.finish(true).body;
        *kept = Some(batch);
        body.into()
    })
}

//! A span and its place become a run.
//!
//! [`Frame`] sorts the attributes in one pass; then each convention that is present moves what it
//! knows into the [`Draft`], in the order of [`CONVENTIONS`]: the first writer of a field wins.
//! What nobody took goes to the metadata.

mod anthropic;
mod attachment;
mod chat;
mod counted;
mod describe;
mod draft;
mod encoded;
mod events;
mod feedback;
mod frame;
mod genai;
mod genai_old;
mod genkit;
mod google_adk;
mod hidden;
mod langfuse;
mod langsmith;
mod livekit;
mod logfire;
mod messages;
mod mlflow;
mod model;
mod names;
mod openinference;
mod options;
mod presence;
mod provider;
mod sessions;
mod status;
mod traceloop;
mod tracing_fields;
mod usage;
mod vercel;

use crate::hooks::Hide;
use crate::json::{name, Name, Object, Ready};
use crate::lineage::{Node, Orders};
use crate::run::{shorten_name, DottedOrder, Project, Run, RunType, Timestamp};
pub(crate) use counted::is_counted;
use describe::{describe, Written};
use draft::{with_member, Draft, Memory};
pub(crate) use events::EventLimits;
use frame::{Convention, Frame, Left};
use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::trace::SpanData;
use opentelemetry_sdk::Resource;
pub(crate) use options::Options;
pub use options::{FunctionArgs, InputTokens, NamePolicy};
use std::borrow::Cow;
use std::sync::{Arc, OnceLock};
use usage::{Usage, UsageContext};

/// The attributes that conventions know by their whole names.
#[cfg(feature = "testing")]
pub(crate) fn attribute_names() -> impl Iterator<Item = &'static str> {
    CONVENTIONS.iter().flat_map(|convention| convention.keys).copied()
}

/// How the names of those begin that they know as families.
#[cfg(feature = "testing")]
pub(crate) fn attribute_families() -> impl Iterator<Item = &'static str> {
    CONVENTIONS.iter().flat_map(|convention| convention.families).copied()
}

/// All conventions, strongest first. To add one, add a file and a line.
const CONVENTIONS: &[Convention] = &[
    tracing_fields::CONVENTION,
    langsmith::CONVENTION,
    genai::CONVENTION,
    sessions::CONVENTION,
    openinference::CONVENTION,
    genai_old::CONVENTION,
    anthropic::CONVENTION,
    traceloop::CONVENTION,
    logfire::CONVENTION,
    vercel::CONVENTION,
    mlflow::CONVENTION,
    google_adk::CONVENTION,
    livekit::CONVENTION,
    genkit::CONVENTION,
    langfuse::CONVENTION,
    presence::CONVENTION,
];
/// Events with the details of a call rank behind this convention.
const GENAI: usize = 2;
/// Events that are messages rank behind this one.
const GENAI_OLD: usize = 5;

/// What describes the process, for the first run of each trace in it.
#[derive(Debug, Default)]
pub(crate) struct Origin {
    metadata: Object,
    project: Option<Project>,
}

impl Origin {
    pub(crate) fn new(resource: &Resource) -> Self {
        let mut origin = Self::default();
        let (mut project, mut other_project) = (None, None);
        for (key, value) in resource {
            match key.as_str() {
                "langsmith.project" => project = Some(value.as_str()),
                "openinference.project.name" => other_project = Some(value.as_str()),
                // Every SDK says these of itself, or says nothing.
                name if name.starts_with("telemetry.sdk.") => {}
                "service.name" if value.as_str().starts_with("unknown_service") => {}
                name @ ("service.name" | "service.version" | "deployment.environment.name") => {
                    origin.metadata.insert(name, value);
                }
                name => drop(origin.metadata.insert(&format!("resource.{name}"), value)),
            }
        }
        let project = project.or(other_project).filter(|project| !project.trim().is_empty());
        origin.project = project.map(|project| Project::Name((&*project).into()));
        origin
    }

    /// The project's name, where the resource says it.
    pub(crate) fn project(&self) -> Option<Arc<str>> {
        match &self.project {
            Some(Project::Name(name)) => Some(Arc::clone(name)),
            Some(Project::Id(_)) | None => None,
        }
    }
}

/// Whether the counts that a run is made with are those that it is sent with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counts {
    Certain,
    /// A hook may drop the run or change them.
    Open,
}

/// Converts spans, one after the other, in memory that it keeps.
#[derive(Debug)]
pub(crate) struct Converter {
    origin: Arc<OnceLock<Origin>>,
    options: Options,
    event_limits: EventLimits,
    hide: Hide,
    frame: Frame,
    memory: Memory,
    usage: Usage,
    written: Written,
    orders: Orders,
    counts: Counts,
}

impl Converter {
    pub(crate) fn new(origin: Arc<OnceLock<Origin>>, options: Options, hide: Hide, counts: Counts) -> Self {
        Self {
            origin,
            options,
            event_limits: EventLimits::default(),
            hide,
            frame: Frame::default(),
            memory: Memory::default(),
            usage: Usage::default(),
            written: Written::default(),
            orders: Orders::default(),
            counts,
        }
    }

    pub(crate) fn with_event_limits(mut self, limits: EventLimits) -> Self {
        self.event_limits = limits;
        self
    }

    /// Makes a run of a span that has ended. `interrupted` says that the span never did.
    pub(crate) fn convert(&mut self, span: &SpanData, node: &Node, interrupted: bool) -> Box<Run> {
        self.run(span, node, interrupted)
    }

    /// Makes a run of a span that is still open.
    pub(crate) fn convert_open(&mut self, span: &SpanData, node: &Node) -> Run {
        // Feedback goes once, with the end.
        Run { end: None, error: None, feedback: Vec::new(), ..*self.run(span, node, false) }
    }

    /// Makes a run of a root that goes on with a full trace, which is over if it is `ended`.
    pub(crate) fn root(&self, node: &Node, ended: bool) -> Run {
        let trace = node.trace();
        let name = shorten_name(trace.name()).map_or_else(|| trace.name().clone(), Into::into);
        let mut run = Run {
            end: trace.end().filter(|_| ended),
            project: node.shared().and_then(|shared| shared.project.clone()),
            tags: node.shared().map_or_else(Vec::new, |shared| shared.tags.clone()),
            ..Run::bare(node.dotted_order(), name, RunType::Chain, node.start())
        };
        let metadata = &mut run.extra.metadata;
        metadata.insert_str("continues_trace_id", &trace.id().to_string());
        metadata.insert_i64("trace_part", trace.part().into());
        if let Some(shared) = node.shared() {
            metadata.append(&shared.metadata);
        }
        if let Some(origin) = self.origin.get() {
            metadata.append(&origin.metadata);
            run.project = run.project.or_else(|| origin.project.clone());
        }
        run
    }

    fn run(&mut self, span: &SpanData, node: &Node, interrupted: bool) -> Box<Run> {
        let attributes = &*span.attributes;
        let Self { frame, memory, usage, written, .. } = self;
        let mut boxed = memory.run.take().unwrap_or_else(|| Box::new(Run::empty()));
        let run = &mut *boxed;
        usage.clear();
        let mut draft = Draft::new(memory, usage, run, node.start(), (&self.options, self.hide));
        draft.interrupted = interrupted;
        written.identify(span, node, draft.extra);

        frame.read(attributes);
        if self.hide.inputs || self.hide.outputs {
            frame.leave_unknown(attributes, hidden::may_repeat);
        }
        if draft.options.feedback {
            feedback::take_attributes(&mut frame.view(attributes, 0), &mut draft);
        }
        let has_events = !span.events.is_empty();
        let mut present = frame.present() | if has_events { 1 << GENAI | 1 << GENAI_OLD } else { 0 };
        while present != 0 {
            let number = present.trailing_zeros() as usize;
            present &= present - 1;
            if frame.has(number) {
                (CONVENTIONS[number].convert)(&mut frame.view(attributes, number), &mut draft);
            }
            match number {
                _ if !has_events => {}
                GENAI => events::details(&span.events, &mut draft),
                GENAI_OLD => events::messages(&span.events, &mut draft),
                _ => {}
            }
        }
        chat::settle_instructions(&mut draft);
        settle_type(&mut draft);
        if has_events || draft.first_token.is_some() {
            events::rest(&span.events, self.event_limits, &mut draft);
        }
        keep_left(frame, attributes, &mut draft);
        describe(span, node, written, draft.extra);
        let origin = self.origin.get();
        if node.is_first_here() {
            if let Some(origin) = origin {
                draft.extra.metadata.append(&origin.metadata);
            }
        }
        add_usage(&mut draft, node, self.counts);
        let dotted_order = self.orders.of(node);
        keep_placement(&dotted_order, &mut draft);
        let error = status::error(span, &mut draft);
        add_last(node, &mut draft);
        let start = node.start();
        let project = node.shared().and_then(|shared| shared.project.as_ref());
        let project = project.or(origin.and_then(|origin| origin.project.as_ref()));
        let name = name(span, &mut draft);
        let run_type = draft.run_type();
        let Draft { inputs, outputs, events, reference_example_id, .. } = draft;
        run.dotted_order = dotted_order;
        run.name = name;
        run.run_type = run_type;
        run.start = start;
        run.end = Some(Timestamp::from_system_time(span.end_time).max(start));
        run.project = project.cloned();
        run.inputs = inputs;
        run.outputs = outputs;
        run.error = error;
        run.events = events.finish();
        run.reference_example_id = reference_example_id;
        boxed
    }

    /// Takes back the memory of a run that is encoded.
    #[inline]
    pub(crate) fn recycle(&mut self, mut run: Box<Run>) {
        self.orders.recycle(&mut run.dotted_order);
        self.memory.recycle(run);
    }
}

/// What nobody took: the arguments of a function are its inputs, the rest is metadata. Where inputs
/// or outputs are hidden, other ways to say the same are left out as well.
fn keep_left(frame: &Frame, attributes: &[KeyValue], draft: &mut Draft<'_>) {
    let hide = draft.hide;
    let hides_known = hide.inputs || hide.outputs;
    let metadata = &mut draft.extra.metadata;
    let keep = |metadata: &mut Object, left: Left, written: Option<Ready<'_>>, attribute: &KeyValue| {
        let KeyValue { key, value, .. } = attribute;
        if is_forwarded(key.as_str(), value) && !(hides_known && left == Left::Known) {
            match written {
                Some(name) => metadata.insert_ready(name, value),
                None => metadata.insert(key.as_str(), value),
            };
        }
    };
    if !draft.is_tracing {
        frame.left(attributes, |left, written, attribute| keep(metadata, left, written, attribute));
        return;
    }
    // Arguments are hidden with the inputs, which they are or would be.
    let function_args = match draft.options.function_args {
        FunctionArgs::Metadata if hide.inputs => FunctionArgs::Inputs,
        function_args => function_args,
    };
    // What has inputs already keeps its arguments as they are.
    let may_be_inputs = draft.inputs.is_none() || hide.inputs;
    let has_arguments = may_be_inputs || function_args != FunctionArgs::Inputs;
    let mut arguments = Object::default();
    frame.left(attributes, |left, written, attribute| {
        let name = attribute.key.as_str();
        // Functions have arguments called `metadata`, too.
        let is_free = left == Left::Unknown || name == "metadata";
        if !(has_arguments && is_free && tracing_fields::is_argument(name)) {
            keep(metadata, left, written, attribute);
            return;
        }
        match function_args {
            FunctionArgs::Inputs if name == "self" && hide.inputs => {}
            FunctionArgs::Inputs if name == "self" => drop(metadata.insert("self", &attribute.value)),
            FunctionArgs::Inputs => tracing_fields::insert_argument(&mut arguments, attribute),
            FunctionArgs::Metadata => tracing_fields::insert_argument(metadata, attribute),
            FunctionArgs::Off => {}
        }
    });
    if !arguments.is_empty() {
        draft.inputs_with(|out| {
            arguments.write_to(out);
            true
        });
    }
}

/// Headers that hold credentials are not sent on, nor what OpenTelemetry notes for itself.
#[inline]
fn is_forwarded(name: &str, value: &Value) -> bool {
    !matches!(name.as_bytes().first(), Some(b'h' | b'l' | b'o')) || is_harmless(name, value)
}

fn is_harmless(name: &str, value: &Value) -> bool {
    match name.as_bytes().first() {
        Some(b'h') => {
            let mut prefixes = ["http.request.header.", "http.response.header."].into_iter();
            !prefixes.find_map(|prefix| name.strip_prefix(prefix)).is_some_and(is_credential)
        }
        // All headers of a request in one text.
        Some(b'l') if matches!(name, "llm.headers" | "langsmith.request.headers") => {
            let headers = value.as_str().to_ascii_lowercase();
            !CREDENTIALS.iter().any(|credential| headers.contains(credential))
        }
        Some(b'o') => !name.starts_with("otel."),
        _ => true,
    }
}

const CREDENTIALS: [&str; 7] =
    ["authorization", "cookie", "x-api-key", "proxy-authorization", "set-cookie", "api-key", "x-goog-api-key"];

/// Whether a header holds credentials.
fn is_credential(header: &str) -> bool {
    CREDENTIALS.iter().any(|credential| header.eq_ignore_ascii_case(credential))
}

/// A span that names a model, and has messages or counts, is a call of it.
fn settle_type(draft: &mut Draft<'_>) {
    let called =
        (draft.has_messages || !draft.usage.is_empty()) && draft.extra.metadata.contains(name!("ls_model_name"));
    if called {
        draft.set_run_type(draft::TypeRank::Presence, RunType::Llm);
    }
    if draft.run_type() == RunType::Llm {
        draft.extra.metadata.insert_str(name!("ls_model_type"), if draft.is_text_completion { "llm" } else { "chat" });
    }
}

/// Where the application wanted the run to stand, if it stands elsewhere.
fn keep_placement(dotted_order: &DottedOrder, draft: &mut Draft<'_>) {
    if draft.placement.is_empty() {
        return;
    }
    for (name, wanted) in std::mem::take(&mut draft.placement) {
        let below = dotted_order.as_str().strip_prefix(wanted.as_str());
        let used = dotted_order.ids().any(|id| id.to_string() == wanted)
            || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        if !used {
            draft.extra.metadata.insert_str(name, &wanted);
        }
    }
}

/// What the run shares with others of its trace, and what is known of it only now.
fn add_last(node: &Node, draft: &mut Draft<'_>) {
    if let Some(shared) = node.shared() {
        draft.extra.metadata.append(&shared.metadata);
        shared.tags.iter().for_each(|tag| draft.tag(tag));
    }
    if draft.is_invoked_agent {
        draft
            .extra
            .metadata
            .insert_str(name!("ls_agent_type"), if node.is_under_agent() { "subagent" } else { "root" });
    }
    if let Some(reason) = draft.finish_reason.take() {
        draft.extra.metadata.insert_str(name!("finish_reason"), &reason);
        draft.memory.finish_reason = reason;
    }
}

fn name(span: &SpanData, draft: &mut Draft<'_>) -> Cow<'static, str> {
    let name = draft.take_name().or_else(|| enriched(span, draft)).unwrap_or_else(|| span.name.clone());
    match shorten_name(&name) {
        Some(short) => {
            if !name.is_empty() {
                draft.extra.metadata.insert_str("otel_span_name", &name);
            }
            short.into()
        }
        None => name,
    }
}

/// `chat` with its model behind it.
fn enriched(span: &SpanData, draft: &Draft<'_>) -> Option<Cow<'static, str>> {
    if draft.options.name_policy != NamePolicy::Enrich {
        return None;
    }
    let text = |name| serde_json::from_str::<String>(draft.extra.metadata.get(name)?).ok();
    let operation = text("gen_ai.operation.name").filter(|operation| span.name == *operation)?;
    Some(format!("{operation} {}", text("ls_model_name")?).into())
}

/// Counts stand in the metadata, and in the outputs of a model's call too. LangSmith adds up what
/// stands below a run, so what an agent counts itself goes by another name, and so does what a run
/// counts that has counts below it: a framework's call of a model around its client's.
fn add_usage(draft: &mut Draft<'_>, node: &Node, counts: Counts) {
    if draft.usage.is_empty() {
        return;
    }
    let is_sum = node.is_counted_below() || (draft.run_type() == RunType::Chain && !draft.usage.is_whole());
    let metadata = &draft.extra.metadata;
    let text = |name: Name<'_>| metadata.get(name)?.strip_prefix('"')?.strip_suffix('"');
    let context = UsageContext {
        // It matters for parts alone.
        provider: draft.usage.has_parts().then(|| text(name!("ls_provider"))).flatten(),
        exclusive_input: draft.exclusive_input,
        service_tier: text(name!("service_tier")),
        input_tokens: draft.options.input_tokens,
    };
    let usage = &mut draft.memory.usage;
    usage.clear();
    if !draft.usage.finish(&context, usage) {
        return;
    }
    if is_sum {
        draft.extra.metadata.insert_raw("ls_aggregated_usage", usage);
        return;
    }
    if counts == Counts::Certain {
        node.count_for_those_above();
    }
    draft.extra.metadata.insert_raw(name!("usage_metadata"), usage);
    if draft.run_type() == RunType::Llm {
        if let Some(outputs) = draft.outputs.take() {
            let outputs = if draft.outputs_are_ours || !outputs.as_str().contains("\"usage_metadata\"") {
                with_member(outputs, "usage_metadata", &draft.memory.usage)
            } else {
                outputs
            };
            draft.outputs = Some(outputs);
        }
    }
}

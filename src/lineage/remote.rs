//! Traces that began elsewhere: what a propagator put into a context.

use super::node::Shared;
use crate::json::{scan, Object};
use crate::run::{DottedOrder, Project};
use opentelemetry::baggage::BaggageExt;
use opentelemetry::Context;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// A run in another process, under which the first span of a context stands. It is the value that
/// [`LangSmithPropagator`](crate::LangSmithPropagator) puts into the context.
#[derive(Clone, Debug)]
pub(crate) struct RemoteRun(pub(crate) DottedOrder);

/// Baggage entries that LangSmith's SDKs send along with a run.
const METADATA: &str = "langsmith-metadata";
const TAGS: &str = "langsmith-tags";
const PROJECT: &str = "langsmith-project";
/// Entries of OpenTelemetry's own that say whose conversation a trace belongs to, and whose it is.
const SESSION: &str = "session.id";
const USER: &str = "user.id";
const ENTRIES: [&str; 5] = [METADATA, TAGS, PROJECT, SESSION, USER];
/// How many of them are LangSmith's.
const OURS: usize = 3;
/// How long what is sent of metadata, and of tags, may be: other headers need room too.
const LONGEST_SENT: usize = 4096;
/// Metadata that tells of the calling run alone: its tokens would be counted once more for each run here.
const NOT_INHERITED: [&str; 2] = ["usage_metadata", "ls_method"];

/// What counts of what other services send: nothing, until the application takes a propagator.
#[derive(Debug, Default)]
pub(crate) struct Propagation {
    is_on: AtomicBool,
    /// One bit an entry of [`ENTRIES`].
    refused: AtomicU8,
    /// The project of traces that name none themselves.
    project: RwLock<Option<Arc<str>>>,
}

impl Propagation {
    pub(crate) fn turn_on(&self) {
        self.is_on.store(true, Ordering::Relaxed);
    }

    /// Only these baggage entries count from now on.
    pub(crate) fn allow_only(&self, names: &[&str]) {
        let refused = ENTRIES.iter().enumerate().filter(|(_, entry)| !names.contains(entry));
        self.refused.store(refused.fold(0, |bits, (bit, _)| bits | 1 << bit), Ordering::Relaxed);
    }

    pub(crate) fn set_project(&self, project: Arc<str>) {
        *self.project.write().unwrap_or_else(PoisonError::into_inner) = Some(project);
    }

    /// What the `baggage` header of a call to another service says, as LangSmith's SDKs write it:
    /// what the trace of the calling run has in common, and always the project, for the other
    /// service may have been configured with another one.
    pub(crate) fn baggage(&self, shared: Option<&Shared>) -> Option<String> {
        let mut entries = Vec::new();
        if let Some(shared) = shared {
            // Of what spans here said the thread goes on, and nothing else: who is called may be anyone.
            let came = shared.came.as_deref().unwrap_or(shared);
            let mut metadata = came.metadata.clone();
            if let Some(thread) = shared.metadata.get("thread_id") {
                metadata.insert_raw("thread_id", thread);
            }
            if !metadata.is_empty() {
                let mut json = String::new();
                metadata.write_to(&mut json);
                entries.push((METADATA, json));
            }
            if !came.tags.is_empty() {
                entries.push((TAGS, came.tags.join(",")));
            }
            entries.retain(|(_, value)| value.len() <= LONGEST_SENT);
        }
        let project = match shared.and_then(|shared| shared.project.as_ref()) {
            Some(Project::Name(project)) => Some(Arc::clone(project)),
            // There is no entry for an id.
            Some(Project::Id(_)) => None,
            None => self.project.read().unwrap_or_else(PoisonError::into_inner).clone(),
        };
        entries.extend(project.map(|project| (PROJECT, project.to_string())));
        let quoted = entries.iter().map(|(name, value)| format!("{name}={}", quote(value)));
        (!entries.is_empty()).then(|| quoted.collect::<Vec<_>>().join(","))
    }

    /// Whether a context has no baggage but LangSmith's own, all of which is known from the run.
    pub(crate) fn is_baggage_ours(context: &Context) -> bool {
        context.baggage().iter().all(|(name, _)| ENTRIES[..OURS].contains(&name.as_str()))
    }

    pub(super) fn read(&self, context: &Context) -> Remote {
        if !self.is_on.load(Ordering::Relaxed) {
            return Remote::default();
        }
        let refused = self.refused.load(Ordering::Relaxed);
        Remote::read(context, |name| {
            ENTRIES.iter().position(|entry| *entry == name).is_some_and(|bit| refused & (1 << bit) == 0)
        })
    }
}

/// What a context says about the trace of the first span under it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Remote {
    pub(super) order: Option<DottedOrder>,
    pub(super) shared: Option<Arc<Shared>>,
}

impl Remote {
    /// Reads a context. `allowed` says which baggage entries count.
    fn read(context: &Context, allowed: impl Fn(&str) -> bool) -> Self {
        let order = context.get::<RemoteRun>().map(|RemoteRun(order)| order.clone());
        let baggage = context.baggage();
        if baggage.is_empty() {
            return Self { order, shared: None };
        }
        let entry = |name: &str| baggage.get(name).filter(|_| allowed(name)).map(|value| value.as_str().trim());
        let mut shared = Shared::default();
        if let Some(project) = entry(PROJECT).filter(|project| !project.is_empty()) {
            shared.project = Some(Project::Name(project.into()));
        }
        if let Some(json) = entry(METADATA).and_then(scan::object) {
            read_metadata(json, &mut shared.metadata);
        }
        // LangSmith takes a thread from any of these, and shows its turns by the first.
        let thread = ["thread_id", "session_id", "conversation_id"].iter().find_map(|name| shared.metadata.get(name));
        if let Some(thread) = thread.map(str::to_owned) {
            shared.metadata.insert_raw("thread_id", &thread);
        }
        for (name, member) in [(SESSION, "thread_id"), (USER, "user_id")] {
            if let Some(value) = entry(name).filter(|value| !value.is_empty()) {
                shared.metadata.insert_str(member, value);
            }
        }
        for tag in entry(TAGS).unwrap_or_default().split(',').map(str::trim).filter(|tag| !tag.is_empty()) {
            shared.tags.push(tag.to_owned());
        }
        let is_empty = shared.project.is_none() && shared.metadata.is_empty() && shared.tags.is_empty();
        Self { order, shared: (!is_empty).then(|| Arc::new(shared)) }
    }
}

fn read_metadata(json: &str, metadata: &mut Object) {
    if let Ok(members) = serde_json::from_str::<BTreeMap<Cow<'_, str>, &RawValue>>(json) {
        for (name, value) in members.iter().filter(|(name, _)| !NOT_INHERITED.contains(&&***name)) {
            metadata.insert_raw(name, value.get());
        }
    }
}

/// Everything but letters, digits and `_.-~` is percent-encoded.
fn quote(text: &str) -> percent_encoding::PercentEncode<'_> {
    const KEPT: percent_encoding::AsciiSet =
        percent_encoding::NON_ALPHANUMERIC.remove(b'_').remove(b'.').remove(b'-').remove(b'~');
    percent_encoding::utf8_percent_encode(text, &KEPT)
}

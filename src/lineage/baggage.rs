//! The entries of LangSmith's in the `baggage` header: what a trace has in common, wherever its runs are.

use super::node::Shared;
use super::place::MAX_PROJECT;
use crate::json::{scan, Object};
use crate::run::Project;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

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
/// What the W3C's standard allows, in all headers of a request together. The SDK's propagator reads no more either.
const MAX_BYTES: usize = 8192;
const MAX_ENTRIES: usize = 64;
/// How long what is sent of metadata, and of tags, may be: other headers need room too.
const LONGEST_SENT: usize = 4096;
/// Metadata that tells of the calling run alone: its tokens would be counted once more for each run here.
const NOT_INHERITED: [&str; 2] = ["usage_metadata", "ls_method"];

/// Which entries count, of those that other services send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowed(
    /// One bit an entry of [`ENTRIES`].
    u8,
);

impl Allowed {
    pub(crate) const ALL: Self = Self((1 << ENTRIES.len()) - 1);

    pub(crate) fn only(names: &[&str]) -> Self {
        let allowed = ENTRIES.iter().enumerate().filter(|(_, entry)| names.contains(entry));
        Self(allowed.fold(0, |bits, (bit, _)| bits | 1 << bit))
    }

    fn has(self, entry: usize) -> bool {
        self.0 & (1 << entry) != 0
    }
}

/// Whether an entry of this name is LangSmith's own.
pub(super) fn is_ours(name: &str) -> bool {
    ENTRIES[..OURS].contains(&name)
}

/// Reads headers. `None` when nothing counts of what they say.
pub(super) fn read(headers: &[&str], allowed: Allowed) -> Option<Shared> {
    if headers.iter().map(|header| header.len() + 1).sum::<usize>() > MAX_BYTES + 1 {
        return None;
    }
    let mut values: [Option<Cow<'_, str>>; ENTRIES.len()] = Default::default();
    for member in headers.iter().flat_map(|header| header.split(',')).take(MAX_ENTRIES) {
        // Properties of an entry stand behind it. Names are not decoded: who takes entries out of a header on its
        // way shall find them.
        let (entry, _) = member.split_once(';').unwrap_or((member, ""));
        let Some((name, value)) = entry.split_once('=') else { continue };
        let Some(place) = ENTRIES.iter().position(|entry| *entry == name.trim()) else { continue };
        // The last one counts, as in the SDKs.
        if let Ok(value) = percent_encoding::percent_decode_str(value.trim()).decode_utf8() {
            values[place] = Some(value);
        }
    }
    let [metadata, tags, project, session, user] = std::array::from_fn(|place| {
        let value = values[place].as_deref().filter(|_| allowed.has(place))?.trim();
        (!value.is_empty()).then_some(value)
    });
    let mut shared = Shared::default();
    if let Some(project) = project.filter(|project| project.len() <= MAX_PROJECT) {
        shared.project = Some(Project::Name(project.into()));
    }
    if let Some(json) = metadata.and_then(scan::object) {
        read_metadata(json, &mut shared.metadata);
    }
    // LangSmith takes a thread from any of these, and shows its turns by the first.
    let thread = ["thread_id", "session_id", "conversation_id"].iter().find_map(|name| shared.metadata.get(name));
    if let Some(thread) = thread.map(str::to_owned) {
        shared.metadata.insert_raw("thread_id", &thread);
    }
    for (value, member) in [(session, "thread_id"), (user, "user_id")] {
        if let Some(value) = value {
            shared.metadata.insert_str(member, value);
        }
    }
    let tags = tags.unwrap_or_default().split(',').map(str::trim).filter(|tag| !tag.is_empty());
    shared.tags.extend(tags.map(str::to_owned));
    let is_empty = shared.project.is_none() && shared.metadata.is_empty() && shared.tags.is_empty();
    (!is_empty).then_some(shared)
}

fn read_metadata(json: &str, metadata: &mut Object) {
    if let Ok(members) = serde_json::from_str::<BTreeMap<Cow<'_, str>, &RawValue>>(json) {
        for (name, value) in members.iter().filter(|(name, _)| !NOT_INHERITED.contains(&&***name)) {
            metadata.insert_raw(name, value.get());
        }
    }
}

/// The header for a call to another service, as LangSmith's SDKs write it: what the trace of the calling run has in
/// common, and its project.
pub(super) fn write(shared: Option<&Shared>, project: Option<&str>) -> Option<String> {
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
    entries.extend(project.map(|project| (PROJECT, project.to_owned())));
    let quoted = entries.iter().map(|(name, value)| format!("{name}={}", quote(value)));
    (!entries.is_empty()).then(|| quoted.collect::<Vec<_>>().join(","))
}

/// Everything but letters, digits and `_.-~` is percent-encoded.
fn quote(text: &str) -> percent_encoding::PercentEncode<'_> {
    const KEPT: percent_encoding::AsciiSet =
        percent_encoding::NON_ALPHANUMERIC.remove(b'_').remove(b'.').remove(b'-').remove(b'~');
    percent_encoding::utf8_percent_encode(text, &KEPT)
}

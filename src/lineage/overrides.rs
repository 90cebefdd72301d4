//! The `langsmith.*` attributes by which an application places a span itself.

use super::inherited;
use super::node::Shared;
use crate::run::{DottedOrder, Project, RunId};
use opentelemetry::{KeyValue, Value};
use std::borrow::Cow;
use std::sync::Arc;
use uuid::Uuid;

/// What the attributes ask for. Only what a span has when it starts counts behind the processor: its
/// children may be under way when later ones come, and a span that is open lets nobody read its
/// attributes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overrides {
    pub(super) is_root: bool,
    pub(super) id: Option<RunId>,
    pub(super) trace_id: Option<RunId>,
    pub(super) parent_id: Option<RunId>,
    pub(super) parent_span: Option<u64>,
    pub(super) order: Option<DottedOrder>,
    pub(super) project: Option<Project>,
    pub(super) is_agent: bool,
    /// What the runs below take over.
    pub(super) inherited: Option<Box<Shared>>,
    pub(super) name: Option<String>,
}

/// What most spans ask for.
static NOTHING: Overrides = Overrides {
    is_root: false,
    id: None,
    trace_id: None,
    parent_id: None,
    parent_span: None,
    order: None,
    project: None,
    is_agent: false,
    inherited: None,
    name: None,
};

impl Overrides {
    #[inline]
    pub(crate) fn read(attributes: &[KeyValue]) -> Cow<'static, Self> {
        // Many spans are given theirs after the start.
        if attributes.is_empty() {
            Cow::Borrowed(&NOTHING)
        } else {
            Self::read_all(attributes)
        }
    }

    fn read_all(attributes: &[KeyValue]) -> Cow<'static, Self> {
        let mut overrides = Cow::Borrowed(&NOTHING);
        let mut is_inherited = false;
        for KeyValue { key, value, .. } in attributes {
            let name = key.as_str();
            is_inherited |= inherited::is_inherited(name);
            if inherited::is_agent(name, value) {
                overrides.to_mut().is_agent = true;
            }
            if let Some(name) = name.strip_prefix("langsmith.") {
                overrides.to_mut().set(name, value);
            } else if let Some(project) = name.strip_prefix("ai.telemetry.metadata.ls_project_") {
                // As applications of Vercel's AI SDK name the project.
                match project {
                    "name" => overrides.to_mut().set("trace.session_name", value),
                    "id" => overrides.to_mut().set("trace.session_id", value),
                    _ => {}
                }
            }
        }
        if is_inherited {
            overrides.to_mut().inherited = Some(Box::new(inherited::read(attributes)));
        }
        overrides
    }

    /// What the runs below take over, of what those above pass on and of what the span adds.
    pub(super) fn pass_on(&self, above: Option<&Arc<Shared>>) -> Option<Arc<Shared>> {
        match &self.inherited {
            Some(own) => Some(Arc::new(Shared::joined(own, above))),
            None => above.cloned(),
        }
    }

    /// The last value under a name wins.
    fn set(&mut self, name: &str, value: &Value) {
        let text = value.as_str();
        let text = text.trim();
        match name {
            "is_root" | "root_span" => self.is_root = text.eq_ignore_ascii_case("true"),
            "span.id" => self.id = (!text.is_empty()).then(|| run_id(text)),
            "trace.id" => self.trace_id = text.parse().ok(),
            "span.parent_id" => self.parent_id = text.parse().ok(),
            "span.dotted_order" => self.order = text.parse().ok(),
            "traceable_parent_otel_span_id" => {
                self.parent_span = u64::from_str_radix(text, 16).ok().filter(|id| *id != 0)
            }
            "trace.session_name" if (1..=super::place::MAX_PROJECT).contains(&text.len()) => {
                self.project = Some(Project::Name(text.into()))
            }
            "trace.name" if !text.is_empty() => self.name = Some(text.to_owned()),
            "trace.session_id" => {
                if let Ok(id) = text.parse() {
                    self.project.get_or_insert(Project::Id(id));
                }
            }
            _ => {}
        }
    }

    /// The dotted order, when no other override contradicts it.
    pub(super) fn consistent_order(&self) -> Option<&DottedOrder> {
        let order = self.order.as_ref().filter(|_| !self.is_root)?;
        let agrees = |wanted: Option<RunId>, is: Option<RunId>| wanted.is_none() || wanted == is;
        (agrees(self.id, Some(order.id()))
            && agrees(self.trace_id, Some(order.trace_id()))
            && agrees(self.parent_id, order.parent_id())
            && order.depth() <= super::place::MAX_DEPTH)
            .then_some(order)
    }

    /// The dotted order, when it is the parent's: the one that is named as the parent ends it.
    pub(super) fn parent_order(&self) -> Option<&DottedOrder> {
        let order = self.order.as_ref().filter(|_| !self.is_root)?;
        (self.parent_id == Some(order.id())
            && self.id != self.parent_id
            && self.trace_id.is_none_or(|id| id == order.trace_id())
            && order.depth() < super::place::MAX_DEPTH)
            .then_some(order)
    }
}

/// An id that is no UUID becomes one, always the same: LangSmith takes UUIDs only.
fn run_id(text: &str) -> RunId {
    text.parse().unwrap_or_else(|_| Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes()).into())
}

//! Traces that began elsewhere: what a propagator read into a context.

use super::baggage::{self, Allowed};
use super::node::Shared;
use crate::run::{DottedOrder, Project};
use opentelemetry::baggage::BaggageExt;
use opentelemetry::Context;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// What propagators read into a context, each for its own client, by the client's number: callers that one client
/// trusts are strangers to another. Nothing else of a context counts, its baggage least of all.
#[derive(Clone, Debug, Default)]
struct Extracted(Vec<(u64, Remote)>);

/// What counts of what other services send, and what they are sent.
#[derive(Debug)]
pub(crate) struct Propagation {
    /// The client's number. No two in a process have the same.
    client: u64,
    /// The project of traces that name none themselves.
    project: RwLock<Option<Arc<str>>>,
}

impl Default for Propagation {
    fn default() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { client: NEXT.fetch_add(1, Ordering::Relaxed), project: RwLock::default() }
    }
}

impl Propagation {
    pub(crate) fn set_project(&self, project: Arc<str>) {
        *self.project.write().unwrap_or_else(PoisonError::into_inner) = Some(project);
    }

    /// What the `baggage` header of a call to another service says. It always has the project, for the other
    /// service may have been configured with another one.
    pub(crate) fn baggage(&self, shared: Option<&Shared>) -> Option<String> {
        let project = match shared.and_then(|shared| shared.project.as_ref()) {
            Some(Project::Name(project)) => Some(Arc::clone(project)),
            // There is no entry for an id.
            Some(Project::Id(_)) => None,
            None => self.project.read().unwrap_or_else(PoisonError::into_inner).clone(),
        };
        baggage::write(shared, project.as_deref())
    }

    /// Whether a context has no baggage but LangSmith's own, all of which is known from the run.
    pub(crate) fn is_baggage_ours(context: &Context) -> bool {
        context.baggage().iter().all(|(name, _)| baggage::is_ours(name.as_str()))
    }

    /// The context with what the headers of a request say. Another trace takes the place of all that was read before;
    /// entries without one take that of the entries alone.
    pub(crate) fn extract(
        &self,
        context: &Context,
        order: Option<DottedOrder>,
        headers: &[&str],
        allowed: Allowed,
    ) -> Context {
        let shared = baggage::read(headers, allowed).map(Arc::new);
        if order.is_none() && shared.is_none() {
            return context.clone();
        }
        let Extracted(mut all) = context.get().cloned().unwrap_or_default();
        let before = all.iter().position(|(client, _)| *client == self.client).map(|place| all.swap_remove(place).1);
        let order = order.or_else(|| before.and_then(|before| before.order));
        all.push((self.client, Remote { order, shared }));
        context.with_value(Extracted(all))
    }

    /// What this client's propagators read into a context.
    pub(crate) fn read(&self, context: &Context) -> Remote {
        let own = context.get().and_then(|Extracted(all)| all.iter().find(|(client, _)| *client == self.client));
        own.map_or_else(Remote::default, |(_, remote)| remote.clone())
    }
}

/// What is known of the trace of the first span in a context.
#[derive(Clone, Debug, Default)]
pub(crate) struct Remote {
    /// The run in another process under which that span stands.
    pub(crate) order: Option<DottedOrder>,
    pub(super) shared: Option<Arc<Shared>>,
}

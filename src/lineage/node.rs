//! A run's place in its trace, linked to its parent's.

use crate::json::Object;
use crate::run::{DottedOrder, Project, RunId, Timestamp};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

/// A node is small and never changes; it keeps its ancestors alive, and nothing else does. So the
/// ancestry of an open span is there as long as the span is, whatever is forgotten elsewhere.
#[derive(Debug)]
pub(crate) struct Node {
    id: RunId,
    /// Not before the parent's.
    start: Timestamp,
    above: Above,
    depth: u32,
    shared: Option<Arc<Shared>>,
    /// Whether it is an agent at work, and whether one above it is.
    is_agent: bool,
    is_under_agent: bool,
    /// A run below it carries counts of tokens.
    is_counted_below: AtomicBool,
}

/// What the runs of a trace have in common, from the first span of it in this process on, or from
/// one further down that adds something.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared {
    /// `None`: the configured project.
    pub(crate) project: Option<Project>,
    pub(crate) metadata: Object,
    pub(crate) tags: Vec<String>,
    /// What came from another service, where more was added here.
    pub(super) came: Option<Arc<Self>>,
}

impl Shared {
    /// What a span and those above it pass on.
    pub(super) fn joined(own: &Self, above: Option<&Arc<Self>>) -> Self {
        let mut joined = own.clone();
        if let Some(above) = above {
            joined.project.clone_from(&above.project);
            joined.metadata.append(&above.metadata);
            joined.tags.extend(above.tags.iter().filter(|tag| !own.tags.contains(tag)).cloned());
        }
        joined.came =
            Some(above.and_then(|above| above.came.clone().or_else(|| Some(Arc::clone(above)))).unwrap_or_default());
        joined
    }
}

#[derive(Debug)]
enum Above {
    Nothing,
    Node(Arc<Node>),
    /// A run that another process, or the application by hand, made.
    Order(Box<DottedOrder>),
}

impl Node {
    pub(super) fn under(id: RunId, start: Timestamp, parent: Arc<Self>, shared: Option<Arc<Shared>>) -> Self {
        let is_under_agent = parent.is_agent || parent.is_under_agent;
        let depth = parent.depth + 1;
        let mut node = Self::new(id, start, Above::Node(parent), depth, shared);
        node.is_under_agent = is_under_agent;
        node
    }

    fn new(id: RunId, start: Timestamp, above: Above, depth: u32, shared: Option<Arc<Shared>>) -> Self {
        let is_counted_below = AtomicBool::new(false);
        Self { id, start, above, depth, shared, is_agent: false, is_under_agent: false, is_counted_below }
    }

    /// The same node as an agent at work.
    pub(super) fn agent(mut self, is_agent: bool) -> Self {
        self.is_agent = is_agent;
        self
    }

    /// A node at the top, or under a run that only its dotted order tells of.
    pub(super) fn under_order(
        id: RunId,
        start: Timestamp,
        parent: Option<DottedOrder>,
        shared: Option<Arc<Shared>>,
    ) -> Self {
        let depth = parent.as_ref().map_or(0, DottedOrder::depth) + 1;
        let above = parent.map_or(Above::Nothing, |order| Above::Order(Box::new(order)));
        Self::new(id, start, above, u32::try_from(depth).unwrap_or(u32::MAX), shared)
    }

    /// Whether an agent called it, near or far above.
    pub(crate) fn is_under_agent(&self) -> bool {
        self.is_under_agent
    }

    /// Notes on all runs above that this one carries counts of tokens: LangSmith adds them up.
    pub(crate) fn count_for_those_above(&self) {
        let mut node = self;
        while let Above::Node(parent) = &node.above {
            if parent.is_counted_below.swap(true, Ordering::Relaxed) {
                // So was everything above.
                return;
            }
            node = parent;
        }
    }

    /// Whether a run below carries counts of tokens. Known of those that were converted before.
    pub(crate) fn is_counted_below(&self) -> bool {
        self.is_counted_below.load(Ordering::Relaxed)
    }

    pub(crate) fn start(&self) -> Timestamp {
        self.start
    }

    /// What the whole trace has in common; `None` when that is nothing.
    pub(crate) fn shared(&self) -> Option<&Arc<Shared>> {
        self.shared.as_ref()
    }

    pub(crate) fn depth(&self) -> usize {
        self.depth as usize
    }

    /// Whether it has no parent at all, here or elsewhere.
    pub(crate) fn is_root(&self) -> bool {
        matches!(self.above, Above::Nothing)
    }

    /// Whether it is the first run of its trace in this process.
    pub(crate) fn is_first_here(&self) -> bool {
        !matches!(self.above, Above::Node(_))
    }

    /// Times and ids from the root down.
    pub(crate) fn dotted_order(&self) -> DottedOrder {
        let mut path = Vec::with_capacity(self.depth().min(super::MAX_DEPTH));
        let mut node = self;
        let order = loop {
            path.push(node);
            match &node.above {
                Above::Node(parent) => node = parent,
                Above::Order(order) => break Some(order),
                Above::Nothing => break None,
            }
        };
        let mut dotted_order = DottedOrder::with_segments(self.depth());
        if let Some(order) = order {
            dotted_order.extend(order);
        }
        for node in path.iter().rev() {
            dotted_order.push(node.id, node.start);
        }
        dotted_order
    }

    /// Whether the run, or one above it, has this id.
    pub(super) fn has_id(&self, id: RunId) -> bool {
        let mut node = self;
        loop {
            if node.id == id {
                return true;
            }
            match &node.above {
                Above::Node(parent) => node = parent,
                Above::Order(order) => return order.ids().any(|above| above == id),
                Above::Nothing => return false,
            }
        }
    }

    pub(super) fn find_upwards(self: &Arc<Self>, id: RunId) -> Option<&Arc<Self>> {
        let mut node = self;
        while node.id != id {
            match &node.above {
                Above::Node(parent) => node = parent,
                Above::Order(_) | Above::Nothing => return None,
            }
        }
        Some(node)
    }
}

impl Drop for Node {
    /// Lets go of the ancestors one by one: a chain of them would overflow the stack otherwise.
    fn drop(&mut self) {
        let mut above = std::mem::replace(&mut self.above, Above::Nothing);
        while let Above::Node(parent) = above {
            match Arc::into_inner(parent) {
                Some(mut parent) => above = std::mem::replace(&mut parent.above, Above::Nothing),
                None => break,
            }
        }
    }
}

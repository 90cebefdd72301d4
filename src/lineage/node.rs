//! A run's place in its trace, linked to its parent's.

use super::LocalTrace;
use crate::json::Object;
use crate::prefetch::line;
use crate::run::{DottedOrder, Project, RunId, Timestamp};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
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
    fate: AtomicU8,
    shared: Option<Arc<Shared>>,
    /// Whether it is an agent at work, and whether one above it is.
    is_agent: bool,
    is_under_agent: bool,
    /// A run below it carries counts of tokens.
    is_counted_below: AtomicBool,
    trace: Arc<LocalTrace>,
}

/// Nobody was told of the run yet.
const UNSAID: u8 = 0;
/// LangSmith, or another service, was told that the run is there: something stands under it.
const SAID: u8 = 1;
/// A hook has dropped the run before anybody was told of it. What stands under it moves up.
const LEFT_OUT: u8 = 2;

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

/// A span that has so many bytes of its own to hand down counts as one more in what is remembered.
const WEIGHT: usize = 512;

/// What a span counts as that hands so many bytes down.
pub(super) fn weight(bytes: usize) -> u32 {
    u32::try_from(1 + bytes / WEIGHT).unwrap_or(u32::MAX)
}

impl Shared {
    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        let project = match &self.project {
            Some(Project::Name(name)) => name.len(),
            Some(Project::Id(_)) | None => 0,
        };
        project
            + self.metadata.members().len()
            + self.tags.iter().map(|tag| size_of::<String>() + tag.len()).sum::<usize>()
    }

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
    /// Asks for its memory before it is needed.
    #[inline]
    pub(crate) fn prefetch(&self) {
        line(&self.id);
        line(&self.is_counted_below);
        line(&self.trace);
    }

    pub(super) fn under(id: RunId, start: Timestamp, parent: Arc<Self>, shared: Option<Arc<Shared>>) -> Self {
        let (trace, is_under_agent) = (Arc::clone(&parent.trace), parent.is_agent || parent.is_under_agent);
        let depth = parent.depth + 1;
        let mut node = Self::new(id, start, Above::Node(parent), depth, shared, trace);
        node.is_under_agent = is_under_agent;
        node
    }

    fn new(
        id: RunId,
        start: Timestamp,
        above: Above,
        depth: u32,
        shared: Option<Arc<Shared>>,
        trace: Arc<LocalTrace>,
    ) -> Self {
        Self {
            id,
            start,
            above,
            depth,
            fate: AtomicU8::new(UNSAID),
            shared,
            is_agent: false,
            is_under_agent: false,
            is_counted_below: AtomicBool::new(false),
            trace,
        }
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
        trace: LocalTrace,
    ) -> Self {
        let depth = parent.as_ref().map_or(0, DottedOrder::depth) + 1;
        let above = parent.map_or(Above::Nothing, |order| Above::Order(Box::new(order)));
        Self::new(id, start, above, u32::try_from(depth).unwrap_or(u32::MAX), shared, Arc::new(trace))
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

    /// What was given for the whole trace; `None` when that is nothing.
    pub(crate) fn shared(&self) -> Option<&Arc<Shared>> {
        self.shared.as_ref()
    }

    /// The trace, as far as it lies in this process.
    pub(crate) fn trace(&self) -> &LocalTrace {
        &self.trace
    }

    /// Whether it stands under a root that goes on with a full trace, instead of under its true parent.
    pub(crate) fn is_moved(&self) -> bool {
        self.trace.part() > 1 && matches!(&self.above, Above::Node(parent) if parent.is_root())
    }

    pub(crate) fn depth(&self) -> usize {
        self.depth as usize
    }

    /// What it counts as: what it shares with its parent counts there.
    #[inline]
    pub(super) fn weight(&self) -> u32 {
        let (order, passed) = match &self.above {
            Above::Node(parent) => (0, parent.shared.as_ref()),
            Above::Order(order) => (order.capacity(), None),
            Above::Nothing => (0, None),
        };
        let own = self.shared.as_ref().filter(|own| passed.is_none_or(|passed| !Arc::ptr_eq(own, passed)));
        match (order, own) {
            (0, None) => 1,
            (order, own) => weight(order + own.map_or(0, |own| own.bytes())),
        }
    }

    /// Whether it has no parent at all, here or elsewhere.
    pub(crate) fn is_root(&self) -> bool {
        matches!(self.above(), Above::Nothing)
    }

    /// Whether it is the first run of its trace in this process that was not left out.
    pub(crate) fn is_first_here(&self) -> bool {
        !matches!(self.above(), Above::Node(_))
    }

    /// Whether its trace begins with it in this process, whatever was left out since.
    pub(crate) fn begins_here(&self) -> bool {
        !matches!(self.above, Above::Node(_))
    }

    /// Times and ids from the root down. [`Orders`](super::Orders) has them for many nodes of a tree.
    pub(crate) fn dotted_order(&self) -> DottedOrder {
        // Most chains are short, and need no memory for the way up.
        let mut nearest = [self; 8];
        let mut further = Vec::new();
        let mut length = 0;
        let mut node = self;
        let order = loop {
            match nearest.get_mut(length) {
                Some(place) => *place = node,
                None => further.push(node),
            }
            length += 1;
            match node.above() {
                Above::Node(parent) => node = parent,
                Above::Order(order) => break Some(&**order),
                Above::Nothing => break None,
            }
        };
        let mut dotted_order = DottedOrder::with_segments(self.depth());
        dotted_order.become_like(order);
        for node in further.iter().rev().chain(nearest[..length.min(nearest.len())].iter().rev()) {
            dotted_order.push(node.id, node.start);
        }
        dotted_order
    }

    pub(crate) fn id(&self) -> RunId {
        self.id
    }

    /// What the last segment of its dotted order is made of.
    pub(super) fn segment(&self) -> (RunId, Timestamp) {
        (self.id, self.start)
    }

    /// What it stood under at first.
    pub(super) fn first_parent(&self) -> Option<&Arc<Self>> {
        match &self.above {
            Above::Node(parent) => Some(parent),
            Above::Order(_) | Above::Nothing => None,
        }
    }

    /// The run that was made elsewhere, if it stood under one at first.
    pub(super) fn first_order(&self) -> Option<&DottedOrder> {
        match &self.above {
            Above::Order(order) => Some(order),
            Above::Node(_) | Above::Nothing => None,
        }
    }

    pub(super) fn is_left_out(&self) -> bool {
        self.fate.load(Ordering::Acquire) == LEFT_OUT
    }

    /// What it stands under: the nearest run that is not left out.
    fn above(&self) -> &Above {
        let mut above = &self.above;
        while let Above::Node(parent) = above {
            if !parent.is_left_out() {
                break;
            }
            above = &parent.above;
        }
        above
    }

    /// Somebody is told of a run under it, or of itself: from now on it, and all above it, has to be
    /// in LangSmith. Gives back what is known of runs that were made elsewhere.
    pub(crate) fn say(&self) -> Option<&DottedOrder> {
        let mut node = self;
        loop {
            // Whoever is left out stays so.
            let _ = node.fate.compare_exchange(UNSAID, SAID, Ordering::AcqRel, Ordering::Acquire);
            match &node.above {
                Above::Node(parent) => node = parent,
                Above::Order(order) => return Some(order),
                Above::Nothing => return None,
            }
        }
    }

    /// The dotted order for somebody outside.
    pub(crate) fn said_order(&self) -> DottedOrder {
        self.say();
        self.dotted_order()
    }

    /// Leaves the run out, if nobody was told of it yet. Says whether it did.
    pub(crate) fn leave_out(&self) -> bool {
        let left_out = self.fate.compare_exchange(UNSAID, LEFT_OUT, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if left_out {
            self.trace.note_left_out();
        }
        left_out
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

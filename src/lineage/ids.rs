//! That no two runs get one id.

use crate::run::RunId;
use rustc_hash::FxHashSet;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Ids that are remembered, of those that are not made from span ids.
const REMEMBERED: usize = 32_768;

/// LangSmith keeps the first run of an id and drops every other. Ids that are made from span ids differ as
/// those do; ids that the application chose, and trace ids, are given away here, once each.
#[derive(Debug, Default)]
pub(super) struct Ids {
    given: Mutex<Given>,
}

#[derive(Debug, Default)]
struct Given {
    ids: FxHashSet<RunId>,
    order: VecDeque<RunId>,
}

impl Ids {
    /// Whether the id is free; it is not afterwards.
    pub(super) fn claim(&self, id: RunId) -> bool {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        if !given.ids.insert(id) {
            return false;
        }
        given.order.push_back(id);
        if given.order.len() > REMEMBERED {
            if let Some(first) = given.order.pop_front() {
                given.ids.remove(&first);
            }
        }
        true
    }
}

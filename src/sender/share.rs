//! What the sender holds beside the queue, counted with it: one limit is for both.

use super::queue::Queue;
use std::sync::Arc;

/// Bytes that somebody holds, for as long as this lives.
#[derive(Debug)]
pub(super) struct Share {
    queue: Arc<Queue>,
    bytes: usize,
}

impl Share {
    pub(super) fn new(queue: Arc<Queue>) -> Self {
        Self { queue, bytes: 0 }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// So many it is now.
    pub(super) fn set(&mut self, bytes: usize) {
        if bytes != self.bytes {
            self.queue.hold(self.bytes, bytes);
            self.bytes = bytes;
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

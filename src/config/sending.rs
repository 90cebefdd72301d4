//! How much is kept, how it is sent, and for how long that is tried.

use super::{Config, OnDrop};
use crate::run::RunId;
use crate::stats::DropReason;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

impl Config {
    /// The most runs in one request, 1 to 10,000; 100 by default. The server may ask for fewer.
    pub fn with_batch_runs(mut self, runs: usize) -> Self {
        self.batch_runs = runs;
        self
    }

    /// The most bytes in one request before compression; 20 MiB by default. The server may ask
    /// for fewer.
    pub fn with_batch_bytes(mut self, bytes: usize) -> Self {
        self.batch_bytes = bytes;
        self
    }

    /// How long a run may wait for its batch to fill up; 500 ms by default.
    pub fn with_flush_interval(mut self, interval: Duration) -> Self {
        self.flush_interval = interval;
        self
    }

    /// The most bytes of memory for all that the client holds, 65,536 or more; 256 MiB by default.
    /// What comes when there are as many is dropped and counted.
    ///
    /// It covers spans and runs in the queue, the batch that fills up, finished batches until they are answered or
    /// given up, spans that wait for a parent (a half of it at the most) or for the decision of sampling (a quarter),
    /// runs that are held back because their end may come, and updates that wait for their posts. A batch that takes
    /// an eighth of it is sent. Beside that, one batch is there in a few copies while it is packed, split or sent as
    /// JSON, and [`with_open_spans`](Self::with_open_spans) bounds the spans that the processor remembers.
    ///
    /// Memory is only taken when spans come faster than they can be sent. The default holds some 90,000
    /// spans with 2 KB of messages each; more of a burst would cost an application more memory than its
    /// tracing may.
    pub fn with_queue_bytes(mut self, bytes: usize) -> Self {
        self.queue_bytes = bytes;
        self
    }

    /// The most requests on their way at once, 1 to 1,000; 64 by default. Few are used unless answers are slow.
    ///
    /// It is an upper bound. Four are sent at first, and more as long as answers take no longer for that. When they
    /// do, or when requests time out or are answered by 408, 429, 503 or 504, half as many are sent.
    pub fn with_concurrency(mut self, requests: usize) -> Self {
        self.concurrency = requests;
        self
    }

    /// The zstd level, -7 (fastest) to 22 (smallest); 1 by default. With 2, spans of chats take 5 % fewer bytes and a
    /// tenth more processor time, all that is done for them counted; with 3, 7 % and a fifth.
    pub fn with_compression_level(mut self, level: i32) -> Self {
        self.compression_level = Some(level);
        self
    }

    /// Sends bodies as they are.
    pub fn without_compression(mut self) -> Self {
        self.compression_level = None;
        self
    }

    /// How long a batch is tried again before it is given up, waits included; 120 s by default.
    pub fn with_retry_deadline(mut self, deadline: Duration) -> Self {
        self.retry.deadline = deadline;
        self
    }

    /// How long a request may make no progress; 30 s by default. To send another part of its body is progress, so a
    /// large one is not cut because a link is narrow.
    ///
    /// When the body has been handed over the answer is waited for as long, and for another second for each 128 KiB
    /// of the body, 64 s at the most. Whatever progress it makes, a request is given up after four times this and a
    /// second for each 16 KiB of its body.
    pub fn with_request_timeout(mut self, timeout: Duration) -> Self {
        self.retry.timeout = timeout;
        self
    }

    /// The first wait before another try is a random part of `first`; each later one of twice as
    /// much, up to `longest`, which caps `Retry-After` too. 500 ms and 30 s by default.
    pub fn with_retry_waits(mut self, first: Duration, longest: Duration) -> Self {
        self.retry.first_wait = first;
        self.retry.longest_wait = longest;
        self.retry.rate_limit_wait = self.retry.rate_limit_wait.min(longest);
        self
    }

    /// How often it is tried whether LangSmith takes runs again, while it refuses the key (401, 403)
    /// or a quota is used up (429); 60 s by default. All runs wait for that, up to the retry
    /// deadline and within the bounds of the queue.
    pub fn with_probe_interval(mut self, interval: Duration) -> Self {
        self.retry.probe_interval = interval;
        self
    }

    /// How long an ended span may wait for its parent behind [`LangSmithExporter`]; 10 minutes by
    /// default. After that it becomes a trace of its own.
    ///
    /// [`LangSmithExporter`]: crate::LangSmithExporter
    pub fn with_held_time(mut self, time: Duration) -> Self {
        self.held.time = time;
        self
    }

    /// How many bytes of ended spans may wait for parents behind [`LangSmithExporter`]; 64 MiB by
    /// default. Beyond that the oldest become traces of their own.
    ///
    /// [`LangSmithExporter`]: crate::LangSmithExporter
    pub fn with_held_bytes(mut self, bytes: usize) -> Self {
        self.held.bytes = bytes;
        self
    }

    /// How many spans [`LangSmithSpanProcessor`] remembers, open ones and parents that ended
    /// lately; 250,000 by default. A span that starts beyond that becomes a trace of its own
    /// unless its parent is known.
    ///
    /// [`LangSmithSpanProcessor`]: crate::LangSmithSpanProcessor
    pub fn with_open_spans(mut self, spans: usize) -> Self {
        self.open_spans = spans;
        self
    }

    /// Calls `hook` for each run that was on its way and is given up, on the sender's thread: so
    /// that it can be kept and sent again. It shall not block. A panic in it is contained.
    ///
    /// It is also called for runs whose batches a shutdown leaves behind. The shutdown waits for that
    /// no longer than a moment, so a program that ends right then may not hear of the last of them.
    /// Runs that never came that far are told elsewhere: [`Client::submit`](crate::Client::submit)
    /// answers for those that it does not take, and spans that a shutdown finds in the queue are
    /// counted in [`Stats`](crate::Stats) alone. What is kept on disk is not given up, and not told
    /// if it is refused later.
    pub fn with_on_drop(mut self, hook: impl Fn(RunId, DropReason) + Send + Sync + 'static) -> Self {
        self.on_drop = Some(OnDrop(Arc::new(hook)));
        self
    }

    /// Keeps on disk, in this directory, what would be dropped because LangSmith cannot be reached, does not
    /// accept the key, or has no time left at a shutdown. `LANGSMITH_FAILED_TRACES_DIR`; by default there is
    /// none, and such runs are dropped.
    ///
    /// The directory is made if it is not there, for this user alone. What it holds is sent when LangSmith is
    /// back, or by the next client that is given the same directory; files of LangSmith's SDK for Python too.
    /// [`Client::spool`](crate::Client::spool) tells how that goes. A key is in none of the files, but what the
    /// runs say is.
    pub fn with_spool_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.spool_dir = Some(directory.into());
        self
    }

    /// The most bytes of files in the directory of [`with_spool_dir`](Self::with_spool_dir), 65,536 or more;
    /// 100 MiB by default. `LANGSMITH_FAILED_TRACES_MAX_MB`, in units of 1,048,576 bytes. All failed traces in
    /// it count, whoever wrote them. The oldest are kept: what does not fit is dropped and counted.
    pub fn with_spool_bytes(mut self, bytes: usize) -> Self {
        self.spool_bytes = bytes as u64;
        self
    }
}

//! A strict LangSmith on loopback, for tests and for trying things out without an account.
//!
//! [`LocalLangSmith`] takes runs by the routes that the hosted service has, merges posts and patches, and
//! checks every rule that LangSmith holds runs to, also where LangSmith itself would
//! take the run and show it wrong or not at all.
//! It speaks to any LangSmith SDK, not only to this crate.
//!
//! [`run_of`] and [`body_of`] go two steps of a span's road by themselves, without a server; [`kept_request`] reads what
//! was kept on disk.
//!
//! # Example
//! ```
//! use std::time::Duration;
//! use opentelemetry_langsmith::testing::{Fault, LocalLangSmith};
//!
//! let local = LocalLangSmith::start()?;
//! // The first request is refused for a while, the second is taken.
//! local.respond(Fault::status(503));
//!
//! // Here an exporter that was given `local.endpoint()` and any API key sends its runs.
//! # let runs = 0;
//!
//! assert!(local.wait_for_runs(runs, Duration::from_secs(5)), "{local:?}");
//! assert_eq!(local.violations(), Vec::<String>::new());
//! print!("{}", local.tree());
//! # std::io::Result::Ok(())
//! ```

mod body;
mod connection;
mod convert;
mod dotted;
mod faults;
mod invariants;
mod kept;
mod ledger;
mod multipart;
mod operation;
mod run;
mod server;
mod state;
mod store;
mod tree;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use faults::Script;
use server::Server;
use state::{Shared, State};
use store::Store;

pub use convert::{attribute_families, attribute_names, body_of, run_of};
pub use faults::Fault;
pub use kept::{kept_request, KeptRequest};
pub use run::{Attachment, ReceivedRequest, ReceivedRun};
pub use tree::ReceivedTrace;

/// A LangSmith server on `127.0.0.1` that keeps, checks and shows what it gets.
///
/// It lives on a thread of its own, where telemetry is suppressed, and stops when it is dropped.
///
/// What can be understood is stored and answered 202, whatever rule it breaks; the broken rules are told by
/// [`violations`](Self::violations). What cannot be read is answered 400. A run that was posted before is
/// answered 409, which clients take as delivered; new runs in the same request are stored all the same.
///
/// See the [module](self) for an example.
pub struct LocalLangSmith {
    server: Server,
    shared: Arc<Shared>,
}

impl LocalLangSmith {
    /// Starts on a free port.
    ///
    /// # Errors
    /// If no port can be bound or no thread be started.
    pub fn start() -> io::Result<Self> {
        Self::launch(0, true)
    }

    /// Starts on this port; 0 is any free one.
    ///
    /// # Errors
    /// If the port is taken, or no thread can be started.
    pub fn start_on(port: u16) -> io::Result<Self> {
        Self::launch(port, true)
    }

    /// Starts on a free port and keeps no content, for tests that push runs by the million.
    ///
    /// Every check is made as ever. Between 40 and 90 bytes are kept for a run;
    /// [`runs`](Self::runs), [`traces`](Self::traces) and [`requests`](Self::requests) stay empty.
    ///
    /// # Errors
    /// If no port can be bound or no thread be started.
    pub fn counting() -> io::Result<Self> {
        Self::launch(0, false)
    }

    fn launch(port: u16, keep_content: bool) -> io::Result<Self> {
        let shared = Arc::new(Shared::new(keep_content));
        let server = Server::start(port, Arc::clone(&shared))?;
        Ok(Self { server, shared })
    }

    /// The URL to give to a client, `http://127.0.0.1:<port>`. The same routes are there below `/api/v1`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// Stops the server and waits for its thread; open connections are closed.
    pub fn stop(self) {
        drop(self);
    }

    /// Waits until that many distinct runs have come; `false` if the time is over first.
    pub fn wait_for_runs(&self, runs: usize, timeout: Duration) -> bool {
        self.wait(timeout, timeout, |state| (state.ledger.len() >= runs).then_some(())).is_some()
    }

    /// How many distinct runs have come, resends and patches not counted.
    pub fn received(&self) -> u64 {
        self.shared.lock().ledger.len() as u64
    }

    /// Every run in the order of arrival.
    pub fn runs(&self) -> Vec<ReceivedRun> {
        self.look(Store::runs)
    }

    /// The first run that came with this name.
    pub fn run(&self, name: &str) -> Option<ReceivedRun> {
        self.look(|store| store.run(name))
    }

    /// Every trace in the order of arrival.
    pub fn traces(&self) -> Vec<ReceivedTrace> {
        self.look(Store::traces)
    }

    /// All traces drawn as trees, as [`ReceivedTrace`] shows them.
    pub fn tree(&self) -> String {
        self.traces().iter().map(ToString::to_string).collect()
    }

    /// Waits for a trace to be complete: the root is there, every run has ended, and for 200 ms nothing
    /// has been added. Each trace is handed out once, and again only if something came for it later.
    pub fn next_trace(&self, timeout: Duration) -> Option<ReceivedTrace> {
        self.wait(timeout, store::SETTLE / 4, |state| state.store.as_mut()?.take_complete())
    }

    /// Every broken rule so far, each in a sentence that names the run or the request; empty if all is well.
    ///
    /// A run whose parent has not come is among them, so look when everything was flushed.
    /// No more than 1,000 are kept; the last sentence then tells how many more there were.
    pub fn violations(&self) -> Vec<String> {
        self.shared.lock().violations()
    }

    /// The part of [`violations`](Self::violations) that tells of runs whose parent was never received,
    /// as it happens rightly where the parent belongs to another process.
    pub fn orphans(&self) -> Vec<String> {
        self.shared.lock().ledger.orphans()
    }

    /// Every request in the order of arrival, those for `/info` and for unknown paths included.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.shared.lock().requests()
    }

    /// Scripts the answers to the next requests that carry runs, one fault a request, then normal again.
    ///
    /// What was left of an earlier script is dropped, so `respond([])` ends all trouble.
    pub fn respond(&self, script: impl IntoIterator<Item = Fault>) {
        let script = Script::new(script);
        self.shared.lock().ingest_script = script;
    }

    /// Scripts the answers to the next requests for `/info`, as [`respond`](Self::respond) does for the others.
    ///
    /// `Fault::status(200).body(json).forever()` has the server describe itself in another way.
    pub fn respond_info(&self, script: impl IntoIterator<Item = Fault>) {
        let script = Script::new(script);
        self.shared.lock().info_script = script;
    }

    /// Makes every answer to a request with runs wait this long, a fault's own delay not counted.
    pub fn latency(&self, latency: Duration) {
        self.shared.lock().latency = latency;
    }

    /// Forgets all that was received. Scripts and latency stay.
    pub fn clear(&self) {
        self.shared.lock().clear();
    }

    fn look<T: Default>(&self, at: impl FnOnce(&Store) -> T) -> T {
        self.shared.lock().store.as_ref().map(at).unwrap_or_default()
    }

    /// Asks at every change, and once every `step` besides, until there is an answer or the time is over.
    fn wait<T>(&self, timeout: Duration, step: Duration, mut ask: impl FnMut(&mut State) -> Option<T>) -> Option<T> {
        let started = Instant::now();
        let mut state = self.shared.lock();
        loop {
            if let Some(answer) = ask(&mut state) {
                return Some(answer);
            }
            let left = timeout.checked_sub(started.elapsed())?;
            state = self.shared.wait(state, left.min(step));
        }
    }
}

impl fmt::Debug for LocalLangSmith {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.lock();
        f.debug_struct("LocalLangSmith")
            .field("endpoint", &self.endpoint())
            .field("received", &state.ledger.len())
            .field("violations", &state.violations())
            .finish_non_exhaustive()
    }
}

//! The application's own look at each run.

use super::call::{call, Panicked};
use crate::run::Run;
use std::sync::Arc;

/// What the hook of [`Config::with_on_run`](crate::Config::with_on_run) wants to happen to a run.
/// `true` and `()` are [`Keep`](Self::Keep) too, `false` is [`Drop`](Self::Drop).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRun {
    /// The run is sent, as the hook left it.
    Keep,
    /// The run is not sent, and what stands under it moves up.
    Drop,
}

impl From<bool> for OnRun {
    fn from(keep: bool) -> Self {
        if keep {
            Self::Keep
        } else {
            Self::Drop
        }
    }
}

impl From<()> for OnRun {
    fn from((): ()) -> Self {
        Self::Keep
    }
}

/// The hook itself.
#[derive(Clone)]
pub(crate) struct Hook(Arc<dyn Fn(&mut Run) -> OnRun + Send + Sync>);

impl Hook {
    pub(crate) fn new<T: Into<OnRun>>(hook: impl Fn(&mut Run) -> T + Send + Sync + 'static) -> Self {
        Self(Arc::new(move |run| hook(run).into()))
    }

    /// Shows it a run. Whatever it does, an exchange for another run included, the run stays where it
    /// was. If it panics, what it was to change or to hide is still in the run.
    pub(crate) fn ask(&self, run: &mut Run) -> Result<OnRun, Panicked> {
        let place = (run.dotted_order.clone(), run.start, run.project.clone());
        let answer = call(|| (self.0)(run));
        (run.dotted_order, run.start, run.project) = place;
        run.end = run.end.map(|end| end.max(run.start));
        answer
    }
}

impl std::fmt::Debug for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnRun")
    }
}

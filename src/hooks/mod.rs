//! What happens to a run between its conversion and its encoding: the application's hook sees it,
//! what is to be hidden is hidden, and what is left is redacted. In this order, so that nothing a hook
//! adds escapes the rules.

mod call;
mod hide;
mod on_run;

pub(crate) use call::{call, contain, is_inside, silence, BuiltUnder};
pub(crate) use hide::Hide;
pub(crate) use on_run::Hook;
pub use on_run::OnRun;

#[cfg(feature = "redact")]
use crate::redact::Redaction;
use crate::run::Run;

/// All that is configured of it.
#[derive(Debug, Default)]
pub(crate) struct Hooks {
    pub(crate) on_run: Option<Hook>,
    pub(crate) hide: Hide,
    #[cfg(feature = "redact")]
    pub(crate) redaction: Option<Redaction>,
}

impl Hooks {
    /// Whether nothing is to be done for any run.
    pub(crate) fn is_empty(&self) -> bool {
        #[cfg(feature = "redact")]
        if self.redaction.is_some() {
            return false;
        }
        self.on_run.is_none() && self.hide == Hide::default()
    }

    /// Whether what comes out of [`Self::conceal`] may be something else than what went in.
    pub(crate) fn conceals(&self) -> bool {
        #[cfg(feature = "redact")]
        if self.redaction.is_some() {
            return true;
        }
        self.hide != Hide::default()
    }

    /// Hides and redacts. Says whether all rules could be followed; where one could not, the field
    /// is hidden.
    pub(crate) fn conceal(&mut self, run: &mut Run) -> bool {
        self.hide.apply(run);
        #[cfg(feature = "redact")]
        if let Some(redaction) = &mut self.redaction {
            // Functions in it are the application's.
            return if redaction.has_functions() {
                call::within(|| redaction.apply(run))
            } else {
                redaction.apply(run)
            };
        }
        true
    }
}

//! Work that was given up before it was done.

use super::SpanExt;
use std::future::Future;

/// Shows a run as interrupted, unless it is told that the work is [`done`](Self::done). See
/// [`SpanExt::interrupted_unless_done`].
///
/// ```
/// use opentelemetry_langsmith::SpanExt;
///
/// #[tracing::instrument]
/// async fn answer(question: &str) -> String {
///     let guard = tracing::Span::current().interrupted_unless_done();
///     let answer = format!("{question}? Yes."); // … and whatever waits
///     guard.done();
///     answer
/// }
/// ```
/// An early return, by `?` for example, drops the guard too. Where there are such,
/// [`InterruptExt::or_interrupted`] knows the difference. A guard that is dropped by a panic says
/// `panicked`. Behind [`LangSmithSpanProcessor`](crate::LangSmithSpanProcessor) a span that a panic ends says so
/// without a guard, unless the span was begun while its thread was unwinding already or has a status of its own.
#[derive(Debug)]
#[must_use = "a guard that is dropped at once marks the run as interrupted"]
pub struct InterruptGuard<S: SpanExt> {
    /// `None` when the work is done.
    span: Option<S>,
}

impl<S: SpanExt> InterruptGuard<S> {
    pub(crate) fn new(span: S) -> Self {
        Self { span: Some(span) }
    }

    /// The work is done, well or not.
    pub fn done(mut self) {
        self.span = None;
    }
}

impl<S: SpanExt> Drop for InterruptGuard<S> {
    fn drop(&mut self) {
        if let Some(span) = self.span.take() {
            if std::thread::panicking() {
                span.record_error("panicked");
            } else {
                span.record_interrupted();
            }
        }
    }
}

/// Tells of futures that are dropped before they are done: by `select!`, by a timeout, by the end
/// of a task.
pub trait InterruptExt: Future + Sized {
    /// Shows the current run as interrupted if this future is dropped after it has begun and before
    /// it is done. What it returns does not matter: an error is a failure and no interruption.
    ///
    /// The run is that of the span which is current when the future is first polled. So it goes
    /// inside of the function with `#[instrument]`, or before `.instrument(span)`:
    ///
    /// ```
    /// use opentelemetry_langsmith::InterruptExt;
    ///
    /// # struct Error;
    /// #[tracing::instrument(ret)]
    /// async fn answer(question: String) -> String {
    ///     async move {
    ///         format!("{question}? Yes.") // … and whatever waits
    ///     }
    ///     .or_interrupted()
    ///     .await
    /// }
    /// ```
    /// A future that is leaked, or that a stopped program never drops, says nothing; runs that are
    /// still open when the provider is shut down are shown as interrupted without this.
    fn or_interrupted(self) -> impl Future<Output = Self::Output> {
        async {
            let guard = tracing::Span::current().interrupted_unless_done();
            let output = self.await;
            guard.done();
            output
        }
    }
}

impl<F: Future> InterruptExt for F {}

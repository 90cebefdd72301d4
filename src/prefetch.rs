//! Memory that is asked for before it is needed. Another thread wrote it, on another core: whoever reads it waits
//! for each piece, but to ask for it takes no time, and it comes while something else is done.
//!
//! Where the standard library has such an instruction for nightly compilers only, nothing is asked for.

use opentelemetry::Value;
use opentelemetry_sdk::trace::SpanData;

/// Bytes that come together.
const LINE: usize = 64;
/// The first lines of a text. The processor itself goes on with a long one.
const LINES: usize = 64;

/// Asks for the memory in which this begins.
#[inline]
pub(crate) fn line<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    safe_arch::prefetch_t0(place);
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// Asks for what lies in the span itself, wherever the compiler has put it.
pub(crate) fn span(span: &SpanData) {
    line(&span.span_context);
    line(&span.name);
    line(&span.start_time);
    line(&span.end_time);
    line(&span.attributes);
    line(&span.events);
    line(&span.links);
    line(&span.status);
    line(&span.instrumentation_scope);
}

/// Asks for the span's attributes. The span itself has to be there.
pub(crate) fn attributes(span: &SpanData) {
    span.attributes.iter().for_each(line);
}

/// Asks for the texts among the span's attributes, which have to be there.
pub(crate) fn texts(span: &SpanData) {
    for attribute in &span.attributes {
        if let Value::String(text) = &attribute.value {
            text.as_str().as_bytes().chunks(LINE).take(LINES).for_each(|bytes| line(&bytes[0]));
        }
    }
}

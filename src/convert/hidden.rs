//! Other ways to say what is to be hidden.

use super::Draft;
use crate::lineage::is_gen_ai_name;
use opentelemetry::{Array, KeyValue, Value};

/// Whether an attribute that no convention knows could repeat inputs or outputs: it is named as those of the
/// conventions for generative AI are, and has words.
pub(super) fn may_repeat(attribute: &KeyValue) -> bool {
    let has_words = matches!(attribute.value, Value::String(_) | Value::Array(Array::String(_)));
    let name = attribute.key.as_str();
    // These are metadata that applications give.
    has_words && is_gen_ai_name(name) && !name.starts_with("ls_")
}

/// Whether the fields of a span are hidden because they may be arguments of a function, and so its inputs.
pub(super) fn hides_arguments(draft: &Draft<'_>) -> bool {
    draft.hide.inputs && draft.is_tracing
}

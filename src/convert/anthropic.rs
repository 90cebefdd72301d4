//! What Anthropic's own SDK adds to the GenAI attributes, `anthropic.*`.

use super::frame::{attributes, Convention, View};
use super::genai::counts::detail;
use super::Draft;

pub(super) const CONVENTION: Convention =
    Convention { keys: KEYS, families: &["anthropic.usage.cache_creation."], convert };

const CACHE_CREATION: u8 = 0;

attributes! {
    StopReason = "anthropic.message.stop_reason",
    ServiceTier = "anthropic.response.service_tier",
}

fn convert(view: &mut View<'_, '_>, draft: &mut Draft<'_>) {
    view.take_family(CACHE_CREATION, |name, value| detail(name).is_some_and(|count| draft.usage.set(count, value)));
    if let Some(reason) = view.take_text(Key::StopReason) {
        draft.finish_reason.get_or_insert_with(|| reason.to_owned());
    }
    view.rename(Key::ServiceTier, &mut draft.extra.metadata, "service_tier");
}

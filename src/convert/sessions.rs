//! Whose conversation a span belongs to, by OpenTelemetry's general attributes, and what else says so.

use super::frame::{attributes, Convention, View};
use super::Draft;
use opentelemetry::Value;

pub(super) const CONVENTION: Convention = Convention { keys: KEYS, families: &[], convert };

attributes! {
    Session = "session.id",
    User = "user.id",
    EndUser = "enduser.id",
}

/// The attributes stay under their own names too: applications filter by them.
fn convert(view: &mut View<'_, '_>, draft: &mut Draft<'_>) {
    if let Some(session) = view.peek(Key::Session) {
        draft.set_thread(session);
    }
    for key in [Key::User, Key::EndUser] {
        if let Some(user) = view.peek(key) {
            draft.set_user(user);
        }
    }
}

/// Metadata of an application's own, where thread and user may be among it.
pub(super) fn set_associated(draft: &mut Draft<'_>, name: &str, value: &Value) -> bool {
    match name {
        "thread_id" => return draft.set_thread(value),
        "user_id" => return draft.set_user(value),
        "session_id" | "conversation_id" | "sessionId" | "threadId" => drop(draft.set_thread(value)),
        "userId" => drop(draft.set_user(value)),
        _ => {}
    }
    !name.is_empty() && draft.extra.metadata.insert(name, value)
}

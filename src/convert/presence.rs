//! What only tools and retrievers have, where nothing else says what a span is.

use super::draft::{NameSource, TypeRank};
use super::frame::{attributes, Convention, View};
use super::Draft;
use crate::run::RunType;

pub(super) const CONVENTION: Convention = Convention { keys: KEYS, families: &["db.vector."], convert };

const VECTORS: u8 = 0;

attributes! {
    McpMethod = "mcp.method.name",
    McpTool = "mcp.tool.name",
}

/// All of it stays in the metadata.
fn convert(view: &mut View<'_, '_>, draft: &mut Draft) {
    if view.peek_text(Key::McpMethod) == Some("tools/call") {
        draft.set_run_type(TypeRank::Presence, RunType::Tool);
    }
    if let Some(name) = view.peek_text(Key::McpTool) {
        draft.set_name(NameSource::Tool, name);
    }
    if view.family(VECTORS).next().is_some() {
        draft.set_run_type(TypeRank::Presence, RunType::Retriever);
    }
}

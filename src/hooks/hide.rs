//! Whole fields that stay at home.

use crate::json::Json;
use crate::run::Run;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Parameters of a call that stand among its inputs, too.
const REPEATED: [&str; 16] = [
    "contents",
    "documents",
    "functions",
    "input",
    "inputs",
    "instructions",
    "messages",
    "prompt",
    "prompts",
    "query",
    "system",
    "systemInstruction",
    "system_instruction",
    "system_instructions",
    "tool_definitions",
    "tools",
];

/// What of every run is not sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hide {
    pub(crate) inputs: bool,
    pub(crate) outputs: bool,
    pub(crate) metadata: bool,
}

impl Hide {
    /// Fields that were there become empty objects, as in LangSmith's own SDKs.
    pub(crate) fn apply(self, run: &mut Run) {
        for (hidden, field) in [(self.inputs, &mut run.inputs), (self.outputs, &mut run.outputs)] {
            if hidden && field.is_some() {
                *field = Some(Json::from_trusted("{}".into()));
            }
        }
        if self.inputs {
            for name in REPEATED {
                run.extra.invocation_params.remove(name);
            }
        }
        if self.inputs || self.outputs {
            // Files were cut out of either of them, and events can repeat what went in and came out.
            run.attachments.clear();
            run.events = run.events.take().map(|events| bare_events(&events));
        }
        if self != Self::default() {
            // Evaluators tell what they looked at. The score is left.
            for feedback in &mut run.feedback {
                (feedback.value, feedback.comment) = (None, None);
            }
            run.feedback.retain(|feedback| feedback.score.is_some());
        }
        if self.metadata {
            run.extra.metadata.clear();
            run.extra.otel.clear();
        }
    }
}

/// An event without what it tells.
#[derive(Deserialize, Serialize)]
struct BareEvent<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    name: Option<&'a RawValue>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    time: Option<&'a RawValue>,
}

fn bare_events(events: &Json) -> Json {
    let bare = events.read::<Vec<BareEvent>>().and_then(|events| Json::new(&events));
    // What cannot be read is hidden as well.
    bare.unwrap_or_else(|_| Json::from_trusted("[]".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::RunType;

    #[test]
    fn events_keep_their_names_and_times() {
        let events = serde_json::json!([{"name": "e", "kwargs": {"return": "secret"}, "time": "t"}, {}]);
        let mut run = Run::builder("run", RunType::Chain).events(&events).inputs("in").build().unwrap();
        Hide { outputs: true, ..Hide::default() }.apply(&mut run);
        assert_eq!(run.events().unwrap().as_str(), r#"[{"name":"e","time":"t"},{}]"#);
        assert_eq!((run.inputs().unwrap().as_str(), run.outputs()), (r#"{"input":"in"}"#, None));
    }
}

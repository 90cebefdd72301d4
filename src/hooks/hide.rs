//! Whole fields that stay at home.

use crate::json::{walk, Json, Object};
use crate::run::Run;

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
        if self.inputs || self.outputs {
            // Files were cut out of either of them, and events can repeat what went in and came out.
            run.attachments.clear();
            run.events = run.events.take().map(|events| bare_events(&events));
        }
        if self.metadata {
            run.extra.metadata.clear();
            run.extra.otel.clear();
        }
    }
}

/// The events with their names and times alone.
fn bare_events(events: &Json) -> Json {
    let bare = walk::objects(events.as_str(), Object::default, |bare, name, value| {
        if matches!(name, "\"name\"" | "\"time\"") {
            bare.insert_quoted(name, value);
        }
    });
    let mut text = String::new();
    crate::json::write_array(&mut text, bare.unwrap_or_default(), |out, event| event.write_to(out));
    Json::from_trusted(text)
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

use super::RunId;
use crate::json::{write_string, Json};
use uuid::Uuid;

/// What somebody thought of a run: one row of LangSmith's feedback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Feedback {
    /// What was looked at: `correctness`.
    pub(crate) key: String,
    /// A number or a boolean.
    pub(crate) score: Option<Json>,
    pub(crate) value: Option<Json>,
    pub(crate) comment: Option<String>,
}

impl Feedback {
    /// The id of a run's feedback at a position: the same whenever it is sent.
    pub(crate) fn id(run: RunId, position: usize) -> RunId {
        Uuid::new_v5(run.as_uuid(), format!("feedback.{position}").as_bytes()).into()
    }

    /// Appends the row as LangSmith takes it.
    pub(crate) fn write_to(&self, out: &mut String, id: &str, run_id: &str, trace_id: &str) {
        for (name, id) in [("{\"id\":\"", id), ("\",\"run_id\":\"", run_id), ("\",\"trace_id\":\"", trace_id)] {
            out.push_str(name);
            out.push_str(id);
        }
        out.push_str("\",\"key\":");
        write_string(out, &self.key);
        for (name, json) in [(",\"score\":", &self.score), (",\"value\":", &self.value)] {
            if let Some(json) = json {
                out.push_str(name);
                out.push_str(json.as_str());
            }
        }
        if let Some(comment) = &self.comment {
            out.push_str(",\"comment\":");
            write_string(out, comment);
        }
        // Otherwise LangSmith would keep the trace for longer, at a higher price.
        out.push_str(",\"extend_trace_retention\":false}");
    }

    /// About how much memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        let json = |json: &Option<Json>| json.as_ref().map_or(0, |json| json.as_str().len());
        size_of::<Self>()
            + self.key.len()
            + json(&self.score)
            + json(&self.value)
            + self.comment.as_ref().map_or(0, String::len)
    }
}

use opentelemetry::{KeyValue, Value};
#[derive(Default)]
pub(crate) struct Messages {
    t: Vec<String>,
}
impl Messages {
    pub(crate) fn inputs() -> Self {
        Self::default()
    }
    pub(crate) fn outputs() -> Self {
        Self::default()
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.t.is_empty()
    }
    pub(crate) fn write_to(&self, o: &mut String) {
        o.push('[');
        o.push_str(&self.t.join(","));
        o.push(']')
    }
    pub(crate) fn finish_reason(&self) -> Option<&str> {
        None
    }
    pub(crate) fn is_compacted(&self) -> bool {
        false
    }
    pub(crate) fn take_attachments(&mut self) -> Vec<crate::run::Attachment> {
        vec![]
    }
    pub(crate) fn push_parts(&mut self, j: &str) -> bool {
        match serde_json::from_str::<Vec<serde_json::Value>>(j) {
            Ok(v) => {
                self.t.extend(v.iter().map(|v| v.to_string()));
                true
            }
            Err(_) => false,
        }
    }
    pub(crate) fn push_system(&mut self, _: &str) {}
    pub(crate) fn push_indexed<'a>(&mut self, _p: impl Iterator<Item = (&'a str, &'a Value)>) -> bool {
        false
    }
    pub(crate) fn push_event(&mut self, _n: &str, _a: &[KeyValue]) -> bool {
        false
    }
}
pub(crate) fn write_tools(_j: &str, _o: &mut String) -> bool {
    false
}
pub(crate) fn write_documents(_j: &str, _o: &mut String) -> bool {
    false
}

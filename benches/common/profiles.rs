//! What applications do: kinds of traces, each with a pool of examples.

use super::plan::Planned;
use super::text::{said, Text};
use super::ROUND;
use serde_json::json;

pub(crate) struct Profile {
    pub(crate) name: &'static str,
    /// Different ones: together they have more text than a compressor looks back on.
    pub(crate) traces: Vec<Vec<Planned>>,
}

/// No round has more text than that: it all may be in memory several times.
const ROUND_BYTES: usize = 16 << 20;

impl Profile {
    fn new(name: &'static str, traces: usize, mut trace: impl FnMut(&mut Text) -> Vec<Planned>) -> Self {
        let mut text = Text::new(2026);
        Self { name, traces: (0..traces).map(|_| trace(&mut text)).collect() }
    }

    /// All of them.
    pub(crate) fn all() -> [Self; 5] {
        [Self::agent_content(), Self::agent_small(), Self::few_large(), Self::many_attributes(), Self::deep_tree()]
    }

    /// An agent that asks its model and searches three times, all messages recorded: about 2 KB a span.
    pub(crate) fn agent_content() -> Self {
        Self::new("agent_content", 128, agent_content)
    }

    /// The same without messages.
    pub(crate) fn agent_small() -> Self {
        Self::new("agent_small", 128, |text| {
            let mut trace = vec![Planned::agent()];
            for _ in 0..3 {
                trace.extend([Planned::small(text).at(1), Planned::http().at(2), Planned::bare_tool().at(1)]);
            }
            trace
        })
    }

    /// Two calls with half a megabyte of messages each.
    pub(crate) fn few_large() -> Self {
        Self::new("few_large", 8, |text| {
            let mut call = || {
                let (input, output) = (text.messages(500_000), text.messages(20_000));
                Planned::chat(text, input, output).at(1)
            };
            vec![Planned::agent(), call(), call()]
        })
    }

    /// Ten spans with 100 attributes each. The SDK takes 128 by default.
    pub(crate) fn many_attributes() -> Self {
        Self::new("many_attributes", 128, |text| {
            (0..10_usize).map(|number| Planned::attributes(text, 100).at(number.min(1))).collect()
        })
    }

    /// 200 spans, each under the one before it.
    pub(crate) fn deep_tree() -> Self {
        Self::new("deep_tree", 8, |text| (0..200).map(|depth| Planned::small(text).at(depth)).collect())
    }

    /// How many traces make a round.
    pub(crate) fn traces_a_round(&self) -> usize {
        let trace = &self.traces[0];
        let bytes = trace.iter().map(Planned::bytes).sum::<usize>();
        (ROUND / trace.len()).min(ROUND_BYTES / bytes.max(1)).max(1)
    }
}

fn agent_content(text: &mut Text) -> Vec<Planned> {
    let question = said("user", &text.prose(500));
    let mut conversation = vec![said("system", &text.prose(1200)), question.clone()];
    let mut steps = Vec::new();
    let mut last = question.clone();
    for _ in 0..3 {
        let (id, arguments, hits) = (text.id(), text.arguments(), text.hits());
        last = json!({"role": "assistant", "finish_reason": "tool_call", "parts": [
            {"type": "text", "content": text.prose(500)},
            {"type": "tool_call", "id": id, "name": "search", "arguments": arguments},
        ]});
        let input = json!(conversation).to_string();
        steps.push(Planned::chat(text, input, json!([last]).to_string()).at(1));
        steps.push(Planned::http().at(2));
        steps.push(Planned::tool(text).at(1));
        let found = json!({"type": "tool_call_response", "id": id, "response": hits});
        conversation.extend([last.clone(), json!({"role": "tool", "parts": [found]})]);
    }
    let agent = Planned::agent_with(json!([question]).to_string(), json!([last]).to_string());
    std::iter::once(agent).chain(steps).collect()
}

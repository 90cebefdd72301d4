//! Spans with declared fields.

use super::{Runs, Traced};
use opentelemetry_langsmith::{agent_span, llm_span, retriever_span, tool_span, SpanExt};
use serde_json::json;
use tracing::Span;

/// What rig 0.44 asks of a span before it records a completion onto it.
const ASKED_BY_RIG: &[&str] = &[
    "rig.completion_parent",
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.system_instructions",
    "gen_ai.response.id",
    "gen_ai.response.model",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.tool_use_prompt_tokens",
    "gen_ai.usage.reasoning_tokens",
    "gen_ai.input.messages",
    "gen_ai.output.messages",
];

#[test]
fn rig_may_take_an_llm_span_for_its_own() {
    Traced::start().runs(|| {
        for span in [llm_span!("chat"), llm_span!("chat", model = "m", attempt = 1)] {
            let fields = span.metadata().unwrap().fields();
            for name in ASKED_BY_RIG {
                assert!(fields.field(name).is_some(), "{name} is not declared");
            }
        }
        // An agent's span has many completions below it.
        assert!(agent_span!("agent").metadata().unwrap().fields().field("rig.completion_parent").is_none());
    });
}

fn work() {
    let model = String::from("gpt-4o-mini");
    let agent = agent_span!("researcher", gen_ai.conversation.id = "thread-7");
    let _agent = agent.enter();
    Span::current().record("gen_ai.prompt", "Where is it?");
    Span::current().record("gen_ai.completion", "Here.");
    Span::current().record("gen_ai.usage.input_tokens", 40);
    {
        let query = "opening hours";
        let span = retriever_span!("search", query = query);
        span.record("gen_ai.retrieval.documents", r#"[{"id": "7", "content": "Open.", "score": 0.8}]"#);
    }
    {
        let span = tool_span!(parent: &agent, "weather", gen_ai.tool.call.id = "call_1");
        span.record("gen_ai.tool.call.arguments", r#"{"city": "Paris"}"#);
        span.record("gen_ai.tool.call.result", "18 °C");
    }
    {
        let name = format!("tool_{}", 7);
        let _span = tool_span!("tool", tool = name, kind = ?name).entered();
    }
    let span = llm_span!("answer", provider = "openai", model = model.as_str(), attempt = 2, gen_ai.request.seed = 3);
    span.record("gen_ai.input.messages", r#"[{"role":"user","parts":[{"type":"text","content":"Where?"}]}]"#);
    span.record("gen_ai.output.messages", r#"[{"role":"assistant","parts":[{"type":"text","content":"Here."}]}]"#);
    // As rig records counts: unsigned.
    span.record("gen_ai.usage.input_tokens", 12_u64);
    span.record("gen_ai.usage.output_tokens", 3_u64);
    span.add_tags(["last"]);
}

fn check(runs: &Runs) {
    let types: Vec<_> =
        ["researcher", "search", "weather", "tool_7", "answer"].map(|name| &*runs[name].run_type).into();
    assert_eq!(types, ["chain", "retriever", "tool", "tool", "llm"]);
    for name in ["search", "weather", "tool_7", "answer"] {
        assert_eq!(runs.above(name), Some("researcher"));
    }
    let agent = &runs["researcher"];
    assert_eq!(agent.inputs, Some(json!({"input": "Where is it?"})));
    assert_eq!(agent.outputs, Some(json!({"output": "Here."})));
    assert_eq!(agent.metadata("thread_id"), Some(&json!("thread-7")));
    assert_eq!(agent.usage(), None, "LangSmith adds up the counts of the calls below");
    assert_eq!(agent.metadata("ls_aggregated_usage").unwrap()["input_tokens"], json!(40));

    assert_eq!(runs["search"].inputs, Some(json!({"query": "opening hours"})));
    assert_eq!(runs["search"].outputs.as_ref().unwrap()["documents"][0]["page_content"], json!("Open."));
    assert_eq!(runs["weather"].inputs, Some(json!({"city": "Paris"})));
    assert_eq!(runs["weather"].metadata("tool_call_id"), Some(&json!("call_1")));

    let llm = &runs["answer"];
    assert_eq!(llm.metadata("ls_model_name"), Some(&json!("gpt-4o-mini")));
    assert_eq!(llm.metadata("ls_provider"), Some(&json!("openai")));
    assert_eq!(llm.inputs.as_ref().unwrap()["messages"][0]["content"], json!("Where?"));
    assert_eq!(llm.usage().unwrap()["total_tokens"], json!(15));
    assert_eq!(llm.metadata("attempt"), Some(&json!(2)));
    assert_eq!(llm.extra["invocation_params"]["seed"], json!(3));
    assert_eq!(llm.tags, ["last"]);
    for name in ["rig.completion_parent", "gen_ai.usage.input_tokens"] {
        assert_eq!(llm.metadata(name), None, "{name} says nothing to a reader");
    }
}

#[test]
fn declared_fields_can_be_recorded_later() {
    check(&Traced::start().runs(work));
}

//! Logfire and pydantic-ai, by the versions of its instrumentation.

use super::{call, check, text, Pipeline};
use opentelemetry::trace::TraceContextExt;
use opentelemetry::Context;
use serde_json::{json, Value};

/// A turn with a tool, as versions 2 and up write it.
fn turn() -> Vec<Value> {
    vec![
        json!({"role": "user", "parts": [{"type": "text", "content": "2+3?"}]}),
        json!({"role": "assistant", "parts": [{"type": "tool_call", "id": "c", "name": "add", "arguments": {"n": 9_007_199_254_740_993_i64}}]}),
        json!({"role": "user", "parts": [{"type": "tool_call_response", "id": "c", "name": "add", "result": "5"}]}),
        json!({"role": "assistant", "parts": [{"type": "text", "content": "five"}], "finish_reason": "stop"}),
    ]
}

fn given() -> Value {
    json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+3?"}])
}

fn made() -> Value {
    json!([
        {"role": "assistant", "content": "", "tool_calls": [call("c", "add", "{\"n\":9007199254740993}")]},
        {"role": "tool", "tool_call_id": "c", "name": "add", "content": "5"},
        {"role": "assistant", "content": "five"},
    ])
}

#[test]
fn what_an_agent_was_given_is_told_from_what_it_made() {
    let agent = json!({
        "model_name": "gpt-4o", "agent_name": "adder", "gen_ai.agent.name": "adder", "gen_ai.operation.name": "invoke_agent",
        "gen_ai.conversation.id": "t-1", "logfire.msg": "adder run", "final_result": "five",
        "gen_ai.aggregated_usage.input_tokens": 20, "gen_ai.aggregated_usage.output_tokens": 4,
        "gen_ai.aggregated_usage.details.reasoning_tokens": 1,
        "gen_ai.system_instructions": text(&json!([{"type": "text", "content": "Be brief."}])),
        "pydantic_ai.all_messages": text(&turn().into()),
        "logfire.json_schema": {"type": "object"}, "logfire.msg_template": "{agent_name} run", "logfire.span_type": "span",
    });
    let mut again = agent.clone();
    again["pydantic_ai.all_messages"] = text(&[turn(), turn()].concat().into());
    again["pydantic_ai.new_message_index"] = 4.into();
    again["final_result"] = json!({"sum": 5});
    let history = json!([{"role": "system", "content": "Be brief."}, turn_as_sent()[0], made()[0], made()[1], made()[2], turn_as_sent()[0]]);
    check(&[
        (
            "invoke_agent adder",
            agent,
            json!({
                "name": "adder", "type": "chain", "inputs": {"messages": given()}, "outputs": {"messages": made()}, "usage": null,
                "sum": {"input_tokens": 20, "output_tokens": 4, "total_tokens": 24, "output_token_details": {"reasoning": 1}},
                "metadata": {"message": "adder run", "thread_id": "t-1", "logfire.json_schema": null, "logfire.span_type": null,
                    "logfire.msg_template": null, "final_result": null, "finish_reason": "stop"},
            }),
        ),
        (
            "the second turn, with a structured result",
            again,
            json!({"inputs": {"messages": history}, "outputs": {"messages": made(), "output": {"sum": 5}}}),
        ),
    ]);
}

fn turn_as_sent() -> Value {
    json!([{"role": "user", "content": "2+3?"}])
}

#[test]
fn version_1_writes_lists_of_events() {
    let mut events = vec![
        json!({"event.name": "gen_ai.system.message", "content": "Be brief.", "role": "system", "gen_ai.message.index": 0}),
        json!({"event.name": "gen_ai.user.message", "content": "2+3?", "role": "user", "gen_ai.message.index": 0}),
    ];
    let answer = json!({"event.name": "gen_ai.assistant.message", "content": "five", "role": "assistant", "gen_ai.message.index": 1});
    let choice =
        json!({"event.name": "gen_ai.choice", "index": 0, "message": {"role": "assistant", "content": "five"}});
    let all = [events.clone(), vec![answer]].concat();
    events.push(choice);
    check(&[
        (
            "chat gpt-4o",
            json!({
                "gen_ai.operation.name": "chat", "gen_ai.system": "openai", "gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 9,
                "gen_ai.usage.output_tokens": 1, "events": text(&events.into()), "operation.cost": 0.5,
                "model_request_parameters": {"function_tools": [{"name": "add", "description": "adds", "parameters_json_schema": {"type": "object"}}],
                    "output_mode": "text", "allow_text_output": true},
                "logfire.json_schema": {"type": "object"}, "logfire.tags": ["a", "b"],
            }),
            json!({
                "type": "llm", "inputs": {"messages": given(), "tools": [{"type": "function",
                    "function": {"name": "add", "description": "adds", "parameters": {"type": "object"}}}]},
                "outputs": {"messages": [{"role": "assistant", "content": "five"}]}, "tags": ["a", "b"],
                "usage": {"input_tokens": 9, "output_tokens": 1, "total_tokens": 10, "total_cost": 0.5},
                "parameters": {"output_mode": "text", "function_tools": null,
                    "tools": [{"type": "function", "function": {"name": "add", "description": "adds", "parameters": {"type": "object"}}}]},
                "metadata": {"events": null, "model_request_parameters": null, "operation.cost": null},
            }),
        ),
        (
            "agent run",
            json!({"model_name": "gpt-4o", "agent_name": "adder", "all_messages_events": text(&all.into()), "final_result": "five",
                "gen_ai.usage.input_tokens": 9, "gen_ai.usage.output_tokens": 1, "logfire.msg": "adder run"}),
            json!({"name": "adder", "type": "chain", "inputs": {"messages": given()}, "usage": null,
                "outputs": {"messages": [{"role": "assistant", "content": "five"}]},
                "sum": {"input_tokens": 9, "output_tokens": 1, "total_tokens": 10}}),
        ),
        (
            "running tool",
            json!({"gen_ai.tool.name": "add", "gen_ai.tool.call.id": "c", "tool_arguments": {"a": 2}, "tool_response": "5", "logfire.msg": "running tool: add"}),
            json!({"name": "add", "type": "tool", "inputs": {"a": 2}, "outputs": {"output": "5"}}),
        ),
        (
            "running 2 tools",
            json!({"tools": ["add", "mul"], "logfire.msg": "running 2 tools"}),
            json!({"type": "chain", "inputs": {"tools": ["add", "mul"]}}),
        ),
        // Nobody's in particular without Logfire's own attributes.
        (
            "somebody's span",
            json!({"prompt": "p", "events": "e"}),
            json!({"inputs": null, "metadata": {"prompt": "p", "events": "e"}}),
        ),
    ]);
}

#[test]
fn logfires_own_instrumentation_keeps_bodies() {
    let request = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "2+3?"}], "seed": 9_007_199_254_740_993_i64});
    let span = |response: Value| {
        json!({"request_data": request, "response_data": response, "gen_ai.system": "openai", "gen_ai.request.model": "gpt-4o",
            "logfire.msg": "Chat Completion with 'gpt-4o'"})
    };
    let expected =
        json!({"type": "llm", "inputs": request, "outputs": {"messages": [{"role": "assistant", "content": "five"}]}});
    check(&[
        ("Chat Completion", span(json!({"message": {"role": "assistant", "content": "five"}})), expected.clone()),
        ("streamed", span(json!({"combined_chunk_content": "five", "chunk_count": 3})), expected),
    ]);
}

/// What a span is given before Logfire's own attributes are its inputs; what follows was set later.
#[test]
fn functions_have_arguments_and_results() {
    let schema = json!({"type": "object", "properties": {"city": {}, "result": {}, "return": {"type": "object"}}});
    let span = |more: &[(&str, Value)]| {
        let mut span = json!({"city": "Paris", "code.function": "get_weather", "logfire.json_schema": schema,
            "logfire.msg_template": "weather in {city}", "logfire.span_type": "span", "other": 1});
        for (name, value) in more {
            span[*name] = value.clone();
        }
        span
    };
    let arguments = json!({"city": "Paris"});
    check(&[
        (
            "weather in {city}",
            span(&[("return", text(&json!({"degrees": 18})))]),
            json!({"type": "chain", "name": "weather in {city}", "inputs": arguments, "outputs": {"degrees": 18},
                "metadata": {"city": null, "other": 1}}),
        ),
        (
            "set later",
            span(&[("result", text(&json!({"degrees": 18})))]),
            json!({"inputs": arguments, "outputs": null, "metadata": {"result": {"degrees": 18}}}),
        ),
        (
            "Chat Completion with {request_data[model]!r}",
            span(&[("gen_ai.operation.name", "chat".into()), ("gen_ai.request.model", "gpt-4o".into())]),
            json!({"type": "llm", "name": "chat gpt-4o", "inputs": null, "metadata": {"city": "Paris"}}),
        ),
    ]);
}

/// Each span that starts is announced by another, which is no run and nobody's parent.
#[test]
fn pending_spans_are_no_runs() {
    let pipeline = Pipeline::start();
    let pending = |name: &str, real: &Context| {
        pipeline
            .span(
                name,
                &json!({"logfire.span_type": "pending_span", "logfire.pending_parent_id": "0000000000000000"}),
                real,
            )
            .span()
            .end();
    };
    let root = pipeline.span("root", &json!({"logfire.span_type": "span"}), &Context::new());
    pending("root", &root);
    let child = pipeline.span("child", &json!({"logfire.span_type": "span"}), &root);
    pending("child", &child);
    child.span().end();
    root.span().end();
    let server = pipeline.finish();
    assert_eq!(server.received(), 2, "{}", server.tree());
    assert_eq!(server.run("child").unwrap().parent_run_id, Some(server.run("root").unwrap().id));
}

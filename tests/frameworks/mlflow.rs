//! `MLflow`.

use super::check;
use serde_json::json;

#[test]
fn values_are_json_and_sometimes_twice() {
    let inputs = json!({"messages": [{"role": "user", "content": "2+3?"}], "seed": 9_007_199_254_740_993_i64});
    let outputs = json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "five"}}]});
    let twice = serde_json::to_string(&inputs.to_string()).unwrap();
    let model = |inputs: serde_json::Value| {
        json!({"mlflow.spanType": "\"CHAT_MODEL\"", "mlflow.spanInputs": inputs, "mlflow.spanOutputs": outputs, "mlflow.llm.model": "\"gpt-4o\"",
            "mlflow.llm.provider": "\"openai\"", "mlflow.chat.tokenUsage": {"input_tokens": 9, "output_tokens": 1, "total_tokens": 10, "cache_read_input_tokens": 3},
            "mlflow.chat.tools": r#"[{"type":"function","function":{"name":"add"}}]"#, "mlflow.trace.session": "t-1"})
    };
    let expected = json!({
        "type": "llm", "inputs": inputs, "outputs": outputs,
        "usage": {"input_tokens": 9, "output_tokens": 1, "total_tokens": 10, "input_token_details": {"cache_read": 3}},
        "parameters": {"model": "gpt-4o", "tools": [{"type": "function", "function": {"name": "add"}}]},
        "metadata": {"ls_provider": "openai", "ls_model_name": "gpt-4o", "thread_id": "t-1", "mlflow.chat.tokenUsage": null},
    });
    check(&[
        ("once", model(inputs.clone()), expected.clone()),
        ("twice", model(twice.into()), expected),
        (
            "predict",
            json!({"mlflow.spanType": "AGENT", "mlflow.spanInputs": "\"2+3?\"", "mlflow.spanOutputs": "5", "mlflow.chat.tokenUsage": {"input_tokens": 9, "output_tokens": 1}}),
            json!({"type": "chain", "inputs": {"input": "2+3?"}, "outputs": {"output": 5}, "usage": null,
                "sum": {"input_tokens": 9, "output_tokens": 1, "total_tokens": 10}}),
        ),
        (
            "documents",
            json!({"mlflow.spanType": "\"RETRIEVER\"", "mlflow.spanOutputs": "[{\"page_content\":\"a\"}]"}),
            json!({"type": "retriever", "outputs": {"documents": [{"page_content": "a", "type": "Document", "metadata": {}}]}}),
        ),
        (
            "parameters",
            json!({"mlflow.spanType": "\"LLM\"", "mlflow.spanInputs": {"model": "a", "input": "2+3?", "seed": 7},
                "model": "\"a\"", "input": "\"2+3?\"", "seed": "7", "plan": "\"free\"", "mlflow.llm.model": "\"a-2026\""}),
            json!({"type": "llm", "inputs": {"model": "a", "input": "2+3?", "seed": 7}, "parameters": {"model": "a", "seed": 7},
                "metadata": {"ls_model_name": "a", "response_model": "a-2026", "plan": "free", "model": null, "input": null, "seed": null}}),
        ),
        (
            "vectors",
            json!({"mlflow.spanType": "\"EMBEDDING\"",
                "mlflow.spanOutputs": {"data": [{"embedding": [1, 2, 3]}, {"embedding": [4, 5, 6]}], "usage": {"prompt_tokens": 6, "total_tokens": 6}}}),
            json!({"type": "embedding", "outputs": {"embeddings": 2, "dimensions": 3},
                "usage": {"input_tokens": 6, "output_tokens": 0, "total_tokens": 6}}),
        ),
        (
            "one vector",
            json!({"mlflow.spanType": "\"EMBEDDING\"", "mlflow.spanOutputs": "[0.5, -1, 2]"}),
            json!({"type": "embedding", "outputs": {"embeddings": 1, "dimensions": 3}}),
        ),
        (
            "no kind",
            json!({"mlflow.spanType": "null", "mlflow.traceRequestId": "\"tr-1\""}),
            json!({"type": "chain", "metadata": {"mlflow.spanType": null, "mlflow.traceRequestId": "tr-1"}}),
        ),
    ]);
}

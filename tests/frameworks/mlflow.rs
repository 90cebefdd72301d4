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
            json!({"type": "retriever", "outputs": {"output": [{"page_content": "a"}]}}),
        ),
    ]);
}

//! Tool definitions in OpenAI's shape.

use super::read::{decode, elements, is_object, is_string, Members};
use super::write::{separate, write_as_string, write_member};
use crate::json::scan;

/// Writes a list of tool definitions. Flat ones are nested under `function`; nested ones, and
/// tools that are no functions, stay as they are. `false`, with nothing written, when the text is
/// no list of tools.
pub(crate) fn write_tools(json: &str, out: &mut String) -> bool {
    let Some(json) = scan::document(json) else { return false };
    if is_object(json) {
        return write_list(&[json], out);
    }
    elements(json).is_some_and(|tools| write_list(&tools, out))
}

fn write_list(tools: &[&str], out: &mut String) -> bool {
    if tools.is_empty() {
        return false;
    }
    out.push('[');
    for tool in tools {
        separate(out);
        // An attribute that is a list of strings holds each tool as JSON in a string.
        let text = if is_string(tool) { decode(tool) } else { (*tool).into() };
        match scan::object(&text).and_then(|json| Some((json, Members::read(json)?))) {
            Some((json, members)) => write_tool(json, &members, out),
            None => out.push_str(tool),
        }
    }
    out.push(']');
    true
}

fn write_tool(json: &str, tool: &Members<'_>, out: &mut String) {
    let is_function = tool.get("type").is_none_or(|kind| decode(kind) == "function");
    let Some(name) = tool.get("name").filter(|_| is_function && tool.get("function").is_none()) else {
        out.push_str(json);
        return;
    };
    out.push_str("{\"type\":\"function\",\"function\":{\"name\":");
    write_as_string(out, name);
    if let Some(description) = tool.get("description") {
        write_member(out, "description", description);
    }
    // Anthropic, MCP and pydantic-ai each have a word of their own for the parameters.
    let parameters =
        super::blocks::first(tool, &["parameters", "input_schema", "inputSchema", "parameters_json_schema"]);
    if let Some(schema) = tool.get(parameters) {
        write_member(out, "parameters", schema);
    }
    for (name, value) in tool.rest(&["type", "name", "description", parameters]) {
        write_member(out, name, value);
    }
    out.push_str("}}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{json, Value};

    fn converted(json: &str) -> Value {
        let mut out = String::new();
        assert!(write_tools(json, &mut out), "{json}");
        serde_json::from_str(&out).unwrap()
    }

    #[test]
    fn nests_flat_tools() {
        let nested = json!([{"type": "function", "function":
            {"name": "add", "description": "adds", "parameters": {"type": "object"}, "strict": true}}]);
        for flat in [
            r#"[{"type":"function","name":"add","description":"adds","parameters":{"type":"object"},"strict":true}]"#,
            r#"[{"name":"add","description":"adds","input_schema":{"type":"object"},"strict":true}]"#,
            r#"{"name":"add","description":"adds","inputSchema":{"type":"object"},"strict":true}"#,
        ] {
            assert_eq!(converted(flat), nested, "{flat}");
        }
        assert_eq!(converted(&nested.to_string()), nested);
        // A list of strings, each one tool.
        assert_eq!(converted(&json!([nested[0].to_string()]).to_string()), nested);
    }

    #[test]
    fn keeps_what_is_no_function() {
        let tools = json!([{"type": "web_search", "name": "search", "limit": 12_345_678_901_234_567_i64}, "search", 7, {"a": 1}]);
        assert_eq!(converted(&tools.to_string()), tools);
    }

    #[test]
    fn refuses_what_is_no_list() {
        for json in ["", "[]", "7", "tools", "[1,"] {
            let mut out = String::new();
            assert!(!write_tools(json, &mut out), "{json}");
            assert!(out.is_empty());
        }
    }
}

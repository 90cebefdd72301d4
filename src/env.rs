//! The one place that reads environment variables. An empty variable counts as unset.

use crate::error::ConfigError;
use std::path::PathBuf;
use std::str::FromStr;

const PREFIXES: [&str; 2] = ["LANGSMITH_", "LANGCHAIN_"];

/// The value of `LANGSMITH_<name>`, or else of `LANGCHAIN_<name>`, its older spelling.
pub(crate) fn text(name: &str) -> Option<String> {
    PREFIXES.into_iter().find_map(|prefix| {
        let value = std::env::var_os(format!("{prefix}{name}"))?;
        let value = value.to_string_lossy().trim().to_owned();
        (!value.is_empty()).then_some(value)
    })
}

/// A path, which need not be UTF-8.
pub(crate) fn path(name: &str) -> Option<PathBuf> {
    PREFIXES.into_iter().find_map(|prefix| {
        let value = std::env::var_os(format!("{prefix}{name}"))?;
        (!value.to_string_lossy().trim().is_empty()).then(|| value.into())
    })
}

/// A number of the kind that `T` is.
pub(crate) fn number<T: FromStr>(
    name: &str,
    variable: &'static str,
    expected: &'static str,
    setter: &'static str,
) -> Result<Option<T>, ConfigError> {
    text(name)
        .map(|value| value.parse().map_err(|_| ConfigError::InvalidVariable { variable, value, expected, setter }))
        .transpose()
}

/// `true`, `1`, `yes`, `on` or the opposites, in any case.
pub(crate) fn flag(name: &str, variable: &'static str, setter: &'static str) -> Result<Option<bool>, ConfigError> {
    text(name)
        .map(|value| match value.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err(ConfigError::InvalidVariable { variable, value, expected: "true or false", setter }),
        })
        .transpose()
}

//! Texts that must not be printed as they are.

mod scrub;

pub(crate) use scrub::Scrubber;

use std::fmt;

/// Holds a key. `Debug` shows that there is one and nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// The key itself, for the one header it goes into.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// A URL that may hold a user name and a password, which are not shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Endpoint(String);

impl Endpoint {
    pub(crate) fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The whole URL, to send to.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.0))
    }
}

/// As much of a URL as can be shown, whether it is a valid one or not: whoever mistypes one has typed the password too.
fn shown(url: &str) -> String {
    // The URL standard takes one slash, or a backslash, for two.
    let is_scheme = |scheme: &&str| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let is_slash = |c: char| matches!(c, '/' | '\\');
    let scheme = url.split_once(':').filter(|(scheme, rest)| is_scheme(&scheme.trim()) && rest.starts_with(is_slash));
    let (scheme, rest) = match scheme {
        Some((_, rest)) => {
            let rest = rest.trim_start_matches(is_slash);
            (&url[..url.len() - rest.len()], rest)
        }
        None => ("", url),
    };
    let (hidden, rest) = match rest.rsplit_once('@') {
        // An address in a query, or a password with a question mark.
        Some((user, _)) if user.contains(['?', '#']) => return format!("{scheme}…"),
        Some((_, rest)) => ("…@", rest),
        None => ("", rest),
    };
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    let (place, query) = rest.split_at(end);
    let authority = place.split(is_slash).next().unwrap_or_default();
    // A password whose `@` is missing or encoded, or a key that was given for a URL.
    let address = authority.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or(authority, |(_, port)| port);
    let port = address.split_once(':').map(|(_, port)| port);
    let is_odd_port = port.is_some_and(|port| !port.bytes().all(|byte| byte.is_ascii_digit()) || port.len() > 5);
    let is_key = authority.len() >= 20 && !authority.contains(['.', ':']);
    if is_odd_port || is_key || authority.contains('%') {
        return format!("{scheme}{hidden}…");
    }
    format!("{scheme}{hidden}{place}{}", if query.is_empty() { "" } else { "?…" })
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_endpoint_shows_its_password() {
        for (url, expected) in [
            ("https://api.smith.langchain.com", "https://api.smith.langchain.com"),
            ("http://127.0.0.1:1984/api/v1/", "http://127.0.0.1:1984/api/v1/"),
            ("http://[::1]:1984/api", "http://[::1]:1984/api"),
            ("api.smith.langchain.com", "api.smith.langchain.com"),
            ("localhost:1984", "localhost:1984"),
            ("https://user:pw@host/api", "https://…@host/api"),
            ("https://pw@host", "https://…@host"),
            ("http:/user:pw@host", "http:/…@host"),
            ("http:\\\\user:pw@host", "http:\\\\…@host"),
            ("user:pw@host", "…@host"),
            ("//user:pw@host", "…@host"),
            ("pw@host:80/x", "…@host:80/x"),
            (" HTTPS:///user:pw@host", " HTTPS:///…@host"),
            ("https://user:p@w@host", "https://…@host"),
            ("https://user:pw/pw@host", "https://…@host"),
            ("https://user:pw?pw@host", "https://…"),
            ("https://user:pw#pw@host", "https://…"),
            ("https://user:pw%40host/api", "https://…"),
            ("https://user:pw", "https://…"),
            ("user:pw", "…"),
            ("user:123456", "…"),
            ("https://host/api?key=pw", "https://host/api?…"),
            ("https://host/api?key=p@w", "https://…"),
            ("https://host#pw", "https://host?…"),
            ("lsv2_pt_0123456789abcdef", "…"),
            ("https://lsv2_pt_0123456789abcdef/api", "https://…"),
            ("", ""),
        ] {
            let endpoint = Endpoint::new(url);
            assert_eq!(endpoint.to_string(), expected);
            assert_eq!(format!("{endpoint:?}"), format!("{expected:?}"));
        }
    }
}

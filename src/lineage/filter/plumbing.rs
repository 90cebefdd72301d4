//! Crates whose spans tell how bytes travel, and nothing of the application.

use opentelemetry_sdk::trace::SpanData;

const PLUMBING: [&str; 12] = [
    "h2",
    "hyper",
    "hyper_util",
    "opentelemetry",
    "opentelemetry_http",
    "opentelemetry_langsmith",
    "opentelemetry_otlp",
    "opentelemetry_sdk",
    "reqwest",
    "rustls",
    "tonic",
    "tower",
];

pub(super) fn is_plumbing(span: &SpanData) -> bool {
    is_plumbing_crate(super::origin(span))
}

/// Asked of every span that starts: the first letter tells most others apart.
fn is_plumbing_crate(origin: &str) -> bool {
    matches!(origin.as_bytes().first(), Some(b'h' | b'o' | b'r' | b't'))
        && PLUMBING.iter().any(|name| super::is_of_crate(origin, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lineage::filter::is_of_crate;

    /// The plain way to say it.
    fn is_plainly_of_crate(origin: &str, name: &str) -> bool {
        origin.split(':').next().is_some_and(|first| first.replace('-', "_") == name)
    }

    #[test]
    fn a_crate_is_told_from_its_neighbours() {
        let names = PLUMBING.into_iter().chain(["rig", "rig_core", "app"]);
        let origins = names.clone().flat_map(|name| {
            let others = [&name[1..], &name[..name.len() - 1], &name.to_uppercase(), ""].map(str::to_owned);
            let written = [name.to_owned(), name.replace('_', "-")];
            let within = written.clone().into_iter().chain(others.clone());
            let within = within
                .flat_map(|name| ["::", ":", "-", "_", "s", "::a-b::c", "::_", "é"].map(|end| name.clone() + end));
            within.collect::<Vec<_>>().into_iter().chain(written).chain(others)
        });
        for origin in origins {
            for name in names.clone() {
                assert_eq!(is_of_crate(&origin, name), is_plainly_of_crate(&origin, name), "{origin} and {name}");
            }
        }
    }

    #[test]
    fn the_first_letters_are_those_of_all() {
        for name in PLUMBING {
            assert!(is_plumbing_crate(name) && is_plumbing_crate(&format!("{}::connect", name.replace('_', "-"))));
            assert!(!is_plumbing_crate(&name[1..]) && !is_plumbing_crate(&format!("my_{name}")));
        }
    }
}

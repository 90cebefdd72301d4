//! What the server says of itself at `GET /info`: limits, and what it cannot do.

use serde_json::Value;

/// The most that goes into one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) runs: u64,
    pub(super) bytes: usize,
}

/// The parts of `GET /info` that matter here. A field that makes no sense counts as missing, and the others count.
#[derive(Debug, Default)]
pub(super) struct Info {
    runs: Option<u64>,
    bytes: Option<u64>,
    pub(super) multipart: Option<bool>,
    pub(super) zstd: Option<bool>,
}

impl Info {
    /// `None` when it is no JSON object.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let info: serde_json::Map<String, Value> = serde_json::from_slice(body).ok()?;
        let ingest = |field| info.get("batch_ingest_config")?.get(field);
        let zstd = info.get("instance_flags").and_then(|flags| flags.get("zstd_compression_enabled"));
        Some(Self {
            runs: ingest("size_limit").and_then(whole).filter(|&runs| runs > 0),
            bytes: ingest("size_limit_bytes").and_then(whole).filter(|&bytes| bytes >= 1024),
            multipart: ingest("use_multipart_endpoint").and_then(Value::as_bool),
            zstd: zstd.and_then(Value::as_bool),
        })
    }

    /// The smaller of each limit.
    pub(super) fn limit(&self, configured: Limits) -> Limits {
        let runs = self.runs.map_or(configured.runs, |runs| runs.min(configured.runs));
        let bytes = self.bytes.and_then(|bytes| bytes.try_into().ok());
        Limits { runs, bytes: bytes.map_or(configured.bytes, |bytes: usize| bytes.min(configured.bytes)) }
    }
}

/// A number of things, also where it is written as `100.0`.
fn whole(number: &Value) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole and in range")]
    let from_float = |number: f64| (number.fract() == 0.0 && (0.0..=EXACT).contains(&number)).then_some(number as u64);
    number.as_u64().or_else(|| number.as_f64().and_then(from_float))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_odd_field_costs_that_field_alone() {
        let read = |ingest: &str, flags: &str| {
            let body = format!(r#"{{"batch_ingest_config":{ingest},"instance_flags":{flags}}}"#);
            let info = Info::read(body.as_bytes()).unwrap();
            let limits = info.limit(Limits { runs: 100, bytes: 20 << 20 });
            (limits.runs, limits.bytes, info.multipart, info.zstd)
        };
        let all = 20 << 20;
        assert_eq!(read(r#"{"size_limit":10,"size_limit_bytes":5000}"#, "{}"), (10, 5000, None, None));
        assert_eq!(read(r#"{"size_limit":10.0,"size_limit_bytes":5e3}"#, "null"), (10, 5000, None, None));
        let off = r#"{"zstd_compression_enabled":false}"#;
        for odd in ["-1", "\"100\"", "1.5", "1e99", "null", "[]", "{}", "99999999999999999999", "0", "true"] {
            let ingest = format!(r#"{{"size_limit":{odd},"size_limit_bytes":5000,"use_multipart_endpoint":false}}"#);
            assert_eq!(read(&ingest, off), (100, 5000, Some(false), Some(false)), "{odd}");
            let ingest = format!(r#"{{"size_limit":10,"size_limit_bytes":{odd},"use_multipart_endpoint":{odd}}}"#);
            let multipart = (odd == "true").then_some(true);
            assert_eq!(read(&ingest, off), (10, all, multipart, Some(false)), "{odd}");
            assert_eq!(read(odd, off), (100, all, None, Some(false)), "{odd}");
            assert_eq!(read("{}", odd), (100, all, None, None), "{odd}");
        }
        assert!(Info::read(b"<html>").is_none() && Info::read(b"[]").is_none() && Info::read(b"null").is_none());
    }
}

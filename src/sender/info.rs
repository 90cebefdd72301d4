//! What the server says of itself at `GET /info`: limits, and what it cannot do.

/// The most that goes into one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) runs: u64,
    pub(super) bytes: usize,
}

/// The parts of `GET /info` that matter here.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Info {
    batch_ingest_config: IngestConfig,
    instance_flags: Option<InstanceFlags>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct IngestConfig {
    use_multipart_endpoint: Option<bool>,
    size_limit: Option<u64>,
    size_limit_bytes: Option<usize>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct InstanceFlags {
    zstd_compression_enabled: Option<bool>,
}

impl Info {
    /// The smaller of each limit. Nonsense does not count.
    pub(super) fn limit(&self, configured: Limits) -> Limits {
        let ingest = &self.batch_ingest_config;
        let runs = ingest.size_limit.filter(|&runs| runs > 0).unwrap_or(configured.runs);
        let bytes = ingest.size_limit_bytes.filter(|&bytes| bytes >= 1024).unwrap_or(configured.bytes);
        Limits { runs: runs.min(configured.runs), bytes: bytes.min(configured.bytes) }
    }

    pub(super) fn has_no_multipart(&self) -> bool {
        self.batch_ingest_config.use_multipart_endpoint == Some(false)
    }

    pub(super) fn has_no_zstd(&self) -> bool {
        self.instance_flags.as_ref().is_some_and(|flags| flags.zstd_compression_enabled == Some(false))
    }
}

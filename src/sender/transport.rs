//! One HTTP request, and what its answer means.

use super::batch::Batch;
use super::concurrency::{Concurrency, Ended};
use super::multipart;
use super::progress::{Progress, Steps};
use super::reply;
use super::spool::Foreign;
use crate::config::Config;
use crate::error::ConfigError;
use crate::secret::Endpoint;
use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{redirect, Body, Client, StatusCode, Url};
use std::fmt::Write;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Semaphore;

const USER_AGENT: &str = concat!("opentelemetry-langsmith/", env!("CARGO_PKG_VERSION"), " (rust)");
/// How long it may take to reach the server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// As much of an answer as is read and shown.
const WORDS: usize = 500;

#[derive(Debug)]
pub(crate) struct Transport {
    http: OnceLock<Client>,
    headers: HeaderMap,
    /// For a request that makes no progress.
    timeout: Duration,
    /// How many requests are on their way at once.
    pub(super) concurrency: Concurrency,
    /// Without a slash at its end.
    base: String,
    /// Where bodies go.
    runs_multipart: Url,
    is_loopback: bool,
    /// Whether the server knows `/runs/multipart`.
    multipart: AtomicBool,
    /// Kilobytes that batches may take that are sent as JSON, beside the batches themselves.
    json: Semaphore,
    json_limit: u32,
}

/// The part of the queue's bytes that those may take.
const JSON_PART: usize = 4;

/// What an answer means for the batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Taken, now or at an earlier try.
    Delivered,
    /// Worth another try.
    Passing { why: String, after: Option<Duration> },
    /// Worth another try, later: it is meant for all batches.
    RateLimited { words: String, after: Option<Duration> },
    /// The server has no multipart endpoint.
    NoMultipart,
    /// The server does not read zstd.
    NoCompression,
    /// Key or workspace.
    Unauthorized { status: u16, words: String },
    /// Too many bytes.
    TooLarge { words: String },
    /// Something in the batch is not accepted.
    Refused { words: String },
    /// Nothing would be accepted there.
    RefusedWhole { words: String },
}

impl Transport {
    pub(crate) fn new(config: &Config) -> Result<Self, ConfigError> {
        let url = check_endpoint(&config.endpoint)?;
        let base = url.as_str().trim_end_matches('/').to_owned();
        let runs_multipart = check_endpoint(&Endpoint::new(format!("{base}/runs/multipart")))?;
        let key = config.api_key.as_ref().filter(|key| !key.expose().trim().is_empty());
        let key = key.ok_or(ConfigError::MissingApiKey)?;
        let mut key = HeaderValue::from_str(key.expose()).map_err(|_| ConfigError::InvalidApiKey)?;
        key.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert("x-api-key", key);
        if let Some(workspace) = &config.workspace_id {
            let value =
                HeaderValue::from_str(workspace).map_err(|_| ConfigError::InvalidWorkspaceId(workspace.clone()))?;
            headers.insert("x-tenant-id", value);
        }
        let json_limit = u32::try_from(config.queue_bytes / JSON_PART / 1024).unwrap_or(u32::MAX >> 4);
        Ok(Self {
            http: OnceLock::new(),
            headers,
            timeout: config.retry.timeout,
            concurrency: Concurrency::new(config.concurrency),
            base,
            runs_multipart,
            is_loopback: is_loopback(&url),
            multipart: AtomicBool::new(true),
            json: Semaphore::new(json_limit as usize),
            json_limit,
        })
    }

    /// The HTTP client, made when it is needed first: it reads the system's certificates, which
    /// would hold up the application's start.
    fn http(&self) -> Result<&Client, reqwest::Error> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        let builder = Client::builder();
        // No proxy leads to this machine itself.
        let builder = if self.is_loopback { builder.no_proxy() } else { builder };
        // And where no proxy and no redirect leads away from plain HTTP, no certificates are needed: to read them takes time.
        #[cfg(any(feature = "rustls", feature = "native-tls"))]
        let builder =
            if self.is_loopback && self.base.starts_with("http://") { builder.tls_certs_only([]) } else { builder };
        let http = builder
            .user_agent(USER_AGENT)
            .default_headers(self.headers.clone())
            // A redirected POST would lose its body, and the key would go elsewhere.
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT.min(self.timeout))
            // Nothing was asked for that is worth packing, and a small answer could become a huge one.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .build()?;
        Ok(self.http.get_or_init(|| http))
    }

    pub(crate) fn use_multipart(&self, yes: bool) {
        self.multipart.store(yes, Ordering::Relaxed);
    }

    /// The answer to `GET /info`, when there is one.
    pub(crate) async fn info(&self) -> Option<Vec<u8>> {
        let request = self.http().ok()?.get(format!("{}/info", self.base)).timeout(Duration::from_secs(5));
        reply::whole(request.send().await.ok()?.error_for_status().ok()?).await
    }

    pub(crate) async fn post(&self, batch: &Batch) -> Answer {
        let http = match self.http() {
            Ok(http) => http,
            Err(reason) => return Answer::Passing { why: words_of(&reason), after: None },
        };
        let multipart = self.multipart.load(Ordering::Relaxed);
        // It is read back, and then there as JSON; one batch at least.
        let kilobytes = u32::try_from(2 * batch.raw_bytes / 1024).unwrap_or(u32::MAX).min(self.json_limit);
        let _room = if multipart { None } else { self.json.acquire_many(kilobytes).await.ok() };
        let (request, body) = if multipart {
            (http.post(self.runs_multipart.clone()).headers(multipart_headers(batch)), batch.body.clone())
        } else {
            let Some(json) = as_json(batch) else {
                return Answer::RefusedWhole { words: "nothing, because the batch could not be read back".into() };
            };
            let request = http.post(format!("{}/runs/batch", self.base));
            (request.header(CONTENT_TYPE, "application/json"), json.into())
        };
        self.send(request, body, multipart, batch.compressed).await
    }

    /// Sends what another SDK kept, as it is.
    pub(crate) async fn post_foreign(&self, foreign: &Foreign) -> Answer {
        let http = match self.http() {
            Ok(http) => http,
            Err(reason) => return Answer::Passing { why: words_of(&reason), after: None },
        };
        let request = http.post(format!("{}/{}", self.base, foreign.path)).header(CONTENT_TYPE, &foreign.content_type);
        let request = if foreign.compressed { request.header(CONTENT_ENCODING, "zstd") } else { request };
        let multipart = foreign.path == "runs/multipart";
        self.send(request, foreign.body.clone(), multipart, foreign.compressed).await
    }

    /// Sends a request as long as it makes progress.
    async fn send(
        &self,
        request: reqwest::RequestBuilder,
        body: bytes::Bytes,
        multipart: bool,
        compressed: bool,
    ) -> Answer {
        let bytes = body.len();
        let progress = Arc::new(Progress::new(bytes, self.timeout));
        let request = request.body(Body::wrap(Steps::new(body, Arc::clone(&progress))));
        let response = tokio::select! {
            response = request.send() => response,
            () = progress.stalls() => {
                self.concurrency.ended(progress.began(), bytes, Ended::Overloaded);
                let why = if progress.is_taken() { "no answer in time" } else { "no progress in time" };
                return Answer::Passing { why: why.into(), after: None };
            }
        };
        let response = match response {
            Ok(response) => response,
            Err(reason) => {
                // Who ends it in the middle of a body may have waited too long for the rest.
                if !reason.is_connect() && !progress.is_taken() {
                    self.concurrency.ended(progress.began(), bytes, Ended::Overloaded);
                }
                return Answer::Passing { why: words_of(&reason), after: None };
            }
        };
        let (status, after) = (response.status(), retry_after(response.headers(), Utc::now()));
        if let Some(ended) = load(status) {
            self.concurrency.ended(progress.began(), bytes, ended);
        }
        if status.is_success() {
            reply::let_go(response);
            return Answer::Delivered;
        }
        let words = words_in(&reply::beginning(response, 4 * WORDS).await, &self.headers);
        meaning(status, after, words, multipart, compressed)
    }
}

/// What an answer tells about how much the server bears. One that refuses something tells nothing.
fn load(status: StatusCode) -> Option<Ended> {
    match status.as_u16() {
        200..=299 | 409 => Some(Ended::Delivered),
        408 | 429 | 503 | 504 => Some(Ended::Overloaded),
        _ => None,
    }
}

fn multipart_headers(batch: &Batch) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(multipart::CONTENT_TYPE));
    headers.insert(HeaderName::from_static("x-pre-compressed-size"), batch.raw_bytes.into());
    headers.insert(HeaderName::from_static("x-post-compressed-size"), batch.body.len().into());
    if batch.compressed {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("zstd"));
    }
    headers
}

fn meaning(status: StatusCode, after: Option<Duration>, words: String, multipart: bool, compressed: bool) -> Answer {
    match status.as_u16() {
        409 => Answer::Delivered,
        429 => Answer::RateLimited { words: format!("{status}: {words}"), after },
        408 | 425 | 499 | 500..=599 => Answer::Passing { why: format!("{status}: {words}"), after },
        404 if multipart => Answer::NoMultipart,
        415 if compressed && multipart => Answer::NoCompression,
        status @ (401 | 403) => Answer::Unauthorized { status, words },
        413 => Answer::TooLarge { words },
        400 | 422 => Answer::Refused { words: format!("{status}: {words}") },
        _ => Answer::RefusedWhole { words: format!("{status}: {words}") },
    }
}

/// Seconds or a date, as RFC 9110 has it.
fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTime::parse_from_rfc2822(text).ok()?;
    Some((date.to_utc() - now).to_std().unwrap_or(Duration::ZERO))
}

/// The beginning of an answer's body, in one line. It is more than is shown, so that no part of a key stands at the end.
/// Should the server repeat the key, it is left out.
fn words_in(body: &[u8], headers: &HeaderMap) -> String {
    let mut text = String::from_utf8_lossy(body).into_owned();
    if let Some(key) = headers.get("x-api-key").and_then(|key| key.to_str().ok()) {
        text = text.replace(key, "[secret]");
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(WORDS).collect()
}

/// An error with its causes. URLs are left out: they may hold a password.
fn words_of(error: &reqwest::Error) -> String {
    let mut words = if error.is_timeout() {
        "no answer in time".to_owned()
    } else if error.is_connect() {
        "no connection".to_owned()
    } else {
        "the request failed".to_owned()
    };
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let _ = write!(words, ": {error}");
        cause = error.source();
    }
    words
}

fn check_endpoint(endpoint: &Endpoint) -> Result<Url, ConfigError> {
    let invalid = |reason: &str| ConfigError::InvalidEndpoint { value: endpoint.to_string(), reason: reason.into() };
    let url = Url::parse(endpoint.expose().trim()).map_err(|reason| invalid(&reason.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid("it does not begin with http:// or https://"));
    }
    if url.scheme() == "https" && !cfg!(any(feature = "rustls", feature = "native-tls")) {
        return Err(invalid("https needs the crate's feature rustls or native-tls"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("it has a query or a fragment"));
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The batch as old servers take it: `{"post":[…],"patch":[…]}`. Attachments and feedback have no place there.
fn as_json(batch: &Batch) -> Option<String> {
    let raw = batch.raw().ok()?;
    let parts = multipart::read(&raw)?;
    let mut lists = [String::new(), String::new()];
    for run in multipart::by_run(&parts) {
        let mut fields = run.iter().filter(|part| !matches!(&*part.operation, "attachment" | multipart::FEEDBACK));
        let Some(main) = fields.next() else { continue };
        let list = &mut lists[usize::from(main.operation == "patch")];
        if !list.is_empty() {
            list.push(',');
        }
        let text = |part: &multipart::Part| std::str::from_utf8(&raw[part.content.clone()]).ok();
        list.push_str(text(main)?.strip_suffix('}')?);
        for field in fields {
            let _ = write!(list, ",\"{}\":{}", field.field, text(field)?);
        }
        list.push('}');
    }
    Some(format!("{{\"post\":[{}],\"patch\":[{}]}}", lists[0], lists[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_retry_after_in_both_forms() {
        let now = DateTime::parse_from_rfc2822("Fri, 20 Nov 2026 19:30:00 GMT").unwrap().to_utc();
        let read = |text: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(text).unwrap())]);
            retry_after(&headers, now)
        };
        assert_eq!(read("7"), Some(Duration::from_secs(7)));
        assert_eq!(read("Fri, 20 Nov 2026 19:30:09 GMT"), Some(Duration::from_secs(9)));
        assert_eq!(read("Fri, 20 Nov 2026 19:29:00 GMT"), Some(Duration::ZERO));
        assert_eq!(read("soon"), None);
    }

    #[test]
    fn an_endpoint_loses_its_slash_and_errors_lose_the_password() {
        assert_eq!(check_endpoint(&Endpoint::new("http://host/api/v1/")).unwrap().path(), "/api/v1/");
        let error = check_endpoint(&Endpoint::new("ftp://user:secret@host")).unwrap_err().to_string();
        assert!(error.contains("LANGSMITH_ENDPOINT") && error.contains("with_endpoint"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

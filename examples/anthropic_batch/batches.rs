//! A client for Anthropic's Message Batches, as small as it can be. Clones share one connection pool, so one client
//! serves all tasks.

use std::error::Error;

use chrono::{DateTime, Utc};
use reqwest::{RequestBuilder, Response};
use serde::Deserialize;
use serde_json::{json, Value};

pub(crate) type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[derive(Clone)]
pub(crate) struct Batches {
    http: reqwest::Client,
    base: String,
    key: String,
}

/// A batch job, as it stands.
#[derive(Debug, Deserialize)]
pub(crate) struct Batch {
    pub(crate) id: String,
    processing_status: String,
    pub(crate) request_counts: RequestCounts,
    created_at: String,
    ended_at: Option<String>,
    results_url: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RequestCounts {
    pub(crate) processing: u64,
}

impl Batch {
    pub(crate) fn created(&self) -> Option<DateTime<Utc>> {
        self.created_at.parse().ok()
    }

    pub(crate) fn ended(&self) -> Option<DateTime<Utc>> {
        self.ended_at.as_ref()?.parse().ok()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.processing_status == "ended"
    }
}

impl Batches {
    pub(crate) fn new(base: impl Into<String>, key: impl Into<String>) -> Self {
        Self { http: reqwest::Client::new(), base: base.into(), key: key.into() }
    }

    /// Hands in requests: a `custom_id` and the parameters of a message for each.
    pub(crate) async fn create(&self, requests: &[Value]) -> Fallible<Batch> {
        let request = self.http.post(format!("{}/v1/messages/batches", self.base));
        Ok(self.send(request.json(&json!({ "requests": requests }))).await?.json().await?)
    }

    pub(crate) async fn get(&self, id: &str) -> Fallible<Batch> {
        Ok(self.send(self.http.get(format!("{}/v1/messages/batches/{id}", self.base))).await?.json().await?)
    }

    /// Calls `each` with one result after the other while they come, in no particular order.
    pub(crate) async fn results(&self, batch: &Batch, mut each: impl FnMut(&Value)) -> Fallible<()> {
        let own = format!("{}/v1/messages/batches/{}/results", self.base, batch.id);
        let mut response = self.send(self.http.get(batch.results_url.as_ref().unwrap_or(&own))).await?;
        let mut waiting = Vec::new();
        while let Some(bytes) = response.chunk().await? {
            waiting.extend_from_slice(&bytes);
            let Some(last) = waiting.iter().rposition(|&byte| byte == b'\n') else { continue };
            let rest = waiting.split_off(last + 1);
            for line in std::mem::replace(&mut waiting, rest).split(|&byte| byte == b'\n') {
                if !line.is_empty() {
                    each(&serde_json::from_slice(line)?);
                }
            }
        }
        if !waiting.is_empty() {
            each(&serde_json::from_slice(&waiting)?);
        }
        Ok(())
    }

    async fn send(&self, request: RequestBuilder) -> Fallible<Response> {
        let response = request.header("x-api-key", &self.key).header("anthropic-version", "2023-06-01").send().await?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(format!("the Message Batches API answered {}: {}", response.status(), response.text().await?).into())
    }
}

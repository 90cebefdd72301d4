//! One failed request as a file. The format is that of LangSmith's SDK for Python, so that either side
//! can send what the other one kept. No key is in it, and of its headers only those count that say how
//! to read the body.

use super::destination::Destination;
use super::envelope::{Envelope, Head, Opened, VERSION};
use crate::sender::batch::Batch;
use crate::sender::boundary::{self, Boundary};
use crate::sender::multipart;
use base64::prelude::{Engine, BASE64_STANDARD};
use bytes::Bytes;
use serde::de::IgnoredAny;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Read};

/// How far back a frame of zstd may look unless more is allowed, and at the most; the logarithms of bytes.
const USUAL_WINDOW: u32 = 27;
const LARGEST_WINDOW: u32 = 31;

/// Why a file is not sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It never will be.
    Damaged(String),
    /// It has or would take more bytes than is read into memory.
    TooLarge,
    /// Another version of this crate may send it.
    Version(String),
    /// It is meant for another destination.
    OtherDestination(String),
}

/// A request that was kept.
#[derive(Debug)]
pub(crate) struct Saved {
    pub(crate) request: Request,
    /// How many runs it is about, as far as can be told.
    pub(crate) runs: u64,
}

#[derive(Debug)]
pub(crate) enum Request {
    /// One that this crate wrote.
    Own(Batch),
    /// Another SDK's, sent as it is.
    Foreign(Foreign),
}

#[derive(Debug)]
pub(crate) struct Foreign {
    /// `runs/multipart` or `runs/batch`.
    pub(crate) path: &'static str,
    pub(crate) content_type: String,
    pub(crate) compressed: bool,
    pub(crate) body: Bytes,
    /// The boundary stands in a part's content too: only as a batch of this crate's is it read as it was meant.
    pub(crate) is_ambiguous: bool,
    /// The body's size before compression.
    raw_bytes: usize,
}

/// The file for a batch.
pub(super) fn write(batch: &Batch, destination: &Destination) -> Vec<u8> {
    let content_type = batch.boundary.content_type();
    let mut headers = BTreeMap::from([("Content-Type", &*content_type)]);
    if batch.compressed {
        headers.insert("Content-Encoding", "zstd");
    }
    let envelope = Envelope {
        version: VERSION,
        endpoint: "runs/multipart",
        headers,
        destination: destination.name(),
        body_base64: BASE64_STANDARD.encode(&batch.body),
    };
    // Texts alone cannot fail to be written.
    serde_json::to_vec(&envelope).unwrap_or_default()
}

/// Reads a file that may be sent to this destination. No body of more than `largest` bytes, before or after compression, is
/// read.
pub(super) fn read(file: Vec<u8>, destination: &Destination, largest: u64) -> Result<Saved, Unfit> {
    let mut request = decode(&file, destination, largest)?;
    // Only one of file and raw body is in memory at a time.
    drop(file);
    let body = request.body.clone();
    let raw =
        plain(&body, request.compressed, largest).map_err(|reason| body_is_damaged(&reason))?.ok_or(Unfit::TooLarge)?;
    request.raw_bytes = raw.len();
    if request.path == "runs/batch" {
        let runs = runs_in_json(&raw).map_err(|reason| body_is_damaged(&reason))?;
        return Ok(Saved { request: Request::Foreign(request), runs });
    }
    read_parts(request, &raw)
}

/// Reads a file wherever it is meant for, as a client would that takes all of them.
///
/// # Errors
/// What is wrong with it.
#[cfg(feature = "testing")]
pub(crate) fn read_adopted(file: &[u8]) -> Result<Saved, String> {
    const LARGEST: u64 = 256 << 20;
    let config = crate::config::Config { adopted_spool: true, ..crate::config::Config::default() };
    read(file.to_vec(), &Destination::new(&config), LARGEST).map_err(|unfit| match unfit {
        Unfit::Damaged(why) | Unfit::Version(why) => why,
        Unfit::TooLarge => "it is too large".into(),
        Unfit::OtherDestination(url) => format!("it is meant for {url}"),
    })
}

/// A multipart body, as the server reads it: by the boundary that the header names.
fn read_parts(mut request: Foreign, raw: &[u8]) -> Result<Saved, Unfit> {
    let content_type = &request.content_type;
    let named = boundary::named_in(content_type)
        .ok_or_else(|| Unfit::Damaged(format!("its Content-Type is {content_type:?}")))?;
    let is_named = raw.starts_with(format!("--{named}\r\n").as_bytes());
    let Some(parts) = is_named.then(|| multipart::read_by_lengths(raw)).flatten() else {
        if boundary::is_ours(content_type) {
            return Err(body_is_damaged(&"a part is not whole"));
        }
        // Its parts are written in another way than here, and only the server can tell how many runs there are.
        return Ok(Saved { request: Request::Foreign(request), runs: 0 });
    };
    request.is_ambiguous = multipart::is_ambiguous(raw, &parts);
    let Some(boundary) = Boundary::named_in(content_type).filter(|_| !request.is_ambiguous) else {
        return Ok(Saved { request: Request::Foreign(request), runs: runs_in_parts(&parts) });
    };
    let runs = multipart::count_runs(&parts);
    let Foreign { body, compressed, raw_bytes, .. } = request;
    Ok(Saved { request: Request::Own(Batch { body, boundary, compressed, raw_bytes, runs }), runs })
}

fn body_is_damaged(reason: &dyn fmt::Display) -> Unfit {
    Unfit::Damaged(format!("its body is damaged: {reason}"))
}

/// The request as it stands in the file, its body not looked at.
fn decode(file: &[u8], destination: &Destination, largest: u64) -> Result<Foreign, Unfit> {
    let damaged = |reason: serde_json::Error| Unfit::Damaged(format!("it is damaged: {reason}"));
    let head: Head = serde_json::from_slice(file).map_err(damaged)?;
    if head.version.is_unknown() {
        return Err(Unfit::Version(head.version.to_string()));
    }
    if head.version.is_missing() {
        return Err(Unfit::Damaged("it is damaged: it has no version".into()));
    }
    if !head.destination.is_met_by(destination) {
        return Err(Unfit::OtherDestination(head.destination.url()));
    }
    let envelope: Opened<'_> = serde_json::from_slice(file).map_err(damaged)?;
    let (path, content_type, compressed) = address(&envelope).map_err(Unfit::Damaged)?;
    if envelope.body_base64.len() as u64 / 4 * 3 > largest + 2 {
        return Err(Unfit::TooLarge);
    }
    let body = BASE64_STANDARD.decode(envelope.body_base64.as_bytes()).map_err(|reason| body_is_damaged(&reason))?;
    Ok(Foreign { path, content_type, compressed, body: body.into(), is_ambiguous: false, raw_bytes: 0 })
}

/// Where a request goes, and how its body is to be read.
fn address(envelope: &Opened<'_>) -> Result<(&'static str, String, bool), String> {
    let content_type = envelope.headers.content_type.trim();
    let (path, expected) = match &*envelope.endpoint {
        "runs/multipart" => ("runs/multipart", "multipart/form-data"),
        "runs/batch" => ("runs/batch", "application/json"),
        other => return Err(format!("its endpoint is {other:?}, which takes no runs")),
    };
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case(expected) || !content_type.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err(format!("its Content-Type is {content_type:?}"));
    }
    let compressed = match envelope.headers.content_encoding.trim() {
        "" | "identity" => false,
        "zstd" => true,
        other => return Err(format!("its Content-Encoding is {other:?}")),
    };
    Ok((path, content_type.to_owned(), compressed))
}

/// The body before compression; `None` if it is larger than that.
fn plain(body: &[u8], compressed: bool, largest: u64) -> io::Result<Option<Cow<'_, [u8]>>> {
    if !compressed {
        return Ok(Some(body.into()));
    }
    let mut decoder = zstd::stream::read::Decoder::new(body)?;
    // What is set aside to look back at takes memory only as it fills up.
    if largest > 1 << USUAL_WINDOW {
        decoder.window_log_max((largest.ilog2() + 1).min(LARGEST_WINDOW))?;
    }
    let mut raw = Vec::new();
    decoder.take(largest + 1).read_to_end(&mut raw)?;
    Ok(Some(raw.into()).filter(|raw: &Cow<'_, [u8]>| raw.len() as u64 <= largest))
}

fn runs_in_json(raw: &[u8]) -> serde_json::Result<u64> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Lists {
        post: Vec<IgnoredAny>,
        patch: Vec<IgnoredAny>,
    }
    let lists: Lists = serde_json::from_slice(raw)?;
    Ok((lists.post.len() + lists.patch.len()) as u64)
}

/// The runs in another SDK's body, where a run's parts need not stand together.
fn runs_in_parts(parts: &[multipart::Part]) -> u64 {
    let parts = parts.iter().filter(|part| part.operation != multipart::FEEDBACK);
    parts.map(|part| &part.id).collect::<BTreeSet<_>>().len() as u64
}

impl Foreign {
    /// The same runs as a batch of this crate's, which can be split and sent to old servers. `None` where
    /// it is not made of parts as they are written here.
    pub(crate) fn to_batch(&self, level: Option<i32>) -> Option<Batch> {
        let raw = plain(&self.body, self.compressed, self.raw_bytes as u64).ok()??;
        let parts = multipart::read_by_lengths(&raw)?;
        Some(Batch::of_parts(&raw, &parts, multipart::count_runs(&parts), level))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use proptest::prelude::*;

    const LARGEST: u64 = 1 << 20;

    fn destination() -> Destination {
        Destination::new(&Config::default().with_api_key("any"))
    }

    fn read(file: &[u8]) -> Result<Saved, Unfit> {
        super::read(file.to_vec(), &destination(), LARGEST)
    }

    fn write(batch: &Batch) -> Vec<u8> {
        super::write(batch, &destination())
    }

    fn batch(content: &str, compressed: bool) -> Batch {
        let (mut body, boundary) = (Vec::new(), Boundary::random());
        multipart::push_part(&mut body, &boundary, &["post.", "1"], "application/json", content.as_bytes());
        multipart::push_part(&mut body, &boundary, &["post.", "1", ".inputs"], "application/json", content.as_bytes());
        multipart::push_part(&mut body, &boundary, &["post.", "2"], "application/json", content.as_bytes());
        boundary.push_end(&mut body);
        let raw_bytes = body.len();
        let body = if compressed { zstd::bulk::compress(&body, 1).unwrap() } else { body };
        Batch { body: body.into(), boundary, compressed, raw_bytes, runs: 2 }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(content in ".{0,80}", compressed: bool) {
            let batch = batch(&content, compressed);
            let saved = read(&write(&batch)).unwrap();
            prop_assert_eq!(saved.runs, 2);
            let Request::Own(read) = saved.request else { panic!("{saved:?}") };
            prop_assert_eq!((read.body, read.compressed, read.raw_bytes), (batch.body, compressed, batch.raw_bytes));
        }

        #[test]
        fn what_is_damaged_is_an_error_and_no_panic(at in 0_usize..400, byte: u8, end in 0_usize..400) {
            let whole = write(&batch("{\"a\": 1}", true));
            prop_assert!(read(&whole[..end.min(whole.len() - 1)]).is_err());
            let mut flipped = whole;
            let at = at % flipped.len();
            flipped[at] = byte;
            let _ = read(&flipped);
        }
    }

    #[test]
    fn only_requests_that_carry_runs_are_taken() {
        let file = |version: u32, endpoint: &str, content_type: &str, encoding: &str| {
            let headers =
                serde_json::json!({"content-type": content_type, "Content-Encoding": encoding, "x-api-key": "k"});
            let body = BASE64_STANDARD.encode("{\"post\":[{},{}],\"patch\":[{}]}");
            let file =
                serde_json::json!({"version": version, "endpoint": endpoint, "headers": headers, "body_base64": body});
            read(file.to_string().as_bytes())
        };
        assert_eq!(file(1, "runs/batch", "application/json", "").unwrap().runs, 3);
        assert_eq!(file(1, "runs/multipart", "multipart/form-data; boundary=x", "identity").unwrap().runs, 0);
        for (version, endpoint, content_type, encoding) in [
            (2, "runs/batch", "application/json", ""),
            (1, "feedback", "application/json", ""),
            (1, "runs/batch/../../keys", "application/json", ""),
            (1, "https://elsewhere/runs/batch", "application/json", ""),
            (1, "runs/batch", "text/plain", ""),
            (1, "runs/batch", "application/json\r\nx-api-key: other", ""),
            (1, "runs/batch", "application/json", "br"),
            (1, "runs/batch", "application/json", "zstd"),
        ] {
            file(version, endpoint, content_type, encoding).unwrap_err();
        }
    }

    #[test]
    fn a_body_that_grows_without_end_is_too_large() {
        for (bytes, fits) in [(LARGEST, true), (LARGEST + 1, false), (100 * LARGEST, false)] {
            let zeros = vec![0; usize::try_from(bytes).unwrap()];
            let compressed = zstd::bulk::compress(&zeros, 1).unwrap();
            assert_eq!(plain(&compressed, true, LARGEST).unwrap().is_some(), fits, "{bytes}");
        }
    }
}

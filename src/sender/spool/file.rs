//! One failed request as a file. The format is that of LangSmith's SDK for Python, so that either side
//! can send what the other one kept. No key is in it, and of its headers only those count that say how
//! to read the body.

use crate::sender::batch::Batch;
use crate::sender::boundary::{self, Boundary};
use crate::sender::multipart;
use base64::prelude::{Engine, BASE64_STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

const VERSION: u32 = 1;
/// No body that is larger, before or after compression, is read into memory.
pub(super) const LARGEST: u64 = 256 << 20;

#[derive(Serialize, Deserialize)]
struct Envelope<'a> {
    version: u32,
    #[serde(borrow)]
    endpoint: Cow<'a, str>,
    #[serde(borrow)]
    headers: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    #[serde(borrow)]
    body_base64: Cow<'a, str>,
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
}

/// The file for a batch.
pub(super) fn write(batch: &Batch) -> Vec<u8> {
    let mut headers = BTreeMap::from([("Content-Type".into(), batch.boundary.content_type().into())]);
    if batch.compressed {
        headers.insert("Content-Encoding".into(), "zstd".into());
    }
    let envelope = Envelope {
        version: VERSION,
        endpoint: "runs/multipart".into(),
        headers,
        body_base64: BASE64_STANDARD.encode(&batch.body).into(),
    };
    // Texts alone cannot fail to be written.
    serde_json::to_vec(&envelope).unwrap_or_default()
}

/// Reads a file. The error says what is wrong with it.
pub(crate) fn read(file: &[u8]) -> Result<Saved, String> {
    let envelope: Envelope<'_> = serde_json::from_slice(file).map_err(|reason| format!("it is damaged: {reason}"))?;
    if envelope.version != VERSION {
        return Err(format!("its version is {}, not {VERSION}", envelope.version));
    }
    let header = |name: &str| {
        let mut headers = envelope.headers.iter();
        headers.find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    let content_type = header("content-type").unwrap_or_default();
    let (path, expected) = match &*envelope.endpoint {
        "runs/multipart" => ("runs/multipart", "multipart/form-data"),
        "runs/batch" => ("runs/batch", "application/json"),
        other => return Err(format!("its endpoint is {other:?}, which takes no runs")),
    };
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case(expected) || !content_type.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err(format!("its Content-Type is {content_type:?}"));
    }
    let compressed = match header("content-encoding").unwrap_or_default() {
        "" | "identity" => false,
        "zstd" => true,
        other => return Err(format!("its Content-Encoding is {other:?}")),
    };
    let body = BASE64_STANDARD
        .decode(envelope.body_base64.as_bytes())
        .map(Bytes::from)
        .map_err(|reason| format!("its body is damaged: {reason}"))?;
    let raw = plain(&body, compressed).map_err(|reason| format!("its body is damaged: {reason}"))?;
    let foreign = |is_ambiguous| {
        let content_type = content_type.to_owned();
        Request::Foreign(Foreign { path, content_type, compressed, body: body.clone(), is_ambiguous })
    };
    if path == "runs/batch" {
        return Ok(Saved { request: foreign(false), runs: runs_in_json(&raw)? });
    }
    // The server reads it by the boundary that the header names.
    let named = boundary::named_in(content_type).ok_or_else(|| format!("its Content-Type is {content_type:?}"))?;
    let is_named = raw.starts_with(format!("--{named}\r\n").as_bytes());
    let Some(parts) = is_named.then(|| multipart::read_by_lengths(&raw)).flatten() else {
        if boundary::is_ours(content_type) {
            return Err("its body is damaged: a part is not whole".into());
        }
        // Its parts are written in another way than here, and only the server can tell how many runs there are.
        return Ok(Saved { request: foreign(false), runs: 0 });
    };
    let is_ambiguous = multipart::is_ambiguous(&raw, &parts);
    let saved = match Boundary::named_in(content_type).filter(|_| !is_ambiguous) {
        Some(boundary) => {
            let runs = multipart::count_runs(&parts);
            let batch = Batch { body: body.clone(), boundary, compressed, raw_bytes: raw.len(), runs };
            Saved { request: Request::Own(batch), runs }
        }
        None => Saved { request: foreign(is_ambiguous), runs: runs_in_parts(&parts) },
    };
    Ok(saved)
}

fn plain(body: &[u8], compressed: bool) -> io::Result<Cow<'_, [u8]>> {
    if !compressed {
        return Ok(body.into());
    }
    let mut raw = Vec::new();
    zstd::stream::read::Decoder::new(body)?.take(LARGEST + 1).read_to_end(&mut raw)?;
    if raw.len() as u64 > LARGEST {
        return Err(io::Error::other(format!("it grows beyond {LARGEST} bytes")));
    }
    Ok(raw.into())
}

fn runs_in_json(raw: &[u8]) -> Result<u64, String> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Lists {
        post: Vec<serde::de::IgnoredAny>,
        patch: Vec<serde::de::IgnoredAny>,
    }
    let lists: Lists = serde_json::from_slice(raw).map_err(|reason| format!("its body is damaged: {reason}"))?;
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
        let raw = plain(&self.body, self.compressed).ok()?;
        let parts = multipart::read_by_lengths(&raw)?;
        Some(Batch::of_parts(&raw, &parts, multipart::count_runs(&parts), level))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
    fn a_body_that_grows_without_end_is_damaged() {
        let bomb = zstd::bulk::compress(&vec![0; usize::try_from(LARGEST).unwrap() + 1], 1).unwrap();
        assert!(plain(&bomb, true).unwrap_err().to_string().contains("grows"));
    }
}

//! Files in the directory for failed traces, whoever wrote them: reading one never panics, and what would be sent is read by
//! its boundary as its lengths say.
#![no_main]

#[path = "../../tests/common/rfc2046.rs"]
#[allow(dead_code)]
mod rfc2046;

use base64::prelude::{Engine, BASE64_STANDARD};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use opentelemetry_langsmith::testing::kept_request;

#[derive(Arbitrary, Debug)]
enum AnyFile {
    Bytes(Vec<u8>),
    /// A file like those that SDKs write, but for what is in it.
    Written {
        version: u8,
        endpoint: AnyEndpoint,
        content_type: Option<String>,
        encoding: Option<String>,
        body: Vec<u8>,
        compressed: bool,
    },
    /// Parts that tell their lengths, with anything in them.
    Parts { boundary: AnyBoundary, parts: Vec<(AnyName, Vec<Piece>)>, compressed: bool },
}

#[derive(Arbitrary, Debug)]
enum AnyEndpoint {
    Multipart,
    Batch,
    Any(String),
}

#[derive(Arbitrary, Debug, Clone, Copy)]
enum AnyBoundary {
    OfOld,
    OfNow,
    OfPython,
}

#[derive(Arbitrary, Debug)]
enum AnyName {
    Post(u8),
    Patch(u8),
    Inputs(u8),
    File(u8),
    Feedback(u8),
}

#[derive(Arbitrary, Debug)]
enum Piece {
    Bytes(Vec<u8>),
    Boundary,
    End,
    Head(u8),
    LineEnd,
}

impl AnyBoundary {
    fn text(self) -> &'static str {
        match self {
            Self::OfOld => "langsmith-5f1d3a9c7e",
            Self::OfNow => "Zk3-_x0aB9Zk3-_x0aB9Zk",
            Self::OfPython => "c23fca02ab3849e39943bc8740a2a419",
        }
    }
}

impl AnyName {
    fn text(&self) -> String {
        match self {
            Self::Post(id) => format!("post.{id}"),
            Self::Patch(id) => format!("patch.{id}"),
            Self::Inputs(id) => format!("post.{id}.inputs"),
            Self::File(id) => format!("attachment.{id}.file"),
            Self::Feedback(id) => format!("feedback.{id}"),
        }
    }
}

fn content(pieces: &[Piece], boundary: &str) -> Vec<u8> {
    let bytes = |piece: &Piece| match piece {
        Piece::Bytes(bytes) => bytes.clone(),
        Piece::Boundary => format!("\r\n--{boundary}\r\n").into_bytes(),
        Piece::End => format!("\r\n--{boundary}--\r\n").into_bytes(),
        Piece::Head(id) => format!("Content-Disposition: form-data; name=\"post.{id}\"\r\nContent-Length: 0\r\n\r\n").into_bytes(),
        Piece::LineEnd => b"\r\n".to_vec(),
    };
    pieces.iter().flat_map(bytes).collect()
}

fn file(version: u8, endpoint: &str, content_type: &str, encoding: Option<&str>, body: &[u8]) -> Vec<u8> {
    let mut headers = serde_json::json!({ "Content-Type": content_type });
    if let Some(encoding) = encoding {
        headers["Content-Encoding"] = encoding.into();
    }
    let body = BASE64_STANDARD.encode(body);
    let file = serde_json::json!({"version": version, "endpoint": endpoint, "headers": headers, "body_base64": body});
    file.to_string().into_bytes()
}

fn compress(body: Vec<u8>, compressed: bool) -> Vec<u8> {
    if compressed { zstd::bulk::compress(&body, 1).expect("it can be compressed") } else { body }
}

/// What would be sent, with its contents if they are known.
fn read(file: &[u8]) -> Option<(u64, Vec<Vec<u8>>)> {
    let request = kept_request(file).ok()?;
    assert!(request.content_type.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{:?}", request.content_type);
    assert!(matches!(request.path, "runs/multipart" | "runs/batch"));
    let raw = if request.compressed { zstd::decode_all(&request.body[..]).expect("it is zstd") } else { request.body };
    if !request.is_known {
        return None;
    }
    let parts = rfc2046::parts(&request.content_type, &raw);
    let contents = parts.iter().map(|part| {
        assert_eq!(part.header("content-length").and_then(|length| length.parse().ok()), Some(part.content.len()));
        part.content.to_vec()
    });
    Some((request.runs, contents.collect()))
}

fuzz_target!(|any: AnyFile| {
    match any {
        AnyFile::Bytes(bytes) => drop(read(&bytes)),
        AnyFile::Written { version, endpoint, content_type, encoding, body, compressed } => {
            let (endpoint, default) = match &endpoint {
                AnyEndpoint::Multipart => ("runs/multipart", "multipart/form-data; boundary=Zk3-_x0aB9Zk3-_x0aB9Zk"),
                AnyEndpoint::Batch => ("runs/batch", "application/json"),
                AnyEndpoint::Any(endpoint) => (&**endpoint, "application/json"),
            };
            let content_type = content_type.as_deref().unwrap_or(default);
            let encoding = encoding.as_deref().or(compressed.then_some("zstd"));
            read(&file(version % 3, endpoint, content_type, encoding, &compress(body, compressed)));
        }
        AnyFile::Parts { boundary, parts, compressed } => {
            let boundary = boundary.text();
            let (mut body, mut expected) = (Vec::new(), Vec::new());
            for (name, pieces) in &parts {
                let content = content(pieces, boundary);
                let head = format!(
                    "--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                    name.text(), content.len()
                );
                body.extend_from_slice(&[head.as_bytes(), &content, b"\r\n"].concat());
                expected.push(content);
            }
            body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
            let is_forged = expected.iter().any(|content| content.windows(boundary.len()).any(|text| text == boundary.as_bytes()));
            let content_type = format!("multipart/form-data; boundary={boundary}");
            let read = read(&file(1, "runs/multipart", &content_type, compressed.then_some("zstd"), &compress(body, compressed)));
            match read {
                Some((_, contents)) => assert_eq!(contents, expected),
                // Sent as it is, where that does no harm.
                None => assert!(!is_forged),
            }
        }
    }
});

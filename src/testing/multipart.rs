//! From a multipart body to operations, with the checks that only the bytes can answer.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;

use axum::body::Bytes;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use futures_util::stream;
use multer::Field;
use serde_json::Value;
use uuid::Uuid;

use super::body::Decoded;
use super::operation::{Feedback, Operation, Route, Verb};
use super::run::Attachment;

/// The fields that travel in parts of their own.
const FIELDS: [&str; 6] = ["inputs", "outputs", "events", "extra", "error", "serialized"];

/// Reads all parts; the error is a sentence's end.
pub(super) async fn decode(content_type: &str, plain: &Bytes) -> Result<Decoded, String> {
    let boundary = multer::parse_boundary(content_type)
        .map_err(|fault| format!("Content-Type {content_type:?} will not do: {fault}"))?;
    let mut assembly = Assembly::default();
    assembly.check_frame(&boundary, plain);
    let bytes = stream::iter([Ok::<_, Infallible>(plain.clone())]);
    let mut parts = multer::Multipart::new(bytes, boundary);
    let malformed = |fault| format!("the body is not valid multipart: {fault}");
    while let Some(part) = parts.next_field().await.map_err(malformed)? {
        let part = Part::read(part).await.map_err(malformed)?;
        assembly.decoded.content_bytes += part.bytes.len();
        assembly.take(part)?;
    }
    Ok(assembly.decoded)
}

struct Part {
    name: String,
    content_type: Option<String>,
    length: Option<String>,
    bytes: Bytes,
}

impl Part {
    async fn read(field: Field<'_>) -> multer::Result<Self> {
        let header = |name| {
            let value = field.headers().get(name)?;
            Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let content_type = header(CONTENT_TYPE);
        let length = header(CONTENT_LENGTH).or_else(|| length_parameter(content_type.as_deref()?));
        Ok(Self { name: unescape(field.name().unwrap_or_default()), content_type, length, bytes: field.bytes().await? })
    }

    fn is_json(&self) -> bool {
        let essence = self.content_type.as_deref().unwrap_or_default();
        let essence = essence.split(';').next().unwrap_or_default();
        essence.trim().eq_ignore_ascii_case("application/json")
    }

    fn json(&self) -> Result<Value, String> {
        serde_json::from_slice(&self.bytes).map_err(|fault| format!("part {:?} is not valid JSON: {fault}", self.name))
    }
}

/// The operations while their parts come in.
#[derive(Default)]
struct Assembly {
    decoded: Decoded,
    /// Where in the operations a run's fields go.
    places: HashMap<(Verb, Uuid), usize>,
    names: HashSet<String>,
}

impl Assembly {
    fn complain(&mut self, what: String) {
        self.decoded.complaints.push(what);
    }

    /// The parser forgives what stands before the first boundary and after the last.
    fn check_frame(&mut self, boundary: &str, plain: &[u8]) {
        if !plain.starts_with(format!("--{boundary}").as_bytes()) {
            self.complain("the body does not begin with its boundary".to_owned());
        }
        if !plain.ends_with(format!("--{boundary}--\r\n").as_bytes()) {
            self.complain("the body does not end with --boundary-- and CRLF".to_owned());
        }
    }

    fn take(&mut self, part: Part) -> Result<(), String> {
        let name = part.name.clone();
        self.check_headers(&part);
        if !self.names.insert(name.clone()) {
            self.complain(format!("part {name:?} comes twice"));
        }
        let mut pieces = name.splitn(3, '.');
        let kind = pieces.next().unwrap_or_default();
        let id = pieces.next().and_then(|id| Uuid::try_parse(id).ok());
        let rest = pieces.next();
        match (Verb::named(kind), id, rest) {
            (Some(verb), Some(id), None) => self.main(verb, id, &part),
            (Some(verb), Some(id), Some(field)) => self.field(verb, id, field, &part),
            (None, Some(id), Some(file)) if kind == "attachment" => {
                self.attachment(id, file, part);
                Ok(())
            }
            (None, Some(id), None) if kind == "feedback" => self.feedback(id, &part),
            _ => Err(format!("part {name:?} has a name that says nothing")),
        }
    }

    fn check_headers(&mut self, part: &Part) {
        let Part { name, bytes, .. } = part;
        if part.content_type.is_none() {
            self.complain(format!("part {name:?} has no Content-Type"));
        } else if !name.starts_with("attachment.") && !part.is_json() {
            self.complain(format!("part {name:?} is not application/json"));
        }
        match &part.length {
            None => self.complain(format!("part {name:?} does not tell its length")),
            Some(length) if *length != bytes.len().to_string() => {
                let actual = bytes.len();
                self.complain(format!("part {name:?} claims a length of {length} but has {actual} bytes"));
            }
            Some(_) => {}
        }
    }

    fn main(&mut self, verb: Verb, id: Uuid, part: &Part) -> Result<(), String> {
        let Value::Object(fields) = part.json()? else {
            return Err(format!("part {:?} is not a JSON object", part.name));
        };
        for field in FIELDS {
            if fields.contains_key(field) {
                let name = &part.name;
                self.complain(format!("part {name:?} holds {field}, which goes in a part of its own"));
            }
        }
        self.places.insert((verb, id), self.decoded.operations.len());
        self.decoded.operations.push(Operation::new(verb, Route::Multipart, id, fields));
        Ok(())
    }

    fn field(&mut self, verb: Verb, id: Uuid, field: &str, part: &Part) -> Result<(), String> {
        let name = &part.name;
        let value = part.json()?;
        if !FIELDS.contains(&field) {
            self.complain(format!("part {name:?} holds a field that has no part"));
        }
        if value.is_null() {
            self.complain(format!("part {name:?} is null instead of absent"));
            return Ok(());
        }
        match self.places.get(&(verb, id)) {
            Some(place) => {
                let operation = &mut self.decoded.operations[*place];
                operation.fields.insert(field.to_owned(), value);
            }
            None => self.complain(format!("part {name:?} has no main part before it")),
        }
        Ok(())
    }

    fn feedback(&mut self, id: Uuid, part: &Part) -> Result<(), String> {
        match Feedback::read(id, part.json()?) {
            Ok(feedback) => self.decoded.feedback.push(feedback),
            Err(what) => self.complain(format!("part {:?} {what}", part.name)),
        }
        Ok(())
    }

    fn attachment(&mut self, id: Uuid, file: &str, part: Part) {
        let place = [Verb::Post, Verb::Patch].iter().find_map(|verb| self.places.get(&(*verb, id)));
        let Some(place) = place else {
            self.complain(format!("part {:?} has no main part before it", part.name));
            return;
        };
        let attachment =
            Attachment { content_type: part.content_type.unwrap_or_default(), bytes: part.bytes.as_ref().into() };
        self.decoded.operations[*place].attachments.insert(file.to_owned(), attachment);
    }
}

/// The other way to tell a part's length: `Content-Type: application/json; length=12`.
fn length_parameter(content_type: &str) -> Option<String> {
    content_type.split(';').filter_map(|parameter| parameter.trim().strip_prefix("length=")).map(str::to_owned).next()
}

/// The three characters that cannot stand in a quoted name are escaped there, and nothing else is.
fn unescape(name: &str) -> String {
    name.replace("%22", "\"").replace("%0D", "\r").replace("%0A", "\n")
}

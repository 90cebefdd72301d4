//! The JSON around a request. What is read of it is no more than is asked for: the rest is passed over and takes no memory.

use super::destination::{Destination, Named};
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read};

pub(super) const VERSION: u32 = 1;

#[derive(Serialize)]
pub(super) struct Envelope<'a> {
    pub(super) version: u32,
    pub(super) endpoint: &'a str,
    pub(super) headers: BTreeMap<&'a str, &'a str>,
    /// Readers of the format that do not know it pass over it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) destination: Option<Named>,
    pub(super) body_base64: String,
}

/// An envelope that is read. What is not asked for is passed over and takes no memory.
#[derive(Deserialize)]
pub(super) struct Opened<'a> {
    #[serde(borrow)]
    pub(super) endpoint: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) headers: Headers<'a>,
    #[serde(borrow)]
    pub(super) body_base64: Cow<'a, str>,
}

/// The headers that say how to read the body.
#[derive(Default)]
pub(super) struct Headers<'a> {
    pub(super) content_type: Cow<'a, str>,
    pub(super) content_encoding: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Headers<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Headers<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("headers")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut headers = Headers::default();
                while let Some(Text(name)) = map.next_key()? {
                    let header = if name.eq_ignore_ascii_case("content-type") {
                        &mut headers.content_type
                    } else if name.eq_ignore_ascii_case("content-encoding") {
                        &mut headers.content_encoding
                    } else {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    };
                    *header = map.next_value::<Text<'de>>()?.0;
                }
                Ok(headers)
            }
        }
        deserializer.deserialize_map(Map)
    }
}

/// What a file says of itself, whatever else is in it.
#[derive(Deserialize)]
pub(super) struct Head {
    #[serde(default)]
    pub(super) version: Version,
    #[serde(default)]
    pub(super) destination: Intended,
}

/// The version of the format, as it stands there.
#[derive(Default, Deserialize)]
pub(super) struct Version(Option<Box<RawValue>>);

/// Where a file says that it is meant for, as it stands there; not all do.
#[derive(Default, Deserialize)]
pub(super) struct Intended(Option<Box<RawValue>>);

impl Version {
    /// There is none: the file is damaged, or no failed trace.
    pub(super) fn is_missing(&self) -> bool {
        self.0.is_none()
    }

    /// Another one than is written here.
    pub(super) fn is_unknown(&self) -> bool {
        self.0.as_ref().is_some_and(|version| version.get() != VERSION.to_string())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = self.0.as_ref().map_or("missing", |version| version.get());
        write!(f, "its version is {version}, not {VERSION}")
    }
}

impl Intended {
    /// Whether it is meant for this destination, or for whoever has the directory. What cannot be understood is meant for
    /// somebody who understands it.
    pub(super) fn is_met_by(&self, destination: &Destination) -> bool {
        let Some(named) = self.0.as_ref().filter(|_| !destination.takes_all()) else { return true };
        serde_json::from_str(named.get()).is_ok_and(|named| destination.is(&named))
    }

    pub(super) fn url(&self) -> String {
        let named = self.0.as_ref().and_then(|named| serde_json::from_str::<Named>(named.get()).ok());
        named.map_or_else(|| "unreadable".into(), |named| named.url)
    }
}

/// Reads what a file says of itself, and no more of it into memory.
pub(super) fn peek(file: &File, limit: u64) -> serde_json::Result<Head> {
    serde_json::from_reader(BufReader::with_capacity(64 << 10, file.take(limit)))
}

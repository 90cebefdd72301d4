//! What separates the parts of a body. Whoever reads a body looks for it, whatever lengths the parts tell; so no
//! content may contain it, and nobody who writes content may guess it.

use base64::prelude::{Engine, BASE64_URL_SAFE_NO_PAD};
use uuid::Uuid;

/// One body's boundary: random, and of letters, digits, `-` and `_`, so that it needs no quotes in a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Boundary([u8; LENGTH]);

/// 16 bytes in base64, without padding.
pub(crate) const LENGTH: usize = 22;

/// That of all bodies of earlier versions; their files may still wait on the disk.
const OF_OLD: &str = "langsmith-5f1d3a9c7e";

const MEDIA_TYPE: &str = "multipart/form-data; boundary=";

impl Boundary {
    /// A new one, of 122 random bits from the system.
    pub(crate) fn random() -> Self {
        let mut text = [b'-'; LENGTH];
        // 16 bytes always fit.
        let _ = BASE64_URL_SAFE_NO_PAD.encode_slice(Uuid::new_v4().as_bytes(), &mut text);
        Self(text)
    }

    /// The one that a header names, if it has the form of those above.
    pub(crate) fn named_in(content_type: &str) -> Option<Self> {
        let text: [u8; LENGTH] = named_in(content_type)?.as_bytes().try_into().ok()?;
        text.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')).then_some(Self(text))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; LENGTH] {
        &self.0
    }

    /// The header that goes with the body.
    pub(crate) fn content_type(&self) -> String {
        self.0.iter().fold(MEDIA_TYPE.to_owned(), |text, byte| text + char::from(*byte).encode_utf8(&mut [0; 4]))
    }

    /// The first line of a part.
    pub(crate) fn push_line(&self, body: &mut Vec<u8>) {
        body.extend_from_slice(b"--");
        body.extend_from_slice(&self.0);
        body.extend_from_slice(b"\r\n");
    }

    /// The last line of a body.
    pub(crate) fn push_end(&self, body: &mut Vec<u8>) {
        body.extend_from_slice(b"--");
        body.extend_from_slice(&self.0);
        body.extend_from_slice(b"--\r\n");
    }
}

/// The length of a body's last line.
pub(crate) const END_LENGTH: usize = LENGTH + "----\r\n".len();

/// Any boundary that a header names.
pub(crate) fn named_in(content_type: &str) -> Option<&str> {
    let mut parameters = content_type.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let (_, value) = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"))?;
    Some(value.trim().trim_matches('"'))
}

/// Whether a body of this crate's has the boundary that the header names.
pub(crate) fn is_ours(content_type: &str) -> bool {
    Boundary::named_in(content_type).is_some() || named_in(content_type) == Some(OF_OLD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_another_and_a_header_tells_it() {
        let all: Vec<Boundary> = std::iter::repeat_with(Boundary::random).take(100).collect();
        for (position, boundary) in all.iter().enumerate() {
            assert!(!all[..position].contains(boundary));
            assert_eq!(Boundary::named_in(&boundary.content_type()), Some(*boundary));
            assert!(is_ours(&boundary.content_type()));
        }
    }

    #[test]
    fn headers_of_others() {
        assert_eq!(named_in("multipart/form-data; charset=utf-8; Boundary=\"a b\""), Some("a b"));
        assert_eq!(named_in("multipart/form-data"), None);
        assert!(is_ours("multipart/form-data; boundary=langsmith-5f1d3a9c7e"));
        assert!(!is_ours("multipart/form-data; boundary=c23fca02ab3849e39943bc8740a2a419"));
        assert!(!is_ours("multipart/form-data; boundary=(that)has?22 characters"));
    }
}

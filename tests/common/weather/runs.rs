//! What stands in bodies, and what the server has against some runs.

use std::io;
use uuid::Uuid;

/// One run in some thousands is refused, in all weathers.
pub(crate) fn is_unwanted(run: &Uuid) -> bool {
    run.as_u128().is_multiple_of(4999)
}

/// Another one is answered as if it was the key.
pub(crate) fn is_forbidden(run: &Uuid) -> bool {
    run.as_u128() % 4999 == 1
}

/// A multipart body as text.
pub(crate) fn text_of(body: &[u8], is_compressed: bool) -> io::Result<String> {
    let body = if is_compressed { &zstd::decode_all(body)? } else { body };
    Ok(String::from_utf8_lossy(body).into_owned())
}

/// The runs that such a body posts.
pub(crate) fn posted(text: &str) -> Vec<Uuid> {
    const NAME: &str = "form-data; name=\"post.";
    let names = text.match_indices(NAME).filter_map(|(at, _)| text[at + NAME.len()..].split('"').next());
    names.filter_map(|name| Uuid::try_parse(name).ok()).collect()
}

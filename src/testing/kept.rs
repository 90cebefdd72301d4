//! What a file that was kept on disk is read as.

use crate::sender::{read_adopted, Kept};

/// A request that was kept on disk, as it would be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptRequest {
    /// `runs/multipart` or `runs/batch`.
    pub path: &'static str,
    /// The body's type, with its boundary.
    pub content_type: String,
    /// Whether the body is compressed with zstd.
    pub compressed: bool,
    /// The body, as it would be sent.
    pub body: Vec<u8>,
    /// How many runs are in it; 0 where only the server can tell.
    pub runs: u64,
    /// Whether its parts are known, so that it can be split. Else it is sent as it is, and whatever the server makes of it.
    pub is_known: bool,
}

/// Reads a file of the directory for failed traces, as a client does before it sends it. For debugging and for fuzzing.
///
/// ```
/// use opentelemetry_langsmith::testing::kept_request;
///
/// let file = r#"{"version":1,"endpoint":"runs/batch","headers":{"Content-Type":"application/json"},"body_base64":"e30="}"#;
/// let request = kept_request(file.as_bytes())?;
/// assert_eq!((request.path, &*request.body, request.runs), ("runs/batch", &b"{}"[..], 0));
/// # Ok::<(), String>(())
/// ```
///
/// # Errors
/// A sentence about what is wrong with the file. A client sets such a file aside.
pub fn kept_request(file: &[u8]) -> Result<KeptRequest, String> {
    let saved = read_adopted(file)?;
    let batch = match saved.request {
        Kept::Foreign(foreign) if !foreign.is_ambiguous => {
            return Ok(KeptRequest {
                path: foreign.path,
                content_type: foreign.content_type,
                compressed: foreign.compressed,
                body: foreign.body.into(),
                runs: saved.runs,
                is_known: false,
            })
        }
        Kept::Foreign(foreign) => foreign.to_batch(Some(1)).ok_or("its body is damaged")?,
        Kept::Own(batch) => batch,
    };
    Ok(KeptRequest {
        path: "runs/multipart",
        content_type: batch.boundary.content_type(),
        compressed: batch.compressed,
        body: batch.body.into(),
        runs: batch.runs,
        is_known: true,
    })
}

//! Reading what a server answers: so much, for so long, and no more.

use reqwest::Response;
use std::time::Duration;
use tokio::time::timeout;

/// The most bytes of an answer that are read.
pub(super) const MOST: usize = 64 << 10;
/// How long the rest of an answer may take when its head has come.
const BRIEFLY: Duration = Duration::from_secs(2);

/// The beginning of an answer's body: up to so many bytes, those that come in a brief time.
pub(super) async fn beginning(mut response: Response, most: usize) -> Vec<u8> {
    let mut body = Vec::new();
    let read = async {
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk[..chunk.len().min(most - body.len())]);
            if body.len() == most {
                break;
            }
        }
    };
    // What has come by then will do.
    let _ = timeout(BRIEFLY, read).await;
    body
}

/// The whole body of an answer; `None` when it is longer than that, or does not come to its end.
pub(super) async fn whole(mut response: Response) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        if body.len() + chunk.len() > MOST {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    Some(body)
}

/// Reads an answer of no interest to its end, so that the connection can be used again. Nobody waits for that; an
/// answer that has no end costs its connection.
pub(super) fn let_go(response: Response) {
    if response.content_length() != Some(0) {
        tokio::spawn(timeout(BRIEFLY, whole(response)));
    }
}

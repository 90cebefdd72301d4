//! A link that all connections share.

use std::io::{self, Read};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// All connections have so many bytes a second together, and take turns.
pub(crate) struct Link {
    bytes_per_second: f64,
    next: Mutex<Instant>,
}

impl Link {
    pub(crate) fn new(bytes_per_second: f64) -> Self {
        Self { bytes_per_second, next: Mutex::new(Instant::now()) }
    }

    fn wait_for(&self, bytes: usize) {
        let turn = {
            let mut next = self.next.lock().unwrap();
            let turn = (*next).max(Instant::now());
            #[allow(clippy::cast_precision_loss, reason = "they are few")]
            let time = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second);
            *next = turn + time;
            turn
        };
        std::thread::sleep(turn.saturating_duration_since(Instant::now()));
    }

    /// Reads so many bytes.
    pub(crate) fn read(&self, bytes: u64, from: &mut impl Read) -> io::Result<Vec<u8>> {
        let mut left = usize::try_from(bytes).map_err(io::Error::other)?;
        let mut body = Vec::new();
        let mut buffer = vec![0; 16 << 10];
        while left > 0 {
            let most = left.min(buffer.len());
            let bytes = from.read(&mut buffer[..most])?;
            if bytes == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.wait_for(bytes);
            body.extend_from_slice(&buffer[..bytes]);
            left -= bytes;
        }
        Ok(body)
    }
}

//! A server that says 202 to everything and looks at nothing, where the strict one would take too long.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

pub(crate) struct Sink {
    address: SocketAddr,
    body_bytes: Arc<AtomicU64>,
}

impl Sink {
    /// Its threads end with the process.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let body_bytes = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&body_bytes);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counted = Arc::clone(&counted);
                // A connection that breaks is the client's business.
                std::thread::spawn(move || drop(answer(&stream, &counted)));
            }
        });
        Self { address, body_bytes }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The size of all bodies so far, as they came.
    pub(crate) fn body_bytes(&self) -> u64 {
        self.body_bytes.load(Ordering::Relaxed)
    }
}

fn answer(stream: &TcpStream, body_bytes: &AtomicU64) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if let Some((name, value)) = line.split_once(':') {
                if name.eq_ignore_ascii_case("content-length") {
                    length = value.trim().parse().map_err(std::io::Error::other)?;
                }
            } else if line.trim().is_empty() {
                break;
            }
        }
        let bytes = std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink())?;
        body_bytes.fetch_add(bytes, Ordering::Relaxed);
        let mut out = stream;
        out.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}")?;
    }
}

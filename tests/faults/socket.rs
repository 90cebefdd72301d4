//! A server that breaks connections at any point, where the strict receiver has answers only.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

/// What happens to a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// The connection is reset when the head has come.
    ResetBeforeBody,
    /// It is reset in the middle of the body.
    ResetAmidBody,
    /// It is reset when the body has come.
    ResetAfterBody,
    /// It is closed in good order, without an answer.
    Close,
    /// No answer ever comes.
    Stall,
    /// These bytes are the answer, and then the connection is closed.
    Say(&'static str),
    /// So many bytes are read at once, and nothing for a while after that; then all is well.
    ReadSlowly(usize),
}

pub(crate) struct Socket {
    pub(crate) address: SocketAddr,
    tries: Arc<AtomicUsize>,
}

impl Socket {
    /// Does that to the first `times` requests with runs, and takes all later ones. Its threads end with the process.
    pub(crate) fn start(act: Act, times: usize) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let tries = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&tries);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let tries = Arc::clone(&counted);
                // A connection that breaks is what this is for.
                std::thread::spawn(move || drop(serve(stream, act, times, &tries)));
            }
        });
        Self { address, tries }
    }

    /// How many requests with runs have come.
    pub(crate) fn tries(&self) -> usize {
        self.tries.load(Ordering::SeqCst)
    }
}

const TAKEN: &[u8] = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}";

fn serve(stream: TcpStream, act: Act, times: usize, tries: &AtomicUsize) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(1024, stream.try_clone()?);
    loop {
        let (is_ingest, length) = read_head(&mut reader)?;
        if !is_ingest {
            (&stream).write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?;
            continue;
        }
        let act = if tries.fetch_add(1, Ordering::SeqCst) < times { Some(act) } else { None };
        let mut body = reader.by_ref().take(length);
        match act {
            Some(Act::ResetBeforeBody) => return reset(stream),
            Some(Act::ResetAmidBody) => {
                io::copy(&mut body.take(length / 2), &mut io::sink())?;
                return reset(stream);
            }
            Some(Act::ReadSlowly(bytes)) => {
                let mut buffer = vec![0; bytes];
                while body.read(&mut buffer)? > 0 {
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
            _ => drop(io::copy(&mut body, &mut io::sink())?),
        }
        match act {
            Some(Act::ResetAfterBody) => return reset(stream),
            Some(Act::Close) => return Ok(()),
            Some(Act::Stall) => loop {
                std::thread::sleep(Duration::from_secs(60));
            },
            Some(Act::Say(answer)) => return (&stream).write_all(answer.as_bytes()),
            _ => (&stream).write_all(TAKEN)?,
        }
    }
}

/// Whether the request carries runs, and how long its body is.
fn read_head(reader: &mut impl BufRead) -> io::Result<(bool, u64)> {
    let (mut is_ingest, mut length) = (false, 0);
    for number in 0.. {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if number == 0 {
            is_ingest = line.starts_with("POST");
        } else if let Some((name, value)) = line.split_once(':') {
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
        } else if line.trim().is_empty() {
            break;
        }
    }
    Ok((is_ingest, length))
}

/// The peer sees a reset, not an end.
fn reset(stream: TcpStream) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _inside = runtime.enter();
    let stream = tokio::net::TcpStream::from_std(stream)?;
    // Deprecated because lingering can block; with no time it does not.
    #[allow(deprecated)]
    stream.set_linger(Some(Duration::ZERO))
}

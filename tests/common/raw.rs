//! A server that reads heads, and leaves bodies and answers to a test.

use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

pub(crate) struct Raw {
    address: SocketAddr,
}

/// What a request's head says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    /// Runs are to follow.
    pub(crate) is_ingest: bool,
    /// They are to follow as JSON.
    pub(crate) is_json: bool,
    /// The body's length.
    pub(crate) length: u64,
}

/// Where a body comes from and an answer goes to.
pub(crate) type Connection = BufReader<TcpStream>;

pub(crate) const TAKEN: &[u8] = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}";
pub(crate) const NOT_FOUND: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

impl Raw {
    /// Calls `serve` for each request; an error ends the connection. Its threads end with the process.
    pub(crate) fn start(serve: impl Fn(Head, &mut Connection) -> io::Result<()> + Send + Sync + 'static) -> Self {
        // So that bodies wait on the client's side, as on a link, and not with the server's system.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
        let listener = {
            let _inside = runtime.enter();
            let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
            socket.set_recv_buffer_size(256 << 10).expect("a small buffer");
            socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("loopback has a free port");
            socket.listen(1024).expect("it is bound").into_std().expect("a listener")
        };
        listener.set_nonblocking(false).expect("a listener that waits");
        Self::serve(listener, Arc::new(serve))
    }

    fn serve<S: Fn(Head, &mut Connection) -> io::Result<()> + Send + Sync + 'static>(
        listener: TcpListener,
        serve: Arc<S>,
    ) -> Self {
        let address = listener.local_addr().expect("it is bound");
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serve = Arc::clone(&serve);
                std::thread::spawn(move || {
                    let mut connection = BufReader::with_capacity(4096, stream);
                    while read_head(&mut connection).and_then(|head| serve(head, &mut connection)).is_ok() {}
                });
            }
        });
        Self { address }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Reads a body to its end.
pub(crate) fn read_body(head: Head, connection: &mut Connection) -> io::Result<()> {
    io::copy(&mut io::Read::take(connection, head.length), &mut io::sink()).map(drop)
}

fn read_head(reader: &mut impl BufRead) -> io::Result<Head> {
    let mut head = Head { is_ingest: false, is_json: false, length: 0 };
    for number in 0.. {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if number == 0 {
            head.is_ingest = line.starts_with("POST");
            head.is_json = head.is_ingest && line.contains("/runs/batch ");
        } else if let Some((name, value)) = line.split_once(':') {
            if name.eq_ignore_ascii_case("content-length") {
                head.length = value.trim().parse().map_err(io::Error::other)?;
            }
        } else if line.trim().is_empty() {
            break;
        }
    }
    Ok(head)
}

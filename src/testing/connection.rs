//! Connections that a handler can break: axum offers answers only, a fault needs the socket itself closed.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

const OPEN: u8 = 0;
const CLOSE: u8 = 1;
const RESET: u8 = 2;

/// A handler's grip on its connection. Once pulled, the next write fails, and the server drops the socket.
#[derive(Debug, Clone, Default)]
pub(super) struct Hangup(Arc<AtomicU8>);

impl Hangup {
    /// Ends the connection in good order, but with nothing said.
    pub(super) fn close(&self) {
        self.0.store(CLOSE, Ordering::Release);
    }

    /// Breaks the connection off: the peer sees a reset.
    pub(super) fn reset(&self) {
        self.0.store(RESET, Ordering::Release);
    }
}

impl Connected<IncomingStream<'_, Doorway>> for Hangup {
    fn connect_info(stream: IncomingStream<'_, Doorway>) -> Self {
        stream.io().hangup.clone()
    }
}

/// The listening socket.
#[derive(Debug)]
pub(super) struct Doorway(pub(super) TcpListener);

impl Listener for Doorway {
    type Io = Breakable;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Breakable, SocketAddr) {
        loop {
            match self.0.accept().await {
                Ok((stream, address)) => {
                    // Answers are small; without this they wait for the peer's delayed acknowledgement.
                    let _ = stream.set_nodelay(true);
                    let hangup = Hangup::default();
                    return (Breakable { stream, hangup }, address);
                }
                // Out of descriptors, mostly: they come back when other connections end.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A connection that breaks when its [`Hangup`] is pulled.
#[derive(Debug)]
pub(super) struct Breakable {
    stream: TcpStream,
    hangup: Hangup,
}

impl Breakable {
    fn check(&self) -> io::Result<()> {
        let state = self.hangup.0.load(Ordering::Acquire);
        if state == OPEN {
            return Ok(());
        }
        if state == RESET {
            // Deprecated because lingering can block on drop; with zero it never does, and the replacement
            // is newer than the oldest tokio that this crate builds with.
            #[allow(deprecated)]
            let _ = self.stream.set_linger(Some(Duration::ZERO));
        }
        Err(io::ErrorKind::ConnectionAborted.into())
    }
}

impl AsyncRead for Breakable {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Breakable {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

//! What a connection talks through: TCP, with or without TLS.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// A byte stream. Two variants and no `dyn`: without TLS a read costs one comparison more than TCP alone.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    /// Its state is a thousand bytes, which the other variant need not carry around.
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl Stream {
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, free: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, free),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, free),
        }
    }
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }
    /// Sends on what was encrypted and did not fit into the socket then; the rest is sent by the next call.
    pub(super) fn send_on(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self {
            Self::Plain(_) => {
                let _ = cx;
                Ok(())
            }
            #[cfg(feature = "tls")]
            Self::Tls(stream) => match Pin::new(stream).poll_flush(cx) {
                Poll::Ready(result) => result,
                Poll::Pending => Ok(()),
            },
        }
    }
    /// Our end's address.
    pub(super) fn local(&self) -> String {
        let address = match self {
            Self::Plain(stream) => stream.local_addr(),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.get_ref().0.local_addr(),
        };
        address.map(|a| a.to_string()).unwrap_or_default()
    }
}

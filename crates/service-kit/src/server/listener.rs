//! Where connections come from, and how a listener ends without losing one.

use std::future::Future;
use std::io;

use tokio::net::{TcpListener, TcpStream};

/// Where connections come from; a fake in tests of the accept loop.
pub(super) trait Listener {
    /// Waits for the next connection. Dropping the future loses none.
    fn accept(&mut self) -> impl Future<Output = io::Result<TcpStream>> + Send;

    /// Lets no new connection begin, while one that has begun can still be accepted.
    fn stop(&self);

    /// Closes the listener and returns the connections that had already reached it.
    fn close(self) -> Vec<TcpStream>;
}

impl Listener for TcpListener {
    async fn accept(&mut self) -> io::Result<TcpStream> {
        Self::accept(self).await.map(|(stream, _)| stream)
    }

    fn stop(&self) {
        if let Err(error) = refuse_new(self) {
            // A connection that comes between the last accept and the close is then reset.
            tracing::debug!(error = %error, "the listener cannot be stopped before it is closed");
        }
    }

    fn close(self) -> Vec<TcpStream> {
        // Through the plain socket: tokio's own accept answers from its last look at the socket, and
        // closing resets whatever has arrived since.
        let Ok(listener) = self.into_std() else {
            return Vec::new();
        };
        std::iter::from_fn(|| listener.accept().ok())
            .filter_map(|(stream, _)| {
                stream.set_nonblocking(true).ok()?;
                TcpStream::from_std(stream).ok()
            })
            .collect()
    }
}

/// Has the kernel drop segments that begin a connection. Their senders repeat them after a second, and are refused
/// when the listener is closed. Everything else, such as the end of a handshake, passes.
#[cfg(target_os = "linux")]
fn refuse_new(listener: &TcpListener) -> io::Result<()> {
    use socket2::SockFilter;

    // Classic BPF; a filter of a TCP socket sees the segment from its TCP header on (RFC 9293 section 3.1).
    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_IF_ANY_SET: u16 = 0x45;
    const RETURN: u16 = 0x06;
    socket2::SockRef::from(listener).attach_filter(&[
        SockFilter::new(LOAD_BYTE, 0, 0, FLAGS),
        SockFilter::new(JUMP_IF_ANY_SET, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ])
}

#[cfg(not(target_os = "linux"))]
fn refuse_new(_: &TcpListener) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    /// H6
    #[tokio::test]
    async fn a_stopped_listener_has_all_its_connections_and_gets_no_other() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let before = TcpStream::connect(address).await.unwrap();
        listener.stop();
        // On loopback a handshake is over when its first step returns, so this one would be in the backlog.
        let mut after = Box::pin(TcpStream::connect(address));
        assert!(after.as_mut().now_or_never().is_none());

        let accepted = listener.close();
        assert_eq!(accepted.len(), 1);
        assert_eq!(
            accepted[0].peer_addr().unwrap(),
            before.local_addr().unwrap()
        );
        let refused = after.await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }
}

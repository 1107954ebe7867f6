//! A listener with bounds: so many connections, none idle for ever.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// A TCP listener that accepts only so many connections at a time; the next ones wait
/// in the system's queue.
#[derive(Debug)]
pub(crate) struct Bounded {
    listener: TcpListener,
    places: Arc<Semaphore>,
    idle: Duration,
}

/// A connection that ends when its client has taken too long: with nothing at all, or
/// with one request. Each byte of a request does not count as a sign of life, because
/// somebody who sends one now and then could keep all places for ever.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    idle: Duration,
    /// Whether a request began to come since something was last answered.
    receiving: bool,
    deadline: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

/// Where a connection came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Peer(pub(super) SocketAddr);

impl Connected<IncomingStream<'_, Bounded>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Bounded>) -> Self {
        Self(*stream.remote_addr())
    }
}

impl tonic::transport::server::Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl Bounded {
    pub(crate) fn new(listener: TcpListener, connections: usize, idle: Duration) -> Self {
        Self {
            listener,
            places: Arc::new(Semaphore::new(connections)),
            idle,
        }
    }
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
                // Nobody closes the semaphore.
                std::future::pending::<()>().await;
                continue;
            };
            // The trait's own accept waits a little when the system is out of sockets.
            let (stream, address) = Listener::accept(&mut self.listener).await;
            let (idle, deadline) = (self.idle, Box::pin(sleep(self.idle)));
            return (
                Connection {
                    stream,
                    idle,
                    receiving: false,
                    deadline,
                    _place: place,
                },
                address,
            );
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer));
        if !self.receiving {
            self.receiving = true;
            let next = Instant::now() + self.idle;
            self.deadline.as_mut().reset(next);
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        // A client that listens to a stream says nothing, but takes what it is sent.
        self.receiving = false;
        let next = Instant::now() + self.idle;
        self.deadline.as_mut().reset(next);
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn who_sends_a_byte_now_and_then_keeps_no_place() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut bounded = Bounded::new(listener, 1, Duration::from_millis(300));
        let mut client = TcpStream::connect(address).await.unwrap();
        let (mut connection, _) = bounded.accept().await;
        let trickle = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(20));
            while client.write_all(b"x").await.is_ok() {
                ticks.tick().await;
            }
        });
        let read = async {
            let mut byte = [0];
            loop {
                if let Err(error) = connection.read_exact(&mut byte).await {
                    return error.kind();
                }
            }
        };
        let ended = timeout(Duration::from_secs(20), read).await.unwrap();
        assert_eq!(ended, io::ErrorKind::TimedOut);
        trickle.abort();
    }

    #[tokio::test]
    async fn who_takes_answers_stays() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut bounded = Bounded::new(listener, 1, Duration::from_secs(1));
        let mut client = TcpStream::connect(address).await.unwrap();
        let (mut connection, _) = bounded.accept().await;
        let (start, mut byte) = (Instant::now(), [0]);
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        while start.elapsed() < Duration::from_millis(1_500) {
            ticks.tick().await;
            client.write_all(b"x").await.unwrap();
            connection.read_exact(&mut byte).await.unwrap();
            connection.write_all(b"y").await.unwrap();
            client.read_exact(&mut byte).await.unwrap();
        }
    }
}

//! The connections: so many, none of them silent for long, each with small buffers.

use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep};

use super::limits::{BUFFER_BYTES, CONNECTIONS, IDLE, STREAM_SOCKET_BYTES};

/// How long to wait where nothing can be accepted, as without files to open.
const AGAIN: Duration = Duration::from_millis(500);

/// What a connection counts as, which a request may change.
pub(super) struct Ticket {
    permit: Mutex<Option<OwnedSemaphorePermit>>,
    streams: AtomicBool,
}

impl Ticket {
    /// From now on it is a stream of events: it makes room for another connection, and keeps `permit`.
    pub(super) fn becomes_stream(&self, permit: OwnedSemaphorePermit) {
        *self.permit.lock().unwrap_or_else(PoisonError::into_inner) = Some(permit);
        self.streams.store(true, Ordering::Relaxed);
    }
}

/// Answers whoever connects, until it is told to stop, and then until all have been answered.
pub(super) async fn serve(listener: TcpListener, router: Router, mut stop: watch::Receiver<bool>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            // A sender that is gone means stop as well.
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = accept(&listener, &room) => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let (stream, from, permit) = accepted;
        connections.spawn(connection(stream, from, permit, router.clone(), stop.clone()));
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed, so there always is a permit in the end.
    let permit = Arc::clone(room).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, from)) => return (stream, from, permit),
            Err(error) if is_of_the_client(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "no HTTP connection can be accepted now");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn connection(
    stream: TcpStream,
    from: SocketAddr,
    permit: Option<OwnedSemaphorePermit>,
    router: Router,
    mut stop: watch::Receiver<bool>,
) {
    let ticket = Arc::new(Ticket { permit: Mutex::new(permit), streams: AtomicBool::new(false) });
    let io = TokioIo::new(Connection::new(stream, Arc::clone(&ticket)));
    let answers = TowerToHyperService::new(router);
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(from);
        request.extensions_mut().insert(Arc::clone(&ticket));
        hyper::service::Service::call(&answers, request)
    });
    let mut builder = http1::Builder::new();
    builder.max_buf_size(BUFFER_BYTES).timer(TokioTimer::new()).header_read_timeout(IDLE);
    let mut serving = pin!(builder.serve_connection(io, service));
    // Without what the channel lends, which no other task may hold.
    let stopped = async move { drop(stop.wait_for(|stop| *stop).await) };
    let ended = tokio::select! {
        ended = serving.as_mut() => Some(ended),
        () = stopped => None,
    };
    let ended = if let Some(ended) = ended {
        ended
    } else {
        serving.as_mut().graceful_shutdown();
        serving.await
    };
    if let Err(error) = ended {
        tracing::trace!(%from, %error, "an HTTP connection ended");
    }
}

/// A connection that ends when nothing has moved on it for [`IDLE`].
struct Connection {
    stream: TcpStream,
    idle: Pin<Box<Sleep>>,
    ticket: Arc<Ticket>,
    /// True once the kernel keeps as little for it as for a stream of events.
    narrow: bool,
}

impl Connection {
    fn new(stream: TcpStream, ticket: Arc<Ticket>) -> Self {
        #[cfg(target_os = "linux")]
        if let Err(error) = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(IDLE)) {
            tracing::trace!(%error, "a connection to nobody will be given up late");
        }
        Self { stream, idle: Box::pin(tokio::time::sleep(IDLE)), ticket, narrow: false }
    }

    /// Passes an outcome on; one that waits counts against the idle time, anything else starts it anew.
    fn timed<T>(&mut self, outcome: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.idle.as_mut().reset(Instant::now() + IDLE);
            return outcome;
        }
        match self.idle.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }

    /// What a slow client has not taken is kept here and not in the kernel, where it would be old by the time it is read.
    fn narrow(&mut self) {
        if !self.narrow && self.ticket.streams.load(Ordering::Relaxed) {
            self.narrow = true;
            if let Err(error) = socket2::SockRef::from(&self.stream).set_send_buffer_size(STREAM_SOCKET_BYTES) {
                tracing::trace!(%error, "the kernel may keep more of a stream of events");
            }
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_read(cx, into);
        self.timed(outcome, cx)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.narrow();
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.timed(outcome, cx)
    }

    /// An event that goes to many is written from where it lies.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.narrow();
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.timed(outcome, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

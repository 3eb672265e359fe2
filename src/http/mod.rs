//! The HTTP listener: metrics, health, the topologies as text and picture, and committed state.
//!
//! It listens on loopback; another address needs a token, so that nothing is open to a network by accident. It runs on a
//! thread of its own and never touches the record path.
//!
//! - `access` and `session`: the token, and who has logged in with it; `guard`: what is let in at all.
//! - `connections`, `limits`: so many connections, with small buffers and little patience.
//! - `pages`: what is found where; `assets`: the page itself.
//! - `state`: committed state.
//! - `live`: what changes; `events`: how it goes to many; `tap`: the records of a topic.

mod access;
mod ask;
mod assets;
mod connections;
mod events;
mod guard;
mod health;
mod limits;
mod live;
mod login;
mod pages;
mod session;
mod state;
mod tap;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

pub use access::Token;
pub use ask::{Question, health};
pub use health::Readiness;

use crate::error::{Error, ErrorKind, Result};
use crate::metrics::Metrics;
use crate::runtime::{Queries, Status, Topics, Watch};
use crate::time::SystemClock;
use crate::watch::Observer;

/// How a topology is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// As a Mermaid diagram.
    Mermaid,
    /// For programs.
    Json,
}

/// Where the listener gets what it shows from.
#[derive(Clone)]
pub struct Sources {
    /// The metrics.
    pub metrics: Metrics,
    /// Each application's name and how it stands now.
    pub status: Arc<dyn Fn() -> Vec<(String, Status)> + Send + Sync>,
    /// The topologies in a format.
    pub topologies: Arc<dyn Fn(Format) -> String + Send + Sync>,
    /// What can be asked of each application's state.
    pub queries: Vec<Queries>,
    /// Each application by its topology's name, to be paused and asked for what it refused.
    pub watches: Vec<(String, Watch)>,
    /// What the applications do, seen once a second.
    pub observer: Observer,
    /// The topics of each application that can be watched.
    pub topics: Vec<Topics>,
    /// The address by which other processes know this one, `host:port`, where it is not the one that it listens at.
    pub advertised: Option<String>,
    /// Who may ask; `None` lets everybody who reaches it.
    pub token: Option<Token>,
}

/// The running listener; dropping it stops it.
pub struct HttpServer {
    addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl HttpServer {
    /// Listens at `addr`; port 0 takes a free one.
    ///
    /// # Errors
    /// When the address is not loopback and there is no token, or when it cannot be listened at.
    pub fn start(addr: SocketAddr, sources: Sources) -> Result<Self> {
        Bound::at(addr, sources.token.as_ref())?.serve(sources)
    }

    /// The address it listens at, with the port it got.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

/// An address that is taken, and not answered at yet: for whoever has more to start that must not be started in vain.
pub struct Bound {
    addr: SocketAddr,
    listener: std::net::TcpListener,
}

impl Bound {
    /// Takes `addr`; port 0 takes a free one.
    ///
    /// # Errors
    /// As [`HttpServer::start`].
    pub fn at(addr: SocketAddr, token: Option<&Token>) -> Result<Self> {
        if !addr.ip().is_loopback() && token.is_none() {
            let message = format!("the HTTP address {addr} is open to the network, without a token");
            return Err(Error::new(ErrorKind::Config, message)
                .remedy("give one with --http-token-file or MILLSTREAM_HTTP_TOKEN, or listen at 127.0.0.1"));
        }
        let cannot = |error| cannot_listen(addr, error);
        let listener = std::net::TcpListener::bind(addr).map_err(cannot)?;
        listener.set_nonblocking(true).map_err(cannot)?;
        Ok(Self { addr: listener.local_addr().map_err(cannot)?, listener })
    }

    /// The address, with the port that it got.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Answers there from now on.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn serve(self, sources: Sources) -> Result<HttpServer> {
        let Self { addr, listener } = self;
        let cannot = |error| cannot_listen(addr, error);
        limits::open_files();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(limits::BLOCKING)
            .enable_all()
            .build()
            .map_err(cannot)?;
        let listener = runtime.block_on(async { tokio::net::TcpListener::from_std(listener) }).map_err(cannot)?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("http".into())
            .spawn(move || {
                runtime.block_on(serve(listener, sources, stopped));
                // Not for whoever asks a coordinator that is away.
                runtime.shutdown_timeout(limits::GRACE);
            })
            .map_err(cannot)?;
        Ok(HttpServer { addr, stop: Some(stop), thread: Some(thread) })
    }
}

fn cannot_listen(addr: SocketAddr, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Config, format!("cannot listen for HTTP at {addr}"))
        .caused_by(error)
        .remedy("choose another address with --http")
}

async fn serve(listener: tokio::net::TcpListener, sources: Sources, stopped: oneshot::Receiver<()>) {
    let port = listener.local_addr().map_or(0, |addr| addr.port());
    let sessions = session::Sessions::new(Arc::new(SystemClock::new()), port);
    let gate = guard::Gate { token: sources.token.clone(), sessions, advertised: sources.advertised.clone() };
    let live = live::Live::new(&sources);
    let (asked, was_asked) = tokio::sync::watch::channel(false);
    let router = pages::router(sources, gate, live.clone());
    let mut serving = pin!(connections::serve(listener, router, was_asked));
    tokio::select! {
        () = serving.as_mut() => return,
        // A sender that is gone means stop as well.
        _ = stopped => {}
    }
    live.close();
    let _ = asked.send(true);
    if tokio::time::timeout(limits::GRACE, serving).await.is_err() {
        tracing::debug!("HTTP connections were cut at the end");
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // It fails where the listener has stopped already.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;

//! A socket, and the connections that come in over it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use rustls::ServerConfig;
use tokio::net::TcpListener;

use super::connection::Server;
use super::metrics::ConnectionMetrics;
use super::places::{Admission, Places};
use super::shutdown::{Phase, Shutdown};

/// What a client may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections open at once. One more gets the place of the one that has been idle longest; where all are
    /// in use it is closed at once, before it costs a handshake.
    pub connections: usize,
    /// So long at least a connection may be idle.
    pub rest: Duration,
    /// For the TLS handshake.
    pub handshake: Duration,
    /// For a request's head.
    pub head: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// For room to write an answer.
    pub write: Duration,
    /// Bytes of a request's head.
    pub head_bytes: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections: 2048,
            // Enough to come to a first request in a burst.
            rest: Duration::from_secs(1),
            handshake: Duration::from_secs(5),
            head: Duration::from_secs(10),
            // Longer than the 90 seconds after which Go's client, the API server, closes an idle connection
            // itself: it is never met by our closing at the moment it sends.
            idle: Duration::from_secs(120),
            write: Duration::from_secs(10),
            head_bytes: 64 * 1024,
        }
    }
}

/// A bound socket.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    server: Server,
}

impl Listener {
    /// Binds `address`. Without `tls` it speaks plain HTTP/1.1.
    ///
    /// # Errors
    /// Where the address cannot be bound.
    pub async fn bind(
        address: SocketAddr,
        tls: Option<Arc<ServerConfig>>,
        router: Router,
        limits: ConnectionLimits,
        metrics: ConnectionMetrics,
        shutdown: Shutdown,
    ) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        Ok(Self { socket, server: Server { router, tls, limits, metrics, shutdown } })
    }

    /// The address it got.
    ///
    /// # Errors
    /// Where the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until [`Phase::Stopping`], then waits at most `grace` for the requests that are being answered.
    /// Gives the number of connections that were still open then.
    pub async fn run(self, grace: Duration) -> usize {
        let Self { socket, server } = self;
        let places = Arc::new(Places::new(server.limits.connections, server.limits.rest));
        let server = Arc::new(server);
        loop {
            let accepted = tokio::select! {
                accepted = socket.accept() => accepted,
                () = server.shutdown.reached(Phase::Stopping) => break,
            };
            match accepted {
                Ok((stream, _)) => {
                    let place = match places.admit().await {
                        Admission::Free(place) => place,
                        Admission::InsteadOfAnother(place) => {
                            server.metrics.evicted();
                            place
                        }
                        Admission::Full => {
                            server.metrics.turned_away();
                            continue;
                        }
                    };
                    let server = Arc::clone(&server);
                    tokio::spawn(async move {
                        let open = server.metrics.opened();
                        server.serve(stream, &place).await;
                        drop((open, place));
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    // Out of file descriptors, most likely: trying again at once would not find more.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        drop(socket);
        places.empty(grace).await
    }
}

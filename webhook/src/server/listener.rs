//! A socket, and the connections that come in over it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::connection::Server;
use super::metrics::ConnectionMetrics;
use super::shutdown::{Phase, Shutdown};

/// What a client may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections open at once; one more is closed at once, before it costs a handshake.
    pub connections: usize,
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
        let places = server.limits.connections.min(Semaphore::MAX_PERMITS);
        let free = Arc::new(Semaphore::new(places));
        let server = Arc::new(server);
        loop {
            let accepted = tokio::select! {
                accepted = socket.accept() => accepted,
                () = server.shutdown.reached(Phase::Stopping) => break,
            };
            match accepted {
                Ok((stream, _)) => match Arc::clone(&free).try_acquire_owned() {
                    Ok(place) => {
                        let server = Arc::clone(&server);
                        tokio::spawn(async move {
                            let open = server.metrics.opened();
                            server.serve(stream).await;
                            drop((open, place));
                        });
                    }
                    Err(_) => server.metrics.turned_away(),
                },
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    // Out of file descriptors, most likely: trying again at once would not find more.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        drop(socket);
        let all = u32::try_from(places).unwrap_or(u32::MAX);
        let _ = tokio::time::timeout(grace, free.acquire_many(all)).await;
        places.saturating_sub(free.available_permits())
    }
}

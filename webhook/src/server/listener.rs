//! A socket, and the connections that come in over it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use rustls::ServerConfig;
use tokio::net::TcpListener;

use super::connection::Server;
use super::connection_slots::{Admitted, ConnectionSlots};
use super::limits::ConnectionLimits;
use super::metrics::ConnectionMetrics;
use super::shutdown::{Phase, Shutdown};

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
    /// If the address cannot be bound.
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
    /// If the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until [`Phase::Stopping`], then waits at most `grace` for the requests that are being answered.
    /// Gives the number of connections that were still open then.
    pub async fn run(self, grace: Duration) -> usize {
        let Self { socket, server } = self;
        let slots = Arc::new(ConnectionSlots::new(server.limits.connections, server.limits.rest));
        let server = Arc::new(server);
        loop {
            let accepted = tokio::select! {
                accepted = socket.accept() => accepted,
                () = server.shutdown.reached(Phase::Stopping) => break,
            };
            match accepted {
                Ok((stream, _)) => {
                    let slot = match slots.admit().await {
                        Admitted::Free(slot) => slot,
                        Admitted::InsteadOfAnother(slot) => {
                            server.metrics.evicted();
                            slot
                        }
                        Admitted::Full => {
                            server.metrics.turned_away();
                            continue;
                        }
                    };
                    let server = Arc::clone(&server);
                    tokio::spawn(async move {
                        let open = server.metrics.opened();
                        server.serve(stream, &slot).await;
                        drop((open, slot));
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
        slots.empty(grace).await
    }
}

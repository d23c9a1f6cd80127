//! One connection from its first byte to its last.

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use futures_util::FutureExt as _;
use http::{HeaderValue, Request, Response, Version, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use super::connection_slots::Slot;
use super::idle_timeout::{Answering, IdleTimeout};
use super::limits::{ConnectionLimits, PING_INTERVAL, PING_TIMEOUT, STREAMS};
use super::metrics::{ConnectionMetrics, HandshakeFailure};
use super::shutdown::{Phase, Shutdown};
use crate::shares::Peer;

/// What every connection of a listener is served with.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) router: Router,
    pub(super) tls: Option<Arc<ServerConfig>>,
    pub(super) limits: ConnectionLimits,
    pub(super) metrics: ConnectionMetrics,
    pub(super) shutdown: Shutdown,
}

impl Server {
    pub(super) async fn serve(&self, stream: TcpStream, slot: &Slot) {
        // An answer is one write; waiting for more to send would only delay it.
        let _ = stream.set_nodelay(true);
        let peer = stream.peer_addr().ok().map(|address| Peer(address.ip().to_canonical()));
        let Some(tls) = &self.tls else {
            return self.http1(stream, peer, slot).await;
        };
        let handshake =
            tokio::time::timeout(self.limits.handshake, TlsAcceptor::from(Arc::clone(tls)).accept(stream));
        let shaken = tokio::select! {
            shaken = handshake => shaken,
            () = slot.is_needed() => return,
        };
        match shaken {
            Ok(Ok(stream)) => match stream.get_ref().1.alpn_protocol() {
                Some(b"h2") => self.http2(stream, peer, slot).await,
                _ => self.http1(stream, peer, slot).await,
            },
            Ok(Err(error)) => {
                self.metrics.handshake_failed(HandshakeFailure::Error);
                tracing::debug!(%error, "TLS handshake failed");
            }
            Err(_) => self.metrics.handshake_failed(HandshakeFailure::Timeout),
        }
    }

    async fn http1(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Option<Peer>,
        slot: &Slot,
    ) {
        let activity = slot.activity();
        let stream = IdleTimeout::new(TokioIo::new(stream), self.limits, Arc::clone(activity), false);
        let service = service_fn(|request| self.answer(activity.start(), peer, request));
        let connection = hyper::server::conn::http1::Builder::new()
            .header_read_timeout(None)
            .max_buf_size(self.limits.head_bytes)
            .serve_connection(stream, service);
        self.drive(connection, |connection| connection.graceful_shutdown(), slot).await;
    }

    async fn http2(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Option<Peer>,
        slot: &Slot,
    ) {
        let activity = Arc::clone(slot.activity());
        let stream = IdleTimeout::new(TokioIo::new(stream), self.limits, Arc::clone(&activity), true);
        // Its streams are tasks of their own, so they own what they need. Each counts from here on, not from
        // when its task comes to run: else its connection might be closed for another meanwhile.
        let server = self.clone();
        let service = service_fn(move |request| {
            let (server, answering) = (server.clone(), activity.start());
            async move { server.answer(answering, peer, request).await }
        });
        let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(u32::try_from(self.limits.head_bytes).unwrap_or(u32::MAX))
            .serve_connection(stream, service);
        self.drive(connection, |connection| connection.graceful_shutdown(), slot).await;
    }

    /// Drives a connection to its end, which comes early if the server stops or its slot is needed: then `close` starts
    /// hyper's graceful shutdown, for which the two versions of HTTP have no type in common.
    async fn drive<C>(&self, connection: C, close: impl Fn(Pin<&mut C>), slot: &Slot)
    where
        C: Future<Output = hyper::Result<()>>,
    {
        let mut connection = pin!(connection);
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = self.shutdown.reached(Phase::Stopping) => {
                close(connection.as_mut());
                connection.await
            }
            () = slot.is_needed() => {
                close(connection.as_mut());
                leave(connection, slot).await
            }
        };
        if let Err(error) = result {
            let reason = std::error::Error::source(&error).map(ToString::to_string);
            tracing::debug!(%error, reason, "connection ended");
        }
    }

    async fn answer(
        &self,
        _answering: Answering,
        peer: Option<Peer>,
        mut request: Request<Incoming>,
    ) -> Result<Response<Body>, Infallible> {
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        let version = request.version();
        let mut response = self.router.clone().oneshot(request.map(Body::new)).await?;
        // While draining, clients are to come back on a connection to another replica. HTTP/2 has GOAWAY.
        if version == Version::HTTP_11 && self.shutdown.phase() != Phase::Serving {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }
}

/// Starts a graceful shutdown without waiting for the peer; but a request that came meanwhile is answered.
async fn leave<C: Future<Output = hyper::Result<()>>>(
    mut connection: Pin<&mut C>,
    slot: &Slot,
) -> hyper::Result<()> {
    match connection.as_mut().now_or_never() {
        Some(result) => result,
        None if slot.activity().is_answering() => connection.await,
        None => Ok(()),
    }
}

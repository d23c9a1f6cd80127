//! The client: connections that are opened once, and reviews sent over them in a closed or an open loop.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::{Request, header};
use clap::ValueEnum;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kube::client::ConfigExt;
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, Error as TlsError};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Server;

/// What is spoken over TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// One review at a time on a connection.
    Http1,
    /// As the API server speaks: many reviews side by side on a connection.
    Http2,
}

/// How reviews are sent.
#[derive(Debug, Clone, Copy)]
pub enum Load {
    /// The next one as soon as the last is answered.
    Closed,
    /// So many a second, answered or not.
    Open {
        /// Reviews a second.
        rate: f64,
    },
}

/// How long it may take until the answer is the expected one.
const RIGHT_WITHIN: Duration = Duration::from_secs(30);

/// Reviews that can be under way at once on one HTTP/2 connection.
const STREAMS: usize = 8;

/// One review at a time: a connection, or a stream's place on one.
enum Lane {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// Whether a server takes connections of this protocol.
pub async fn speaks(server: &Server, protocol: Protocol) -> bool {
    let refused = |error: &io::Error| {
        let error = error.get_ref().and_then(|error| error.downcast_ref());
        matches!(error, Some(TlsError::AlertReceived(AlertDescription::NoApplicationProtocol)))
    };
    !connect(&connector(protocol), server).await.is_err_and(|error| refused(&error))
}

fn connector(protocol: Protocol) -> TlsConnector {
    let mut config = kube::Config::new("https://localhost".parse().unwrap());
    // It is measured, not trusted.
    config.accept_invalid_certs = true;
    let mut tls = config.rustls_client_config().unwrap();
    tls.alpn_protocols = match protocol {
        Protocol::Http1 => vec![b"http/1.1".to_vec()],
        Protocol::Http2 => vec![b"h2".to_vec()],
    };
    TlsConnector::from(Arc::new(tls))
}

async fn connect(tls: &TlsConnector, server: &Server) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(&server.address).await?;
    stream.set_nodelay(true)?;
    tls.connect(ServerName::try_from("localhost").unwrap(), stream).await
}

/// Connections to a server, and what is sent over them.
pub(super) struct Client {
    lanes: Vec<Lane>,
    target: Arc<Target>,
    body: Bytes,
}

/// Where a request goes and who sends it.
struct Target {
    host: String,
    path: String,
    authorization: Option<String>,
    is_right: fn(&Value) -> bool,
}

impl Client {
    /// Opens as many connections as it takes for `reviews` side by side.
    pub(super) async fn open(server: &Server, protocol: Protocol, reviews: usize, body: Bytes) -> Self {
        let tls = connector(protocol);
        let mut lanes = Vec::new();
        while lanes.len() < reviews {
            let stream = TokioIo::new(connect(&tls, server).await.unwrap());
            match protocol {
                Protocol::Http1 => {
                    let (lane, connection) = http1::handshake(stream).await.unwrap();
                    tokio::spawn(connection);
                    lanes.push(Lane::Http1(lane));
                }
                Protocol::Http2 => {
                    let (lane, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
                    tokio::spawn(connection);
                    let more = (reviews - lanes.len()).min(STREAMS);
                    lanes.extend((0..more).map(|_| Lane::Http2(lane.clone())));
                }
            }
        }
        let target = Target {
            host: server.address.clone(),
            path: server.path.clone(),
            authorization: server.authorization.clone(),
            is_right: server.is_right,
        };
        Self { lanes, target: Arc::new(target), body }
    }

    /// Sends reviews for `time`. Gives how long each took, unsorted.
    pub(super) async fn run(&mut self, load: Load, time: Duration) -> Vec<Duration> {
        // Waking up a client that waits for answers is work for the server's processor, and the slower a server is the
        // more often its client waits. So the client does not sleep; at a fixed rate all wait alike.
        let mut awake = JoinSet::new();
        if matches!(load, Load::Closed) {
            awake.spawn(async {
                loop {
                    tokio::task::yield_now().await;
                }
            });
        }
        let start = Instant::now();
        let sent = Arc::new(AtomicU64::new(0));
        let mut running = JoinSet::new();
        for mut lane in self.lanes.drain(..) {
            let sent = Arc::clone(&sent);
            let (target, body) = (Arc::clone(&self.target), self.body.clone());
            running.spawn(async move {
                let mut took = Vec::new();
                loop {
                    let begin = match load {
                        Load::Closed => Instant::now(),
                        Load::Open { rate } => {
                            let number = sent.fetch_add(1, Ordering::Relaxed);
                            due(start + Duration::from_secs_f64(number as f64 / rate)).await
                        }
                    };
                    if begin.duration_since(start) > time {
                        return (lane, took);
                    }
                    lane.review(&target, body.clone()).await;
                    took.push(begin.elapsed());
                }
            });
        }
        let mut all = Vec::new();
        while let Some(lane) = running.join_next().await {
            let (lane, took) = lane.unwrap();
            self.lanes.push(lane);
            all.extend(took);
        }
        all
    }

    /// Sends so many reviews, one after the other.
    pub(super) async fn send(&mut self, count: usize) {
        for _ in 0..count {
            self.lanes[0].review(&self.target, self.body.clone()).await;
        }
    }

    /// Sends one review until its answer is the expected one: an API server needs a moment to learn of
    /// a webhook.
    pub(super) async fn check(&mut self) {
        let deadline = Instant::now() + RIGHT_WITHIN;
        loop {
            let answer = self.lanes[0].review(&self.target, self.body.clone()).await;
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            if (self.target.is_right)(&answer) {
                return;
            }
            assert!(Instant::now() < deadline, "{}{} answers {answer}", self.target.host, self.target.path);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Waits until a review is due. Where every lane was busy then, the review has waited since that time;
/// where the lane was free, the clock's own lateness is not counted.
async fn due(due: Instant) -> Instant {
    if due <= Instant::now() {
        return due;
    }
    tokio::time::sleep_until(due.into()).await;
    Instant::now()
}

impl Lane {
    async fn review(&mut self, target: &Target, body: Bytes) -> Bytes {
        let Target { host, path, authorization, .. } = target;
        let request = |uri: String| {
            let mut request = Request::post(uri)
                .header(header::HOST, host)
                .header(header::CONTENT_TYPE, "application/json");
            if let Some(authorization) = authorization {
                request = request.header(header::AUTHORIZATION, authorization);
            }
            request.body(Full::new(body)).unwrap()
        };
        let response = match self {
            Self::Http1(lane) => {
                lane.ready().await.unwrap();
                lane.send_request(request(path.clone())).await
            }
            Self::Http2(lane) => {
                lane.ready().await.unwrap();
                lane.send_request(request(format!("https://{host}{path}"))).await
            }
        };
        let response = response.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
        body
    }
}

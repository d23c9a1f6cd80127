//! Every limit on what clients may take, with its default. Those that have a flag are set in
//! [`serve`](crate::commands).

use std::time::Duration;

/// How long an evicted connection may take to close. It is idle, and does not wait for its client.
pub(super) const EVICTION: Duration = Duration::from_millis(100);

/// How often an HTTP/2 client is asked whether it is still there, and how long it may take to say so.
pub(super) const PING_INTERVAL: Duration = Duration::from_secs(30);
pub(super) const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// More requests side by side than the API server has ever open; each is small.
pub(super) const STREAMS: u32 = 256;

/// What all bodies in memory may take together, and so the most that one may.
pub const SHARED_BODY_MEMORY: usize = 64 * 1024 * 1024;

/// What a connection may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections open at once. One more gets the slot of the one that has been idle longest; where all are
    /// in use it is closed at once, before it costs a handshake.
    pub connections: usize,
    /// How long a connection must have been idle before it may be evicted.
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

/// What a body may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyLimits {
    /// Bytes of one body.
    pub bytes: usize,
    /// From the head to the last byte.
    pub time: Duration,
    /// This many bytes of each body take none of the memory that large ones share: usual reviews get through while
    /// large bodies fill it. Requests in flight are limited, and so are these.
    pub small: usize,
    /// Bytes beyond that of all bodies that are in memory at once.
    pub shared: usize,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self {
            bytes: 8 * 1024 * 1024,
            time: Duration::from_secs(10),
            small: 64 * 1024,
            shared: SHARED_BODY_MEMORY,
        }
    }
}

/// How many requests at once, and how large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLimits {
    /// Requests that are read and answered at once; a further one gets "try again".
    pub in_flight: usize,
    /// For their bodies.
    pub body: BodyLimits,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self { in_flight: 512, body: BodyLimits::default() }
    }
}

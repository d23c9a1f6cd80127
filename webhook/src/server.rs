//! The two listeners: reviews over HTTPS, and probes and metrics in the clear.
//!
//! [`reviews::router`] and [`admin::router`] answer requests without a socket; [`Listener`] brings them to
//! one, with a limit on everything that a client could take without end: connections, time, memory.

pub mod admin;
mod body;
mod connection;
mod connection_slots;
mod exposition;
mod idle_timeout;
mod limits;
mod listener;
mod metrics;
pub mod reviews;
mod shutdown;

pub use limits::{BodyLimits, ConnectionLimits, RequestLimits, SHARED_BODY_MEMORY};
pub use listener::Listener;
pub use metrics::ConnectionMetrics;
pub use shutdown::{Phase, Shutdown};

//! The two listeners: reviews over HTTPS, and probes and metrics in the clear.
//!
//! [`reviews::router`] and [`admin::router`] answer requests without a socket; [`Listener`] brings them to
//! one, with a limit on everything that a client could take without end: connections, time, memory.

pub mod admin;
mod body;
mod connection;
mod listener;
mod metrics;
mod places;
pub mod reviews;
mod shutdown;
mod timed;

pub use body::{BodyLimits, TOGETHER};
pub use listener::{ConnectionLimits, Listener};
pub use metrics::ConnectionMetrics;
pub use shutdown::{Phase, Shutdown};

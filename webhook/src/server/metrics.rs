//! What the listeners count.

use std::fmt::{self, Write as _};

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Connections of the review listener.
#[derive(Debug, Clone, Default)]
pub struct ConnectionMetrics {
    open: Gauge,
    turned_away: Counter,
    evicted: Counter,
    handshake_failures: Family<HandshakeLabels, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HandshakeLabels {
    reason: HandshakeFailure,
}

/// Why a TLS handshake came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum HandshakeFailure {
    /// The client took too long.
    Timeout,
    /// The two did not agree, or the connection broke off.
    Error,
}

impl EncodeLabelValue for HandshakeFailure {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        encoder.write_str(match self {
            Self::Timeout => "timeout",
            Self::Error => "error",
        })
    }
}

/// Counts a connection as open until it is dropped.
#[derive(Debug)]
pub(super) struct Open(Gauge);

impl ConnectionMetrics {
    /// Metrics that `registry` shows.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "connections_open",
            "Connections to the review listener that are open",
            metrics.open.clone(),
        );
        registry.register(
            "connections_turned_away",
            "Connections closed at once because --max-connections were in use",
            metrics.turned_away.clone(),
        );
        registry.register(
            "connections_evicted",
            "Idle connections closed to make room for new ones",
            metrics.evicted.clone(),
        );
        registry.register(
            "tls_handshake_failures",
            "TLS handshakes that failed or took too long",
            metrics.handshake_failures.clone(),
        );
        // A series that appears with its first event is born at 1, which no `increase()` sees.
        for reason in [HandshakeFailure::Timeout, HandshakeFailure::Error] {
            drop(metrics.handshake_failures.get_or_create(&HandshakeLabels { reason }));
        }
        metrics
    }

    pub(super) fn opened(&self) -> Open {
        self.open.inc();
        Open(self.open.clone())
    }

    pub(super) fn turned_away(&self) {
        self.turned_away.inc();
    }

    pub(super) fn evicted(&self) {
        self.evicted.inc();
    }

    pub(super) fn handshake_failed(&self, reason: HandshakeFailure) {
        self.handshake_failures.get_or_create(&HandshakeLabels { reason }).inc();
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

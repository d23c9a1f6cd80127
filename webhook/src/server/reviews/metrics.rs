//! What is counted of reviews.

use std::time::Duration;

use admission::Reason;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// From the tens of microseconds of a usual review to the seconds of a slow look-up.
const BUCKETS: [f64; 12] = [25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 5e-3, 25e-3, 0.1, 0.5, 1.0, 2.5];

/// Why a request is refused that is not a review or comes at a bad time, as docs/metrics.md lists them.
const REFUSALS: [&str; 9] = [
    "no_review",
    "content_type",
    "method",
    "path",
    "body_too_large",
    "body_too_slow",
    "body_broken_off",
    "overload",
    "internal",
];

/// The possible results of a review: kind, outcome, and the reasons for each outcome.
const OUTCOMES: [(&str, &str, &[Reason]); 14] = [
    ("pod", "patched", &[]),
    ("pod", "unchanged", &[]),
    ("pod", "out_of_scope", &[]),
    ("pod", "denied", &Reason::ALL),
    ("pod", "invalid", &Reason::OF_UNREADABLE),
    ("final", "unchanged", &[]),
    ("final", "out_of_scope", &[]),
    ("final", "warned", &[]),
    ("final", "denied", &Reason::ALL),
    ("final", "invalid", &Reason::OF_UNREADABLE),
    ("vmi", "patched", &[]),
    ("vmi", "unchanged", &[]),
    ("vmi", "warned", &[]),
    ("vmi", "invalid", &Reason::OF_UNREADABLE),
];

/// Counts of reviews and of refused requests.
#[derive(Debug, Clone)]
pub struct ReviewMetrics {
    reviews: Family<ReviewLabels, Counter>,
    duration: Family<KindLabels, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
    refused: Family<RefusalLabels, Counter>,
    helpers: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReviewLabels {
    kind: &'static str,
    outcome: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    reason: &'static str,
}

fn histogram() -> Histogram {
    Histogram::new(BUCKETS)
}

/// Counts a request as in flight until it is dropped.
#[derive(Debug)]
pub(super) struct InFlight<'a>(&'a Gauge);

impl ReviewMetrics {
    /// Metrics that `registry` shows.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            reviews: Family::default(),
            duration: Family::new_with_constructor(histogram),
            in_flight: Gauge::default(),
            refused: Family::default(),
            helpers: Counter::default(),
        };
        registry.register(
            "reviews",
            "Reviews answered, by what they were about and by outcome, and for refusals by reason",
            metrics.reviews.clone(),
        );
        registry.register_with_unit(
            "review_duration",
            "Time from a review's last byte to its answer, by what it was about",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        registry.register("reviews_in_flight", "Reviews being read or answered", metrics.in_flight.clone());
        registry.register(
            "requests_refused",
            "Requests that were no review or came at a bad time, by reason",
            metrics.refused.clone(),
        );
        registry.register(
            "launcher_hooks_added",
            "Pods into which launcher-hook was injected, dry runs included",
            metrics.helpers.clone(),
        );
        metrics.start_at_zero();
        metrics
    }

    /// Creates every series. One that appears with its first event is born at 1, which no `increase()` sees.
    fn start_at_zero(&self) {
        for (kind, outcome, reasons) in OUTCOMES {
            drop(self.duration.get_or_create(&KindLabels { kind }));
            let without_reason = reasons.is_empty().then_some("");
            for reason in reasons.iter().map(|reason| reason.as_str()).chain(without_reason) {
                drop(self.reviews.get_or_create(&ReviewLabels { kind, outcome, reason }));
            }
        }
        for reason in REFUSALS {
            drop(self.refused.get_or_create(&RefusalLabels { reason }));
        }
    }

    pub(super) fn in_flight(&self) -> InFlight<'_> {
        self.in_flight.inc();
        InFlight(&self.in_flight)
    }

    pub(super) fn answered(
        &self,
        kind: &'static str,
        outcome: &'static str,
        reason: &'static str,
        duration: Duration,
    ) {
        self.reviews.get_or_create(&ReviewLabels { kind, outcome, reason }).inc();
        self.duration.get_or_create(&KindLabels { kind }).observe(duration.as_secs_f64());
    }

    pub(super) fn helper_added(&self) {
        self.helpers.inc();
    }

    pub(super) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&RefusalLabels { reason }).inc();
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

//! The registry that `/metrics` shows, and the metrics that belong to no other module.
//!
//! Every module registers its own. Names begin with `sriov_webhook_` and end with their unit.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use certs::ServingCertificate;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use tracing_appender::non_blocking::ErrorCounter;

/// A registry with the build in it.
#[must_use]
pub fn registry() -> Registry {
    let mut registry = Registry::with_prefix("sriov_webhook");
    registry.register("build", "The program's version", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
    registry
}

/// How it stands with the serving certificate.
#[derive(Debug)]
pub struct CertificateMetrics(pub Arc<ServingCertificate>);

impl Collector for CertificateMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let status = self.0.status();
        let mut time = |name, help, time: Option<SystemTime>| {
            let Some(time) = time else { return Ok(()) };
            let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
            let encoder = encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Gauge)?;
            ConstGauge::new(seconds).encode(encoder)
        };
        let not_after = status.serving.map(|serving| serving.not_after);
        time(
            "certificate_not_after_timestamp",
            "When the serving certificate ends, in Unix time",
            not_after,
        )?;
        time(
            "certificate_last_good_timestamp",
            "When the source of the serving certificate was last found good, in Unix time",
            status.last_good,
        )?;
        ConstCounter::new(status.failures).encode(encoder.encode_descriptor(
            "certificate_failures",
            "Certificates that were offered or fetched and were no good",
            None,
            MetricType::Counter,
        )?)
    }
}

/// How it stands with the log.
#[derive(Debug)]
pub struct LogMetrics(pub ErrorCounter);

impl Collector for LogMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        ConstCounter::new(self.0.dropped_lines() as u64).encode(encoder.encode_descriptor(
            "log_lines_dropped",
            "Log lines dropped because nobody read them",
            None,
            MetricType::Counter,
        )?)
    }
}

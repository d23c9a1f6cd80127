//! The registry that `/metrics` shows, and the metrics that belong to no other module.
//!
//! Every module registers its own. Names begin with `sriov_webhook_` and end with their unit; those of the process
//! begin with `process_`, as every program's do.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use certs::ServingCertificate;
use procfs::process::{LimitValue, Process};
use procfs::{boot_time_secs, page_size, ticks_per_second};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use tracing_appender::non_blocking::ErrorCounter;

/// A registry with what the process uses in it.
#[must_use]
pub fn registry() -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(ProcessMetrics));
    registry
}

/// The part of `registry` for what is the webhook's own, with the build in it.
pub fn own(registry: &mut Registry) -> &mut Registry {
    let own = registry.sub_registry_with_prefix("sriov_webhook");
    own.register("build", "The program's version", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
    own
}

/// What the process uses, by the names that Prometheus' own libraries give it.
#[derive(Debug)]
struct ProcessMetrics;

impl Collector for ProcessMetrics {
    /// Leaves out what `/proc` does not tell.
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Ok(process) = Process::myself() else { return Ok(()) };
        if let Ok(stat) = process.stat() {
            let seconds = (stat.utime + stat.stime) as f64 / ticks_per_second() as f64;
            let cpu = encoder.encode_descriptor(
                "process_cpu",
                "CPU time that the process has used",
                Some(&Unit::Seconds),
                MetricType::Counter,
            )?;
            ConstCounter::new(seconds).encode(cpu)?;
            let mut gauge = |name, help, unit: Option<&Unit>, value: f64| {
                ConstGauge::new(value).encode(encoder.encode_descriptor(
                    name,
                    help,
                    unit,
                    MetricType::Gauge,
                )?)
            };
            let resident = stat.rss * page_size();
            gauge("process_resident_memory", "Memory that is resident", Some(&Unit::Bytes), resident as f64)?;
            gauge("process_virtual_memory", "Address space in use", Some(&Unit::Bytes), stat.vsize as f64)?;
            gauge("process_threads", "Threads of the process", None, stat.num_threads as f64)?;
            if let Ok(boot) = boot_time_secs() {
                let seconds = boot as f64 + stat.starttime as f64 / ticks_per_second() as f64;
                gauge(
                    "process_start_time",
                    "When the process started, in Unix time",
                    Some(&Unit::Seconds),
                    seconds,
                )?;
            }
        }
        let mut gauge = |name, help, value: f64| {
            ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
        };
        if let Ok(open) = process.fd_count() {
            gauge("process_open_fds", "Descriptors that are open", open as f64)?;
        }
        if let Ok(limits) = process.limits()
            && let LimitValue::Value(most) = limits.max_open_files.soft_limit
        {
            gauge("process_max_fds", "Descriptors that may be open", most as f64)?;
        }
        Ok(())
    }
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
            "Certificates that were offered or fetched and cannot be used",
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

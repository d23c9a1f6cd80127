//! What is shown of the networks that are known, and of their source.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use super::{Count, NetworkStore};

impl Collector for NetworkStore {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Count { valid, invalid } = self.count();
        let mut gauge = |name, help, value: usize| {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
        };
        gauge("networks_known", "NADs whose annotations are in order", valid)?;
        gauge(
            "networks_invalid",
            "NADs whose annotations are not; pods that name them are refused",
            invalid,
        )?;
        gauge("networks_listed", "1 once all NADs were listed", usize::from(self.is_listed()))?;
        let help = "Time since the source of NADs last spoke: a watch's event or bookmark, files read";
        ConstGauge::new(self.health().heartbeat.silence().as_secs_f64()).encode(
            encoder.encode_descriptor("networks_silence", help, Some(&Unit::Seconds), MetricType::Gauge)?,
        )?;
        ConstCounter::new(self.health().failures()).encode(encoder.encode_descriptor(
            "networks_source_failures",
            "Failures to list, watch or read NADs",
            None,
            MetricType::Counter,
        )?)
    }
}

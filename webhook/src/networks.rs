//! The NADs that are known, and where they come from: the cluster or files.

mod cluster;
pub mod file;
mod file_source;
mod health;
mod interner;
mod live;
mod metrics;
mod store;

pub use cluster::{ClusterSource, SignOfLife};
pub use file_source::FileSource;
pub use health::SourceHealth;
pub use live::{LiveLookup, LiveMetrics, LookUp};
pub use store::{Count, NetworkStore};

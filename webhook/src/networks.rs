//! The NADs that are known, and where they come from: the cluster or files.

#[cfg(feature = "server")]
mod cluster;
pub mod file;
#[cfg(feature = "server")]
mod file_source;
#[cfg(feature = "server")]
mod health;
mod interner;
#[cfg(feature = "server")]
mod live;
#[cfg(feature = "server")]
mod metrics;
#[cfg(feature = "server")]
mod store;

#[cfg(feature = "server")]
pub use cluster::{ClusterSource, SignOfLife};
#[cfg(feature = "server")]
pub use file_source::FileSource;
#[cfg(feature = "server")]
pub use health::SourceHealth;
#[cfg(feature = "server")]
pub use live::{LiveLookup, LiveMetrics, LookUp};
#[cfg(feature = "server")]
pub use store::{Count, NetworkStore};

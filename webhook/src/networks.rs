//! The NADs that are known, and where they come from: the cluster or files.

mod cluster;
pub mod file;
mod file_source;
mod interner;
mod live;
mod store;

pub use cluster::{ClusterSource, Place, Problem, SignOfLife};
pub use file_source::FileSource;
pub use live::{LiveLookup, LiveMetrics, LookUp};
pub use store::{Count, NetworkStore};

//! What `launcher-hook` is made of.

pub mod check;
pub mod claims;
pub mod cli;
pub mod command;
pub mod define;
pub mod definer;
pub mod device_report;
pub mod devices;
pub mod domain;
pub mod given_nodes;
pub mod logging;
pub mod network_info;
pub mod plan;
pub mod sidecar;
pub mod sources;
pub mod sysfs;
mod variables;
pub mod verify;

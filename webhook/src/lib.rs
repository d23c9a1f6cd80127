//! `sriov-webhook`: gives KubeVirt's pods the SR-IOV resources that their networks need.
//!
//! The pure middle is the crate [`admission`]: what a NAD says, and what to answer. Everything here reads the world,
//! calls the middle and writes the world.

pub mod cluster;
pub mod commands;
pub mod doctor;
pub mod events;
pub mod kinds;
pub mod logging;
pub mod manifests;
pub mod metrics;
pub mod networks;
pub mod nodes;
pub mod server;
pub mod shares;
mod style;

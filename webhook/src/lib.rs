//! `sriov-webhook`: gives KubeVirt's pods the SR-IOV resources that their networks need. And `kubectl-sriov`: its commands
//! for people, as a plugin of kubectl; without the feature `server` nothing else is built.
//!
//! The pure middle is the crate [`admission`]: what a NAD says, and what to answer. Everything here reads the world,
//! calls the middle and writes the world.

pub mod cluster;
pub mod commands;
pub mod doctor;
pub mod dump;
#[cfg(feature = "server")]
pub mod events;
pub mod kinds;
mod kubeconfig;
#[cfg(feature = "server")]
pub mod logging;
pub mod manifests;
#[cfg(feature = "server")]
pub mod metrics;
pub mod networks;
#[cfg(feature = "server")]
pub mod nodes;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "server")]
pub mod shares;
mod style;

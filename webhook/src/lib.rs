//! `sriov-webhook`: gives KubeVirt's pods the SR-IOV resources that their networks need.
//!
//! The pure middle is [`admission`] (what to answer) and [`network`] (what a NAD says); everything else
//! reads the world, calls the middle and writes the world.

pub mod admission;
pub mod cluster;
pub mod commands;
pub mod doctor;
pub mod documents;
pub mod events;
pub mod logging;
pub mod metrics;
pub mod network;
pub mod networks;
pub mod nodes;
pub mod server;
pub mod shares;

//! End-to-end tests and what they need to run.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this crate only drives tests: what it cannot do is a failed test"
)]

pub mod bench;
pub mod cluster;
pub mod hooks;
pub mod hostdevs;
pub mod node;
pub mod standin;

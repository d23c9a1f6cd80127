//! End-to-end tests and what they need to run.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this crate only drives tests: what it cannot do is a failed test"
)]

pub mod api_server;
pub mod bench;
pub mod fakes;
pub mod hooks;
pub mod hostdevs;
pub mod node;

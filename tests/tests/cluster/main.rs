//! What a real API server makes of the webhook. Run by `tests/cluster/run`.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod apply;
mod chart;
mod image;
mod permissions;
mod release;

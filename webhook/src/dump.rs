//! A support bundle: what somebody needs who helps from afar, and nothing that is secret.
//!
//! No Secret is read. Of objects of users only what networks and devices depend on is kept (`redact`), and everything that
//! may hold a secret is taken from all objects and texts (`redact`, `mask`). [`collect`](fn@collect) reads the cluster,
//! [`Bundle`] is written.

mod bundle;
mod collect;
mod mask;
mod redact;

pub use bundle::Bundle;
pub use collect::{Settings, collect};

/// A text without what looks like a secret.
#[must_use]
pub fn masked(text: &str) -> String {
    mask::mask(text).into_owned()
}

/// An object without what may hold a secret.
#[must_use]
pub fn redacted(object: serde_json::Value) -> serde_json::Value {
    redact::object(object)
}

/// What takes the place of what is left out.
const LEFT_OUT: &str = "(left out)";

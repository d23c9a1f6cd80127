//! The serving certificate: issued, inspected, rotated, reloaded.
//!
//! What a server needs of it, in three steps:
//!
//! 1. Make a [`ServingCertificate`], the slot that holds what is served now.
//! 2. Fill it: once and for good with [`issue::SelfSigned`], from a folder with
//!    [`reload::Directory`], or from the cluster with a [`managed::Keeper`].
//! 3. Build the TLS configuration around it with [`tls::server_config`], once; a pair that enters
//!    the slot later is used by the next handshake; open connections keep what they have.
//!
//! [`issue`], [`inspect`], [`pair`], [`report`] and [`rotation`] read no clock, file or socket: the time is an
//! argument. [`reload`], [`store`] and [`ca_bundle`] are the edge.

pub mod ca_bundle;
pub mod inspect;
pub mod issue;
pub mod managed;
pub mod pair;
pub mod reload;
pub mod report;
pub mod rotation;
pub mod serving;
pub mod store;
pub mod tls;

pub use pair::Pair;
pub use serving::{ServingCertificate, Status};

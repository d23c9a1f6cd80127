//! The hook socket: gRPC over a unix socket, as virt-launcher and KubeVirt's plugins speak it.
//!
//! A socket that can be seen answers. virt-launcher gives `Info` one second and ends the pod where it comes
//! late, so the socket is made elsewhere, listens, and only then moves to where it is looked for.

mod protocol;
pub mod server;
pub mod services;
pub mod socket;

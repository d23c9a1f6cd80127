//! What a first-time user sees: the certificate's fingerprint and a line to paste.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use admission::review_of;
use contract::{NadName, annotation, kubevirt};
use serde_json::json;

use crate::server::reviews;

/// A way to try the server out.
pub(super) fn hint(address: SocketAddr, fingerprint: &str, nad: Option<&NadName>) -> String {
    let networks = nad.map_or("default/example", NadName::as_str);
    let review = review_of(&json!({
        "metadata": {
            "name": "virt-launcher-example",
            "namespace": "default",
            "labels": {(kubevirt::LAUNCHER_LABEL): kubevirt::LAUNCHER},
            "annotations": {(annotation::NETWORKS): networks},
        },
        "spec": {"containers": [{"name": kubevirt::COMPUTE_CONTAINER}]},
    }));
    format!(
        "Serving a self-signed certificate, kept in memory. SHA-256 fingerprint:\n  {fingerprint}\nTry it:\n  \
         curl --insecure -H 'Content-Type: application/json' -d '{review}' https://{}{}",
        reachable(address),
        reviews::PATH,
    )
}

/// An address that a client on this machine can connect to.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

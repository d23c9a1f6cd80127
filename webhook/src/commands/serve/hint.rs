//! What a first-time user sees: the certificate's fingerprint and a line to paste.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use contract::{NadName, annotation};

use crate::server::reviews;

/// A way to try the server out.
pub(super) fn hint(address: SocketAddr, fingerprint: &str, nad: Option<&NadName>) -> String {
    let networks = nad.map_or("default/example", NadName::as_str);
    let review = serde_json::json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "try-it",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "operation": "CREATE",
            "namespace": "default",
            "object": {
                "metadata": {
                    "name": "virt-launcher-example",
                    "labels": {"kubevirt.io": "virt-launcher"},
                    "annotations": {(annotation::NETWORKS): networks},
                },
                "spec": {"containers": [{"name": "compute"}]},
            },
        },
    });
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

//! A real API server for tests, and our webhook registered in it.
//!
//! [`ControlPlane`] is etcd and kube-apiserver on loopback; [`Sandbox`] is one test's part of it:
//! namespaces of its own, the webhook's ServiceAccount with exactly the chart's permissions, and
//! the webhook as a process. Everything that is started ends with the test program, even when that
//! is killed. When a test fails, the sandbox prints the logs of all parts.

mod appender;
mod balancer;
mod control_plane;
pub mod http;
mod kubectl;
mod link;
mod load;
mod manifests;
mod process;
pub mod release;
mod reviewer;
mod sandbox;
mod serving_certificate;
mod stored_pod;
mod webhook;

pub use appender::Appender;
pub use balancer::Balancer;
pub use control_plane::ControlPlane;
pub use kubectl::{Kubectl, Output};
pub use link::Link;
pub use load::Load;
pub use manifests::{Pod, manifest};
pub use process::Process;
pub use release::Release;
pub use reviewer::Reviewer;
pub use sandbox::Sandbox;
pub use serving_certificate::ServingCertificate;
pub use stored_pod::StoredPod;
pub use webhook::{Webhook, programs};

use contract::nad;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use std::env;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};

/// The NetworkAttachmentDefinitions of a namespace in the API.
#[must_use]
pub fn nads(client: kube::Client, namespace: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk(nad::GROUP, "v1", nad::KIND);
    Api::namespaced_with(client, namespace, &ApiResource::from_gvk_with_plural(&kind, nad::PLURAL))
}

/// The folder that `tests/cluster/run` made for this run.
pub(crate) fn run_folder() -> PathBuf {
    set_by_run("CLUSTER_FOLDER")
}

/// The path of etcd, kube-apiserver, kubectl or another program that `tests/cluster/build` has made.
pub(crate) fn asset(program: &str) -> PathBuf {
    let folders = set_by_run("KUBEBUILDER_ASSETS");
    let found = env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("no {program} in KUBEBUILDER_ASSETS={}", folders.display()))
}

fn set_by_run(variable: &str) -> PathBuf {
    match env::var_os(variable) {
        Some(value) => value.into(),
        None => panic!("{variable} is not set: these tests are run by tests/cluster/run"),
    }
}

/// A loopback address that nobody listens on. It lies below the ports that the kernel gives to
/// outgoing connections, so none of those can take it before its user binds it; and test programs
/// that run at the same time look among ports of their own.
pub(crate) fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const EACH: u16 = 200;
    let first = 20_000 + u16::try_from(std::process::id() % 60).unwrap() * EACH;
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed) % EACH;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

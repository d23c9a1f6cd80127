//! What the creation of a pod takes at a real API server, whichever webhook it asks.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use k8s_openapi::ByteString;
use serde_json::{Value, json};

use super::{Figures, Processors, Server, Spread};
use crate::api_server::{ControlPlane, Kubectl};

/// etcd and kube-apiserver, in which each thing that is compared has a namespace of its own.
#[derive(Debug)]
pub struct ApiServer {
    control_plane: Arc<ControlPlane>,
    authorization: String,
}

impl ApiServer {
    /// Starts both on the servers' processors.
    pub fn start(processors: &Processors) -> Self {
        let control_plane = ControlPlane::start("bench");
        for process in control_plane.processes() {
            processors.put(process);
        }
        let kubeconfig = fs::read(control_plane.admin_kubeconfig()).unwrap();
        let kubeconfig: Value = serde_json::from_slice(&kubeconfig).unwrap();
        let token = kubeconfig["users"][0]["user"]["token"].as_str().unwrap();
        Self { authorization: format!("Bearer {token}"), control_plane }
    }

    /// The control plane.
    pub fn control_plane(&self) -> &ControlPlane {
        &self.control_plane
    }

    /// Dry-run creations in a namespace whose pods no webhook reviews.
    pub fn without_webhook(&self) -> Server {
        self.creations("no webhook", |pod| !asks_for_vfs(pod))
    }

    /// Dry-run creations in a namespace whose pods a webhook at `url` reviews, whose certificate `ca` has signed.
    pub fn with_webhook(&self, name: &str, url: &str, ca: &Path) -> Server {
        let server = self.creations(name, asks_for_vfs);
        let ca = fs::read(ca).unwrap_or_else(|error| panic!("{}: {error}", ca.display()));
        let registration = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": namespace(name)},
            "webhooks": [{
                "name": format!("{}.kubevirt-sriov.test", namespace(name)),
                "admissionReviewVersions": ["v1"],
                "clientConfig": {"url": url, "caBundle": ByteString(ca)},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace(name)}},
                "failurePolicy": "Fail",
                "sideEffects": "None",
            }],
        });
        self.kubectl().apply(&registration.to_string()).expect_success();
        server
    }

    fn creations(&self, name: &str, is_right: fn(&Value) -> bool) -> Server {
        let namespace = namespace(name);
        self.kubectl().run(["create", "namespace", &namespace]).expect_success();
        let [api_server, _] = self.control_plane.processes();
        Server::api(
            name,
            &self.control_plane.address().to_string(),
            &format!("/api/v1/namespaces/{namespace}/pods?dryRun=All"),
            &self.authorization,
            is_right,
            api_server,
        )
    }

    fn kubectl(&self) -> Kubectl {
        self.control_plane.kubectl()
    }
}

/// The pod without the namespace that it is not created in.
pub fn creation() -> Vec<u8> {
    let mut pod = super::bodies::pod();
    pod["metadata"].as_object_mut().unwrap().remove("namespace");
    serde_json::to_vec(&pod).unwrap()
}

fn namespace(name: &str) -> String {
    let letters = name.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == ' ');
    letters.collect::<String>().replace(' ', "-")
}

fn asks_for_vfs(pod: &Value) -> bool {
    let requests = &pod["spec"]["containers"][0]["resources"]["requests"];
    assert!(requests.is_object(), "no pod: {pod}");
    requests.get("intel.com/sriov_vfio").is_some()
}

/// What each webhook adds to the first row, which has none, turn by turn; and how many times as much as the second,
/// which is the least that one can add.
pub fn print_added(names: &[&str], figures: &[Vec<Figures>]) {
    let [none, floor, ..] = figures else { panic!("two rows to compare with") };
    let added = |turns: &[Figures], value: fn(&Figures) -> f64| -> Vec<f64> {
        turns.iter().zip(none).map(|(with, without)| value(with) - value(without)).collect()
    };
    println!("  {:<24} {:>26} {:>26} {:>26}", "added by", "p50, µs", "p99, µs", "CPU of the API server, µs");
    for (name, turns) in names.iter().zip(figures).skip(1) {
        let columns: [fn(&Figures) -> f64; 3] =
            [|turn| turn.p50 * 1e3, |turn| turn.p99 * 1e3, |turn| turn.cpu];
        let columns = columns.map(|value| {
            let own = Spread::of(added(turns, value)).median;
            let least = Spread::of(added(floor, value)).median;
            format!("{own:.0}, {:.2} times", own / least)
        });
        println!("  {name:<24} {:>26} {:>26} {:>26}", columns[0], columns[1], columns[2]);
    }
}

//! What the servers are asked, and the networks that the webhook knows.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../webhook/tests/fixtures");

/// A file holds so many networks: small enough that reading one takes little memory.
const NETWORKS_A_FILE: usize = 1000;

/// Namespaces that the networks are spread over.
pub(super) const TENANTS: usize = 250;

/// The pod that KubeVirt 1.9 makes for a virtual machine with two networks, both in namespaces that it names.
pub(super) fn pod() -> Value {
    let pod = fs::read(format!("{FIXTURES}/virt-launcher-pod.json")).unwrap();
    serde_json::from_slice(&pod).unwrap()
}

/// The API server's review of that pod, or of the same with so many networks.
pub fn review(selections: Option<usize>) -> Vec<u8> {
    let mut pod = pod();
    if let Some(selections) = selections {
        let selections: Vec<Value> = (0..selections)
            .map(|index| {
                json!({
                    "name": "sriov-net-a",
                    "namespace": "default",
                    "mac": format!("de:ad:00:00:be:{index:02x}"),
                    "interface": format!("pod{index}"),
                })
            })
            .collect();
        pod["metadata"]["annotations"]["k8s.v1.cni.cncf.io/networks"] =
            Value::String(Value::from(selections).to_string());
    }
    let review = json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
            "requestResource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": "default",
            "operation": "CREATE",
            "userInfo": {
                "username": "system:serviceaccount:kubevirt:kubevirt-controller",
                "uid": "7b3c3d3e-0c62-4c57-8d6d-0f2d2f6c1a11",
                "groups": [
                    "system:serviceaccounts",
                    "system:serviceaccounts:kubevirt",
                    "system:authenticated",
                ],
            },
            "object": pod,
            "oldObject": null,
            "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    });
    serde_json::to_vec(&review).unwrap()
}

/// Fills `folder` with `count` networks, the pod's own among them.
pub fn network_files(folder: &Path, count: usize) {
    fs::create_dir_all(folder).unwrap();
    let own = fs::read_to_string(format!("{FIXTURES}/nads.yaml")).unwrap();
    let others = count.checked_sub(own.matches("kind: NetworkAttachmentDefinition").count()).unwrap();
    fs::write(folder.join("own.yaml"), own).unwrap();
    let others: Vec<usize> = (0..others).collect();
    for (file, indices) in others.chunks(NETWORKS_A_FILE).enumerate() {
        let mut text = String::new();
        for index in indices {
            writeln!(text, "{}", network(*index)).unwrap();
        }
        fs::write(folder.join(format!("others-{file:04}.json")), text).unwrap();
    }
}

/// One of many networks.
pub(super) fn network(index: usize) -> Value {
    json!({
        "apiVersion": "k8s.cni.cncf.io/v1",
        "kind": "NetworkAttachmentDefinition",
        "metadata": {
            "name": format!("network-{index}"),
            "namespace": tenant(index),
            "annotations": {
                "k8s.v1.cni.cncf.io/resourceName": format!("intel.com/sriov_{}", index % 8),
            },
        },
        "spec": {"config": format!(
            "{{\"cniVersion\":\"0.3.1\",\"name\":\"network-{index}\",\"type\":\"sriov\",\"vlan\":{}}}",
            index % 4096,
        )},
    })
}

/// The namespace of the network of that number.
pub(super) fn tenant(index: usize) -> String {
    format!("tenant-{}", index % TENANTS)
}

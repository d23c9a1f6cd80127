//! Objects for the API server.

use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// A file of `tests/cluster` with each `@KEY@` replaced.
pub fn manifest(file: &str, values: &[(&str, &str)]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster").join(file);
    let mut text = fs::read_to_string(&path).unwrap();
    for (key, value) in values {
        text = text.replace(&format!("@{key}@"), value);
    }
    text
}

/// A pod as JSON, built up by a test.
#[derive(Debug, Clone)]
pub struct Pod(Value);

impl Pod {
    /// What makes a pod a virt-launcher pod, and nothing more.
    pub fn virt_launcher(name: &str) -> Self {
        let mut pod = Self::plain(name);
        pod.0["metadata"]["labels"] = json!({"kubevirt.io": "virt-launcher"});
        pod
    }

    /// A pod that has nothing to do with KubeVirt.
    pub fn plain(name: &str) -> Self {
        Self(json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "annotations": {}},
            "spec": {"containers": [{"name": "compute", "image": "registry.example/launcher"}]},
        }))
    }

    /// With the annotation `k8s.v1.cni.cncf.io/networks`.
    pub fn networks(self, value: &str) -> Self {
        self.annotation("k8s.v1.cni.cncf.io/networks", value)
    }

    /// With the annotation `v1.multus-cni.io/default-network`.
    pub fn default_network(self, value: &str) -> Self {
        self.annotation("v1.multus-cni.io/default-network", value)
    }

    /// With one more annotation.
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.0["metadata"]["annotations"][key] = json!(value);
        self
    }

    /// With an owner reference to a VMI, as virt-controller sets it.
    pub fn of_vmi(mut self, name: &str, uid: &str) -> Self {
        self.0["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "name": name, "uid": uid,
            "controller": true, "blockOwnerDeletion": true
        }]);
        self
    }

    /// With these resources on `compute`.
    pub fn resources(mut self, resources: Value) -> Self {
        self.0["spec"]["containers"][0]["resources"] = resources;
        self
    }

    /// In this namespace.
    pub fn in_namespace(&self, namespace: &str) -> Self {
        let mut pod = self.clone();
        pod.0["metadata"]["namespace"] = json!(namespace);
        pod
    }

    /// The manifest.
    pub fn value(&self) -> &Value {
        &self.0
    }
}

impl std::fmt::Display for Pod {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

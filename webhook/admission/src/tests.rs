//! Whole decisions, from the body to the answer.

mod bad_input;
mod claims;
mod final_look;
mod holders;
mod ignoring;
mod launcher_hook;
mod limits;
mod podnetinfo;
mod properties;
mod semantics;
mod vmi;

use std::collections::HashMap;
use std::sync::Arc;

use contract::{NadName, annotation};
use serde_json::{Value, json};

use super::*;

/// Networks from a list of `namespace/name` and annotations.
#[derive(Default)]
struct Table(HashMap<NadName, Arc<Network>>);

impl Networks for Table {
    fn get(&self, nad: &NadName) -> Lookup {
        self.0.get(nad).cloned().into()
    }
}

/// The networks that most tests use; `ns/…` is in the pods' namespace.
fn networks() -> Table {
    let resource = annotation::RESOURCE_NAME;
    let selector = annotation::NODE_SELECTOR;
    let nads: [(&str, &[(&str, &str)]); 9] = [
        ("default/sriov-net-a", &[(resource, "intel.com/sriov_vfio")]),
        ("net-admin/sriov-net-b", &[(resource, "intel.com/sriov_vfio")]),
        ("ns/vf", &[(resource, "intel.com/sriov_vfio")]),
        ("ns/cx6", &[(resource, "mellanox.com/cx6_vfio")]),
        ("ns/bridge", &[]),
        ("ns/broken", &[(resource, "../secrets")]),
        ("ns/rack1", &[(resource, "intel.com/sriov_vfio"), (selector, "rack=r1")]),
        ("ns/rack2", &[(selector, "rack=r2")]),
        ("kube-system/default-vf", &[(resource, "intel.com/sriov_vfio")]),
    ];
    let keys = Options::default().resource_annotations;
    Table(
        nads.into_iter()
            .map(|(name, annotations)| {
                let network = Network::from_annotations(&keys, annotations.iter().copied());
                (name.parse().unwrap(), Arc::new(network))
            })
            .collect(),
    )
}

/// A virt-launcher pod with one `compute` container that requests nothing.
fn pod(networks: &str) -> Value {
    json!({
        "metadata": {
            "generateName": "virt-launcher-vm-",
            "labels": {"kubevirt.io": "virt-launcher"},
            "annotations": {annotation::NETWORKS: networks}
        },
        "spec": {"containers": [{"name": "compute", "resources": {}}]}
    })
}

fn review(pod: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "3f0c7d2e",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": "ns",
            "operation": "CREATE",
            "object": pod,
            "oldObject": null,
            "dryRun": false,
            "options": {"apiVersion": "meta.k8s.io/v1", "kind": "CreateOptions"}
        }
    })
}

fn decide_pod(pod: &Value, options: &Options) -> Decision {
    let body = review(pod).to_string();
    decide(&read(body.as_bytes()).unwrap(), &networks(), options)
}

/// The response to a body, as the API server reads it, with the patch decoded.
fn respond(body: &[u8], options: &Options) -> Result<Value, String> {
    let bytes = match read(body) {
        Ok(request) => answer::<Pod<'_>>(&request.uid, &decide(&request, &networks(), options).verdict),
        Err(Unreadable::Answerable { uid, denial }) => answer::<Pod<'_>>(&uid, &Verdict::denied(denial)),
        Err(Unreadable::NoReview(message)) => return Err(message),
    };
    let mut review: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(review["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(review["kind"], "AdmissionReview");
    if let Some(patch) = review["response"]["patch"].as_str() {
        use base64::Engine;
        let json = base64::engine::general_purpose::STANDARD.decode(patch).unwrap();
        review["response"]["patch"] = serde_json::from_slice(&json).unwrap();
    }
    Ok(review["response"].take())
}

/// The pod after the patch; the pod itself if there is none.
fn patched(pod: &Value, decision: &Decision) -> Value {
    let mut pod = pod.clone();
    if let Outcome::Patched(patch) = &decision.verdict.outcome {
        apply(patch, &mut pod);
    }
    pod
}

fn apply(patch: &Patch, to: &mut Value) {
    json_patch::patch(to, patch).unwrap();
}

/// What `compute` requests afterwards, as `limits` (always equal to `requests`).
fn resources_of(pod: &Value, container: usize) -> Value {
    let resources = &pod["spec"]["containers"][container]["resources"];
    assert_eq!(resources["limits"], resources["requests"]);
    resources["limits"].clone()
}

//! VFs that are not there.

use super::{STORAGE, idle, pod_on};
use serde_json::json;
use tests::node::fake_kubevirt::{pod_of, vmi};
use tests::node::{Node, RunningPod};

/// The scheduler says which resource is short; the pod comes when one is given back.
pub(crate) fn more_than_there_are(node: &Node) {
    let macs = ["02:00:00:0a:01:00", "02:00:00:0b:01:00", "02:00:00:0c:01:00", "02:00:00:0d:01:00"];
    let names = ["a", "b", "c", "d"];
    let networks: Vec<_> =
        names.into_iter().zip(macs).map(|(name, mac)| (name, "default/storage", mac)).collect();
    let all = RunningPod::create(node, &idle(pod_of(&vmi("all", &networks)))).unwrap();
    all.wait_for("running pod with all VFs", || all.field(".status.phase") == "Running");
    let (late, _) = pod_on(STORAGE, "late", 14);
    let late = RunningPod::create(node, &idle(late)).unwrap();
    waits_for(&late, "intel.com/sriov_vfio");
    let waits = format!("intel.com/sriov_vfio: 1 pod waits for it: default/{}", late.name());
    doctor_says(node, &[&waits, "virtual machines hold 4 of 4 on localhost"]);
    all.delete();
    late.wait_for("running pod once VFs are free", || late.field(".status.phase") == "Running");
}

/// A network whose resource no device plugin offers.
pub(crate) fn nowhere(node: &Node) {
    let network = json!({
        "apiVersion": "k8s.cni.cncf.io/v1",
        "kind": "NetworkAttachmentDefinition",
        "metadata": {
            "name": "elsewhere",
            "namespace": "default",
            "annotations": {"k8s.v1.cni.cncf.io/resourceName": "example.com/elsewhere"},
        },
        "spec": {"config": r#"{"cniVersion":"0.3.1","name":"elsewhere","type":"sriov"}"#},
    });
    node.kubectl().apply(&network.to_string()).expect_success();
    let networks = [("elsewhere", "default/elsewhere", "02:00:00:0f:01:00")];
    let pod = RunningPod::create(node, &idle(pod_of(&vmi("nowhere", &networks)))).unwrap();
    waits_for(&pod, "example.com/elsewhere");
    doctor_says(node, &["example.com/elsewhere: no node advertises it", "default/elsewhere"]);
    node.kubectl().run(["delete", "network-attachment-definition", "elsewhere"]).expect_success();
}

/// A line of `sriov-webhook doctor` has all of these words.
#[track_caller]
fn doctor_says(node: &Node, words: &[&str]) {
    let findings = node.release().doctor(&[]).stdout;
    let line = findings.lines().find(|line| words.iter().all(|word| line.contains(word)));
    let line = line.unwrap_or_else(|| panic!("doctor has no line with {words:?}: {findings}"));
    println!("  doctor: {line}");
}

#[track_caller]
fn waits_for(pod: &RunningPod, resource: &str) {
    let path = ".status.conditions[?(@.type==\"PodScheduled\")].message";
    pod.wait_for("message of the scheduler", || pod.field(path).contains("nodes are available"));
    let message = pod.field(path);
    println!("  {message}");
    assert!(message.contains(&format!("Insufficient {resource}")), "{message}");
    assert_eq!(pod.field(".status.phase"), "Pending");
}

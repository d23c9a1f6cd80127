//! Parts that are away for a while.

use super::{STORAGE, idle, pod_on};
use serde_json::Value;
use std::thread;
use std::time::Duration;
use tests::node::{Node, RunningPod};

/// `failurePolicy: Fail`: nobody gets a VM without its VF while the webhook is away.
pub(crate) fn webhook(node: &Node) {
    let (pod, _) = pod_on(STORAGE, "patient", 16);
    let pod = idle(pod);
    node.kill_webhook();
    let refused = RunningPod::create(node, &pod).expect_err("no webhook, no pod");
    println!("  {}", refused.trim());
    assert!(refused.contains("failed calling webhook \"pods.kubevirt-sriov.io\""), "{refused}");
    node.start_webhook();
    runs_with_one(node, &pod);
}

/// The scheduler and the kubelet find the API server again, and so does the webhook.
pub(crate) fn api_server(node: &Node) {
    let control_plane = node.control_plane();
    control_plane.kill_api_server();
    thread::sleep(Duration::from_secs(5));
    control_plane.restart_api_server();
    let (pod, _) = pod_on(STORAGE, "after", 17);
    runs_with_one(node, &idle(pod));
}

fn runs_with_one(node: &Node, pod: &Value) {
    let pod = RunningPod::create(node, pod).unwrap();
    assert_eq!(pod.field(r".spec.containers[0].resources.limits.intel\.com/sriov_vfio"), "1");
    pod.wait_for("running pod", || pod.field(".status.phase") == "Running");
}

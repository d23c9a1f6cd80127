//! The example VMI: two networks on one resource, each NIC on its own network.

use contract::{annotation, helper};
use serde_json::{Value, json};
use std::time::Instant;
use tests::node::fake_kubevirt::{HELD_BACK, example_pod};
use tests::node::{Node, RunningPod};

/// The storage network, VLAN 100, and the uplink, VLAN 200: the MAC that the VMI gives its NIC there, and the
/// address of the PF on that VLAN. Who has the wrong VF gets no answer.
const NETWORKS: [(&str, &str, &str); 2] =
    [("storage", "02:00:00:00:01:00", "10.9.1.1"), ("uplink", "02:00:00:00:02:00", "10.9.2.1")];

/// KubeVirt 1.7 and newer: network-info says which VF is whose. The helper has it from network-status before that.
pub(crate) fn by_network_info(node: &Node) {
    let mut pod = super::with_mode(example_pod(), "compute");
    pod["metadata"]["annotations"][HELD_BACK] = json!("until the helper has filled it in");
    let pod = follow(node, &pod, "launcher: network-info says");
    println!("  {}", pod.wait_for_line_of(helper::CONTAINER, &["network-info: KubeVirt's own says all"]));
    let asked = pod.log(helper::CONTAINER).lines().filter(|line| line.contains("domain defined")).count();
    assert_eq!(asked, 3, "KubeVirt calls the hook three times in one start: {}", pod.log(helper::CONTAINER));
    pod.report();
    super::maps::are_as_documented(node, &pod);
}

/// Without network-info, as in a pod of KubeVirt 1.6: which VF is whose follows from the order of the
/// selections alone, because Multus sorts.
pub(crate) fn by_order_of_multus(node: &Node) {
    let mut pod = super::with_mode(example_pod(), "compute");
    pod["spec"]["volumes"].as_array_mut().unwrap().remove(0);
    pod["spec"]["containers"][0]["volumeMounts"].as_array_mut().unwrap().remove(0);
    // The webhook's own arguments are those of the chart, for all pods; one that has the helper is left alone.
    let injected = node.kubectl().dry_run(&pod.to_string()).expect_success();
    let mut pod: Value = serde_json::from_str(&injected).unwrap();
    let containers = pod["spec"]["initContainers"].as_array_mut().unwrap();
    let helper = { containers.iter_mut() }.find(|container| container["name"] == helper::CONTAINER).unwrap();
    helper["args"].as_array_mut().unwrap().push(json!("--assign=multus"));
    let pod = follow(node, &pod, "launcher: defined");
    let log = pod.log("compute");
    assert!(!log.contains("network-info says"), "this launcher should have no network-info: {log}");
}

/// From the pod's creation to the guest's pings, with the time at which each step was seen.
fn follow(node: &Node, pod: &Value, before_start: &str) -> RunningPod {
    let started = Instant::now();
    let tell = |what: &str| println!("  {:6.1} s  {what}", started.elapsed().as_secs_f32());
    let pod = RunningPod::create(node, pod).expect("the pod is admitted");
    tell("the webhook has admitted the pod, and gave it 2 VFs");
    assert_eq!(pod.field(r".spec.containers[0].resources.limits.intel\.com/sriov_vfio"), "2");
    pod.wait_for("node for the pod", || !pod.field(".spec.nodeName").is_empty());
    tell("it is scheduled");
    pod.wait_for("network status", || !pod.annotation(annotation::NETWORK_STATUS).is_empty());
    tell("its networks are attached");
    pod.wait_for("running container", || !pod.field(".status.containerStatuses[0].state.running").is_empty());
    tell("compute runs");
    if !pod.annotation(HELD_BACK).is_empty() {
        let words = ["network-info: completed: storage=0000:", "(network-status), uplink=0000:"];
        println!("  {}", pod.wait_for_line_of(helper::CONTAINER, &words));
        pod.remove_annotation(HELD_BACK);
    }
    pod.wait_for_line(&[before_start]);
    tell("the launcher knows what it needs");
    pod.wait_for_line(&["launcher: started"]);
    tell("libvirt has started the guest");
    pod.wait_for_line(&["guest: up"]);
    tell("the guest has pinged");
    check_networks(&pod);
    pod
}

/// Each NIC has the MAC of its network and pings on it, and QEMU holds the VF that Multus reported for it.
fn check_networks(pod: &RunningPod) {
    let status: Vec<Value> = serde_json::from_str(&pod.annotation(annotation::NETWORK_STATUS)).unwrap();
    let tree = pod.exec(&["virsh", "qemu-monitor-command", "1", "--hmp", "info qtree"]).expect_success();
    for (network, mac, address) in NETWORKS {
        pod.wait_for_line(&["guest: ping", mac, address, " 4 answered"]);
        let attached = { status.iter() }.find(|status| status["mac"] == mac);
        let attached = attached.unwrap_or_else(|| panic!("no {mac} in the network status: {status:?}"));
        let vf = attached["device-info"]["pci"]["pci-address"].as_str().unwrap();
        let held = format!("vfio-pci, id \"ua-sriov-{network}\"");
        let held = tree.split("dev: ").find(|device| device.starts_with(&held));
        let held = held.unwrap_or_else(|| panic!("QEMU has no ua-sriov-{network}:\n{tree}"));
        assert!(held.contains(&format!("host = \"{vf}\"")), "{network} has {vf}, and QEMU:\n{held}");
        println!("            {network}: {mac} on {vf}");
    }
}

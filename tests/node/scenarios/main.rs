//! The scenarios of the node tier, in this order, on one node.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what a scenario cannot do is a failure"
)]

mod maps;
mod modes;
mod neighbours;
mod outages;
mod real_kubevirt;
mod scarcity;
mod two_networks;

use contract::annotation;
use serde_json::{Value, json};
use std::process::ExitCode;
use tests::node::fake_kubevirt::{pod_of, vmi};
use tests::node::tier::{self, Scenario};
use tests::node::{Node, RunningPod};

fn main() -> ExitCode {
    tier::main(all())
}

/// All of them; those in which no guest boots come first. A guest of the real KubeVirt takes the place of those that
/// boot in a pod of the fake one.
fn all() -> Vec<Scenario> {
    let with_guests = if tests::node::real_kubevirt::assets().is_some() {
        &real_kubevirt::ALL[..]
    } else {
        &WITH_FAKE_KUBEVIRT
    };
    [&WITHOUT_GUEST, with_guests].concat()
}

/// Those in which no guest boots: pods hold VFs, or wait for them.
const WITHOUT_GUEST: [Scenario; 5] = [
    ("the webhook down, and back", outages::webhook),
    ("more VMs than VFs", scarcity::more_than_there_are),
    ("a resource that no node has", scarcity::nowhere),
    ("the API server gone for a moment while a pod waits", outages::api_server),
    ("a VF that is taken away before a container has it", neighbours::taken_away_before),
];

/// Those in which a pod of the fake KubeVirt boots a guest.
const WITH_FAKE_KUBEVIRT: [Scenario; 8] = [
    ("a program before KubeVirt's monitor costs it its capability", modes::in_front_of_the_monitor),
    ("the example VMI's pod, by network-info, to answered pings", two_networks::by_network_info),
    ("the example VMI's pod, by --assign multus, to answered pings", two_networks::by_order_of_multus),
    ("neighbouring VFs: the kubelet and the device plugin restarted, a VF used again", neighbours::reuse),
    ("a VF that is taken away while its pod starts", neighbours::taken_away),
    ("modes off and sidecar, side by side", modes::off_and_sidecar),
    ("without device-info, from the variables of compute", modes::without_device_info),
    ("Multus held back while a pod's devices are allocated", modes::without_multus),
];

/// The storage network of the examples: VLAN 100, where the PF has this address.
const STORAGE: (&str, &str, &str) = ("storage", "default/storage", "10.9.1.1");
/// The uplink of the examples: VLAN 200.
const UPLINK: (&str, &str, &str) = ("uplink", "net-admin/uplink", "10.9.2.1");

/// A pod of a VMI on one network. `number` tells guests on one network apart.
fn pod_on(network: (&str, &str, &str), name: &str, number: u8) -> (Value, String) {
    let (network, nad, _) = network;
    let mac = mac_of(network, number);
    (pod_of(&vmi(name, &[(network, nad, &mac)])), mac)
}

/// `tests/vfio/guest-init` reads the network from the fifth byte, and its own number from the fourth.
fn mac_of(network: &str, number: u8) -> String {
    let network = if network == STORAGE.0 { 1 } else { 2 };
    format!("02:00:00:{number:02x}:{network:02x}:00")
}

/// With a mode of the webhook's for this pod alone.
fn with_mode(mut pod: Value, mode: &str) -> Value {
    pod["metadata"]["annotations"][annotation::LAUNCHER_HOOK] = json!(mode);
    pod
}

/// With a command that takes the place of the launcher: the pod holds its VFs, and no guest boots.
fn idle(mut pod: Value) -> Value {
    pod["spec"]["containers"][0]["command"] = json!(["/usr/bin/sleep", "100000"]);
    pod
}

/// Waits for the guest's pings on a network.
#[track_caller]
fn answers(pod: &RunningPod, network: (&str, &str, &str), mac: &str) {
    pod.wait_for_line(&["guest: ping", mac, network.2, " 4 answered"]);
}

/// The VFs of a pod, from its network status.
fn vfs(pod: &RunningPod) -> Vec<String> {
    let status = pod.annotation(annotation::NETWORK_STATUS);
    let status: Vec<Value> = serde_json::from_str(&status).unwrap();
    let address = |status: &Value| Some(status["device-info"]["pci"]["pci-address"].as_str()?.to_owned());
    status.iter().filter_map(address).collect()
}

/// What the PF says of its VFs.
fn card(node: &Node) -> String {
    node.machine().expect("ip link show dev \"$(pf_interface)\"")
}

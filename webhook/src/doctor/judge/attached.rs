//! What Multus and KubeVirt say of the networks of a pod: was each attached, and is its device in the domain?

use admission::{Attachment, Decision, Requirements};
use contract::network_info::NetworkInfo;
use contract::network_status::{self, NetworkStatus};
use contract::{NetworkSelection, annotation, json_problem, kubevirt, parse_networks};

use crate::doctor::facts::{LauncherPod, Machine, MachineNetwork};
use crate::doctor::{Check, Code, Finding};

const CHECK: Check = Check::Vmi;

/// Whether Multus has said what it attached to the pod.
pub(super) fn is_known(pod: &LauncherPod) -> bool {
    pod.annotation(annotation::NETWORK_STATUS).is_some()
}

/// What is missing of the attachments of a pod.
pub(super) fn findings(
    machine: &Machine,
    networks: &[&MachineNetwork],
    pod: &LauncherPod,
    decision: &Decision,
) -> Vec<Finding> {
    let place = format!("{}: pod {}", machine.full_name(), pod.name);
    let mut findings = Vec::new();
    match pod.annotation(annotation::NETWORK_STATUS).map(network_status::parse) {
        // Until its sandbox is made, a pod has none.
        None if pod.running_since.is_none() => {}
        None => findings.push(Finding::wrong(
            CHECK,
            Code::NetworkNotAttached,
            format!(
                "{place} runs, and Multus has not written {}: it attached nothing",
                annotation::NETWORK_STATUS
            ),
            not_attached(pod),
        )),
        Some(Err(error)) => findings.push(Finding::unknown(
            CHECK,
            Code::NetworkStatusUnreadable,
            format!("{place}: {} cannot be read: {}", annotation::NETWORK_STATUS, json_problem(&error)),
            "it would list what Multus attached; see the pod's events and Multus' log on the node",
        )),
        Some(Ok(status)) => {
            for selection in lacking(pod, decision, &status) {
                findings.push(Finding::wrong(
                    CHECK,
                    Code::NetworkNotAttached,
                    format!(
                        "{place}: Multus attached nothing for NAD {}: its network-status does not list it",
                        selection.nad
                    ),
                    not_attached(pod),
                ));
            }
        }
    }
    findings.extend(not_in_domain(machine, networks));
    if findings.is_empty() {
        findings.extend(without_device(machine, networks, pod, &place));
    }
    findings
}

/// The selections that need a device and are not among what Multus attached.
fn lacking(pod: &LauncherPod, decision: &Decision, status: &[NetworkStatus]) -> Vec<NetworkSelection> {
    let text = pod.annotation(annotation::NETWORKS).unwrap_or_default();
    let selections = parse_networks(text, &pod.namespace).unwrap_or_default();
    let mut left: Vec<&NetworkStatus> = status.iter().filter(|entry| !entry.default).collect();
    let mut missing = Vec::new();
    for selection in selections {
        let is_it = |entry: &&NetworkStatus| {
            let same = entry.name == selection.nad.as_str();
            same && selection.interface.as_ref().is_none_or(|interface| entry.interface == *interface)
        };
        if let Some(index) = left.iter().position(is_it) {
            left.swap_remove(index);
        } else if needs_device(decision, &selection) {
            missing.push(selection);
        }
    }
    missing
}

fn needs_device(decision: &Decision, selection: &NetworkSelection) -> bool {
    let needs = |attachment: &Attachment| {
        attachment.nad == selection.nad && attachment.requirements().is_some_and(Requirements::take_a_device)
    };
    decision.attachments.iter().any(needs)
}

fn not_attached(pod: &LauncherPod) -> String {
    format!(
        "no CNI plugin has set VLAN, MAC address and trust of the VF: see Multus' log on node {}, then delete the pod: \
         kubectl --namespace {} delete pod {}",
        pod.node.as_deref().unwrap_or("(none)"),
        pod.namespace,
        pod.name
    )
}

/// VFs of a running virtual machine that are not in its domain, as far as KubeVirt says.
fn not_in_domain(machine: &Machine, networks: &[&MachineNetwork]) -> Vec<Finding> {
    if !machine.has_interfaces() {
        return Vec::new();
    }
    let lacks = |network: &&&MachineNetwork| {
        let reported = machine.status.interface(&network.name);
        network.sriov && !reported.is_some_and(|reported| reported.is_in_domain())
    };
    let one = |network: &&MachineNetwork| {
        Finding::wrong(
            CHECK,
            Code::DeviceNotInDomain,
            format!(
                "{}: network {} has no device in the running domain: status.interfaces does not say so",
                machine.full_name(),
                network.name
            ),
            format!(
                "launcher-hook check --vmi in the pod shows what happened to it; then restart the virtual machine: \
                 virtctl --namespace {} restart {}",
                machine.namespace, machine.name
            ),
        )
    };
    networks.iter().filter(lacks).map(one).collect()
}

/// Without a device in network-info KubeVirt 1.7 and later do not start a virtual machine with sriov interfaces.
fn without_device(
    machine: &Machine,
    networks: &[&MachineNetwork],
    pod: &LauncherPod,
    place: &str,
) -> Vec<Finding> {
    // The helper fills it in inside the pod, where it cannot be seen from here.
    if machine.status.is_running() || pod.running_since.is_none() || pod.has_helper() {
        return Vec::new();
    }
    let info = match pod.annotation(kubevirt::NETWORK_INFO).map(NetworkInfo::parse) {
        Some(Err(error)) => {
            return vec![Finding::unknown(
                CHECK,
                Code::NetworkInfoUnreadable,
                format!("{place}: {} cannot be read: {}", kubevirt::NETWORK_INFO, json_problem(&error)),
                "virt-controller writes it; see its log",
            )];
        }
        Some(Ok(info)) => info,
        None => None,
    };
    let known = |name: &str| {
        let interfaces = info.iter().flat_map(|info| &info.interfaces);
        interfaces.filter(|one| one.network == name).any(|one| one.device_info.is_some())
    };
    let lacking = networks.iter().filter(|network| network.sriov && !known(&network.name));
    lacking
        .map(|network| {
            Finding::warning(
                CHECK, Code::NetworkInfoWithoutDevice,
                format!("{place}: {} has no device for network {}", kubevirt::NETWORK_INFO, network.name),
                "KubeVirt 1.7 and later need it: let the device plugin or the CNI plugin write device-info, or have \
                 launcher-hook fill it in (docs/launcher-hook.md)",
            )
        })
        .collect()
}

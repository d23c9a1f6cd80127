//! Stands in for KubeVirt's virt-controller: the pods of VMIs, and network-info on them.

use super::NAMESPACE;
use crate::cluster::Kubectl;
use contract::network_info::{NetworkInfo, NetworkInfoInterface};
use contract::vmi::Vmi;
use contract::{annotation, kubevirt, network_status, parse_networks};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A pod with this annotation gets no network-info: KubeVirt's comes when it comes, a test's when it is to.
pub const HELD_BACK: &str = "kubevirt-sriov.test/network-info-held-back";

/// How often pods are looked at.
const INTERVAL: Duration = Duration::from_millis(500);

/// A file of `examples`.
#[must_use]
pub fn example(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The VMI of the examples, and the pod that KubeVirt makes of it as the examples show it, with what
/// `complete` adds.
#[must_use]
pub fn example_pod() -> Value {
    let vmi: Value = serde_saphyr::from_str(&example("vmi.yaml")).unwrap();
    let mut pod: Value = serde_saphyr::from_str(&example("pod.yaml")).unwrap();
    complete(&mut pod, &vmi);
    pod
}

/// What the shortened pod of the examples leaves out and KubeVirt adds: the file of network-info and, as in
/// KubeVirt's standalone mode, the VMI itself. And what is only here: the node's own libvirt and QEMU in place of
/// those in KubeVirt's image, and what libvirt found out about that QEMU, which takes it half a minute.
fn complete(pod: &mut Value, vmi: &Value) {
    // The node's libvirt runs as root here, KubeVirt's as 107.
    pod["spec"]["securityContext"] = json!({});
    let compute = &mut pod["spec"]["containers"][0];
    compute["securityContext"] = json!({});
    compute["env"] = json!([{"name": "STANDALONE_VMI", "value": vmi.to_string()}]);
    compute["volumeMounts"] = json!([
        {"name": "network-info-annotation", "mountPath": "/etc/podinfo"},
        {"name": "usr", "mountPath": "/usr", "readOnly": true},
        {"name": "libvirt-cache", "mountPath": "/var/cache/libvirt"},
    ]);
    pod["spec"]["volumes"] = json!([
        downward_api("network-info-annotation", "network-info", kubevirt::NETWORK_INFO),
        {"name": "usr", "hostPath": {"path": "/usr", "type": "Directory"}},
        {"name": "libvirt-cache", "hostPath": {"path": "/run/libvirt-cache", "type": "DirectoryOrCreate"}},
    ]);
}

/// A VMI with SR-IOV networks: the name of each, its NAD and the MAC of the NIC on it.
#[must_use]
pub fn vmi(name: &str, networks: &[(&str, &str, &str)]) -> Value {
    let interface =
        |(name, _, mac): &(&str, &str, &str)| json!({"name": name, "sriov": {}, "macAddress": mac});
    let network = |(name, nad, _): &(&str, &str, &str)| json!({"name": name, "multus": {"networkName": nad}});
    json!({
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstance",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "domain": {"devices": {"interfaces": networks.iter().map(interface).collect::<Vec<_>>()}},
            "networks": networks.iter().map(network).collect::<Vec<_>>(),
        },
    })
}

/// The pod that KubeVirt 1.9 makes of a VMI, as far as the examples show it, small enough for the node to have
/// several of them.
#[must_use]
pub fn pod_of(vmi: &Value) -> Value {
    let name = vmi["metadata"]["name"].as_str().unwrap();
    let mut pod: Value = serde_saphyr::from_str(&example("pod.yaml")).unwrap();
    pod["metadata"]["generateName"] = json!(format!("virt-launcher-{name}-"));
    pod["metadata"]["annotations"] =
        json!({"kubevirt.io/domain": name, annotation::NETWORKS: selections(vmi)});
    let compute = &mut pod["spec"]["containers"][0];
    compute["command"] = json!([
        "/usr/bin/virt-launcher-monitor",
        "--name",
        name,
        "--namespace",
        NAMESPACE,
        "--hook-sidecars",
        "0",
        "--run-as-nonroot"
    ]);
    compute["resources"]["requests"]["memory"] = json!("250Mi");
    complete(&mut pod, vmi);
    pod
}

/// The annotation that virt-controller writes for Multus.
fn selections(vmi: &Value) -> String {
    let vmi: Vmi = serde_json::from_value(vmi.clone()).unwrap();
    let interfaces = vmi.spec.domain.devices.interfaces.unwrap_or_default();
    let mut selections = Vec::new();
    for network in vmi.spec.networks.unwrap_or_default() {
        let Some(multus) = network.multus else { continue };
        let nad = multus.nad(NAMESPACE, contract::nad::MULTUS_NAMESPACE).unwrap();
        let digest = Sha256::digest(network.name.as_bytes());
        let hash: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut selection = json!({"name": nad.name(), "namespace": nad.namespace(), "interface": format!("pod{}", &hash[..11])});
        let interface = { interfaces.iter() }.find(|interface| interface.name == network.name);
        if let Some(mac) = interface.and_then(|interface| interface.mac_address.as_ref()) {
            selection["mac"] = json!(mac);
        }
        selections.push(selection);
    }
    json!(selections).to_string()
}

/// A volume with one annotation as a file.
#[must_use]
pub fn downward_api(volume: &str, file: &str, annotation: &str) -> Value {
    let field = json!({"fieldPath": format!("metadata.annotations['{annotation}']")});
    json!({"name": volume, "downwardAPI": {"items": [{"path": file, "fieldRef": field}]}})
}

/// Writes network-info to running pods that have a network status, until it is dropped.
#[derive(Debug)]
pub struct Controller {
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Controller {
    /// Starts looking at pods.
    #[must_use]
    pub fn start(kubectl: Kubectl) -> Self {
        let ending = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&ending);
        let thread = thread::spawn(move || {
            while !seen.load(Ordering::SeqCst) {
                write_network_info(&kubectl);
                thread::sleep(INTERVAL);
            }
        });
        Self { ending, thread: Some(thread) }
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn write_network_info(kubectl: &Kubectl) {
    let label = format!("{}={}", kubevirt::LAUNCHER_LABEL, kubevirt::LAUNCHER);
    let pods = kubectl.run(["get", "pods", "--selector", &label, "--output", "json"]);
    // The API server may be busy, or down by a test's will.
    let Ok(pods) = serde_json::from_str::<Value>(&pods.stdout) else {
        return;
    };
    for pod in pods["items"].as_array().into_iter().flatten() {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let annotations = &pod["metadata"]["annotations"];
        // A launcher that plays an older KubeVirt mounts no network-info.
        let mounted = pod["spec"]["volumes"].to_string().contains(kubevirt::NETWORK_INFO);
        let not_now = !annotations[kubevirt::NETWORK_INFO].is_null() || !annotations[HELD_BACK].is_null();
        if pod["status"]["phase"] != "Running" || !mounted || not_now {
            continue;
        }
        if let Some(information) = network_info(pod) {
            let value =
                format!("{}={}", kubevirt::NETWORK_INFO, serde_json::to_string(&information).unwrap());
            // The pod may be gone.
            let _ = kubectl.run(["annotate", "pod", name, &value]);
        }
    }
}

/// What virt-controller makes of a pod's network status: the VMI's networks with `sriov: {}`, with the devices of
/// their interfaces; nothing before Multus has reported.
fn network_info(pod: &Value) -> Option<NetworkInfo> {
    let annotations = &pod["metadata"]["annotations"];
    let status = network_status::parse(annotations[annotation::NETWORK_STATUS].as_str()?).unwrap();
    let namespace = pod["metadata"]["namespace"].as_str()?;
    let selections = parse_networks(annotations[annotation::NETWORKS].as_str()?, namespace).unwrap();
    let environment = pod["spec"]["containers"][0]["env"].as_array()?;
    let vmi = { environment.iter() }.find(|variable| variable["name"] == "STANDALONE_VMI")?;
    let vmi: Vmi = serde_json::from_str(vmi["value"].as_str()?).unwrap();
    let with_vf: Vec<String> = { vmi.spec.domain.devices.interfaces.unwrap_or_default().into_iter() }
        .filter(|interface| interface.sriov.is_some())
        .map(|interface| interface.name)
        .collect();
    // KubeVirt writes the selections in the order of the VMI's networks.
    let names = vmi.spec.networks.unwrap_or_default().into_iter().filter(|network| network.multus.is_some());
    let mut interfaces = BTreeMap::new();
    for (network, selection) in names.zip(selections).filter(|(network, _)| with_vf.contains(&network.name)) {
        let attached =
            { status.iter() }.find(|status| Some(&status.interface) == selection.interface.as_ref());
        let Some(attached) = attached else { continue };
        let entry = NetworkInfoInterface {
            network: network.name.clone(),
            device_info: attached.device_info.clone(),
            mac: attached.mac,
        };
        interfaces.insert(network.name, entry);
    }
    Some(NetworkInfo { interfaces: interfaces.into_values().collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_pod_is_what_becomes_of_the_example_vmi() {
        let vmi: Value = serde_saphyr::from_str(&example("vmi.yaml")).unwrap();
        let shown = &example_pod()["metadata"]["annotations"][annotation::NETWORKS];
        let shown: Value = serde_json::from_str(shown.as_str().unwrap()).unwrap();
        let made: Value = serde_json::from_str(&selections(&vmi)).unwrap();
        assert_eq!(made, shown);
    }

    #[test]
    fn network_info_has_the_networks_with_a_vf() {
        let mut pod = example_pod();
        assert_eq!(network_info(&pod), None);
        let status = ["pod49a25f9feef", "podc2fa26d57cd", "pod54d00d86775"]
            .map(|interface| json!({"name": "some/nad", "interface": interface}));
        pod["metadata"]["annotations"][annotation::NETWORK_STATUS] = json!(json!(status).to_string());
        let interfaces = network_info(&pod).unwrap().interfaces;
        let networks: Vec<_> = interfaces.into_iter().map(|interface| interface.network).collect();
        assert_eq!(networks, ["storage", "uplink"]);
    }
}

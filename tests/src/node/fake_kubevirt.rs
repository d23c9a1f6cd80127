//! A fake of KubeVirt's virt-controller, and of what virt-handler reports: the pods of VMIs, network-info on them,
//! the VMI's status.

use super::NAMESPACE;
use crate::api_server::{Kubectl, manifest};
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

/// What the shortened pod of the examples leaves out and KubeVirt adds: folders that libvirt writes to, the file of
/// network-info, and the VMI itself and network-status in place of a virt-handler that would send the VMI. And what is only here: the node's
/// own libvirt and QEMU in place of those in KubeVirt's image, and what libvirt found out about that QEMU, which costs
/// it half a minute.
fn complete(pod: &mut Value, vmi: &Value) {
    let (private, cache) = ("/var/run/kubevirt-private", "/var/cache/node");
    let compute = &mut pod["spec"]["containers"][0];
    let variables = [
        (VMI_VARIABLE, vmi.to_string()),
        ("XDG_CACHE_HOME", cache.to_owned()),
        ("XDG_CONFIG_HOME", private.to_owned()),
        ("XDG_RUNTIME_DIR", "/var/run".to_owned()),
        ("LIBVIRT_DEFAULT_URI", "qemu:///session".to_owned()),
    ];
    compute["env"] = variables.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    compute["volumeMounts"] = json!([
        {"name": "network-info-annotation", "mountPath": "/etc/podinfo"},
        {"name": "attached", "mountPath": "/etc/lab"},
        {"name": "private", "mountPath": private},
        {"name": "libvirt-runtime", "mountPath": "/var/run/libvirt"},
        {"name": "usr", "mountPath": "/usr", "readOnly": true},
        {"name": "libvirt-cache", "mountPath": cache},
    ]);
    pod["spec"]["volumes"] = json!([
        downward_api("network-info-annotation", "network-info", kubevirt::NETWORK_INFO),
        downward_api("attached", "network-status", annotation::NETWORK_STATUS),
        {"name": "private", "emptyDir": {}},
        {"name": "libvirt-runtime", "emptyDir": {}},
        {"name": "usr", "hostPath": {"path": "/usr", "type": "Directory"}},
        {"name": "libvirt-cache", "hostPath": {"path": "/run/libvirt-cache", "type": "Directory"}},
    ]);
}

/// The variable of `compute` that has the VMI.
const VMI_VARIABLE: &str = "STANDALONE_VMI";

/// Makes KubeVirt's kinds known, and the object that names its version.
pub fn install(kubectl: &Kubectl) {
    kubectl.apply(&manifest("kubevirt-crds.yaml", &[])).expect_success();
    let kinds = ["crd/kubevirts.kubevirt.io", "crd/virtualmachineinstances.kubevirt.io"];
    let wait = ["wait", "--for=condition=Established", "--timeout=60s"];
    kubectl.run([&wait[..], &kinds].concat()).expect_success();
    let object = json!({
        "apiVersion": "kubevirt.io/v1",
        "kind": "KubeVirt",
        "metadata": {"name": "kubevirt", "namespace": NAMESPACE},
        "spec": {},
    });
    kubectl.apply(&object.to_string()).expect_success();
    let status = r#"{"status":{"phase":"Deployed","observedKubeVirtVersion":"v1.9.0"}}"#;
    let patch = ["--subresource=status", "--type=merge", "--patch", status];
    kubectl.run([&["patch", "kubevirt", "kubevirt"][..], &patch].concat()).expect_success();
}

/// Creates the VMI of a pod, as a user does, and returns the VMI as it was stored, after the webhook's review, and the
/// pod that KubeVirt makes of that: it belongs to the VMI and has its annotations.
///
/// # Errors
/// What the API server says when it refuses the VMI.
pub fn admit(kubectl: &Kubectl, pod: &Value) -> Result<(Value, Value), String> {
    let mut pod = pod.clone();
    let mut vmi = vmi_of(&pod).ok_or("no VMI in the pod")?;
    if let Some(mode) = pod["metadata"]["annotations"].get(annotation::LAUNCHER_HOOK) {
        vmi["metadata"]["annotations"][annotation::LAUNCHER_HOOK] = mode.clone();
    }
    let created = kubectl.run_with_input(["create", "--output", "json", "-f", "-"], &vmi.to_string());
    if !created.success() {
        return Err(created.stderr);
    }
    let vmi: Value = serde_json::from_str(&created.stdout).unwrap();
    let metadata = &mut pod["metadata"];
    for (key, value) in vmi["metadata"]["annotations"].as_object().into_iter().flatten() {
        metadata["annotations"][key] = value.clone();
    }
    let (name, uid) = (&vmi["metadata"]["name"], &vmi["metadata"]["uid"]);
    metadata["labels"]["kubevirt.io/created-by"] = uid.clone();
    metadata["labels"]["vm.kubevirt.io/name"] = name.clone();
    metadata["ownerReferences"] = json!([{
        "apiVersion": kubevirt::VMI_API_VERSION,
        "kind": kubevirt::VMI_KIND,
        "name": name,
        "uid": uid,
        "controller": true,
        "blockOwnerDeletion": true,
    }]);
    *vmi_variable(&mut pod).ok_or("no VMI in the pod")? = json!(vmi.to_string());
    Ok((vmi, pod))
}

/// virt-handler's work: the VMI's status says which interfaces the running `domain` has or, as long as there is none, why
/// virt-launcher could not define it, as the `log` of `compute` has it.
///
/// # Panics
/// If the API server refuses the status.
pub fn report(kubectl: &Kubectl, vmi: &Value, log: &str, domain: impl FnOnce() -> String) {
    let name = vmi["metadata"]["name"].as_str().unwrap();
    let status = if log.contains("launcher: started") {
        json!({"phase": "Running", "interfaces": interfaces_in(&domain(), vmi)})
    } else {
        let failure = log.lines().filter_map(|line| line.strip_prefix("launcher: SyncVMI: ")).next_back();
        let message = failure.map(|failure| format!("server error. command SyncVMI failed: \"{failure}\""));
        let condition = message.map(|message| {
            let reason = "Synchronizing with the Domain failed.";
            json!({"type": "Synchronized", "status": "False", "reason": reason, "message": message})
        });
        json!({"phase": "Scheduled", "conditions": condition.into_iter().collect::<Vec<_>>()})
    };
    let patch = json!({ "status": status }).to_string();
    kubectl.run(["patch", "vmi", name, "--type=merge", "--patch", &patch]).expect_success();
}

/// The interfaces whose hostdevs are in a domain. A hostdev has no MAC address: KubeVirt reports the one of the VMI.
fn interfaces_in(domain: &str, vmi: &Value) -> Vec<Value> {
    let interfaces = vmi["spec"]["domain"]["devices"]["interfaces"].as_array().into_iter().flatten();
    let in_domain = interfaces.filter(|interface| {
        let alias = format!("{}{}", kubevirt::HOSTDEV_ALIAS_PREFIX, interface["name"].as_str().unwrap());
        domain.contains(&format!("<alias name='{alias}'/>"))
    });
    let reported = |interface: &Value| json!({"name": interface["name"], "mac": interface["macAddress"], "infoSource": "domain, multus-status"});
    in_domain.map(reported).collect()
}

fn vmi_variable(pod: &mut Value) -> Option<&mut Value> {
    let variables = pod["spec"]["containers"][0]["env"].as_array_mut()?;
    variables.iter_mut().find(|variable| variable["name"] == VMI_VARIABLE)?.get_mut("value")
}

/// The VMI that a pod was made of.
fn vmi_of(pod: &Value) -> Option<Value> {
    let variables = pod["spec"]["containers"][0]["env"].as_array()?;
    let variable = variables.iter().find(|variable| variable["name"] == VMI_VARIABLE)?;
    Some(serde_json::from_str(variable["value"].as_str()?).unwrap())
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
        // A launcher that behaves as an older KubeVirt mounts no network-info.
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
    let vmi: Vmi = serde_json::from_value(vmi_of(pod)?).unwrap();
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

//! What doctor knows of a VMI.

use std::collections::BTreeMap;

use contract::json_problem;
use contract::vmi::{MultusNetwork, Vmi};
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::{Value, json};

/// A VMI.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// By which its pods are found.
    pub uid: String,
    /// `Pending`, `Scheduling`, `Scheduled`, `Running`, `Succeeded`, `Failed`; empty if KubeVirt has not said.
    pub phase: String,
    /// The networks that Multus attaches, without those that are being unplugged; why they cannot be read, otherwise.
    pub networks: Result<Vec<MachineNetwork>, String>,
    /// What KubeVirt says of its interfaces.
    pub reported: Vec<ReportedInterface>,
    /// Why virt-handler could not bring the domain to where it should be.
    pub not_synchronized: Option<String>,
}

/// A network of a VMI that Multus attaches.
#[derive(Debug, Clone, PartialEq)]
pub struct MachineNetwork {
    /// Its name, and its interface's.
    pub name: String,
    /// The NAD, as it was written.
    pub multus: MultusNetwork,
    /// How the interface is connected, for people: `sriov`, `macvtap`, `plugin NAME`; empty without an interface.
    pub binding: String,
    /// Whether it is `sriov: {}`.
    pub sriov: bool,
    /// The MAC address that the guest is to see.
    pub mac: Option<String>,
}

/// What KubeVirt says of an interface in `status.interfaces`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReportedInterface {
    /// Its network; empty for interfaces that only the guest agent knows.
    pub name: String,
    /// Its MAC address.
    pub mac: Option<String>,
    /// Where KubeVirt has this from: `domain`, `guest-agent`, `multus-status`.
    pub sources: Vec<String>,
    /// Name of the interface in the pod.
    pub pod_interface: Option<String>,
}

/// Keys of an interface that name how it is connected.
const BINDINGS: [&str; 7] = ["sriov", "bridge", "masquerade", "macvtap", "passt", "passtBinding", "slirp"];

impl Machine {
    /// Picks out what doctor needs.
    #[must_use]
    pub fn read(vmi: &DynamicObject) -> Self {
        let text =
            |place: &str| vmi.data.pointer(place).and_then(Value::as_str).unwrap_or_default().to_owned();
        let list = |place: &str| vmi.data.pointer(place).and_then(Value::as_array).into_iter().flatten();
        let not_synchronized = list("/status/conditions").find_map(|condition| {
            let is = |key: &str, value: &str| condition.get(key).and_then(Value::as_str) == Some(value);
            let message = condition.get("message")?.as_str()?;
            (is("type", "Synchronized") && is("status", "False")).then(|| message.to_owned())
        });
        Self {
            namespace: vmi.namespace().unwrap_or_default(),
            name: vmi.name_any(),
            uid: vmi.uid().unwrap_or_default(),
            phase: text("/status/phase"),
            networks: networks(&vmi.data),
            reported: list("/status/interfaces").map(reported).collect(),
            not_synchronized,
        }
    }

    /// `namespace/name`.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Whether it will not run any more.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.phase.as_str(), "Succeeded" | "Failed")
    }

    /// What KubeVirt says of a network's interface.
    #[must_use]
    pub fn reported(&self, network: &str) -> Option<&ReportedInterface> {
        self.reported.iter().find(|reported| reported.name == network)
    }
}

impl ReportedInterface {
    /// Whether KubeVirt has seen its device in the domain.
    #[must_use]
    pub fn is_in_domain(&self) -> bool {
        self.sources.iter().any(|source| source == "domain")
    }
}

fn networks(vmi: &Value) -> Result<Vec<MachineNetwork>, String> {
    let parts = json!({"spec": vmi.get("spec")});
    let read: Vmi = serde_json::from_value(parts).map_err(|error| json_problem(&error))?;
    let (interfaces, networks) = (read.spec.domain.devices.interfaces, read.spec.networks);
    interfaces
        .iter()
        .try_for_each(contract::ShortList::check)
        .map_err(|problem| format!("spec.domain.devices.interfaces {problem}"))?;
    networks
        .iter()
        .try_for_each(contract::ShortList::check)
        .map_err(|problem| format!("spec.networks {problem}"))?;
    let mut bindings = bindings(vmi);
    let read = networks.into_iter().flatten().filter_map(|network| {
        let interface = interfaces.iter().flatten().find(|interface| interface.name == network.name);
        let leaves = interface.is_some_and(|interface| interface.state.as_deref() == Some("absent"));
        Some(MachineNetwork {
            multus: network.multus.filter(|_| !leaves)?,
            binding: bindings.remove(&network.name).unwrap_or_default(),
            sriov: interface.is_some_and(contract::vmi::Interface::is_sriov),
            mac: interface.and_then(|interface| interface.mac_address.clone()),
            name: network.name,
        })
    });
    Ok(read.collect())
}

/// How each interface is connected.
fn bindings(vmi: &Value) -> BTreeMap<String, String> {
    let interfaces = vmi.pointer("/spec/domain/devices/interfaces").and_then(Value::as_array);
    let one = |interface: &Value| {
        let name = interface.get("name")?.as_str()?.to_owned();
        let plugin = interface.pointer("/binding/name").and_then(Value::as_str);
        let binding = match plugin {
            Some(plugin) => format!("plugin {plugin}"),
            None => (*BINDINGS.iter().find(|binding| interface.get(**binding).is_some())?).to_owned(),
        };
        Some((name, binding))
    };
    interfaces.into_iter().flatten().filter_map(one).collect()
}

fn reported(interface: &Value) -> ReportedInterface {
    let text = |key: &str| interface.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let sources = text("infoSource").unwrap_or_default();
    ReportedInterface {
        name: text("name").unwrap_or_default().to_owned(),
        mac: text("mac").map(str::to_owned),
        sources: sources
            .split(',')
            .map(|source| source.trim().to_owned())
            .filter(|source| !source.is_empty())
            .collect(),
        pod_interface: text("podInterfaceName").map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(spec: Value, status: Value) -> Machine {
        let vmi = json!({
            "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance",
            "metadata": {"name": "a", "namespace": "lab", "uid": "1"}, "spec": spec, "status": status,
        });
        Machine::read(&serde_json::from_value(vmi).unwrap())
    }

    #[test]
    fn networks_of_any_binding_are_read() {
        let interfaces = json!([
            {"name": "pod", "masquerade": {}},
            {"name": "fast", "sriov": {}, "macAddress": "02:00:00:00:00:01"},
            {"name": "tap", "macvtap": {}},
            {"name": "plug", "binding": {"name": "vdpa"}},
            {"name": "leaving", "sriov": {}, "state": "absent"},
        ]);
        let networks = json!([
            {"name": "pod", "pod": {}},
            {"name": "fast", "multus": {"networkName": "fast"}},
            {"name": "tap", "multus": {"networkName": "net/tap"}},
            {"name": "plug", "multus": {"networkName": "plug", "default": true}},
            {"name": "leaving", "multus": {"networkName": "fast"}},
            {"name": "no-interface", "multus": {"networkName": "fast"}},
        ]);
        let spec = json!({"domain": {"devices": {"interfaces": interfaces}}, "networks": networks});
        let read = machine(spec, json!({})).networks.unwrap();
        let read: Vec<_> = read
            .iter()
            .map(|one| (one.name.as_str(), one.binding.as_str(), one.sriov, one.multus.default))
            .collect();
        assert_eq!(
            read,
            [
                ("fast", "sriov", true, false),
                ("tap", "macvtap", false, false),
                ("plug", "plugin vdpa", false, true),
                ("no-interface", "", false, false),
            ]
        );
    }

    #[test]
    fn networks_that_cannot_be_read_are_not_none() {
        let problem = machine(json!({"networks": "fast"}), json!({})).networks.unwrap_err();
        assert!(problem.contains("invalid type: string \"fast\""), "{problem}");
        let many: Vec<_> = (0..300).map(|index| json!({"name": index.to_string()})).collect();
        let problem = machine(json!({"networks": many}), json!({})).networks.unwrap_err();
        assert!(problem.starts_with("spec.networks has 300 elements"), "{problem}");
    }

    #[test]
    fn the_status_is_read() {
        let machine = machine(
            json!({}),
            json!({
                "phase": "Running",
                "interfaces": [
                    {"name": "fast", "mac": "02:00:00:00:00:01", "infoSource": "domain, multus-status",
                     "podInterfaceName": "pod3d4fc1a2b37"},
                    {"interfaceName": "docker0", "infoSource": "guest-agent"},
                ],
                "conditions": [
                    {"type": "Synchronized", "status": "False", "message": "no host device"},
                    {"type": "Ready", "status": "False", "message": "not running"},
                ],
            }),
        );
        assert_eq!((machine.phase.as_str(), machine.has_ended()), ("Running", false));
        assert_eq!(machine.not_synchronized.as_deref(), Some("no host device"));
        let fast = machine.reported("fast").unwrap();
        assert_eq!(fast.sources, ["domain", "multus-status"]);
        assert_eq!(fast.pod_interface.as_deref(), Some("pod3d4fc1a2b37"));
        assert_eq!(machine.reported("slow"), None);
    }
}

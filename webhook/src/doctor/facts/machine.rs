//! What doctor knows of a VMI.

use contract::vmi::{Interface, MultusNetwork, Spec, Status};
use contract::{ClaimRequest, json_problem};
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde::Deserialize as _;
use serde_json::Value;

/// A VMI.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// By which its pods are found.
    pub uid: String,
    /// The networks that Multus attaches or whose device is claimed, without those that are being unplugged; why they cannot be read, otherwise.
    pub networks: Result<Vec<MachineNetwork>, String>,
    /// What KubeVirt says of it.
    pub status: Status,
}

/// A network of a VMI that Multus attaches, or whose device is from a resource claim.
#[derive(Debug, Clone, PartialEq)]
pub struct MachineNetwork {
    /// Its name, and its interface's.
    pub name: String,
    /// The NAD, as it was written; `None` if Multus does not attach it.
    pub multus: Option<MultusNetwork>,
    /// The request of a resource claim that its device is from.
    pub claim: Option<ClaimRequest>,
    /// How the interface is connected, for people: `sriov`, `macvtap`, `plugin NAME`; empty without an interface.
    pub binding: String,
    /// Whether it is `sriov: {}`.
    pub sriov: bool,
    /// The MAC address that the guest is to see.
    pub mac: Option<String>,
}

impl Machine {
    /// Picks out what doctor needs.
    #[must_use]
    pub fn read(vmi: &DynamicObject) -> Self {
        let status = vmi.data.get("status").and_then(|status| Status::deserialize(status).ok());
        Self {
            namespace: vmi.namespace().unwrap_or_default(),
            name: vmi.name_any(),
            uid: vmi.uid().unwrap_or_default(),
            networks: networks(&vmi.data),
            status: status.unwrap_or_default(),
        }
    }

    /// `namespace/name`.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Whether it has ended for good.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }

    /// Whether KubeVirt has said which of its interfaces are in the domain, as it does once it runs.
    #[must_use]
    pub fn has_interfaces(&self) -> bool {
        self.status.is_running() && self.status.interfaces.as_deref().is_some_and(|all| !all.is_empty())
    }

    /// Why virt-handler could not bring the domain to where it should be.
    #[must_use]
    pub fn not_synchronized(&self) -> Option<&str> {
        let mut conditions = self.status.conditions.iter().flatten();
        let condition =
            conditions.find(|condition| condition.kind == "Synchronized" && condition.status == "False")?;
        condition.message.as_deref()
    }
}

fn networks(vmi: &Value) -> Result<Vec<MachineNetwork>, String> {
    let spec = vmi.get("spec").map(Spec::deserialize).transpose().map_err(|error| json_problem(&error))?;
    let spec = spec.unwrap_or_default();
    let (networks, interfaces) = spec.lists().map_err(|problem| problem.to_string())?;
    let read = networks.iter().filter_map(|network| {
        let interface = interfaces.iter().find(|interface| interface.name == network.name);
        // A claim that the VMI does not have is not one.
        let claim = spec.claim(network).ok().flatten();
        let leaves = interface.is_some_and(Interface::is_absent);
        if leaves || network.multus.is_none() && claim.is_none() {
            return None;
        }
        Some(MachineNetwork {
            multus: network.multus.clone(),
            claim,
            binding: interface.map(binding).unwrap_or_default(),
            sriov: interface.is_some_and(Interface::is_sriov),
            mac: interface.and_then(|interface| interface.mac_address.clone()),
            name: network.name.clone(),
        })
    });
    Ok(read.collect())
}

/// How an interface is connected.
fn binding(interface: &Interface) -> String {
    match &interface.binding {
        Some(plugin) => format!("plugin {}", plugin.name),
        None => interface.binding_field().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn machine(spec: &Value, status: &Value) -> Machine {
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
        let read = machine(&spec, &json!({})).networks.unwrap();
        let read: Vec<_> = read
            .iter()
            .map(|one| {
                (
                    one.name.as_str(),
                    one.binding.as_str(),
                    one.sriov,
                    one.multus.as_ref().is_some_and(|multus| multus.default),
                )
            })
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
    fn claimed_networks_are_read_with_and_without_multus() {
        let reference = json!({"claimName": "vfs", "requestName": "one"});
        let networks = json!([
            {"name": "own", "resourceClaim": reference},
            {"name": "of-multus", "multus": {"networkName": "fast", "resourceClaim": reference}},
            {"name": "undeclared", "resourceClaim": {"claimName": "gone", "requestName": "one"}},
        ]);
        let claims = json!([{"name": "vfs", "resourceClaimName": "my-vfs"}]);
        let read =
            machine(&json!({"networks": networks, "resourceClaims": claims}), &json!({})).networks.unwrap();
        let read: Vec<_> = read
            .iter()
            .map(|one| (one.name.as_str(), one.multus.is_some(), one.claim.as_ref().map(ToString::to_string)))
            .collect();
        let claim = Some("request one of claim my-vfs".to_owned());
        assert_eq!(read, [("own", false, claim.clone()), ("of-multus", true, claim)]);
    }

    #[test]
    fn networks_that_cannot_be_read_are_not_none() {
        let problem = machine(&json!({"networks": "fast"}), &json!({})).networks.unwrap_err();
        assert!(problem.contains("invalid type: string \"fast\""), "{problem}");
        let many: Vec<_> = (0..300).map(|index| json!({"name": index.to_string()})).collect();
        let problem = machine(&json!({"networks": many}), &json!({})).networks.unwrap_err();
        assert!(problem.starts_with("spec.networks has 300 elements"), "{problem}");
    }

    #[test]
    fn the_status_is_read() {
        let machine = machine(
            &json!({}),
            &json!({
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
        assert_eq!((machine.has_interfaces(), machine.has_ended()), (true, false));
        assert_eq!(machine.not_synchronized(), Some("no host device"));
        let fast = machine.status.interface("fast").unwrap();
        assert!(fast.is_in_domain());
        assert_eq!(fast.pod_interface_name.as_deref(), Some("pod3d4fc1a2b37"));
        assert_eq!(machine.status.interface("slow"), None);
    }
}

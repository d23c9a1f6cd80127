//! The parts of a VirtualMachineInstance (VMI) that its networks depend on: the one model for both programs. What is
//! not named here is not read, and what is named and missing is empty: a later KubeVirt may leave it out.
//!
//! Source: KubeVirt, `staging/src/kubevirt.io/api/core/v1/schema.go`, 1.9 line of 2026-08.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use thiserror::Error;

use crate::{
    ClaimKind, ClaimRequest, ClaimRequestError, ListTooLong, NadName, NadNameError, Quoted, ShortList,
};

/// A VMI, without its [`Status`].
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Vmi {
    /// Name, namespace, annotations.
    pub metadata: Metadata,
    /// Networks and interfaces.
    pub spec: Spec,
}

/// A VMI's metadata.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Metadata {
    /// Absent if the API server is to make one up.
    pub name: Option<String>,
    /// What it makes the name from.
    pub generate_name: Option<String>,
    /// Absent in some reviews.
    pub namespace: Option<String>,
    /// `None` if the key is absent.
    pub annotations: Option<BTreeMap<String, Option<String>>>,
}

/// A VMI's specification.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Spec {
    /// The virtual machine.
    pub domain: Domain,
    /// The networks that its interfaces connect to.
    pub networks: Option<ShortList<Network>>,
    /// The resource claims that its pod holds.
    pub resource_claims: Option<ShortList<ResourceClaim>>,
}

/// A resource claim of the VMI's pod.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ResourceClaim {
    /// Its name in the pod.
    pub name: String,
    /// The ResourceClaim; absent if one is made from a template.
    pub resource_claim_name: Option<String>,
}

/// The request of a resource claim that a network's device is from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ClaimReference {
    /// The claim's name in the pod.
    pub claim_name: String,
    /// The request's name in the claim.
    pub request_name: String,
}

/// A network's claim that cannot be. The sentence has no subject: the caller names the network.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ClaimReferenceError {
    /// The VMI has no such claim.
    #[error("its claim {} is not in spec.resourceClaims: add it there, or correct the name", Quoted(.claim))]
    Undeclared {
        /// Its name in the pod.
        claim: String,
    },
    /// A name that no claim or request can have.
    #[error("its {0}")]
    Name(#[from] ClaimRequestError),
}

/// The virtual machine.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Domain {
    /// Its devices.
    pub devices: Devices,
    /// Its memory.
    pub memory: Option<Memory>,
}

/// The virtual machine's memory.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Memory {
    /// What is reserved besides the guest's.
    pub reserved_overhead: Option<ReservedOverhead>,
}

/// What is reserved besides the guest's memory.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ReservedOverhead {
    /// Whether virt-handler lifts the limit of locked memory: `Required` if so.
    pub mem_lock: Option<String>,
}

impl Domain {
    /// Whether virt-handler lifts the limit of locked memory because the VMI says so.
    #[must_use]
    pub fn locks_memory(&self) -> bool {
        let overhead = self.memory.as_ref().and_then(|memory| memory.reserved_overhead.as_ref());
        overhead.is_some_and(|overhead| overhead.mem_lock.as_deref() == Some("Required"))
    }
}

/// The virtual machine's devices.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Devices {
    /// Its network interfaces, each connected to the network of its name.
    pub interfaces: Option<ShortList<Interface>>,
}

/// A network interface of the virtual machine.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Interface {
    /// Its name, and its network's.
    pub name: String,
    /// Present (`sriov: {}`) if the interface is a VF.
    pub sriov: Option<IgnoredAny>,
    /// Present if the interface is bridged.
    pub bridge: Option<IgnoredAny>,
    /// Present if it is a macvtap device of a device plugin.
    pub macvtap: Option<IgnoredAny>,
    /// Present if its traffic is masqueraded.
    pub masquerade: Option<IgnoredAny>,
    /// Present if passt carries its traffic, as KubeVirt did it first.
    pub passt: Option<IgnoredAny>,
    /// Present if passt carries its traffic.
    pub passt_binding: Option<IgnoredAny>,
    /// Present if slirp carries its traffic.
    pub slirp: Option<IgnoredAny>,
    /// The network binding plugin that connects the interface, if one does.
    pub binding: Option<PluginBinding>,
    /// The MAC address that the guest is to see.
    pub mac_address: Option<String>,
    /// The PCI address that the guest is to see.
    pub pci_address: Option<String>,
    /// The place in the guest's boot order.
    pub boot_order: Option<u32>,
    /// `absent` if the interface is on its way out.
    pub state: Option<String>,
}

/// A network binding plugin.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct PluginBinding {
    /// The name under which it is registered with KubeVirt.
    pub name: String,
}

/// A network that interfaces connect to.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Network {
    /// Its name, and its interface's.
    pub name: String,
    /// Present (`pod: {}`) if it is the cluster's own network.
    pub pod: Option<IgnoredAny>,
    /// Present if Multus attaches it.
    pub multus: Option<MultusNetwork>,
    /// Present if its device is from a resource claim, and Multus does not attach it.
    pub resource_claim: Option<ClaimReference>,
}

/// What Multus attaches.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MultusNetwork {
    /// `[namespace/]name` of the NAD.
    pub network_name: String,
    /// Whether it takes the place of the cluster's own network.
    pub default: bool,
    /// Present if the device is from a resource claim, as KubeVirt's VEP 427 proposes it.
    pub resource_claim: Option<ClaimReference>,
}

/// What KubeVirt says of a VMI. Read apart from the rest: a review does not depend on it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Status {
    /// `Pending`, `Scheduling`, `Scheduled`, `Running`, `Succeeded`, `Failed`; empty if KubeVirt has not said.
    pub phase: String,
    /// Its interfaces, those that only the guest agent knows behind those of the specification.
    pub interfaces: Option<ShortList<ReportedInterface>>,
    /// What holds of it.
    pub conditions: Option<ShortList<Condition>>,
    /// Its last migration.
    pub migration_state: Option<MigrationState>,
}

/// What KubeVirt says of an interface.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ReportedInterface {
    /// Its network; empty for interfaces that only the guest agent knows.
    pub name: String,
    /// Its MAC address.
    pub mac: Option<String>,
    /// Where KubeVirt has this from: some of `domain`, `guest-agent`, `multus-status`, separated by commas.
    pub info_source: String,
    /// Name of the interface in the pod.
    pub pod_interface_name: Option<String>,
}

/// Something that holds of a VMI or does not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Condition {
    /// What: `Synchronized`, and others.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Why, for people.
    pub message: Option<String>,
}

/// A migration.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MigrationState {
    /// Whether it has succeeded.
    pub completed: bool,
    /// Whether it has failed.
    pub failed: bool,
    /// When it ended.
    pub end_timestamp: Option<IgnoredAny>,
}

/// A list of a VMI that has more elements than anybody needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{place} {problem}")]
pub struct VmiListTooLong {
    /// Where the list is.
    pub place: &'static str,
    /// How long it is.
    pub problem: ListTooLong,
}

impl Spec {
    /// The networks and the interfaces. Who compares each with each needs not fear lists without end.
    ///
    /// # Errors
    /// If one of the lists was not read to its end.
    pub fn lists(&self) -> Result<(&[Network], &[Interface]), VmiListTooLong> {
        fn whole<'l, T>(
            place: &'static str,
            list: &'l Option<ShortList<T>>,
        ) -> Result<&'l [T], VmiListTooLong> {
            let Some(list) = list else { return Ok(&[]) };
            list.check().map_err(|problem| VmiListTooLong { place, problem })?;
            Ok(list)
        }
        let interfaces = whole("spec.domain.devices.interfaces", &self.domain.devices.interfaces)?;
        Ok((whole("spec.networks", &self.networks)?, interfaces))
    }

    /// The request of a resource claim that a network's device is from; `None` if it is not claimed.
    ///
    /// # Errors
    /// A claim that the VMI does not have, or a name that no claim or request can have.
    pub fn claim(&self, network: &Network) -> Result<Option<ClaimRequest>, ClaimReferenceError> {
        let of_multus = network.multus.as_ref().and_then(|multus| multus.resource_claim.as_ref());
        let Some(ClaimReference { claim_name, request_name }) = of_multus.or(network.resource_claim.as_ref())
        else {
            return Ok(None);
        };
        let mut claims = self.resource_claims.iter().flat_map(|claims| claims.iter());
        let claim = claims
            .find(|claim| claim.name == *claim_name)
            .ok_or_else(|| ClaimReferenceError::Undeclared { claim: claim_name.clone() })?;
        let own = claim.resource_claim_name.as_deref().filter(|name| !name.is_empty());
        let (kind, name) =
            own.map_or((ClaimKind::Template, claim_name.as_str()), |own| (ClaimKind::Claim, own));
        Ok(Some(ClaimRequest::new(kind, name, request_name)?))
    }
}

impl MultusNetwork {
    /// The NAD's full name. A name without a namespace is in the VMI's namespace, and for the
    /// [default](Self::default) network in the one that Multus is configured with: KubeVirt hands that name to Multus
    /// as it is.
    ///
    /// # Errors
    /// The part that is not the DNS name it should be.
    pub fn nad(&self, vmi_namespace: &str, multus_namespace: &str) -> Result<NadName, NadNameError> {
        let default_namespace = if self.default { multus_namespace } else { vmi_namespace };
        match self.network_name.split_once('/') {
            Some((namespace, name)) => NadName::new(namespace, name),
            None => NadName::new(default_namespace, &self.network_name),
        }
    }
}

impl Interface {
    /// Whether the interface is a VF that is to stay.
    #[must_use]
    pub fn is_sriov(&self) -> bool {
        self.sriov.is_some() && !self.is_absent()
    }

    /// Whether the interface is connected by the binding plugin of this name and is to stay.
    #[must_use]
    pub fn is_bound_by(&self, plugin: &str) -> bool {
        self.binding.as_ref().is_some_and(|binding| binding.name == plugin) && !self.is_absent()
    }

    /// Whether the interface is on its way out.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.state.as_deref() == Some("absent")
    }

    /// The field that says how the interface is connected, unless a binding plugin connects it.
    #[must_use]
    pub fn binding_field(&self) -> Option<&'static str> {
        let fields = [
            ("sriov", &self.sriov),
            ("bridge", &self.bridge),
            ("masquerade", &self.masquerade),
            ("macvtap", &self.macvtap),
            ("passt", &self.passt),
            ("passtBinding", &self.passt_binding),
            ("slirp", &self.slirp),
        ];
        fields.into_iter().find(|(_, field)| field.is_some()).map(|(name, _)| name)
    }
}

impl ReportedInterface {
    /// Whether KubeVirt has seen its device in the domain.
    #[must_use]
    pub fn is_in_domain(&self) -> bool {
        self.info_source.split(',').any(|source| source.trim() == "domain")
    }
}

impl Status {
    /// Whether the virtual machine runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.phase == "Running"
    }

    /// What KubeVirt says of a network's interface.
    #[must_use]
    pub fn interface(&self, network: &str) -> Option<&ReportedInterface> {
        self.interfaces.iter().flatten().find(|reported| reported.name == network)
    }

    /// Whether it is on its way to another node.
    #[must_use]
    pub fn is_migrating(&self) -> bool {
        self.migration_state.as_ref().is_some_and(|migration| {
            !migration.completed && !migration.failed && migration.end_timestamp.is_none()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case::running(json!({}), true)]
    #[case::completed(json!({"completed": true}), false)]
    #[case::failed(json!({"failed": true}), false)]
    #[case::ended(json!({"endTimestamp": "2026-08-22T10:00:00Z"}), false)]
    #[case::none(json!(null), false)]
    fn migrations(#[case] state: serde_json::Value, #[case] expected: bool) {
        let status: Status = serde_json::from_value(json!({"migrationState": state})).unwrap();
        assert_eq!(status.is_migrating(), expected);
    }

    #[rstest]
    #[case::sriov(json!({"sriov": {}}), Some("sriov"))]
    #[case::macvtap(json!({"macvtap": {}}), Some("macvtap"))]
    #[case::passt(json!({"passtBinding": {}}), Some("passtBinding"))]
    #[case::plugin(json!({"binding": {"name": "vdpa"}}), None)]
    fn bindings(#[case] interface: serde_json::Value, #[case] expected: Option<&str>) {
        let interface: Interface = serde_json::from_value(interface).unwrap();
        assert_eq!(interface.binding_field(), expected);
    }

    #[rstest]
    #[case::networks(json!({"networks": vec![json!({}); 300]}), "spec.networks has 300 elements")]
    #[case::interfaces(
        json!({"domain": {"devices": {"interfaces": vec![json!({}); 257]}}}),
        "spec.domain.devices.interfaces has 257 elements"
    )]
    fn lists_that_are_too_long(#[case] spec: serde_json::Value, #[case] start: &str) {
        let spec: Spec = serde_json::from_value(spec).unwrap();
        let problem = spec.lists().unwrap_err().to_string();
        assert!(problem.starts_with(start), "{problem}");
    }

    #[rstest]
    #[case::domain("domain, multus-status", true)]
    #[case::behind_another("multus-status, domain", true)]
    #[case::guest("guest-agent", false)]
    #[case::nothing("", false)]
    fn sources(#[case] info_source: &str, #[case] expected: bool) {
        let interface = ReportedInterface { info_source: info_source.to_owned(), ..Default::default() };
        assert_eq!(interface.is_in_domain(), expected);
    }
}

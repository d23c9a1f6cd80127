//! The part of a VirtualMachineInstance that says which networks are to have a VF.

use contract::kubevirt::HOSTDEV_ALIAS_PREFIX;
use contract::{MacAddress, NadName, PciAddress};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::PlanError;
use super::networks::{Mac, MultusNetwork, Networks};

// The VMI's own names; what is not named here is not read.
#[derive(Deserialize)]
struct Object {
    metadata: Metadata,
    spec: Spec,
    #[serde(default)]
    status: Option<Status>,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    namespace: Option<String>,
}

#[derive(Deserialize)]
struct Spec {
    domain: Domain,
    #[serde(default)]
    networks: Option<Vec<NetworkEntry>>,
}

#[derive(Deserialize)]
struct Domain {
    devices: DeviceList,
}

#[derive(Deserialize)]
struct DeviceList {
    #[serde(default)]
    interfaces: Option<Vec<InterfaceEntry>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InterfaceEntry {
    name: String,
    #[serde(default)]
    sriov: Option<IgnoredAny>,
    #[serde(default)]
    binding: Option<Binding>,
    #[serde(default)]
    mac_address: Option<String>,
    #[serde(default)]
    pci_address: Option<String>,
    #[serde(default)]
    boot_order: Option<u32>,
    #[serde(default)]
    state: Option<String>,
}

#[derive(Deserialize)]
struct Binding {
    name: String,
}

#[derive(Deserialize)]
struct NetworkEntry {
    name: String,
    #[serde(default)]
    pod: Option<IgnoredAny>,
    #[serde(default)]
    multus: Option<MultusEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MultusEntry {
    network_name: String,
    #[serde(default)]
    default: bool,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default, rename = "migrationState")]
    migration: Option<MigrationState>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MigrationState {
    #[serde(default)]
    completed: bool,
    #[serde(default)]
    failed: bool,
    #[serde(default)]
    end_timestamp: Option<IgnoredAny>,
}

/// What is read of a VMI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Vmi {
    pub(crate) namespace: String,
    /// The Multus networks whose interfaces are there.
    pub(crate) networks: Networks,
    /// The interfaces that are to have a VF, in the VMI's order.
    pub(crate) interfaces: Vec<VfInterface>,
    /// Whether it is on its way to another node.
    pub(crate) migrating: bool,
    pub(crate) warnings: Vec<String>,
}

/// An interface that is to have a VF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VfInterface {
    pub(crate) name: String,
    pub(crate) boot_order: Option<u32>,
    pub(crate) guest_address: Option<PciAddress>,
}

impl Vmi {
    /// Reads the JSON of a VMI. An interface is to have a VF where it says `sriov: {}` or names the binding
    /// plugin `binding`.
    pub(crate) fn parse(json: &str, binding: &str) -> Result<Self, PlanError> {
        let object: Object = object(json)?;
        let namespace = object.metadata.namespace.filter(|namespace| !namespace.is_empty());
        let namespace = namespace.unwrap_or_else(|| "default".to_owned());
        let interfaces = object.spec.domain.devices.interfaces.unwrap_or_default();
        let mut vmi = Self {
            networks: Networks { list: Vec::new(), from_vmi: true },
            interfaces: Vec::new(),
            migrating: object.status.and_then(|status| status.migration).is_some_and(|migration| {
                !migration.completed && !migration.failed && migration.end_timestamp.is_none()
            }),
            warnings: Vec::new(),
            namespace,
        };
        let entries = object.spec.networks.unwrap_or_default();
        for entry in &entries {
            // As in KubeVirt: without an interface it is not attached.
            let Some(interface) = interfaces.iter().find(|interface| interface.name == entry.name) else {
                continue;
            };
            if let Some(multus) = &entry.multus {
                vmi.networks.list.push(network(&vmi.namespace, entry, multus, interface)?);
            }
        }
        vmi.networks.list.sort_by_key(|network| !network.default);
        for interface in interfaces {
            let plugged = interface.binding.as_ref().is_some_and(|plugin| plugin.name == binding);
            if !plugged && interface.sriov.is_none() || interface.is_absent() {
                continue;
            }
            let entry = entries.iter().find(|entry| entry.name == interface.name);
            if vmi.networks.find(&interface.name).is_some() {
                vmi.interfaces.push(interface.checked()?);
            } else if plugged && entry.is_some_and(|entry| entry.pod.is_some()) {
                // KubeVirt refuses `sriov: {}` there, and leaves a plugin's interface to the plugin.
                return Err(PlanError::Interface {
                    interface: interface.name,
                    problem: format!(
                        "has the binding plugin {binding}, but its network is the pod's own, which has no VF: connect \
                         it to a Multus network, or give it another binding"
                    ),
                });
            } else if entry.is_some() {
                vmi.warnings.push(format!(
                    "interface {:?} asks for a VF, but its network is not a Multus network: left out",
                    interface.name
                ));
            } else {
                return Err(PlanError::Interface {
                    interface: interface.name,
                    problem: "has no network of the same name in spec.networks".to_owned(),
                });
            }
        }
        Ok(vmi)
    }
}

/// Reads the object, or says which other one it is.
fn object(json: &str) -> Result<Object, PlanError> {
    #[derive(Deserialize)]
    struct Kind {
        kind: String,
    }
    // Editors and shells of Windows begin a file with it.
    let json = json.trim_start_matches('\u{feff}');
    if let Ok(Kind { kind }) = serde_json::from_str(json)
        && kind != KIND
    {
        return Err(PlanError::NotVmi { kind });
    }
    if !json.trim_start().starts_with(['{', '[']) {
        return Err(PlanError::NotJson);
    }
    serde_json::from_str(json).map_err(|error| PlanError::Vmi { problem: contract::json_problem(&error) })
}

const KIND: &str = "VirtualMachineInstance";

impl InterfaceEntry {
    /// Whether it is on its way out.
    fn is_absent(&self) -> bool {
        self.state.as_deref() == Some("absent")
    }

    fn checked(self) -> Result<VfInterface, PlanError> {
        let Self { name, pci_address, boot_order, .. } = self;
        check_network_name(&name)?;
        let guest_address = pci_address.filter(|address| !address.is_empty());
        let guest_address = guest_address.map(|address| address.parse()).transpose();
        match guest_address {
            Ok(guest_address) => {
                Ok(VfInterface { name, boot_order: boot_order.filter(|&order| order > 0), guest_address })
            }
            Err(error) => Err(PlanError::Interface {
                interface: name,
                problem: format!("has an invalid pciAddress: {error}"),
            }),
        }
    }
}

/// KubeVirt's own rule for the name of an interface; libvirt takes nothing else in an alias.
pub(crate) fn check_network_name(name: &str) -> Result<(), PlanError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !name.is_empty() && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(PlanError::Interface {
        interface: name.to_owned(),
        problem: format!(
            "cannot be part of an alias ({HOSTDEV_ALIAS_PREFIX}NAME): only letters, digits, '-', '_' and '.' are allowed"
        ),
    })
}

fn network(
    namespace: &str,
    entry: &NetworkEntry,
    multus: &MultusEntry,
    interface: &InterfaceEntry,
) -> Result<MultusNetwork, PlanError> {
    let (namespace, name) = multus.network_name.split_once('/').unwrap_or((namespace, &multus.network_name));
    let nad = NadName::new(namespace, name).map_err(|problem| PlanError::Network {
        network: entry.name.clone(),
        problem: problem.to_string(),
    })?;
    let mac = interface.mac_address.as_deref().filter(|mac| !mac.is_empty());
    let mac: Option<MacAddress> =
        mac.map(str::parse).transpose().map_err(|problem: contract::MacAddressError| {
            PlanError::Interface {
                interface: entry.name.clone(),
                problem: format!("has an invalid macAddress: {problem}"),
            }
        })?;
    Ok(MultusNetwork {
        name: entry.name.clone(),
        nad,
        resource: None,
        default: multus.default,
        mac: if mac.is_some() { Mac::Own } else { Mac::Any },
        absent: interface.is_absent(),
    })
}

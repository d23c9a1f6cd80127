//! What of a VirtualMachineInstance says which networks are to have a VF. The model is that of both programs,
//! [`contract::vmi`]; here it is checked.

use contract::kubevirt::{HOSTDEV_ALIAS_PREFIX, VMI_KIND};
use contract::vmi::{Interface, Network, Status};
use contract::{MacAddress, PciAddress, VmiNetworks, annotation, nad};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::PlanError;
use super::networks::{ClaimedNetwork, Mac, MultusNetwork, Networks};

/// What is read of a VMI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Vmi {
    pub(crate) name: Option<String>,
    pub(crate) namespace: String,
    /// The Multus networks whose interfaces are there.
    pub(crate) networks: Networks,
    /// The interfaces that are to have a VF, in the VMI's order.
    pub(crate) interfaces: Vec<VfInterface>,
    /// Whether it is on its way to another node.
    pub(crate) migrating: bool,
    pub(crate) warnings: Vec<String>,
    /// What the webhook wrote on it; empty if absent or unreadable.
    pub(crate) written: VmiNetworks,
}

/// An interface that is to have a VF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VfInterface {
    pub(crate) name: String,
    pub(crate) boot_order: Option<u32>,
    pub(crate) guest_address: Option<PciAddress>,
    /// The MAC address that the guest is to see.
    pub(crate) mac: Option<MacAddress>,
}

impl Vmi {
    /// Reads the JSON of a VMI. An interface is to have a VF where it says `sriov: {}` or names the binding
    /// plugin `binding`.
    pub(crate) fn parse(json: &str, binding: &str) -> Result<Self, PlanError> {
        let (object, status) = read(json)?;
        let namespace = object.metadata.namespace.filter(|namespace| !namespace.is_empty());
        let namespace = namespace.unwrap_or_else(|| "default".to_owned());
        let unreadable =
            |problem: contract::vmi::VmiListTooLong| PlanError::Vmi { problem: problem.to_string() };
        let (entries, interfaces) = object.spec.lists().map_err(unreadable)?;
        let annotations = object.metadata.annotations.unwrap_or_default();
        let written = annotations.get(annotation::NETWORKS_OF_VMI).and_then(Option::as_deref);
        let mut vmi = Self {
            written: written.and_then(|text| VmiNetworks::parse(text).ok()).unwrap_or_default(),
            name: object.metadata.name,
            networks: Networks { list: Vec::new(), claimed: Vec::new(), from_vmi: true },
            interfaces: Vec::new(),
            migrating: status.is_migrating(),
            warnings: Vec::new(),
            namespace,
        };
        for entry in entries {
            // As in KubeVirt: without an interface it is not attached.
            if let Some(interface) = interfaces.iter().find(|interface| interface.name == entry.name) {
                let claim = object.spec.claim(entry).map_err(|problem| PlanError::Network {
                    network: entry.name.clone(),
                    problem: problem.to_string(),
                })?;
                match (attachment(&vmi.namespace, entry, interface)?, claim) {
                    (Some(network), claim) => vmi.networks.list.push(MultusNetwork { claim, ..network }),
                    (None, Some(claim)) => {
                        vmi.networks.claimed.push(ClaimedNetwork { name: entry.name.clone(), claim });
                    }
                    (None, None) => {}
                }
            }
        }
        vmi.networks.list.sort_by_key(|network| !network.default);
        for interface in interfaces {
            let plugged = interface.is_bound_by(binding);
            if !plugged && !interface.is_sriov() {
                continue;
            }
            let entry = entries.iter().find(|entry| entry.name == interface.name);
            let wrong = |problem: String| PlanError::Interface { interface: interface.name.clone(), problem };
            let networks = &vmi.networks;
            if networks.find(&interface.name).is_some() || networks.find_claimed(&interface.name).is_some() {
                vmi.interfaces.push(checked(interface)?);
            } else if plugged && entry.is_some_and(|entry| entry.pod.is_some()) {
                // KubeVirt refuses `sriov: {}` there, and leaves a plugin's interface to the plugin.
                return Err(wrong(format!(
                    "has the binding plugin {binding}, but its network is the pod's own, which has no VF: connect it \
                     to a Multus network, or give it another binding"
                )));
            } else if entry.is_some() {
                vmi.warnings.push(format!(
                    "interface {:?} needs a VF, but its network is not a Multus network: ignored",
                    interface.name
                ));
            } else {
                return Err(wrong("has no network of the same name in spec.networks".to_owned()));
            }
        }
        Ok(vmi)
    }
}

/// Reads the object, or says which other one it is.
fn read(json: &str) -> Result<(contract::vmi::Vmi, Status), PlanError> {
    /// What tells a VMI from something else, and what a review does not need.
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Outline {
        kind: Option<String>,
        spec: Option<IgnoredAny>,
        status: Option<Status>,
    }
    // Editors and shells of Windows begin a file with it.
    let json = json.trim_start_matches('\u{feff}');
    if !json.trim_start().starts_with(['{', '[']) {
        return Err(PlanError::NotJson);
    }
    let unreadable = |error| PlanError::Vmi { problem: contract::json_problem(&error) };
    let Outline { kind, spec, status } = serde_json::from_str(json).map_err(unreadable)?;
    match (kind, spec) {
        (Some(kind), _) if kind != VMI_KIND => Err(PlanError::NotVmi { kind }),
        (_, None) => Err(PlanError::Vmi { problem: "it has no spec".to_owned() }),
        (_, Some(_)) => Ok((serde_json::from_str(json).map_err(unreadable)?, status.unwrap_or_default())),
    }
}

fn checked(interface: &Interface) -> Result<VfInterface, PlanError> {
    check_network_name(&interface.name)?;
    let guest_address = interface.pci_address.as_deref().filter(|address| !address.is_empty());
    let guest_address = guest_address.map(str::parse).transpose();
    Ok(VfInterface {
        name: interface.name.clone(),
        boot_order: interface.boot_order.filter(|&order| order > 0),
        guest_address: guest_address.map_err(|error: contract::PciAddressError| PlanError::Interface {
            interface: interface.name.clone(),
            problem: format!("has an invalid pciAddress: {error}"),
        })?,
        mac: mac(interface)?,
    })
}

fn mac(interface: &Interface) -> Result<Option<MacAddress>, PlanError> {
    let mac = interface.mac_address.as_deref().filter(|mac| !mac.is_empty());
    mac.map(str::parse).transpose().map_err(|problem: contract::MacAddressError| PlanError::Interface {
        interface: interface.name.clone(),
        problem: format!("has an invalid macAddress: {problem}"),
    })
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

/// What Multus attaches for a network.
fn attachment(
    namespace: &str,
    entry: &Network,
    interface: &Interface,
) -> Result<Option<MultusNetwork>, PlanError> {
    let Some(multus) = &entry.multus else { return Ok(None) };
    let nad = multus.nad(namespace, nad::MULTUS_NAMESPACE).map_err(|problem| PlanError::Network {
        network: entry.name.clone(),
        problem: problem.to_string(),
    })?;
    Ok(Some(MultusNetwork {
        name: entry.name.clone(),
        nad,
        resource: None,
        claim: None,
        default: multus.default,
        mac: if mac(interface)?.is_some() { Mac::Own } else { Mac::Any },
        absent: interface.is_absent(),
    }))
}

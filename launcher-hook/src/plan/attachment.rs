//! The attachments of the pod, in the order in which Multus makes them.

use contract::{NadName, NetworkSelection, PciAddress, parse_networks};
use sha2::{Digest, Sha256};

use super::vmi::Vmi;
use super::{Origin, PlanError};
use crate::devices::{Devices, pci_address};

/// One network that Multus attaches, and what is known of its device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attachment {
    /// The network of the VMI that it is for.
    pub(super) network: Option<String>,
    pub(super) nad: Option<NadName>,
    /// Whether it was given a MAC address of its own: then its device is not like another's.
    pub(super) mac: bool,
    /// The device that the selection itself names.
    pub(super) device_id: Option<String>,
    /// Whether the network is to have a hostdev.
    pub(super) wanted: bool,
    /// The variable with the devices of its resource.
    pub(super) variable: Option<String>,
    /// The device, once it is known.
    pub(super) device: Option<(PciAddress, Origin)>,
}

/// All attachments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attachments {
    pub(super) list: Vec<Attachment>,
    /// Whether their order is that of the pod's selections.
    pub(super) ordered: bool,
}

impl Attachments {
    /// From the selections where they are there, otherwise from the VMI, otherwise from the names alone.
    pub(super) fn new(
        vmi: Option<&Vmi>,
        wanted: &[&str],
        annotation: Option<&str>,
        devices: &Devices,
    ) -> Result<Self, PlanError> {
        let namespace = vmi.map_or("default", |vmi| &vmi.namespace);
        let annotation = annotation.filter(|annotation| !annotation.trim().is_empty());
        let selections = annotation
            .map(|annotation| parse_networks(annotation, namespace))
            .transpose()
            .map_err(|problem| PlanError::NetworksAnnotation { problem })?;
        let default: Vec<_> = vmi.map(default_network).unwrap_or_default();
        let defaults = default.len();
        let mut list: Vec<_> = match (&selections, vmi) {
            (Some(selections), _) => {
                default.into_iter().chain(from_selections(selections, vmi, wanted)).collect()
            }
            (None, Some(vmi)) => vmi.networks.iter().map(from_network).collect(),
            (None, None) => Vec::new(),
        };
        let known =
            |list: &[Attachment], name: &str| list.iter().any(|one| one.network.as_deref() == Some(name));
        // The selections may be older than the VMI; what they do not name has no device of theirs.
        for &name in wanted {
            if !known(&list, name) {
                let network = vmi.and_then(|vmi| vmi.networks.iter().find(|network| network.name == name));
                let mut attachment = network.map_or_else(|| bare(name), from_network);
                attachment.network = Some(name.to_owned());
                list.push(attachment);
            }
        }
        for attachment in &mut list {
            let network = attachment.network.as_deref();
            attachment.wanted = network.is_some_and(|network| wanted.contains(&network));
            attachment.variable = devices
                .resource(network, attachment.nad.as_ref())
                .map(contract::ResourceName::devices_variable);
        }
        let mut attachments = Self { list, ordered: selections.is_some() || vmi.is_some() };
        attachments.report(defaults, devices);
        Ok(attachments)
    }

    /// Enters what network-info and network-status say.
    fn report(&mut self, defaults: usize, devices: &Devices) {
        for (index, attachment) in self.list.iter_mut().enumerate() {
            let Some(network) = attachment.network.as_deref() else {
                continue;
            };
            if let Some(address) = devices.network_info(network) {
                attachment.device = Some((address, Origin::NetworkInfo));
                continue;
            }
            let interface = interface_name(network);
            // Older pods number their interfaces, from 1.
            let number = (index + 1).checked_sub(defaults).map(|number| format!("net{number}"));
            let nad = attachment.nad.as_ref().map(NadName::as_str);
            let status = devices.network_status().iter().find(|status| {
                let same_nad = nad == Some(status.name.as_str());
                let default = index < defaults && status.default;
                status.interface == interface
                    || (same_nad && (default || number.as_ref() == Some(&status.interface)))
            });
            attachment.device = status
                .and_then(|status| pci_address(status.device_info.as_ref()))
                .map(|address| (address, Origin::NetworkStatus));
        }
    }

    pub(super) fn of(&self, network: &str) -> Option<&Attachment> {
        self.list.iter().find(|one| one.network.as_deref() == Some(network))
    }
}

/// The name that KubeVirt gives a network's interface in the pod.
///
/// Source: KubeVirt, `pkg/network/namescheme`.
pub(super) fn interface_name(network: &str) -> String {
    use std::fmt::Write as _;
    let mut name = String::from("pod");
    for byte in Sha256::digest(network.as_bytes()).iter().take(6) {
        let _ = write!(name, "{byte:02x}");
    }
    name.truncate("pod".len() + 11);
    name
}

fn bare(network: &str) -> Attachment {
    Attachment {
        network: Some(network.to_owned()),
        nad: None,
        mac: false,
        device_id: None,
        wanted: false,
        variable: None,
        device: None,
    }
}

fn from_network(network: &super::vmi::MultusNetwork) -> Attachment {
    Attachment { nad: Some(network.nad.clone()), mac: network.mac.is_some(), ..bare(&network.name) }
}

fn default_network(vmi: &Vmi) -> Vec<Attachment> {
    let default = vmi.networks.iter().filter(|network| network.default);
    default.map(from_network).collect()
}

fn from_selections(selections: &[NetworkSelection], vmi: Option<&Vmi>, wanted: &[&str]) -> Vec<Attachment> {
    let others: Vec<_> =
        vmi.map(|vmi| vmi.networks.iter().filter(|network| !network.default).collect()).unwrap_or_default();
    let names = || others.iter().map(|network| network.name.as_str()).chain(wanted.iter().copied());
    selections
        .iter()
        .enumerate()
        .map(|(index, selection)| {
            let by_interface = selection
                .interface
                .as_deref()
                .and_then(|interface| names().find(|name| interface_name(name) == interface));
            // Older pods number their interfaces: net1 is the first network.
            let by_place = || {
                let network = others.get(index).filter(|network| network.nad == selection.nad)?;
                let number = format!("net{}", index + 1);
                let numbered = selection.interface.as_ref().is_none_or(|interface| *interface == number);
                numbered.then_some(network.name.as_str())
            };
            let by_nad = || {
                let mut same = others.iter().filter(|network| network.nad == selection.nad);
                let only = same.next()?;
                let several = same.next().is_some()
                    || selections.iter().filter(|other| other.nad == selection.nad).count() > 1;
                (!several).then_some(only.name.as_str())
            };
            let network = by_interface.or_else(by_place).or_else(by_nad);
            let vmi_mac =
                others.iter().any(|other| Some(other.name.as_str()) == network && other.mac.is_some());
            Attachment {
                network: network.map(str::to_owned),
                nad: Some(selection.nad.clone()),
                mac: selection.mac.is_some() || vmi_mac,
                device_id: selection.device_id.clone(),
                wanted: false,
                variable: None,
                device: None,
            }
        })
        .collect()
}

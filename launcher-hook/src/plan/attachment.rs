//! The attachments of the pod, in the order in which Multus makes them.

use contract::network_status::NetworkStatus;
use contract::{NadName, NetworkSelection, PciAddress, Quoted, ResourceName, parse_networks};

use super::listing::{Listing, listings};
use super::networks::{MultusNetwork, Networks};
use super::selections::{is_hashed, networks_of};
use super::{Origin, PlanError, Request};
use crate::devices::{Attached, Devices, Reported, reported};

/// One network that Multus attaches, and what is known of its device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Attachment {
    /// The network of the VMI that it is for.
    pub(super) network: Option<String>,
    pub(super) nad: Option<NadName>,
    /// The name of its interface in the pod, if the pod's selections are known.
    pub(super) interface: Option<String>,
    /// Whether it takes the place of the cluster's own network.
    pub(super) default: bool,
    /// What Multus' network-status says of it.
    pub(super) listing: Listing,
    /// Whether it was, or may have been, given a MAC address of its own: then its device is not like another's.
    pub(super) mac: bool,
    /// The device that the selection itself names.
    pub(super) device_id: Option<String>,
    /// Whether the network is to have a hostdev.
    pub(super) wanted: bool,
    /// Whether its interface bears the name of a network that is not known here.
    pub(super) foreign: bool,
    /// Whether the pod's selections are known and none is known to be this network's.
    pub(super) unplaced: bool,
    pub(super) resource: Option<ResourceName>,
    /// Whether nothing says which resource it has, nor that it has none.
    pub(super) unknown: bool,
    /// The variable with the devices of its resource.
    pub(super) variable: Option<String>,
    /// What the domain has under the network's alias.
    pub(super) alias: Option<PciAddress>,
    /// The device, once it is known.
    pub(super) device: Option<(PciAddress, Origin)>,
}

impl Attachment {
    /// Whether Multus or KubeVirt has said what its device is.
    pub(super) fn is_reported(&self) -> bool {
        matches!(self.device, Some((_, Origin::NetworkInfo | Origin::NetworkStatus)))
    }
}

/// All attachments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attachments {
    pub(super) list: Vec<Attachment>,
    /// Whether their order is that of the pod's selections.
    pub(super) ordered: bool,
    /// Whether the pod has no others.
    pub(super) complete: bool,
    /// Whether the pod's selections are known.
    pub(super) selected: bool,
}

impl Attachments {
    /// From the selections if they are known, otherwise from the VMI, otherwise from the names alone.
    pub(super) fn new(request: &Request<'_>) -> Result<Self, PlanError> {
        let Request { networks, namespace, wanted, annotation, devices, aliases, rule: _ } = *request;
        let annotation = annotation.filter(|annotation| !annotation.trim().is_empty());
        let selections = annotation
            .map(|annotation| parse_networks(annotation, namespace))
            .transpose()
            .map_err(|problem| PlanError::NetworksAnnotation { problem })?;
        let none = Networks::default();
        let known = networks.unwrap_or(&none);
        let default: Vec<_> = known.present().filter(|network| network.default).map(from_network).collect();
        let defaults = default.len();
        let mut list: Vec<_> = match &selections {
            Some(selections) => {
                default.into_iter().chain(from_selections(selections, known, wanted)).collect()
            }
            None => known.present().map(from_network).collect(),
        };
        for &name in wanted {
            if !list.iter().any(|one| one.network.as_deref() == Some(name)) {
                list.push(match known.find(name) {
                    // The selections may be older than the VMI; what they do not name has no device of theirs.
                    Some(network) => Attachment { unplaced: selections.is_some(), ..from_network(network) },
                    None => Attachment { network: Some(name.to_owned()), ..Attachment::default() },
                });
            }
        }
        for attachment in &mut list {
            let network = attachment.network.as_deref();
            attachment.wanted = network.is_some_and(|network| wanted.contains(&network));
            attachment.alias =
                network.filter(|_| attachment.wanted).and_then(|network| aliases.get(network).copied());
            attachment.enter_resource(known, devices);
        }
        let mut attachments = Self {
            list,
            ordered: selections.is_some() || known.have_places(),
            complete: selections.is_some() && known.from_vmi,
            selected: selections.is_some(),
        };
        if let Attached::Listed(entries) = devices.attached() {
            let first_place = known.have_places().then_some(defaults);
            let listings = listings(&attachments.list, entries, known, first_place);
            for (attachment, listing) in attachments.list.iter_mut().zip(listings) {
                attachment.listing = listing;
            }
        }
        attachments.report(devices)?;
        Ok(attachments)
    }

    /// Enters what network-info and network-status say.
    fn report(&mut self, devices: &Devices) -> Result<(), PlanError> {
        let entries = match devices.attached() {
            Attached::Listed(entries) => entries.as_slice(),
            Attached::Unread | Attached::Pending => &[],
        };
        for attachment in &mut self.list {
            let Some(network) = attachment.network.as_deref() else {
                continue;
            };
            let entry = match attachment.listing {
                Listing::Entry(entry) => entries.get(entry),
                Listing::Unknown | Listing::Unplaced | Listing::Absent => None,
            };
            let info = devices.network_info(network).cloned();
            let status = entry.and_then(|entry| reported(entry.device_info.as_ref()));
            if let (Some(Reported::Pci(info)), Some(Reported::Pci(status))) = (&info, &status)
                && info != status
                && attachment.wanted
            {
                let (network, info, status) = (network.to_owned(), *info, *status);
                return Err(PlanError::Reports { network, info, status });
            }
            let info = info.map(|report| (report, Origin::NetworkInfo));
            match info.or_else(|| status.map(|report| (report, Origin::NetworkStatus))) {
                Some((Reported::Pci(address), origin)) => attachment.device = Some((address, origin)),
                Some((Reported::Other(kind), report)) if attachment.wanted => {
                    return Err(PlanError::NotPci { network: network.to_owned(), kind, report });
                }
                Some((Reported::Other(_), _)) | None => {}
            }
        }
        Ok(())
    }

    /// Makes sure that Multus has attached each network that is to have a hostdev. KubeVirt makes network-info from
    /// network-status, so that a device in it proves the attachment.
    pub(super) fn check_attached(&self, devices: &Devices) -> Result<(), PlanError> {
        let unproven = |is_unproven: &dyn Fn(&Attachment) -> bool| -> Vec<String> {
            let unproven = self.list.iter().filter(|one| {
                let named = matches!(one.device, Some((_, Origin::NetworkInfo)));
                one.wanted && !named && is_unproven(one)
            });
            unproven.filter_map(|one| one.network.clone()).collect()
        };
        match devices.attached() {
            Attached::Unread => Ok(()),
            Attached::Pending => match unproven(&|_| true) {
                networks if networks.is_empty() => Ok(()),
                networks => Err(PlanError::Pending { networks }),
            },
            Attached::Listed(entries) => match unproven(&|one| one.listing == Listing::Absent) {
                networks if networks.is_empty() => Ok(()),
                networks => {
                    Err(PlanError::Unattached { networks, named: entries.iter().map(label).collect() })
                }
            },
        }
    }

    pub(super) fn of(&self, network: &str) -> Option<&Attachment> {
        self.list.iter().find(|one| one.network.as_deref() == Some(network))
    }
}

impl Attachment {
    fn enter_resource(&mut self, networks: &Networks, devices: &Devices) {
        let (network, nad) = (self.network.as_deref(), self.nad.as_ref());
        let of_nad = networks.list.iter().find(|network| Some(&network.nad) == nad);
        let resource = devices.resource(network, nad).or_else(|| of_nad?.resource.as_ref());
        self.resource = resource.cloned();
        // What the webhook wrote down has a resource for each network that needs one.
        let is_written_down = of_nad.is_some() && !networks.from_vmi;
        self.unknown = resource.is_none() && !is_written_down && !devices.have_resources_of(network, nad);
        self.variable = resource.filter(|_| !self.unplaced).map(ResourceName::devices_variable);
    }
}

fn from_network(network: &MultusNetwork) -> Attachment {
    Attachment {
        network: Some(network.name.clone()),
        nad: Some(network.nad.clone()),
        default: network.default,
        mac: network.mac != Some(false),
        ..Attachment::default()
    }
}

fn from_selections(selections: &[NetworkSelection], networks: &Networks, wanted: &[&str]) -> Vec<Attachment> {
    let found = networks_of(selections, networks, wanted);
    let attachments = selections.iter().zip(found).enumerate().map(|(index, (selection, network))| {
        let known = network.and_then(|network| networks.find(network));
        // As Multus names an interface that the selection leaves to it.
        let interface = selection.interface.clone().unwrap_or_else(|| format!("net{}", index + 1));
        Attachment {
            network: network.map(str::to_owned),
            nad: Some(selection.nad.clone()),
            interface: Some(interface),
            mac: selection.mac.is_some() || known.is_some_and(|network| network.mac == Some(true)),
            device_id: selection.device_id.clone(),
            foreign: network.is_none() && selection.interface.as_deref().is_some_and(is_hashed),
            ..Attachment::default()
        }
    });
    attachments.collect()
}

/// How a message names an entry of network-status.
fn label(entry: &NetworkStatus) -> String {
    let plain = |text: &str| {
        let is_plain = text.len() <= Quoted::LONGEST && text.bytes().all(|byte| byte.is_ascii_graphic());
        if is_plain { text.to_owned() } else { Quoted(text).to_string() }
    };
    match (entry.interface.as_str(), entry.default) {
        ("", _) => plain(&entry.name),
        (interface, true) => plain(interface),
        (interface, false) => format!("{} ({})", plain(interface), plain(&entry.name)),
    }
}

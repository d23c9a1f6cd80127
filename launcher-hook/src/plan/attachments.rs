//! The attachments of the pod, in the order in which Multus makes them.

use contract::network_status::NetworkStatus;
use contract::{NetworkSelection, Quoted, parse_networks};

use super::attachment::{Attachment, Listing, Owner, Position, Resource};
use super::listing::listings;
use super::networks::{Mac, MultusNetwork, Networks};
use super::selections::{is_hashed, networks_of};
use super::{Found, Origin, PlanError, Request};
use crate::devices::{Attached, DRIVER_POOL, Devices, Reported, reported};

/// All attachments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attachments {
    pub(super) list: Vec<Attachment>,
    pub(super) known_from: KnownFrom,
}

/// What is known about the pod's attachments as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KnownFrom {
    /// The pod's selections and all networks of the VMI: there are no others, and their order is Multus' own.
    SelectionsAndVmi,
    /// The pod's selections: their order is Multus' own.
    Selections,
    /// The networks of the VMI, in the order in which KubeVirt selects them; the pod may have others.
    Vmi,
    /// Names, or networks of which some are on their way out: no order.
    Names,
}

impl KnownFrom {
    /// Whether the order of the attachments is that of the pod's selections.
    pub(super) fn is_ordered(self) -> bool {
        self != Self::Names
    }

    /// Whether the pod's selections are known.
    pub(super) fn has_selections(self) -> bool {
        matches!(self, Self::SelectionsAndVmi | Self::Selections)
    }
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
        let from_network = |network: &MultusNetwork| from_network(network, wanted);
        let default: Vec<_> = known.present().filter(|network| network.default).map(from_network).collect();
        let defaults = default.len();
        let mut list: Vec<_> = match &selections {
            Some(selections) => {
                default.into_iter().chain(from_selections(selections, known, wanted)).collect()
            }
            None => known.present().map(from_network).collect(),
        };
        for &name in wanted {
            if !list.iter().any(|one| one.network() == Some(name)) {
                list.push(match (known.find(name), &selections) {
                    // The selections may be older than the VMI; what they do not name has no device of theirs.
                    (Some(network), Some(_)) => {
                        Attachment { position: Position::Unplaced, ..from_network(network) }
                    }
                    (Some(network), None) => from_network(network),
                    (None, _) => Attachment::new(Owner::Wanted(name.to_owned()), None),
                });
            }
        }
        for attachment in &mut list {
            if let Owner::Wanted(network) = &attachment.owner {
                attachment.alias = aliases.get(network).copied();
            }
            attachment.resource = resource(attachment, known, devices);
        }
        let known_from = match (&selections, known.from_vmi) {
            (Some(_), true) => KnownFrom::SelectionsAndVmi,
            (Some(_), false) => KnownFrom::Selections,
            (None, _) if known.have_places() => KnownFrom::Vmi,
            (None, _) => KnownFrom::Names,
        };
        let mut attachments = Self { list, known_from };
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
            let Some(network) = attachment.network() else { continue };
            let entry = match attachment.listing {
                Listing::Entry(entry) => entries.get(entry),
                Listing::Unknown | Listing::Unplaced | Listing::Absent => None,
            };
            let info = devices.network_info(network).cloned();
            let status = entry.and_then(|entry| reported(entry.device_info.as_ref()));
            if let (Some(Reported::Pci(info)), Some(Reported::Pci(status))) = (&info, &status)
                && info != status
                && attachment.is_wanted()
            {
                let (network, info, status) = (network.to_owned(), *info, *status);
                return Err(PlanError::Reports { network, info, status });
            }
            let info = info.map(|report| (report, Origin::NetworkInfo));
            match info.or_else(|| status.map(|report| (report, Origin::NetworkStatus))) {
                Some((Reported::Pci(address), origin)) => attachment.device = Some(Found { address, origin }),
                Some((Reported::Other(kind), report)) if attachment.is_wanted() => {
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
                let named = matches!(one.device, Some(Found { origin: Origin::NetworkInfo, .. }));
                one.is_wanted() && !named && is_unproven(one)
            });
            unproven.filter_map(|one| one.network().map(str::to_owned)).collect()
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
        self.list.iter().find(|one| one.network() == Some(network))
    }
}

/// Which resource the network of an attachment has.
fn resource(attachment: &Attachment, networks: &Networks, devices: &Devices) -> Resource {
    // A DRA driver sets its own variable, and none of the device plugin's.
    let driver = || (!devices.pool(DRIVER_POOL).is_empty()).then(|| DRIVER_POOL.to_owned());
    if attachment.claim.is_some() {
        return driver().map_or(Resource::None, |variable| Resource::Inferred { variable });
    }
    let (network, nad) = (attachment.network(), attachment.nad.as_ref());
    let of_nad = networks.list.iter().find(|network| Some(&network.nad) == nad);
    if let Some(resource) = devices.resource(network, nad).or_else(|| of_nad?.resource.as_ref()) {
        let own = resource.devices_variable();
        let variable = match devices.pool(&own).is_empty() {
            true => driver().unwrap_or(own),
            false => own,
        };
        return Resource::Named { variable, resource: resource.clone() };
    }
    // What the webhook wrote down has a resource for each network that needs one.
    let is_written_down = of_nad.is_some() && !networks.from_vmi;
    match is_written_down || devices.have_resources_of(network, nad) {
        true => Resource::None,
        false => Resource::Unknown,
    }
}

fn owner(network: &str, wanted: &[&str]) -> Owner {
    match wanted.contains(&network) {
        true => Owner::Wanted(network.to_owned()),
        false => Owner::Other(network.to_owned()),
    }
}

fn from_network(network: &MultusNetwork, wanted: &[&str]) -> Attachment {
    Attachment {
        default: network.default,
        mac: network.mac,
        claim: network.claim.clone(),
        ..Attachment::new(owner(&network.name, wanted), Some(network.nad.clone()))
    }
}

fn from_selections(selections: &[NetworkSelection], networks: &Networks, wanted: &[&str]) -> Vec<Attachment> {
    let found = networks_of(selections, networks, wanted);
    let attachments = selections.iter().zip(found).enumerate().map(|(index, (selection, network))| {
        let known = network.and_then(|network| networks.find(network));
        let owner = match network {
            Some(network) => owner(network, wanted),
            None if selection.interface.as_deref().is_some_and(is_hashed) => Owner::Foreign,
            None => Owner::Unknown,
        };
        let has_mac = selection.mac.is_some() || known.is_some_and(|network| network.mac == Mac::Own);
        Attachment {
            position: Position::Selected {
                // As Multus names an interface that the selection leaves to it.
                interface: selection.interface.clone().unwrap_or_else(|| format!("net{}", index + 1)),
                device_id: selection.device_id.clone(),
            },
            mac: if has_mac { Mac::Own } else { Mac::Any },
            claim: known.and_then(|network| network.claim.clone()),
            ..Attachment::new(owner, Some(selection.nad.clone()))
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

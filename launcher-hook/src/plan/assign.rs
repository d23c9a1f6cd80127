//! The rules by which the devices of a resource are given to the networks that nothing is known of.

use std::collections::{BTreeMap, BTreeSet};

use contract::PciAddress;

use super::attachment::{Attachment, Owner, Position, Resource};
use super::attachments::{Attachments, KnownFrom};
use super::error::{Ambiguity, Remedy};
use super::networks::Mac;
use super::{Assign, Found, Origin, PlanError};
use crate::devices::{DRIVER_POOL, Device, Devices};

/// Completes `attachments` from the variables and the aliases. Networks that stay without a device are left so.
pub(super) fn assign(
    attachments: &mut Attachments,
    wanted: &[&str],
    devices: &Devices,
    rule: Assign,
    warnings: &mut Vec<String>,
) -> Result<(), PlanError> {
    super::claimed::complete(attachments, devices, warnings)?;
    let takers = infer_variables(attachments, devices)?;
    take_selected(attachments, devices);
    let open = attachments.list.iter().filter(|one| one.is_wanted() && one.device.is_none());
    let variables: BTreeSet<String> = open.filter_map(|one| one.variable().map(str::to_owned)).collect();
    for variable in &variables {
        let choices = Pool::new(attachments, devices, variable, takers).assign(wanted, rule)?;
        if choices.iter().any(|(_, found)| found.origin == Origin::InOrder) {
            warnings.push(format!(
                "the devices of {variable} are given to the networks in the variable's order, which on real nodes \
                 means nothing: networks may be swapped"
            ));
        }
        for (index, found) in choices {
            let Some(attachment) = attachments.list.get_mut(index) else { continue };
            attachment.device = Some(found);
            let Found { address, origin } = found;
            if let Some(alias) = attachment.alias.filter(|alias| *alias != address) {
                warnings.push(format!(
                    "network {} had {alias} in the domain, as KubeVirt up to 1.6 guesses from the order in \
                     {variable}; it gets {address} ({origin})",
                    attachment.network().unwrap_or_default()
                ));
            }
        }
    }
    for attachment in &mut attachments.list {
        if attachment.device.is_none() {
            attachment.device = attachment.alias.map(|address| Found { address, origin: Origin::Alias });
        }
    }
    if rule != Assign::InOrder {
        warn_of_guesses(attachments, devices, takers, warnings);
    }
    Ok(())
}

/// KubeVirt up to 1.6 writes hostdevs by the variable's order where it has no report, and their aliases look like
/// those of any other.
fn warn_of_guesses(attachments: &Attachments, devices: &Devices, takers: Takers, warnings: &mut Vec<String>) {
    for (variable, ids) in devices.pools() {
        let has = |address: PciAddress| ids.iter().any(|device| device.address == Some(address));
        let guessed: Vec<_> = attachments
            .list
            .iter()
            .filter(
                |one| matches!(one.device, Some(Found { address, origin: Origin::Alias }) if has(address)),
            )
            .collect();
        let pool = Pool::new(attachments, devices, variable, takers);
        if ids.len() < 2 || guessed.is_empty() || pool.leaves_one_way() {
            continue;
        }
        let pairs = guessed.iter().filter_map(|one| Some(format!("{}={}", one.network()?, one.address()?)));
        warnings.push(format!(
            "only the domain says which device of {variable} is whose ({}), and KubeVirt up to 1.6 takes them in \
             the variable's order, which on real nodes means nothing: networks may be swapped. {}",
            pairs.collect::<Vec<_>>().join(", "),
            pool.remedy()
        ));
    }
}

/// Whether it is known which attachments take from a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takers {
    Known,
    /// Networks without a hostdev may take from it as well.
    Unknown,
}

/// If nothing says which resource a network has: with one variable it can only be that one. Whether networks
/// without a hostdev take from it as well shows in the number of devices, or not at all.
fn infer_variables(attachments: &mut Attachments, devices: &Devices) -> Result<Takers, PlanError> {
    let open = |one: &Attachment| one.is_wanted() && one.device.is_none() && one.may_take_from_any();
    if devices.pools().is_empty() || !attachments.list.iter().any(open) {
        return Ok(Takers::Known);
    }
    let mut pools = devices.pools().iter();
    let (Some((variable, pool)), None) = (pools.next(), pools.next()) else {
        let lacking = names(attachments.list.iter().filter(|one| open(one) && one.alias.is_none()));
        if lacking.is_empty() {
            return Ok(Takers::Known);
        }
        return Err(PlanError::Ambiguous {
            networks: lacking,
            addresses: devices.addresses(),
            reason: Ambiguity::Resources,
            remedy: match (devices.resources_are_known(), attachments.known_from.has_selections()) {
                (false, _) => Remedy::NetworkResources,
                (true, false) => Remedy::Selections,
                (true, true) => Remedy::NetworkInfo,
            },
        });
    };
    if let [device] = pool.as_slice()
        && let Some(address) = device.address
        && let Some(index) = only_taker(attachments, variable)
        && let Some(only) = attachments.list.get_mut(index)
    {
        only.device = Some(Found { address, origin: origin(variable) });
        return Ok(Takers::Known);
    }
    let takes = |one: &&Attachment| one.variable() == Some(variable);
    let sure = attachments.list.iter().filter(takes).count();
    let unknown = || attachments.list.iter().filter(|one| one.may_take_from_any());
    let wanted = sure + unknown().filter(|one| one.is_wanted()).count();
    let all = sure + unknown().count();
    let only_wanted = pool.len() == wanted;
    for attachment in &mut attachments.list {
        if attachment.may_take_from_any() && (attachment.is_wanted() || !only_wanted) {
            attachment.resource = Resource::Inferred { variable: variable.clone() };
        }
    }
    Ok(if only_wanted || pool.len() == all { Takers::Known } else { Takers::Unknown })
}

/// The one network that is to have a hostdev, if nothing but its name is known of it and nobody else is known to take
/// from the resource. A selection whose network is not known may be its own.
fn only_taker(attachments: &Attachments, variable: &str) -> Option<usize> {
    let list = || attachments.list.iter().enumerate();
    let takes = |one: &Attachment| one.variable() == Some(variable);
    let mut takers = list().filter(|(_, one)| one.is_wanted() && (one.may_take_from_any() || takes(one)));
    let ((index, only), None) = (takers.next()?, takers.next()) else { return None };
    let taken = list().any(|(other, one)| other != index && takes(one) && one.owner != Owner::Unknown);
    let bare = only.nad.is_none() && only.device.is_none() && only.alias.is_none();
    (bare && !taken).then_some(index)
}

/// A selection may name its device; Multus takes it if the resource has none.
fn take_selected(attachments: &mut Attachments, devices: &Devices) {
    for attachment in &mut attachments.list {
        let Position::Selected { device_id: Some(id), .. } = &attachment.position else { continue };
        let has_none = match (attachment.variable(), &attachment.resource) {
            (Some(variable), _) => devices.pool(variable).is_empty(),
            (None, Resource::Unknown) => devices.pools().is_empty(),
            (None, _) => true,
        };
        if attachment.device.is_none() && has_none {
            attachment.device = id.parse().ok().map(|address| Found { address, origin: Origin::Selection });
        }
    }
}

fn names<'a>(attachments: impl Iterator<Item = &'a Attachment>) -> Vec<String> {
    attachments.filter_map(|one| one.network().map(str::to_owned)).collect()
}

/// The devices of one variable and the attachments that take from it.
struct Pool<'a> {
    attachments: &'a Attachments,
    variable: &'a str,
    devices: &'a [Device],
    members: Vec<(usize, &'a Attachment)>,
    takers: Takers,
    resources_are_known: bool,
    /// Devices that are known to be some network's.
    resolved: BTreeSet<PciAddress>,
}

/// Devices for attachments, by their index.
type Choices = Vec<(usize, Found)>;

impl<'a> Pool<'a> {
    fn new(attachments: &'a Attachments, devices: &'a Devices, variable: &'a str, takers: Takers) -> Self {
        Self {
            attachments,
            members: (attachments.list.iter().enumerate())
                .filter(|(_, one)| one.variable() == Some(variable))
                .collect(),
            devices: devices.pool(variable),
            takers,
            resources_are_known: devices.resources_are_known(),
            variable,
            resolved: attachments.list.iter().filter_map(Attachment::address).collect(),
        }
    }

    fn assign(&self, wanted: &[&str], rule: Assign) -> Result<Choices, PlanError> {
        let open: Vec<_> = self.members.iter().filter(|(_, one)| one.device.is_none()).collect();
        // What the domain says counts if nothing better is known.
        let alias = |(index, one): &&(usize, &Attachment)| {
            Some((*index, Found { address: one.alias?, origin: Origin::Alias }))
        };
        let aliases: Choices = open.iter().filter_map(alias).collect();
        let bare: Vec<_> = open.iter().copied().filter(|(_, one)| one.alias.is_none()).collect();
        let lacking = names(bare.iter().map(|(_, one)| *one).filter(|one| one.is_wanted()));
        if let Some(other) = self.devices.iter().find(|device| device.address.is_none()) {
            if lacking.is_empty() {
                return Ok(aliases);
            }
            return Err(PlanError::Unsupported {
                variable: self.variable.to_owned(),
                id: other.id.clone(),
                networks: lacking,
            });
        }
        // In the order of Multus: that of the texts.
        let sorted: BTreeMap<&str, PciAddress> =
            self.devices.iter().filter_map(|device| Some((device.id.as_str(), device.address?))).collect();
        let sorted: Vec<PciAddress> = sorted.into_values().collect();
        let free = |address: &&PciAddress| !self.resolved.contains(address);
        let unreported: Vec<PciAddress> = sorted.iter().filter(free).copied().collect();
        if unreported.len() < open.len() && self.takers == Takers::Known {
            return Ok(aliases);
        }
        let settled = self.takers == Takers::Known && unreported.len() == open.len();
        let problem = self.problem_of_multus();
        if rule == Assign::Multus {
            if let ([(index, _)], [address], true) = (open.as_slice(), unreported.as_slice(), settled) {
                return Ok(vec![(*index, Found { address: *address, origin: origin(self.variable) })]);
            }
            if problem.is_none() {
                return self.in_the_order_of_multus(&sorted);
            }
        }
        if lacking.is_empty() {
            return Ok(aliases);
        }
        let in_domain = |address: &PciAddress| aliases.iter().any(|(_, alias)| alias.address == *address);
        let remaining: Vec<PciAddress> =
            unreported.into_iter().filter(|address| !in_domain(address)).collect();
        let settled = self.takers == Takers::Known && remaining.len() == bare.len();
        if settled && (bare.len() == 1 || interchangeable(&bare)) {
            let pairs = bare.iter().zip(remaining);
            let assigned =
                pairs.map(|((index, _), address)| (*index, Found { address, origin: origin(self.variable) }));
            return Ok(aliases.into_iter().chain(assigned).collect());
        }
        let reason = match (rule, problem) {
            (Assign::InOrder, _) => {
                return Ok(aliases.into_iter().chain(self.in_order(wanted, &bare, &remaining)).collect());
            }
            (Assign::Multus, Some(problem)) => problem,
            _ if self.takers == Takers::Unknown => Ambiguity::Takers,
            _ if !settled => Ambiguity::Spare,
            _ => Ambiguity::NotAlike,
        };
        Err(PlanError::Ambiguous { networks: lacking, addresses: remaining, reason, remedy: self.remedy() })
    }

    /// Why the order of Multus does not tell the networks apart.
    fn problem_of_multus(&self) -> Option<Ambiguity> {
        if !self.attachments.known_from.is_ordered() {
            Some(Ambiguity::Order)
        } else if self.variable == DRIVER_POOL && !self.has_one_resource() {
            Some(Ambiguity::Resources)
        } else if self.takers == Takers::Unknown {
            Some(Ambiguity::Takers)
        } else if self.attachments.known_from != KnownFrom::SelectionsAndVmi
            && self.devices.len() != self.members.len()
        {
            Some(Ambiguity::Unnamed)
        } else {
            None
        }
    }

    /// Whether all members are known to have one resource: a DRA driver's variable names the devices of all.
    fn has_one_resource(&self) -> bool {
        let mut resources = self.members.iter().map(|(_, one)| one.resource_name());
        let first = resources.next().flatten();
        first.is_some() && resources.all(|resource| resource == first)
    }

    /// What would settle it.
    fn remedy(&self) -> Remedy {
        match self.problem_of_multus() {
            None => Remedy::Multus,
            Some(Ambiguity::Resources) => Remedy::NetworkInfo,
            Some(Ambiguity::Takers) if !self.resources_are_known => Remedy::NetworkResources,
            Some(_) if !self.attachments.known_from.has_selections() => Remedy::MultusWithSelections,
            Some(_) => Remedy::NetworkInfo,
        }
    }

    /// Whether the variable and the reports alone leave one way, or none that makes a difference.
    fn leaves_one_way(&self) -> bool {
        let open: Vec<_> = self.members.iter().filter(|(_, one)| !one.is_reported()).collect();
        self.members.len() == self.devices.len() && (open.len() == 1 || interchangeable(&open))
    }

    /// KubeVirt's way: interface by interface, as if no other network took any.
    fn in_order(&self, wanted: &[&str], open: &[&(usize, &Attachment)], free: &[PciAddress]) -> Choices {
        let addresses = self.devices.iter().filter_map(|device| device.address);
        let addresses = addresses.filter(|address| free.contains(address));
        let takers =
            wanted.iter().filter_map(|name| open.iter().find(|(_, one)| one.network() == Some(name)));
        takers
            .zip(addresses)
            .map(|((index, _), address)| (*index, Found { address, origin: Origin::InOrder }))
            .collect()
    }

    fn in_the_order_of_multus(&self, sorted: &[PciAddress]) -> Result<Choices, PlanError> {
        let mut assigned = Vec::new();
        for ((index, attachment), &address) in self.members.iter().zip(sorted) {
            match attachment.device {
                None => {
                    assigned.push((*index, Found { address, origin: Origin::Multus }));
                }
                Some(known) if known.address == address => {}
                Some(known) => {
                    return Err(PlanError::Contradiction {
                        network: attachment.network().unwrap_or_default().to_owned(),
                        known: known.address,
                        assigned: address,
                    });
                }
            }
        }
        Ok(assigned)
    }
}

/// How a device of a variable was found.
fn origin(variable: &str) -> Origin {
    if variable == DRIVER_POOL { Origin::DriverVariables } else { Origin::Variables }
}

/// Whether there is one way only to give as many devices to these attachments, or none that makes a difference.
pub(super) fn are_one_or_alike(attachments: &[&Attachment]) -> bool {
    let indexed: Vec<_> = attachments.iter().map(|one| (0, *one)).collect();
    attachments.len() == 1 || interchangeable(&indexed.iter().collect::<Vec<_>>())
}

/// Whether it makes no difference which of them has which device.
fn interchangeable(open: &[&(usize, &Attachment)]) -> bool {
    let mut nads = open.iter().map(|(_, one)| one.nad.as_ref().filter(|_| one.mac == Mac::Any));
    let first = nads.next().flatten();
    first.is_some() && nads.all(|nad| nad == first)
}

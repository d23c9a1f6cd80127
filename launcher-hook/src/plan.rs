//! Which VF belongs to which network of the VMI.
//!
//! The first that answers: network-info (or the network-status that it is made of); with [`Assign::Multus`] that
//! rule over all devices of the resource; a hostdev that carries the network's alias already, which may be
//! KubeVirt's guess, so that there is a warning where it could be wrong; the device plugin's variables where they
//! leave one way only. Otherwise it is an error, unless the caller has chosen a rule ([`Assign`]).
//!
//! docs/design/which-vf.md has each rule as a table, which the tests run.
//!
//! Whichever source names the device, Multus must have attached the network: otherwise no CNI plugin has configured
//! the VF. The network-status proves that, if it is read.

mod assign;
mod attachment;
mod attachments;
mod claimed;
mod error;
mod listing;
mod networks;
mod selections;
mod vmi;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use contract::PciAddress;

pub use error::{Ambiguity, Lack, Missing, PlanError, Remedy};
pub(crate) use networks::Networks;
pub(crate) use vmi::{VfInterface, Vmi, check_network_name};

use crate::devices::{DRIVER_POOL, Devices};
use attachment::{Attachment, Position, Resource};
use attachments::Attachments;

/// What to do where the variables leave more than one way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Assign {
    /// Refuse, and name the networks and the addresses.
    #[default]
    Refuse,
    /// The assignment of Multus 4.3 and newer: the IDs of a resource sorted as texts, given to its selections in
    /// their order.
    Multus,
    /// The variable's own order, as KubeVirt 1.6 took it. Wrong on real nodes.
    InOrder,
}

/// No such rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is not a way to assign devices: write refuse, multus or in-order", contract::Quoted(.value))]
pub struct AssignError {
    /// The text found.
    pub value: String,
}

impl FromStr for Assign {
    type Err = AssignError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Refuse, Self::Multus, Self::InOrder]
            .into_iter()
            .find(|assign| assign.to_string() == text)
            .ok_or_else(|| AssignError { value: text.to_owned() })
    }
}

impl fmt::Display for Assign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refuse => "refuse",
            Self::Multus => "multus",
            Self::InOrder => "in-order",
        })
    }
}

/// How a network's device was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// KubeVirt's network-info.
    NetworkInfo,
    /// Multus' network-status.
    NetworkStatus,
    /// The hostdev that carries the network's alias.
    Alias,
    /// The metadata of the network's resource claim.
    Claim,
    /// The variables, which leave one way only.
    Variables,
    /// The variables of a DRA driver, which leave one way only.
    DriverVariables,
    /// The `deviceID` of the pod's selection.
    Selection,
    /// [`Assign::Multus`].
    Multus,
    /// [`Assign::InOrder`].
    InOrder,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NetworkInfo => "network-info",
            Self::NetworkStatus => "network-status",
            Self::Alias => "alias in the domain",
            Self::Claim => "metadata of its claim",
            Self::Variables => "device plugin variables",
            Self::DriverVariables => "variables of the DRA driver",
            Self::Selection => "deviceID of the selection",
            Self::Multus => "device plugin variables, in the order of Multus",
            Self::InOrder => "device plugin variables, in their own order",
        })
    }
}

/// A device, and how it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found {
    address: PciAddress,
    origin: Origin,
}

/// The device of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) network: String,
    pub(crate) address: PciAddress,
    /// How it was found.
    pub(crate) origin: Origin,
}

/// What to plan.
pub(crate) struct Request<'a> {
    /// The VMI's Multus networks, where anything names them.
    pub(crate) networks: Option<&'a Networks>,
    /// Where NADs without a namespace are: the pod's own.
    pub(crate) namespace: &'a str,
    /// The networks that are to have a VF.
    pub(crate) wanted: &'a [&'a str],
    pub(crate) annotation: Option<&'a str>,
    pub(crate) devices: &'a Devices,
    /// The addresses that the domain has under the networks' aliases, where they are this host's.
    pub(crate) aliases: &'a BTreeMap<String, PciAddress>,
    pub(crate) rule: Assign,
}

/// A device for each of the wanted networks.
pub(crate) fn plan(request: &Request<'_>, warnings: &mut Vec<String>) -> Result<Vec<Assignment>, PlanError> {
    let Request { networks, wanted: all, devices, rule, .. } = *request;
    let find_claimed = |name: &&&str| networks.and_then(|networks| networks.find_claimed(name));
    let claimed: Vec<_> = all.iter().filter_map(|name| find_claimed(&name)).collect();
    let of_multus: Vec<&str> = all.iter().filter(|name| find_claimed(name).is_none()).copied().collect();
    let wanted = of_multus.as_slice();
    let mut attachments = Attachments::new(&Request { wanted, ..*request })?;
    attachments.check_attached(devices)?;
    check_variables(&attachments, devices)?;
    assign::assign(&mut attachments, wanted, devices, rule, warnings)?;

    let mut planned: Vec<Assignment> = Vec::new();
    let mut missing: Vec<Missing> = Vec::new();
    for &network in wanted {
        let Some(attachment) = attachments.of(network) else { continue };
        if let Some(Found { address, origin }) = attachment.device {
            planned.push(Assignment { network: network.to_owned(), address, origin });
            continue;
        }
        let lack = lack(attachment, &attachments, devices);
        match missing.iter_mut().find(|missing| missing.lack == lack) {
            Some(missing) => missing.networks.push(network.to_owned()),
            None => missing.push(Missing { networks: vec![network.to_owned()], lack }),
        }
    }
    if !missing.is_empty() {
        let known = planned.into_iter().map(|one| one.network).collect();
        return Err(PlanError::Missing { missing, known });
    }
    if let Some(networks) = networks.filter(|_| !claimed.is_empty()) {
        planned.extend(claimed::assign(networks, &claimed, devices)?);
        planned.sort_by_key(|one| all.iter().position(|name| **name == one.network));
    }
    check_shared(&planned)?;
    let given = devices.addresses();
    for Assignment { network, address, origin } in &planned {
        let is_claimed = attachments.of(network).is_none_or(|one| one.claim.is_some());
        if !is_claimed && !given.is_empty() && !given.contains(address) {
            warnings.push(format!(
                "network {network} has {address} ({origin}), which no PCIDEVICE_ variable of this pod names"
            ));
        }
    }
    Ok(planned)
}

/// Why an attachment has no device.
fn lack(attachment: &Attachment, attachments: &Attachments, devices: &Devices) -> Lack {
    if let Some(claim) = &attachment.claim {
        return Lack::Claim { claim: claim.clone() };
    }
    let (variable, resource) = match (&attachment.position, &attachment.resource) {
        (Position::Unplaced, _) => return Lack::Selection,
        (_, Resource::Unknown) => return Lack::Data,
        (_, Resource::None) => return Lack::Resource { nad: attachment.nad.clone() },
        (_, Resource::Named { resource, variable }) => (variable, Some(resource)),
        (_, Resource::Inferred { variable }) => (variable, None),
    };
    let variable = variable.clone();
    match (resource, devices.pool(&variable)) {
        (Some(resource), []) => Lack::Variable { resource: resource.clone(), variable },
        (_, pool) => {
            let takers = attachments.list.iter().filter(|one| one.variable() == Some(&variable));
            Lack::Devices { devices: pool.len(), networks: takers.count(), variable }
        }
    }
}

/// Makes sure that no two resources share a variable: the device plugin of one overwrites the other's devices.
fn check_variables(attachments: &Attachments, devices: &Devices) -> Result<(), PlanError> {
    let takers = |variable| attachments.list.iter().filter(move |one| one.variable() == Some(variable));
    for one in attachments.list.iter().filter(|one| one.is_wanted() && !one.is_reported()) {
        let Some((variable, first)) = one.variable().zip(one.resource_name()) else { continue };
        let second = takers(variable).filter_map(Attachment::resource_name).find(|second| *second != first);
        let is_shared = variable != DRIVER_POOL && !devices.pool(variable).is_empty();
        if let Some(second) = second.filter(|_| is_shared) {
            let (variable, first, second) = (variable.to_owned(), first.clone(), second.clone());
            return Err(PlanError::SharedVariable { variable, first, second });
        }
    }
    Ok(())
}

fn check_shared(planned: &[Assignment]) -> Result<(), PlanError> {
    let mut users = BTreeMap::new();
    for Assignment { network, address, .. } in planned {
        if let Some(first) = users.insert(address, network) {
            return Err(PlanError::Shared {
                address: *address,
                first: first.clone(),
                second: network.clone(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;

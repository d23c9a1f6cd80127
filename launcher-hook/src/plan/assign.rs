//! The rules by which the devices of a resource are given to the networks that nothing is known of.

use std::collections::{BTreeMap, BTreeSet};

use contract::PciAddress;

use super::attachment::{Attachment, Attachments};
use super::{Assign, Origin, PlanError};
use crate::devices::{Device, Devices};

/// Completes `attachments` from the variables. Networks that stay without a device are left so.
pub(super) fn assign(
    attachments: &mut Attachments,
    wanted: &[&str],
    devices: &Devices,
    rule: Assign,
    warnings: &mut Vec<String>,
) -> Result<(), PlanError> {
    let uncertain = infer_variables(attachments, devices)?;
    take_selected(attachments, devices);
    let variables: BTreeSet<String> = attachments
        .list
        .iter()
        .filter(|one| one.wanted && one.device.is_none())
        .filter_map(|one| one.variable.clone())
        .collect();
    for variable in variables {
        let resolved: BTreeSet<PciAddress> = attachments.list.iter().filter_map(address).collect();
        let pool = Pool {
            ordered: attachments.ordered,
            members: (attachments.list.iter().enumerate())
                .filter(|(_, one)| one.variable.as_ref() == Some(&variable))
                .collect(),
            devices: devices.pool(&variable),
            uncertain,
            variable: &variable,
            resolved,
        };
        let assigned = pool.assign(wanted, rule)?;
        if rule == Assign::InOrder && assigned.iter().any(|(_, _, origin)| *origin == Origin::InOrder) {
            warnings.push(format!(
                "the devices of {variable} are given to the networks in the variable's order, which on real nodes \
                 means nothing: networks may be swapped"
            ));
        }
        for (index, address, origin) in assigned {
            if let Some(attachment) = attachments.list.get_mut(index) {
                attachment.device = Some((address, origin));
            }
        }
    }
    Ok(())
}

fn address(attachment: &Attachment) -> Option<PciAddress> {
    attachment.device.map(|(address, _)| address)
}

/// Where nothing says which resource a network has: with one variable it can only be that one. Whether
/// networks without a hostdev take from it as well shows in the number of devices; `true` where it does not.
fn infer_variables(attachments: &mut Attachments, devices: &Devices) -> Result<bool, PlanError> {
    let lacking = |one: &Attachment| one.wanted && one.device.is_none();
    if devices.resources_are_known() || !attachments.list.iter().any(lacking) {
        return Ok(false);
    }
    let mut pools = devices.pools().iter();
    let (Some((variable, pool)), None) = (pools.next(), pools.next()) else {
        if devices.pools().is_empty() {
            return Ok(false);
        }
        return Err(PlanError::Ambiguous {
            networks: names(attachments.list.iter().filter(|one| lacking(one))),
            addresses: devices.addresses(),
            reason: "the pod has devices of several resources, and neither SRIOV_NETWORK_RESOURCES nor \
                     KUBEVIRT_RESOURCE_NAME_* says which network has which"
                .to_owned(),
        });
    };
    let wanted = attachments.list.iter().filter(|one| one.wanted).count();
    let all = attachments.list.len();
    let only_wanted = pool.len() == wanted;
    for attachment in &mut attachments.list {
        if attachment.wanted || !only_wanted {
            attachment.variable = Some(variable.clone());
        }
    }
    Ok(!only_wanted && pool.len() != all)
}

/// A selection may name its device; Multus takes it where the resource has none.
fn take_selected(attachments: &mut Attachments, devices: &Devices) {
    for attachment in &mut attachments.list {
        let pool = attachment.variable.as_deref().map(|variable| devices.pool(variable));
        if attachment.device.is_none() && pool.unwrap_or_default().is_empty() {
            let selected = attachment.device_id.as_deref().and_then(|id| id.parse().ok());
            attachment.device = selected.map(|address| (address, Origin::Selection));
        }
    }
}

fn names<'a>(attachments: impl Iterator<Item = &'a Attachment>) -> Vec<String> {
    attachments.filter_map(|one| one.network.clone()).collect()
}

/// The devices of one variable and the attachments that take from it.
struct Pool<'a> {
    variable: &'a str,
    devices: &'a [Device],
    members: Vec<(usize, &'a Attachment)>,
    ordered: bool,
    uncertain: bool,
    /// Devices that are known to be some network's.
    resolved: BTreeSet<PciAddress>,
}

type Assigned = Vec<(usize, PciAddress, Origin)>;

impl Pool<'_> {
    fn assign(&self, wanted: &[&str], rule: Assign) -> Result<Assigned, PlanError> {
        let open: Vec<_> = self.members.iter().filter(|(_, one)| one.device.is_none()).collect();
        let lacking = names(open.iter().map(|(_, one)| *one).filter(|one| one.wanted));
        if let Some(other) = self.devices.iter().find(|device| device.address.is_none()) {
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
        let remaining: Vec<PciAddress> = sorted.iter().filter(free).copied().collect();
        if remaining.len() < open.len() && !self.uncertain {
            return Ok(Vec::new());
        }
        let settled = !self.uncertain && remaining.len() == open.len();
        if settled && (open.len() == 1 || interchangeable(&open)) {
            let pairs = open.iter().zip(remaining);
            return Ok(pairs.map(|((index, _), address)| (*index, address, Origin::Variables)).collect());
        }
        let ambiguous = |reason: &str| PlanError::Ambiguous {
            networks: lacking.clone(),
            addresses: remaining.clone(),
            reason: reason.to_owned(),
        };
        match rule {
            Assign::Refuse if self.uncertain => Err(ambiguous(
                "other networks of the VMI may have some of them, and neither SRIOV_NETWORK_RESOURCES nor \
                 KUBEVIRT_RESOURCE_NAME_* says so",
            )),
            Assign::Refuse if !settled => Err(ambiguous("there are more devices than networks")),
            Assign::Refuse => {
                Err(ambiguous("the networks are not alike, and the order in the variable means nothing"))
            }
            Assign::Multus if !self.ordered => {
                Err(ambiguous("the order of the pod's selections is not known"))
            }
            Assign::Multus if self.uncertain => {
                Err(ambiguous("which other networks take from the same resource is not known"))
            }
            Assign::Multus => self.in_the_order_of_multus(&sorted),
            Assign::InOrder => {
                // KubeVirt's way: interface by interface, as if no other network took any.
                let mut addresses = (self.devices.iter())
                    .filter_map(|device| device.address)
                    .filter(|address| !self.resolved.contains(address));
                let mut assigned = Vec::new();
                for name in wanted {
                    let one = open.iter().find(|(_, one)| one.network.as_deref() == Some(name));
                    if let Some((index, _)) = one
                        && let Some(address) = addresses.next()
                    {
                        assigned.push((*index, address, Origin::InOrder));
                    }
                }
                Ok(assigned)
            }
        }
    }

    fn in_the_order_of_multus(&self, sorted: &[PciAddress]) -> Result<Assigned, PlanError> {
        let mut assigned = Vec::new();
        for ((index, attachment), &address) in self.members.iter().zip(sorted) {
            match attachment.device {
                None => assigned.push((*index, address, Origin::Multus)),
                Some((known, _)) if known == address => {}
                Some((known, _)) => {
                    return Err(PlanError::Contradiction {
                        network: attachment.network.clone().unwrap_or_default(),
                        known,
                        assigned: address,
                    });
                }
            }
        }
        Ok(assigned)
    }
}

/// Whether it makes no difference which of them has which device.
fn interchangeable(open: &[&(usize, &Attachment)]) -> bool {
    let mut nads = open.iter().map(|(_, one)| one.nad.as_ref().filter(|_| !one.mac));
    let first = nads.next().flatten();
    first.is_some() && nads.all(|nad| nad == first)
}

//! Networks whose device comes from a resource claim.
//!
//! A network that the VMI connects to a claim alone has the one device of its request. A network of Multus whose device
//! is claimed is another matter: Multus gives the devices of a resource to its selections in their order, whatever
//! request they are from, so that the metadata decides only if no other network could have the device.

use contract::{ClaimRequest, PciAddress};

use super::attachment::Attachment;
use super::attachments::Attachments;
use super::error::{Ambiguity, Lack, Missing, Remedy};
use super::networks::{ClaimedNetwork, Networks};
use super::{Assignment, Found, Origin, PlanError};
use crate::devices::{DRIVER_POOL, Devices, Reported};

/// The devices of `wanted` networks that the VMI connects to a claim alone.
pub(super) fn assign(
    networks: &Networks,
    wanted: &[&ClaimedNetwork],
    devices: &Devices,
) -> Result<Vec<Assignment>, PlanError> {
    let mut assignments = Vec::new();
    let mut open = Vec::new();
    for network in wanted {
        let claimed = device(devices, &network.name, &network.claim)?.map(|address| (address, Origin::Claim));
        let reported = match devices.network_info(&network.name) {
            Some(Reported::Pci(address)) => Some((*address, Origin::NetworkInfo)),
            Some(Reported::Other(_)) | None => None,
        };
        if let (Some((claimed, _)), Some((reported, report))) = (claimed, reported)
            && claimed != reported
        {
            let (network, claim) = (network.name.clone(), network.claim.clone());
            return Err(PlanError::ClaimReports { network, claim, claimed, reported, report });
        }
        match claimed.or(reported) {
            Some((address, origin)) => {
                assignments.push(Assignment { network: network.name.clone(), address, origin });
            }
            None => open.push(*network),
        }
    }
    let taken = |address: &PciAddress| assignments.iter().any(|one: &Assignment| one.address == *address);
    let free: Vec<PciAddress> = devices.driver_addresses().filter(|address| !taken(address)).collect();
    match (open.as_slice(), free.as_slice()) {
        ([], _) => {}
        // The networks of Multus may have devices of the driver as well.
        ([only], [address]) if networks.list.is_empty() => assignments.push(Assignment {
            network: only.name.clone(),
            address: *address,
            origin: Origin::DriverVariables,
        }),
        (open, []) => return Err(missing(open, &assignments)),
        (open, _) => {
            return Err(PlanError::Ambiguous {
                networks: open.iter().map(|one| one.name.clone()).collect(),
                addresses: free,
                reason: Ambiguity::Claims,
                remedy: Remedy::ClaimMetadata,
            });
        }
    }
    Ok(assignments)
}

/// The device that the metadata of a claim names.
fn device(devices: &Devices, network: &str, claim: &ClaimRequest) -> Result<Option<PciAddress>, PlanError> {
    let error = |problem| PlanError::Claim { network: network.to_owned(), problem };
    devices.claimed(claim).map_err(Box::new).map_err(error)
}

fn missing(open: &[&ClaimedNetwork], known: &[Assignment]) -> PlanError {
    let missing = open.iter().map(|one| Missing {
        networks: vec![one.name.clone()],
        lack: Lack::Claim { claim: one.claim.clone() },
    });
    let known = known.iter().map(|one| one.network.clone()).collect();
    PlanError::Missing { missing: missing.collect(), known }
}

/// Completes the attachments whose device is claimed and not reported, and warns of reports that are not what was
/// claimed.
pub(super) fn complete(
    attachments: &mut Attachments,
    devices: &Devices,
    warnings: &mut Vec<String>,
) -> Result<(), PlanError> {
    for one in attachments.list.iter().filter(|one| one.is_wanted()) {
        // What is wrong with the metadata of a device that is reported keeps no machine from starting.
        if let (Some(claim), Some(Found { address, origin })) = (&one.claim, one.device)
            && let Ok(Some(claimed)) = devices.claimed(claim)
            && claimed != address
        {
            warnings.push(format!(
                "network {} has {address} ({origin}), and {claim} was given {claimed}: Multus gives the devices of a \
                 resource to its networks in their order, whatever request they are from; one resource for each \
                 request keeps them apart",
                one.network().unwrap_or_default()
            ));
        }
    }
    // Each of these may have the device of any other. The device plugin's devices are not claimed.
    let may_be_claimed = |one: &Attachment| match one.variable() {
        Some(variable) => variable == DRIVER_POOL || devices.pool(variable).is_empty(),
        None => true,
    };
    let open: Vec<(usize, Option<ClaimRequest>)> = (attachments.list.iter().enumerate())
        .filter(|(_, one)| {
            one.device.is_none() && (one.claim.is_some() || one.is_wanted() && may_be_claimed(one))
        })
        .map(|(index, one)| (index, one.claim.clone()))
        .collect();
    let mut claimed = Vec::new();
    for (index, claim) in &open {
        if let Some(claim) = claim
            && let Some(one) = attachments.list.get(*index)
            && let Some(address) = device(devices, one.network().unwrap_or_default(), claim)?
        {
            claimed.push((*index, Found { address, origin: Origin::Claim }));
        }
    }
    let candidates: Vec<_> = open.iter().filter_map(|(index, _)| attachments.list.get(*index)).collect();
    if claimed.len() != open.len() || !super::assign::are_one_or_alike(&candidates) {
        return match claimed.is_empty() {
            true => Ok(()),
            false => Err(crossing(attachments, &open, &claimed)),
        };
    }
    for (index, found) in claimed {
        if let Some(attachment) = attachments.list.get_mut(index) {
            attachment.device = Some(found);
        }
    }
    Ok(())
}

/// The networks that Multus may have given each other's devices.
fn crossing(
    attachments: &Attachments,
    open: &[(usize, Option<ClaimRequest>)],
    claimed: &[(usize, Found)],
) -> PlanError {
    let networks = open.iter().filter_map(|(index, _)| attachments.list.get(*index)?.network());
    PlanError::Ambiguous {
        networks: networks.map(str::to_owned).collect(),
        addresses: claimed.iter().map(|(_, found)| found.address).collect(),
        reason: Ambiguity::Crossing,
        remedy: Remedy::NetworkInfo,
    }
}

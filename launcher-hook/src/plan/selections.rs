//! Which of the pod's selections is which network's.

use std::fmt::Write as _;

use contract::NetworkSelection;
use sha2::{Digest, Sha256};

use super::networks::{Mac, MultusNetwork, Networks};

/// The network of each selection, where it can be known; `names` are networks that may not be among `networks`.
pub(super) fn networks_of<'n>(
    selections: &[NetworkSelection],
    networks: &'n Networks,
    names: &[&'n str],
) -> Vec<Option<&'n str>> {
    let secondary: Vec<_> = networks.list.iter().filter(|network| !network.default).collect();
    let known = || secondary.iter().map(|network| network.name.as_str()).chain(names.iter().copied());
    let mut found: Vec<Option<&str>> = selections
        .iter()
        .map(|selection| {
            let interface = selection.interface.as_deref()?;
            known().find(|name| interface_name(name) == interface)
        })
        .collect();
    if networks.from_vmi {
        by_place(selections, &secondary, &mut found);
    }
    by_nad(selections, &secondary, &mut found);
    found
}

/// Older pods number their interfaces: net1 is the first network.
fn by_place<'n>(
    selections: &[NetworkSelection],
    secondary: &[&'n MultusNetwork],
    found: &mut [Option<&'n str>],
) {
    let present: Vec<_> = secondary.iter().copied().filter(|network| !network.absent).collect();
    // The pod has a network whose interface is on its way out, or was made without it: the number tells.
    let places = if secondary.len() == selections.len() { secondary } else { &present };
    // One of them belongs to a network that the VMI no longer has, and its number can be any.
    if places.len() < selections.len() {
        return;
    }
    for (index, (selection, network)) in selections.iter().zip(places).enumerate() {
        let number = format!("net{}", index + 1);
        let numbered = selection.interface.as_ref().is_none_or(|interface| *interface == number);
        let is_free = !found.contains(&Some(network.name.as_str()));
        if let Some(place) = found.get_mut(index)
            && place.is_none()
            && numbered
            && is_free
            && network.nad == selection.nad
        {
            *place = Some(&network.name);
        }
    }
}

/// What is left of one NAD: one network and one selection, or as many networks as selections where it makes no
/// difference which has which.
fn by_nad<'n>(
    selections: &[NetworkSelection],
    secondary: &[&'n MultusNetwork],
    found: &mut [Option<&'n str>],
) {
    let left: Vec<_> = secondary
        .iter()
        .filter(|network| !network.absent && !found.contains(&Some(network.name.as_str())))
        .collect();
    for network in &left {
        let networks: Vec<_> = left.iter().filter(|other| other.nad == network.nad).collect();
        let open: Vec<usize> = { selections.iter().zip(&*found).enumerate() }
            .filter(|(_, (selection, found))| found.is_none() && selection.nad == network.nad)
            // Such a name belongs to a network that this VMI no longer has.
            .filter(|(_, (selection, _))| !selection.interface.as_deref().is_some_and(is_hashed))
            .map(|(index, _)| index)
            .collect();
        let alike = networks.iter().all(|network| network.mac != Mac::Own)
            && open
                .iter()
                .all(|index| selections.get(*index).is_some_and(|selection| selection.mac.is_none()));
        if networks.len() == open.len() && (open.len() == 1 || alike) {
            for (network, index) in networks.into_iter().zip(open) {
                if let Some(found) = found.get_mut(index) {
                    *found = Some(&network.name);
                }
            }
        }
    }
}

const PREFIX: &str = "pod";
const DIGITS: usize = 11;

/// The name that KubeVirt gives a network's interface in the pod.
///
/// Source: KubeVirt, `pkg/network/namescheme`.
pub(super) fn interface_name(network: &str) -> String {
    let mut name = String::from(PREFIX);
    for byte in Sha256::digest(network.as_bytes()).iter().take(6) {
        let _ = write!(name, "{byte:02x}");
    }
    name.truncate(PREFIX.len() + DIGITS);
    name
}

/// Whether an interface has the form of such a name.
pub(super) fn is_hashed(interface: &str) -> bool {
    interface.strip_prefix(PREFIX).is_some_and(|digits| {
        digits.len() == DIGITS && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

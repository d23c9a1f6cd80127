//! Networks whose device is from a resource claim, as the review of the VMI wrote it down.

use std::collections::BTreeMap;

use contract::{NadName, VmiNetworks};

use super::pod::Pod;

/// How many attachments to each NAD have a claimed device. Attachments to one NAD need the same, so it does not matter
/// which of them it is.
#[derive(Debug, Default)]
pub(super) struct Claimed(BTreeMap<NadName, usize>);

impl Claimed {
    /// Reads the pod's annotation. A pod whose containers hold no claim has no claimed device, whatever it says.
    pub(super) fn of(pod: &Pod<'_>) -> Self {
        let mut claimed = Self::default();
        if let Some(text) = pod.networks_of_vmi().filter(|_| pod.holds_claims())
            // What cannot be read says nothing, and then there is a warning that the device may be claimed.
            && let Ok(networks) = VmiNetworks::parse(text)
        {
            for network in networks.0.into_values().filter(|network| network.claim.is_some()) {
                *claimed.0.entry(network.nad).or_default() += 1;
            }
        }
        claimed
    }

    /// Whether the next attachment to `nad` has a claimed device.
    pub(super) fn take(&mut self, nad: &NadName) -> bool {
        let Some(left) = self.0.get_mut(nad) else { return false };
        let taken = *left > 0;
        *left = left.saturating_sub(1);
        taken
    }
}

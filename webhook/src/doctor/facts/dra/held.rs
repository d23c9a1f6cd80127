//! The claimed devices of a pod.

use contract::{ClaimKind, ClaimRequest};
use serde_json::Value;

use super::{Allocated, Claim, Dra, list, text};
use crate::doctor::facts::LauncherPod;

impl Dra {
    /// The devices that a pod has of one request of its claim, by PCI address where they have one.
    #[must_use]
    pub fn of_request(&self, pod: &LauncherPod, request: &ClaimRequest) -> Vec<String> {
        let name = match request.kind() {
            ClaimKind::Claim => Some(request.claim()),
            ClaimKind::Template => made_for(&pod.pod, request.claim()),
        };
        let is_it = |claim: &&Claim| claim.namespace == pod.namespace && Some(claim.name.as_str()) == name;
        let devices = self.seen_claims().filter(is_it).flat_map(|claim| &claim.devices);
        devices.filter(|one| one.request == request.request()).map(|one| self.name(one)).collect()
    }

    /// The devices that a pod has because it requests a resource that a DeviceClass serves.
    #[must_use]
    pub fn of_resource(&self, pod: &LauncherPod, resource: &str) -> Vec<String> {
        let Some(class) = self.class_for(resource) else { return Vec::new() };
        let is_its = |claim: &&Claim| claim.namespace == pod.namespace && claim.pods.contains(&pod.name);
        let devices = self.seen_claims().filter(is_its).flat_map(|claim| &claim.devices);
        let of_class = devices.filter(|one| one.class.as_ref() == Some(&class.name));
        of_class.map(|one| self.name(one)).collect()
    }

    fn name(&self, allocated: &Allocated) -> String {
        let offer = self.offer.as_ref().ok();
        let device = offer.and_then(|offer| offer.device(&allocated.device));
        let address = device.and_then(|device| device.pci_address());
        address.map_or_else(|| allocated.device.name.clone(), str::to_owned)
    }
}

/// The claim that was made for a pod from a template.
fn made_for<'p>(pod: &'p Value, name: &str) -> Option<&'p str> {
    let mut made = list(pod, "/status/resourceClaimStatuses");
    made.find(|claim| text(claim, "/name") == Some(name)).and_then(|claim| text(claim, "/resourceClaimName"))
}

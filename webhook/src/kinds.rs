//! The kinds of objects that are read without a Rust type for each.

use apiserver::Resource;
use contract::{kubevirt, nad};

/// NetworkAttachmentDefinitions.
pub const NADS: Resource = Resource {
    group: nad::GROUP,
    version: "v1",
    kind: nad::KIND,
    plural: nad::PLURAL,
    installed_with: Some("Multus, or its CustomResourceDefinition alone"),
};

/// Virtual machines that run or are about to.
pub const VMIS: Resource = of_kubevirt(kubevirt::VMI_KIND, kubevirt::VMI_PLURAL);

/// KubeVirt's own configuration and state.
pub const KUBEVIRTS: Resource = of_kubevirt("KubeVirt", "kubevirts");

/// Classes of devices, of Dynamic Resource Allocation. One may serve an extended resource.
pub const DEVICE_CLASSES: Resource = of_dra("DeviceClass", "deviceclasses");

/// What drivers of Dynamic Resource Allocation offer.
pub const RESOURCE_SLICES: Resource = of_dra("ResourceSlice", "resourceslices");

/// Claims of devices, and the devices that they have.
pub const RESOURCE_CLAIMS: Resource = of_dra("ResourceClaim", "resourceclaims");

const fn of_dra(kind: &'static str, plural: &'static str) -> Resource {
    let installed_with = Some("Kubernetes 1.34 or later");
    Resource { group: "resource.k8s.io", version: "v1", kind, plural, installed_with }
}

const fn of_kubevirt(kind: &'static str, plural: &'static str) -> Resource {
    Resource { group: "kubevirt.io", version: "v1", kind, plural, installed_with: Some("KubeVirt") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_a_vmi_is_the_contracts() {
        assert_eq!(format!("{}/{}", VMIS.group, VMIS.version), kubevirt::VMI_API_VERSION);
    }
}

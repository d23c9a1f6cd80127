//! Why a network has no device, or several could be its own, and what would settle that.

use contract::{ClaimRequest, NadName, ResourceName};
use thiserror::Error;

/// Networks that have no device, all for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The networks.
    pub networks: Vec<String>,
    /// The reason.
    pub lack: Lack,
}

/// Why a network has no device.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Lack {
    /// No report, and no variable of any resource.
    #[error(
        "no report names one, and there is no PCIDEVICE_ variable: check whether the container `compute` requests the \
         resource of the network's NAD, as sriov-webhook makes it do, and whether the variable is passed on"
    )]
    Data,
    /// Nothing says which device its claim has.
    #[error(
        "nothing names the device of {claim}: use a DRA driver that writes device metadata (KEP-5304, Kubernetes 1.36), \
         and launcher-hook in the container that holds the claim, or in mode `compute`"
    )]
    Claim {
        /// The request.
        claim: ClaimRequest,
    },
    /// The network has no resource.
    #[error(
        "neither SRIOV_NETWORK_RESOURCES nor KUBEVIRT_RESOURCE_NAME_* has a resource for {}: annotate the NAD with \
         {}, and restart the virtual machine",
        .nad.as_ref().map_or_else(|| "it".to_owned(), |nad| format!("NetworkAttachmentDefinition {nad}")),
        contract::annotation::RESOURCE_NAME
    )]
    Resource {
        /// Its NAD.
        nad: Option<NadName>,
    },
    /// The pod was given nothing of the resource.
    #[error(
        "{variable}, in which the device plugin names the devices of {resource}, is not set: check whether the \
         container `compute` requests the resource, as sriov-webhook makes it do, and whether the variable is passed on"
    )]
    Variable {
        /// The resource.
        resource: ResourceName,
        /// Its variable.
        variable: String,
    },
    /// The pod was given too few.
    #[error(
        "{variable} has {devices} for {networks} networks: raise what the container `compute` requests, as \
         sriov-webhook does, and restart the virtual machine"
    )]
    Devices {
        /// The variable.
        variable: String,
        /// How many devices are in it.
        devices: usize,
        /// How many networks take from it.
        networks: usize,
    },
    /// The pod was made without the network.
    #[error(
        "none of the pod's selections is known to be its own: if it was added after the pod had started, migrate \
         the virtual machine or restart it"
    )]
    Selection,
}

/// Why devices and networks go together in more than one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Ambiguity {
    /// More than one variable.
    #[error("the pod has devices of several resources, and nothing says which network has which")]
    Resources,
    /// It is not known which networks share the devices.
    #[error(
        "other networks of the virtual machine may have some of them, and nothing says which resource theirs is"
    )]
    Takers,
    /// Not every device is a network's.
    #[error("there are more devices than networks")]
    Spare,
    /// It makes a difference.
    #[error("the networks are not alike, and the order in the variable means nothing")]
    NotAlike,
    /// The rule of Multus wants the order of the attachments.
    #[error("the order in which Multus attached the networks is not known")]
    Order,
    /// The devices of several claimed networks.
    #[error(
        "they are from resource claims without device metadata, and the driver's variables do not say which is whose"
    )]
    Claims,
    /// Networks of Multus that may have each other's claimed device.
    #[error(
        "Multus gives the devices of a resource to its networks in their order, whatever request they are from"
    )]
    Crossing,
    /// The rule of Multus wants all attachments.
    #[error("there are more devices than networks, and which others Multus attached is not known")]
    Unnamed,
}

/// What would settle it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Remedy {
    /// KubeVirt's report only.
    #[error("KubeVirt's network-info would settle it")]
    NetworkInfo,
    /// The driver's metadata.
    #[error("A DRA driver that writes device metadata (KEP-5304) would say it")]
    ClaimMetadata,
    /// The webhook's variable.
    #[error(
        "KubeVirt's network-info would settle it, or SRIOV_NETWORK_RESOURCES with the resource of each NAD, which \
         sriov-webhook writes where it injects launcher-hook"
    )]
    NetworkResources,
    /// The pod's selections.
    #[error("KubeVirt's network-info would settle it, or the pod's selections (--networks-annotation)")]
    Selections,
    /// The rule of Multus.
    #[error(
        "KubeVirt's network-info would settle it; --assign multus uses the assignment of Multus 4.3 and newer"
    )]
    Multus,
    /// The rule of Multus, which wants the selections.
    #[error(
        "KubeVirt's network-info would settle it; --assign multus with the pod's selections (--networks-annotation) \
         uses the assignment of Multus 4.3 and newer"
    )]
    MultusWithSelections,
}

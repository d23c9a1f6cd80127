//! One attachment of the pod, and what is known of it.

use contract::{ClaimRequest, NadName, PciAddress, ResourceName};

use super::networks::Mac;
use super::{Found, Origin};

/// One network that Multus attaches, and what is known of its device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attachment {
    pub(super) owner: Owner,
    pub(super) nad: Option<NadName>,
    /// Whether it takes the place of the cluster's own network.
    pub(super) default: bool,
    pub(super) position: Position,
    /// What Multus' network-status says of it.
    pub(super) listing: Listing,
    pub(super) mac: Mac,
    /// The request of a resource claim that its device is from, if it is claimed.
    pub(super) claim: Option<ClaimRequest>,
    pub(super) resource: Resource,
    /// What the domain has under the network's alias.
    pub(super) alias: Option<PciAddress>,
    /// The device, once it is known.
    pub(super) device: Option<Found>,
}

/// The network that an attachment is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Owner {
    /// A network of the VMI that is to have a hostdev.
    Wanted(String),
    /// Another network of the VMI.
    Other(String),
    /// A network that is not known here: the attachment's interface bears the name that KubeVirt made of it.
    Foreign,
    /// Not known: it may be any network.
    Unknown,
}

/// Where an attachment stands among the pod's selections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Position {
    /// It is one of them.
    Selected {
        /// The name of its interface in the pod.
        interface: String,
        /// The device that the selection itself names.
        device_id: Option<String>,
    },
    /// They are known, and none is known to be its own.
    Unplaced,
    /// They are not known, or do not name what is like this one.
    Unknown,
}

/// The resource of an attachment's network, and the variable with its devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Resource {
    /// Nothing says which it is, nor that there is none.
    Unknown,
    /// The network has none.
    None,
    /// It is said.
    Named { resource: ResourceName, variable: String },
    /// It is not said, but the pod has one variable, so that it can only be that one.
    Inferred { variable: String },
}

/// What network-status says of an attachment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listing {
    /// Nothing: it is not read, or has not arrived.
    Unknown,
    /// The attachment is the entry at this index.
    Entry(usize),
    /// It is attached, but several entries may be its own.
    Unplaced,
    /// It is not attached.
    Absent,
}

impl Attachment {
    pub(super) fn new(owner: Owner, nad: Option<NadName>) -> Self {
        Self {
            owner,
            nad,
            default: false,
            position: Position::Unknown,
            listing: Listing::Unknown,
            mac: Mac::Unknown,
            claim: None,
            resource: Resource::Unknown,
            alias: None,
            device: None,
        }
    }

    /// The network of the VMI that it is for, if that is known.
    pub(super) fn network(&self) -> Option<&str> {
        match &self.owner {
            Owner::Wanted(network) | Owner::Other(network) => Some(network),
            Owner::Foreign | Owner::Unknown => None,
        }
    }

    /// Whether its network is to have a hostdev.
    pub(super) fn is_wanted(&self) -> bool {
        matches!(self.owner, Owner::Wanted(_))
    }

    /// The name of its interface in the pod, if the pod's selections are known.
    pub(super) fn interface(&self) -> Option<&str> {
        match &self.position {
            Position::Selected { interface, .. } => Some(interface),
            Position::Unplaced | Position::Unknown => None,
        }
    }

    /// The variable that it takes its device from.
    pub(super) fn variable(&self) -> Option<&str> {
        match (&self.resource, &self.position) {
            (_, Position::Unplaced) | (Resource::Unknown | Resource::None, _) => None,
            (Resource::Named { variable, .. } | Resource::Inferred { variable }, _) => Some(variable),
        }
    }

    /// Its resource, if that is said.
    pub(super) fn resource_name(&self) -> Option<&ResourceName> {
        match &self.resource {
            Resource::Named { resource, .. } => Some(resource),
            Resource::Unknown | Resource::None | Resource::Inferred { .. } => None,
        }
    }

    /// Whether it may take its device from any variable.
    pub(super) fn may_take_from_any(&self) -> bool {
        self.resource == Resource::Unknown && self.position != Position::Unplaced
    }

    /// The address of its device, once it is known.
    pub(super) fn address(&self) -> Option<PciAddress> {
        self.device.map(|device| device.address)
    }

    /// Whether Multus or KubeVirt has said what its device is.
    pub(super) fn is_reported(&self) -> bool {
        matches!(self.device, Some(Found { origin: Origin::NetworkInfo | Origin::NetworkStatus, .. }))
    }
}

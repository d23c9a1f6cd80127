//! The Multus networks of a VMI, from the VMI itself or from what the webhook wrote down of it.

use contract::{ClaimRequest, NadName, ResourceName, VmiNetworks};

/// Whether a network's interface has a MAC address of its own: then its device is not like another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mac {
    /// It has one.
    Own,
    /// It takes whatever the device has.
    Any,
    /// It may have one.
    Unknown,
}

/// A network of the VMI that Multus attaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MultusNetwork {
    pub(crate) name: String,
    pub(crate) nad: NadName,
    /// The resource of its NAD, where it is said together with the network.
    pub(crate) resource: Option<ResourceName>,
    /// The request of a resource claim that its device is from, if it is claimed.
    pub(crate) claim: Option<ClaimRequest>,
    /// Whether it takes the place of the cluster's own network.
    pub(crate) default: bool,
    pub(crate) mac: Mac,
    /// Whether its interface is on its way out: the pod may still have the attachment, or never had it.
    pub(crate) absent: bool,
}

/// A network that the VMI connects to a resource claim alone, without Multus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClaimedNetwork {
    pub(crate) name: String,
    pub(crate) claim: ClaimRequest,
}

/// The Multus networks of a VMI.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Networks {
    /// The default one first.
    pub(crate) list: Vec<MultusNetwork>,
    /// Those that Multus does not attach.
    pub(crate) claimed: Vec<ClaimedNetwork>,
    /// Whether these are all, in the order in which KubeVirt names them to Multus.
    pub(crate) from_vmi: bool,
}

impl Networks {
    pub(super) fn find(&self, name: &str) -> Option<&MultusNetwork> {
        self.list.iter().find(|network| network.name == name)
    }

    pub(super) fn find_claimed(&self, name: &str) -> Option<&ClaimedNetwork> {
        self.claimed.iter().find(|network| network.name == name)
    }

    /// Those that stay.
    pub(super) fn present(&self) -> impl Iterator<Item = &MultusNetwork> {
        self.list.iter().filter(|network| !network.absent)
    }

    /// Whether a network's place among them is its place among the pod's attachments, as far as one can know
    /// without the pod's selections.
    pub(super) fn have_places(&self) -> bool {
        self.from_vmi && !self.list.iter().any(|network| network.absent)
    }
}

impl From<&VmiNetworks> for Networks {
    fn from(networks: &VmiNetworks) -> Self {
        let mut list: Vec<_> = networks
            .0
            .iter()
            .map(|(name, network)| MultusNetwork {
                name: name.clone(),
                nad: network.nad.clone(),
                resource: network.resource.clone(),
                claim: network.claim.clone(),
                default: network.default,
                mac: Mac::Unknown,
                absent: false,
            })
            .collect();
        list.sort_by_key(|network| !network.default);
        Self { list, claimed: Vec::new(), from_vmi: false }
    }
}

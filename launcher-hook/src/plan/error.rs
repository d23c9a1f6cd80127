use contract::{PciAddress, Quoted, SelectionError};
use thiserror::Error;

use crate::devices::DevicesError;

/// Why it is not known which VF belongs to which network.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlanError {
    /// The VMI is no JSON, or no VMI.
    #[error("the VMI cannot be read: {problem}")]
    Vmi {
        /// What the JSON parser says.
        problem: String,
    },
    /// An interface of the VMI. The sentence has the interface as its subject.
    #[error("interface {} of the VMI {problem}", Quoted(.interface))]
    Interface {
        /// Its name.
        interface: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A network of the VMI.
    #[error("network {} of the VMI: {problem}", Quoted(.network))]
    Network {
        /// Its name.
        network: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A source of devices.
    #[error(transparent)]
    Devices(#[from] DevicesError),
    /// The pod's selections.
    #[error("the networks annotation {problem}")]
    NetworksAnnotation {
        /// What is wrong with it.
        problem: SelectionError,
    },
    /// More than one way to give the devices to the networks.
    #[error(
        "which of the devices {} belongs to which of the networks {} is not known: {reason}. KubeVirt's \
         network-info would say it; --assign multus takes the assignment that Multus 4.3 and newer make",
        join(.addresses),
        join(.networks)
    )]
    Ambiguous {
        /// The networks without a device.
        networks: Vec<String>,
        /// The devices that they could have.
        addresses: Vec<PciAddress>,
        /// Why none of the rules settles it.
        reason: String,
    },
    /// Fewer devices than networks.
    #[error(
        "no device for network {}{}: the pod was not given enough of its resource, or the device plugin's \
         variable is not passed on",
        join(.networks),
        beside(.known)
    )]
    Missing {
        /// The networks without a device.
        networks: Vec<String>,
        /// The networks with one.
        known: Vec<String>,
    },
    /// A device that is no PCI function.
    #[error(
        "device {} in {variable} is no PCI function and cannot be a hostdev (network {}): use a pool of PCI VFs",
        Quoted(.id),
        join(.networks)
    )]
    Unsupported {
        /// The variable.
        variable: String,
        /// The device's ID.
        id: String,
        /// The networks that could have it.
        networks: Vec<String>,
    },
    /// What is known of one network is not what the chosen rule says.
    #[error(
        "--assign multus would give {assigned} to network {network}, which has {known}: this Multus does not \
         sort its devices; use network-info"
    )]
    Contradiction {
        /// The network.
        network: String,
        /// What it has.
        known: PciAddress,
        /// What the rule would give it.
        assigned: PciAddress,
    },
    /// Two networks with one device.
    #[error("networks {first} and {second} would both have {address}: a VF belongs to one network")]
    Shared {
        /// The device.
        address: PciAddress,
        /// One network.
        first: String,
        /// The other.
        second: String,
    },
}

fn join<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn beside(known: &[String]) -> String {
    if known.is_empty() { String::new() } else { format!(" (known: {})", join(known)) }
}

impl PlanError {
    /// Whether it says that no device is known, rather than that a text cannot be read: a migration target has
    /// no use for one yet.
    pub(crate) fn lacks_data(&self) -> bool {
        matches!(
            self,
            Self::Ambiguous { .. }
                | Self::Missing { .. }
                | Self::Contradiction { .. }
                | Self::Unsupported { .. }
        )
    }
}

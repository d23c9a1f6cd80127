//! Why a plan cannot be made, in sentences.

mod reasons;

use contract::{ClaimRequest, PciAddress, Quoted, ResourceName, SelectionError};
use thiserror::Error;

pub use reasons::{Ambiguity, Lack, Missing, Remedy};

use super::Origin;
use crate::claims::ClaimError;
use crate::devices::DevicesError;

/// Why it is not known which VF belongs to which network.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlanError {
    /// The VMI is JSON of another form.
    #[error("the VMI cannot be read: {problem}")]
    Vmi {
        /// What the JSON parser says.
        problem: String,
    },
    /// The VMI is YAML, or no data at all.
    #[error("the VMI cannot be read: it is not JSON; kubectl get vmi NAME -o json writes it")]
    NotJson,
    /// The VMI is another object.
    #[error(
        "the VMI cannot be read: it is a {}; launcher-hook needs its VirtualMachineInstance: kubectl get vmi NAME -o json",
        plain(.kind)
    )]
    NotVmi {
        /// Its kind.
        kind: String,
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
    /// Multus has attached other networks, and not these.
    #[error(
        "Multus {}: network-status names {}; {} not configured (VLAN, MAC, spoof check). Restart the virtual machine; \
         check whether Multus was ready when the node started",
        unattached(.networks),
        listed(.named),
        if let [_] = .networks.as_slice() { "its VF is" } else { "the VFs are" }
    )]
    Unattached {
        /// The networks that are to have a VF and are not attached.
        networks: Vec<String>,
        /// What network-status names.
        named: Vec<String>,
    },
    /// Multus has not said yet what it attached.
    #[error(
        "whether Multus has attached {} is not known: network-status is empty or absent so far, and without it nothing \
         proves that the VF is configured (VLAN, MAC, spoof check). If it stays so, check whether Multus is ready on the \
         node, and restart the virtual machine",
        join(.networks)
    )]
    Pending {
        /// The networks that are to have a VF.
        networks: Vec<String>,
    },
    /// KubeVirt and Multus report two devices.
    #[error(
        "network {network} has {info} in network-info and {status} in network-status: KubeVirt derives the first from the \
         second, so one of them is stale; read both from the same pod, and restart the virtual machine if they are"
    )]
    Reports {
        /// The network.
        network: String,
        /// The device in network-info.
        info: PciAddress,
        /// The device in network-status.
        status: PciAddress,
    },
    /// The metadata of a resource claim.
    #[error("the device of network {network} is not known: {problem}")]
    Claim {
        /// The network.
        network: String,
        /// What is wrong with it.
        problem: Box<ClaimError>,
    },
    /// A claim and a report name two devices.
    #[error(
        "network {network} has {reported} in {report}, and {claimed} in the metadata of {claim}: one of them is old; \
         restart the virtual machine"
    )]
    ClaimReports {
        /// The network.
        network: String,
        /// Its request.
        claim: ClaimRequest,
        /// The device of the claim.
        claimed: PciAddress,
        /// The device that is reported.
        reported: PciAddress,
        /// Where.
        report: Origin,
    },
    /// Two resources with one variable.
    #[error(
        "{first} and {second} share the variable {variable}: name the pools so that they differ in more than '.', '/' \
         and '_', and in more than capitals"
    )]
    SharedVariable {
        /// The variable.
        variable: String,
        /// One resource.
        first: ResourceName,
        /// The other.
        second: ResourceName,
    },
    /// More than one way to give the devices to the networks.
    #[error(
        "which of the devices {} belongs to which of the networks {} is not known: {reason}. {remedy}",
        join(.addresses),
        join(.networks)
    )]
    Ambiguous {
        /// The networks without a device.
        networks: Vec<String>,
        /// The devices that they could have.
        addresses: Vec<PciAddress>,
        /// Why none of the rules settles it.
        reason: Ambiguity,
        /// What would.
        remedy: Remedy,
    },
    /// No device for some networks.
    #[error("{}", sentences(.missing, .known))]
    Missing {
        /// The networks without a device, those with one reason together.
        missing: Vec<Missing>,
        /// The networks with one.
        known: Vec<String>,
    },
    /// What KubeVirt or Multus report is not a PCI function.
    #[error(
        "{report} reports the device of network {network} as {}, which cannot be a hostdev: use a NAD whose \
         resource is a pool of PCI VFs on vfio-pci, or another binding for the interface",
        Quoted(.kind)
    )]
    NotPci {
        /// The network.
        network: String,
        /// The kind that is reported.
        kind: String,
        /// Where.
        report: Origin,
    },
    /// A device that is not a PCI function.
    #[error(
        "device {} in {variable} is not a PCI function and cannot be a hostdev (network {}): {}",
        Quoted(.id),
        join(.networks),
        other_device(.id)
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

/// The predicate of a sentence about Multus.
fn unattached(networks: &[String]) -> String {
    match networks {
        [network] => format!("did not attach {network}"),
        [first, second] => format!("attached neither {first} nor {second}"),
        networks => format!("attached none of {}", join(networks)),
    }
}

fn listed(named: &[String]) -> String {
    // A pod has a handful of networks, and a message is to stay readable.
    const LONGEST: usize = 8;
    match named {
        [] => "nothing".to_owned(),
        named if named.len() <= LONGEST => format!("{} only", join(named)),
        named => {
            let shown: Vec<_> = named.iter().take(LONGEST).map(String::as_str).collect();
            format!("{} and {} others only", join(&shown), named.len() - LONGEST)
        }
    }
}

/// What to do about a device that is not a PCI address.
fn other_device(id: &str) -> String {
    match format!("0000:{id}").parse::<PciAddress>() {
        Ok(address) => format!("it lacks the PCI domain; a device plugin writes {address}"),
        Err(_) => "use a pool of PCI VFs".to_owned(),
    }
}

/// A kind as Kubernetes writes kinds, otherwise quoted.
fn plain(kind: &str) -> String {
    let is_plain = kind.len() <= Quoted::LONGEST && kind.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_plain { kind.to_owned() } else { Quoted(kind).to_string() }
}

fn sentences(missing: &[Missing], known: &[String]) -> String {
    let known = if known.is_empty() { String::new() } else { format!(" (known: {})", join(known)) };
    let sentences: Vec<String> = missing
        .iter()
        .map(|Missing { networks, lack }| format!("no device for network {}{known}: {lack}", join(networks)))
        .collect();
    sentences.join("; ")
}

impl PlanError {
    /// Whether it says that no device is known, rather than that a text cannot be read: a migration target has
    /// no use for one yet.
    pub(crate) fn lacks_data(&self) -> bool {
        matches!(
            self,
            Self::Ambiguous { .. }
                | Self::Missing { .. }
                | Self::Unattached { .. }
                | Self::Pending { .. }
                | Self::Reports { .. }
                | Self::Claim { .. }
                | Self::ClaimReports { .. }
                | Self::SharedVariable { .. }
                | Self::Contradiction { .. }
                | Self::Unsupported { .. }
                | Self::NotPci { .. }
        )
    }
}

use contract::{NadName, PciAddress, Quoted, ResourceName, SelectionError};
use thiserror::Error;

use super::Origin;
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
    /// What KubeVirt or Multus report is no PCI function.
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
        "no report names one, and there is no PCIDEVICE_ variable: the device plugin gave the pod none, or the \
         variable is not passed on"
    )]
    Data,
    /// The network has no resource.
    #[error(
        "neither SRIOV_NETWORK_RESOURCES nor KUBEVIRT_RESOURCE_NAME_* has a resource for {}: annotate the NAD with \
         {}, and start the virtual machine anew",
        .nad.as_ref().map_or_else(|| "it".to_owned(), |nad| format!("NetworkAttachmentDefinition {nad}")),
        contract::annotation::RESOURCE_NAME
    )]
    Resource {
        /// Its NAD.
        nad: Option<NadName>,
    },
    /// The pod was given nothing of the resource.
    #[error(
        "{variable}, in which the device plugin names the devices of {resource}, is not there: look whether the \
         container `compute` asks for the resource, as sriov-webhook has it do, and whether the variable is passed on"
    )]
    Variable {
        /// The resource.
        resource: ResourceName,
        /// Its variable.
        variable: String,
    },
    /// The pod was given too few.
    #[error(
        "{variable} has {devices} for {networks} networks: raise what the container `compute` asks for, as \
         sriov-webhook does, and start the virtual machine anew"
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
         the virtual machine or start it anew"
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
    /// The rule of Multus wants all attachments.
    #[error("there are more devices than networks, and which others Multus attached is not known")]
    Unnamed,
}

/// What would settle it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Remedy {
    /// KubeVirt's report only.
    #[error("KubeVirt's network-info would say it")]
    NetworkInfo,
    /// The webhook's variable.
    #[error(
        "KubeVirt's network-info would say it, or SRIOV_NETWORK_RESOURCES with the resource of each NAD, which \
         sriov-webhook writes where it puts launcher-hook into `compute`"
    )]
    NetworkResources,
    /// The pod's selections.
    #[error("KubeVirt's network-info would say it, or the pod's selections (--networks-annotation)")]
    Selections,
    /// The rule of Multus.
    #[error(
        "KubeVirt's network-info would say it; --assign multus takes the assignment that Multus 4.3 and newer make"
    )]
    Multus,
    /// The rule of Multus, which wants the selections.
    #[error(
        "KubeVirt's network-info would say it; --assign multus with the pod's selections (--networks-annotation) \
         takes the assignment that Multus 4.3 and newer make"
    )]
    MultusWithSelections,
}

fn join<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
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
                | Self::Contradiction { .. }
                | Self::Unsupported { .. }
                | Self::NotPci { .. }
        )
    }
}

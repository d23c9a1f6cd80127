//! What can be seen of a machine's fitness for VFIO, without judging it.

use std::io;
use std::path::{Path, PathBuf};

use contract::PciAddress;

use super::Place;
use super::processes::{self, Limits, Process};
use crate::given_nodes::{GivenNodes, Stale};
use crate::sysfs::{Binding, Group, Roots, VFIO_DRIVER, entries, link_name, text};
use crate::verify::{group_nodes, open};

/// Inode of the first process namespace, the same on every Linux (`PROC_PID_INIT_INO`).
const FIRST_PROCESS_NAMESPACE: &str = "pid:[4026531836]";

/// PCI class of network controllers, its first byte.
const NETWORK_CLASS: &str = "0x02";

/// Everything that [`judge`](super::judge::judge) needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Where this was seen from.
    pub place: Place,
    /// Vendor of the processor, as `/proc/cpuinfo` spells it; absent on other architectures.
    pub processor: Option<String>,
    /// Whether the machine is itself a virtual one; x86 processors tell.
    pub virtualized: bool,
    /// The kernel command line.
    pub command_line: String,
    /// How many IOMMU groups there are.
    pub groups: usize,
    /// IOMMUs that the kernel drives, and whether they can remap interrupts, where that can be told.
    pub iommus: Vec<Iommu>,
    /// `enable_unsafe_noiommu_mode` of module vfio.
    pub no_iommu_mode: bool,
    /// `allow_unsafe_interrupts` of module vfio_iommu_type1; absent if it is not loaded.
    pub unsafe_interrupts: Option<bool>,
    /// Whether the driver vfio-pci is registered.
    pub vfio_pci: bool,
    /// Network functions with SR-IOV.
    pub physical: Vec<Physical>,
    /// Virtual functions; in a container that was given devices, those alone.
    pub virtual_functions: Vec<Virtual>,
    /// Network functions that are neither a PF nor a VF of one. A virtual machine sees the VFs that it was given
    /// like this.
    pub plain: Vec<(PciAddress, Binding)>,
    /// Devices that the variables name and sysfs does not have.
    pub absent: Vec<PciAddress>,
    /// VFs that the container was given and can no longer reach.
    pub stale: Vec<Stale>,
    /// Whether the container was given devices.
    pub given: bool,
    /// Devices that the variables name although this is a host.
    pub passed_over: Vec<PciAddress>,
    /// The nodes of IOMMU groups that there are.
    pub group_nodes: Vec<String>,
    /// `/dev/vfio/vfio`.
    pub container_node: Node,
    /// The process of the virtual machine that tells most, if one is in sight.
    pub process: Option<Process>,
    /// This program's own limits of locked memory.
    pub locked_memory: Option<Limits>,
}

/// An IOMMU of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Iommu {
    /// Such as `dmar0`, `ivhd0`, `smmu3.0x…`.
    pub name: String,
    /// Whether it remaps interrupts; only Intel's says so.
    pub interrupt_remapping: Option<bool>,
}

/// A physical function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Physical {
    /// Its address.
    pub address: PciAddress,
    /// What it is bound to.
    pub binding: Binding,
    /// Its network interface.
    pub interface: Option<String>,
    /// How many VFs it can have.
    pub total: u32,
    /// How many it has.
    pub created: u32,
}

/// A virtual function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Virtual {
    /// Its address.
    pub address: PciAddress,
    /// What it is bound to.
    pub binding: Binding,
    /// Its IOMMU group, with its node and the others in it.
    pub group: Option<GroupFacts>,
}

/// The IOMMU group of a VF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupFacts {
    /// The group.
    pub group: Group,
    /// Its node.
    pub node: Node,
    /// The other functions in it, with their drivers.
    pub others: Vec<(PciAddress, Binding)>,
}

/// A device node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it is.
    pub path: PathBuf,
    /// Why it cannot be opened.
    pub problem: Option<io::ErrorKind>,
}

impl Node {
    fn look(path: PathBuf) -> Self {
        let problem = open(&path).err().map(|error| error.kind());
        Self { path, problem }
    }
}

/// What is known before looking: the devices that the variables name, and the domain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    /// The devices' addresses.
    pub addresses: Vec<PciAddress>,
    /// Their nodes.
    pub nodes: GivenNodes,
    /// The domain, if it is known.
    pub guest: Option<String>,
}

/// Reads the trees.
#[must_use]
pub fn look(roots: &Roots, given: &Given) -> Facts {
    let module = |name: &str, parameter: &str| {
        text(&roots.sysfs.join("module").join(name).join("parameters").join(parameter))
            .map(|value| value == "Y" || value == "1")
    };
    let place = place(roots);
    let guest = given.guest.clone();
    let none = Given { guest: guest.clone(), ..Given::default() };
    let (given, passed_over) = match place {
        Place::Container => (given, Vec::new()),
        // Where the virtual machine is known, its map shows them.
        Place::Host if guest.is_some() => (&none, Vec::new()),
        Place::Host => (&none, given.addresses.clone()),
    };
    let is_given = !given.addresses.is_empty();
    let functions = roots.functions();
    let is_vf = |address: PciAddress| roots.function(address).join("physfn").exists();
    let physical: Vec<_> =
        functions.iter().filter_map(|address| physical_function(roots, *address)).collect();
    let plain: Vec<_> = functions
        .iter()
        .copied()
        .filter(|address| is_network(roots, *address) && !is_vf(*address))
        .filter(|address| !physical.iter().any(|function| function.address == *address))
        .map(|address| (address, roots.binding(address)))
        .collect();
    // In a virtual machine VFs have no PF, and only their driver tells what they are for.
    let may_be_vf = |address| {
        physical.is_empty() && plain.iter().any(|(plain, binding)| *plain == address && binding.vfio)
    };
    let virtual_functions = functions
        .iter()
        .copied()
        .filter(|address| match is_given {
            true => given.addresses.contains(address),
            false => is_vf(*address) || may_be_vf(*address),
        })
        .map(|address| virtual_function(roots, address))
        .collect();
    let cpuinfo = text(&roots.procfs.join("cpuinfo")).unwrap_or_default();
    Facts {
        place,
        processor: field(&cpuinfo, "vendor_id").map(str::to_owned),
        virtualized: field(&cpuinfo, "flags")
            .is_some_and(|flags| flags.split_whitespace().any(|flag| flag == "hypervisor")),
        command_line: text(&roots.procfs.join("cmdline")).unwrap_or_default(),
        groups: entries(&roots.sysfs.join("kernel/iommu_groups")).count(),
        iommus: iommus(&roots.sysfs.join("class/iommu")),
        no_iommu_mode: module("vfio", "enable_unsafe_noiommu_mode").unwrap_or_default(),
        unsafe_interrupts: module("vfio_iommu_type1", "allow_unsafe_interrupts"),
        vfio_pci: roots.sysfs.join("bus/pci/drivers").join(VFIO_DRIVER).exists(),
        physical,
        virtual_functions,
        plain,
        absent: given.addresses.iter().copied().filter(|address| !functions.contains(address)).collect(),
        stale: given.addresses.iter().filter_map(|address| given.nodes.stale(roots, *address)).collect(),
        given: is_given,
        passed_over,
        group_nodes: group_nodes(roots),
        container_node: Node::look(roots.dev.join("vfio/vfio")),
        process: processes::find(roots, given.guest.as_deref()),
        locked_memory: processes::limits(&roots.procfs.join("self")),
    }
}

fn place(roots: &Roots) -> Place {
    match link_name(&roots.procfs.join("self/ns/pid")) {
        Some(namespace) if namespace != FIRST_PROCESS_NAMESPACE => Place::Container,
        _ => Place::Host,
    }
}

/// The first value of a field of `/proc/cpuinfo`.
fn field<'a>(cpuinfo: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = cpuinfo.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(field, _)| field.trim() == name).map(|(_, value)| value.trim())
}

fn iommus(folder: &Path) -> Vec<Iommu> {
    let mut iommus: Vec<_> = entries(folder)
        .map(|name| {
            // Bit 3 of the extended capability register (VT-d specification 11.4.3) is interrupt remapping.
            let capability = text(&folder.join(&name).join("intel-iommu/ecap"));
            let bits = capability.and_then(|digits| u64::from_str_radix(&digits, 16).ok());
            Iommu { name, interrupt_remapping: bits.map(|bits| bits & 0b1000 != 0) }
        })
        .collect();
    iommus.sort_by(|a, b| a.name.cmp(&b.name));
    iommus
}

fn physical_function(roots: &Roots, address: PciAddress) -> Option<Physical> {
    let folder = roots.function(address);
    let number = |file: &str| text(&folder.join(file)).and_then(|digits| digits.parse().ok());
    let total = number("sriov_totalvfs").filter(|total| *total > 0)?;
    is_network(roots, address).then(|| Physical {
        address,
        binding: roots.binding(address),
        interface: entries(&folder.join("net")).min(),
        total,
        created: number("sriov_numvfs").unwrap_or_default(),
    })
}

fn is_network(roots: &Roots, address: PciAddress) -> bool {
    text(&roots.function(address).join("class")).is_some_and(|class| class.starts_with(NETWORK_CLASS))
}

fn virtual_function(roots: &Roots, address: PciAddress) -> Virtual {
    let group = roots.group(address).map(|group| GroupFacts {
        node: Node::look(roots.group_node(&group)),
        others: roots
            .group_members(group.number)
            .into_iter()
            .filter(|member| *member != address)
            .map(|member| (member, roots.binding(member)))
            .collect(),
        group,
    });
    Virtual { address, binding: roots.binding(address), group }
}

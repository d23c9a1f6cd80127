//! What can be seen of a machine's fitness for VFIO, without judging it.

use std::io;
use std::path::{Path, PathBuf};

use contract::PciAddress;

use super::Place;
use crate::sysfs::{Group, Roots, VFIO_DRIVER, entries, link_name, text};
use crate::verify::open;

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
    /// The kernel command line.
    pub command_line: String,
    /// How many IOMMU groups there are.
    pub groups: usize,
    /// IOMMUs that the kernel drives, and whether they can remap interrupts, where that can be told.
    pub iommus: Vec<Iommu>,
    /// `enable_unsafe_noiommu_mode` of module vfio.
    pub no_iommu_mode: bool,
    /// `allow_unsafe_interrupts` of module vfio_iommu_type1; absent where it is not loaded.
    pub unsafe_interrupts: Option<bool>,
    /// Whether the driver vfio-pci is registered.
    pub vfio_pci: bool,
    /// Network functions with SR-IOV.
    pub physical: Vec<Physical>,
    /// Their virtual functions; in a container that was given devices, those alone.
    pub virtual_functions: Vec<Virtual>,
    /// Devices that the variables name and sysfs does not have.
    pub absent: Vec<PciAddress>,
    /// Whether the variables name devices at all.
    pub given: bool,
    /// `/dev/vfio/vfio`.
    pub container_node: Node,
    /// The limit of locked memory: soft and hard, in bytes; `None` is unlimited.
    pub locked_memory: Option<(Option<u64>, Option<u64>)>,
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
    /// The driver it is bound to.
    pub driver: Option<String>,
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
    pub others: Vec<(PciAddress, Option<String>)>,
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

/// Reads the trees. `given` are the devices that the variables name, in no order.
#[must_use]
pub fn look(roots: &Roots, given: &[PciAddress]) -> Facts {
    let module = |name: &str, parameter: &str| {
        text(&roots.sysfs.join("module").join(name).join("parameters").join(parameter))
            .map(|value| value == "Y" || value == "1")
    };
    let place = place(roots);
    let functions = roots.functions();
    let virtual_functions = functions
        .iter()
        .copied()
        .filter(|address| match place {
            Place::Container if !given.is_empty() => given.contains(address),
            _ => roots.function(*address).join("physfn").exists(),
        })
        .map(|address| virtual_function(roots, address))
        .collect();
    Facts {
        place,
        processor: processor(roots),
        command_line: text(&roots.procfs.join("cmdline")).unwrap_or_default(),
        groups: entries(&roots.sysfs.join("kernel/iommu_groups")).count(),
        iommus: iommus(&roots.sysfs.join("class/iommu")),
        no_iommu_mode: module("vfio", "enable_unsafe_noiommu_mode").unwrap_or_default(),
        unsafe_interrupts: module("vfio_iommu_type1", "allow_unsafe_interrupts"),
        vfio_pci: roots.sysfs.join("bus/pci/drivers").join(VFIO_DRIVER).exists(),
        physical: functions.iter().filter_map(|address| physical_function(roots, *address)).collect(),
        virtual_functions,
        absent: given.iter().copied().filter(|address| !functions.contains(address)).collect(),
        given: !given.is_empty(),
        container_node: Node::look(roots.dev.join("vfio/vfio")),
        locked_memory: locked_memory(roots),
    }
}

fn place(roots: &Roots) -> Place {
    match link_name(&roots.procfs.join("self/ns/pid")) {
        Some(namespace) if namespace != FIRST_PROCESS_NAMESPACE => Place::Container,
        _ => Place::Host,
    }
}

fn processor(roots: &Roots) -> Option<String> {
    let cpuinfo = text(&roots.procfs.join("cpuinfo"))?;
    let line = cpuinfo.lines().find(|line| line.starts_with("vendor_id"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
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
    text(&folder.join("class"))?.starts_with(NETWORK_CLASS).then(|| Physical {
        address,
        interface: entries(&folder.join("net")).min(),
        total,
        created: number("sriov_numvfs").unwrap_or_default(),
    })
}

fn virtual_function(roots: &Roots, address: PciAddress) -> Virtual {
    let group = roots.group(address).map(|group| GroupFacts {
        node: Node::look(roots.group_node(&group)),
        others: roots
            .group_members(group.number)
            .into_iter()
            .filter(|member| *member != address)
            .map(|member| (member, roots.driver(member)))
            .collect(),
        group,
    });
    Virtual { address, driver: roots.driver(address), group }
}

fn locked_memory(roots: &Roots) -> Option<(Option<u64>, Option<u64>)> {
    let limits = text(&roots.procfs.join("self/limits"))?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max locked memory"))?;
    let mut values = line.split_whitespace();
    let mut limit = || {
        let value = values.next()?;
        if value == "unlimited" { Some(None) } else { value.parse().ok().map(Some) }
    };
    Some((limit()?, limit()?))
}

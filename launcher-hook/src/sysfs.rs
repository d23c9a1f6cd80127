//! What the kernel says about PCI functions, read from a sysfs tree.
//!
//! Nothing is cached and nothing is written. A file that is not there is an absent fact, not an error:
//! kernels and containers differ in what they show.

use std::fs;
use std::path::{Path, PathBuf};

use contract::PciAddress;

/// The VFIO driver that takes any function.
pub const VFIO_DRIVER: &str = "vfio-pci";

/// How the kernel's other VFIO drivers are called, `mlx5_vfio_pci` for example. Kernels before 6.1 have no
/// `vfio-dev` that would tell.
const VENDOR_DRIVER_SUFFIX: &str = "_vfio_pci";

/// The kernel's file trees. Tests use trees of their own.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Kernel")]
pub struct Roots {
    /// The sysfs tree to read
    #[arg(long, value_name = "DIR", default_value = "/sys", global = true, hide_short_help = true)]
    pub sysfs: PathBuf,
    /// The procfs tree to read
    #[arg(long, value_name = "DIR", default_value = "/proc", global = true, hide_short_help = true)]
    pub procfs: PathBuf,
    /// The tree of device nodes to read
    #[arg(long, value_name = "DIR", default_value = "/dev", global = true, hide_short_help = true)]
    pub dev: PathBuf,
}

/// The IOMMU group of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its number.
    pub number: u32,
    /// Made up by vfio for a function that no IOMMU guards.
    pub no_iommu: bool,
}

/// What a function is bound to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Binding {
    /// The driver, if any.
    pub driver: Option<String>,
    /// Whether it is a VFIO driver: vfio-pci, or that of the card's vendor.
    pub vfio: bool,
}

impl Binding {
    /// The driver's name, or that there is none.
    #[must_use]
    pub fn name(&self) -> &str {
        self.driver.as_deref().unwrap_or("no driver")
    }

    /// Whether the driver is a vendor's VFIO driver.
    #[must_use]
    pub fn is_vendor_vfio(&self) -> bool {
        self.vfio && self.driver.as_deref() != Some(VFIO_DRIVER)
    }
}

impl Roots {
    /// The folder of a function; whether it is there is another question.
    #[must_use]
    pub fn function(&self, address: PciAddress) -> PathBuf {
        self.sysfs.join("bus/pci/devices").join(address.to_string())
    }

    /// All PCI functions, by address.
    #[must_use]
    pub fn functions(&self) -> Vec<PciAddress> {
        let mut functions: Vec<_> =
            entries(&self.sysfs.join("bus/pci/devices")).filter_map(|name| name.parse().ok()).collect();
        functions.sort_unstable();
        functions
    }

    /// The driver that a function is bound to.
    #[must_use]
    pub fn driver(&self, address: PciAddress) -> Option<String> {
        link_name(&self.function(address).join("driver"))
    }

    /// What a function is bound to. A function that a VFIO driver holds has a folder `vfio-dev`, whatever the
    /// driver is called.
    #[must_use]
    pub fn binding(&self, address: PciAddress) -> Binding {
        let driver = self.driver(address);
        let vfio = self.vfio_device(address).is_some()
            || driver.as_deref().is_some_and(|driver| {
                driver == VFIO_DRIVER || driver.replace('-', "_").ends_with(VENDOR_DRIVER_SUFFIX)
            });
        Binding { driver, vfio }
    }

    /// The name of a function's own device node below `/dev/vfio/devices`, such as `vfio0`.
    #[must_use]
    pub fn vfio_device(&self, address: PciAddress) -> Option<String> {
        entries(&self.function(address).join("vfio-dev")).min()
    }

    /// The IOMMU group that a function is in.
    #[must_use]
    pub fn group(&self, address: PciAddress) -> Option<Group> {
        let number = link_name(&self.function(address).join("iommu_group"))?.parse().ok()?;
        let name = text(&self.group_folder(number).join("name"));
        Some(Group { number, no_iommu: name.is_some_and(|name| name == "vfio-noiommu") })
    }

    /// All functions of an IOMMU group, by address.
    #[must_use]
    pub fn group_members(&self, number: u32) -> Vec<PciAddress> {
        let mut members: Vec<_> = entries(&self.group_folder(number).join("devices"))
            .filter_map(|name| name.parse().ok())
            .collect();
        members.sort_unstable();
        members
    }

    /// The node through which a group is opened. In no-IOMMU mode the host calls it `noiommu-N`; the device
    /// plugin shows it to containers as plain `N`, so that form is taken where the other is not there.
    #[must_use]
    pub fn group_node(&self, group: &Group) -> PathBuf {
        let plain = self.dev.join("vfio").join(group.number.to_string());
        let unguarded = self.dev.join("vfio").join(format!("noiommu-{}", group.number));
        if group.no_iommu && (unguarded.exists() || !plain.exists()) { unguarded } else { plain }
    }

    fn group_folder(&self, number: u32) -> PathBuf {
        self.sysfs.join("kernel/iommu_groups").join(number.to_string())
    }
}

/// The names in a folder, in no order; none where it cannot be read.
pub fn entries(folder: &Path) -> impl Iterator<Item = String> {
    fs::read_dir(folder).into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().into_string().ok())
}

/// The last part of what a symbolic link points to.
#[must_use]
pub fn link_name(link: &Path) -> Option<String> {
    Some(fs::read_link(link).ok()?.file_name()?.to_str()?.to_owned())
}

/// The text of a small file, without the white space around it.
#[must_use]
pub fn text(file: &Path) -> Option<String> {
    Some(fs::read_to_string(file).ok()?.trim().to_owned())
}

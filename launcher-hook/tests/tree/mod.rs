//! A machine as the kernel would show it, in a folder.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test file uses a part of it, and a tree that cannot be made has failed the test"
)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use launcher_hook::sysfs::Roots;
use tempfile::TempDir;

/// A machine to which parts are added.
pub struct Machine {
    folder: TempDir,
}

impl Machine {
    /// An Intel host, IOMMU on, vfio-pci loaded, no memory limit; no card.
    pub fn new() -> Self {
        let machine = Self { folder: tempfile::tempdir().unwrap() };
        machine.write("proc/cpuinfo", "processor\t: 0\nvendor_id\t: GenuineIntel\n");
        machine.write("proc/cmdline", "BOOT_IMAGE=/vmlinuz ro intel_iommu=on\n");
        machine.link("proc/self/ns/pid", "pid:[4026531836]");
        machine.memlock("unlimited", "unlimited");
        machine.write("sys/class/iommu/dmar0/intel-iommu/ecap", "f0205b\n");
        machine.write("sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "N\n");
        machine.write("sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts", "N\n");
        machine.write("sys/bus/pci/drivers/vfio-pci/new_id", "");
        machine.write("dev/vfio/vfio", "");
        machine
    }

    /// With the card of the lab: a PF and two VFs on vfio-pci, each in a group of its own.
    pub fn with_card() -> Self {
        let machine = Self::new();
        machine.physical("0000:01:00.0", 7, 2);
        machine.virtual_function("0000:01:10.0", Some("vfio-pci"), Some(14));
        machine.virtual_function("0000:01:10.2", Some("vfio-pci"), Some(15));
        machine.link("sys/bus/pci/devices/0000:01:00.0/virtfn0", "../0000:01:10.0");
        machine.link("sys/bus/pci/devices/0000:01:00.0/virtfn1", "../0000:01:10.2");
        machine.write("dev/vfio/14", "");
        machine.write("dev/vfio/15", "");
        machine
    }

    pub fn roots(&self) -> Roots {
        Roots { sysfs: self.path("sys"), procfs: self.path("proc"), dev: self.path("dev") }
    }

    /// The options that name the three trees.
    pub fn options(&self) -> Vec<String> {
        ["sys", "proc", "dev"]
            .into_iter()
            .zip(["--sysfs", "--procfs", "--dev"])
            .flat_map(|(tree, option)| [option.to_owned(), self.path(tree).to_str().unwrap().to_owned()])
            .collect()
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub fn write(&self, path: &str, content: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Makes a link, in place of what was there.
    pub fn link(&self, path: &str, target: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&path);
        symlink(target, path).unwrap();
    }

    pub fn remove(&self, path: &str) {
        let path = self.path(path);
        if path.is_symlink() || path.is_file() {
            fs::remove_file(path).unwrap();
        } else {
            fs::remove_dir_all(path).unwrap();
        }
    }

    pub fn memlock(&self, soft: &str, hard: &str) {
        self.limits_of("self", soft, hard);
    }

    /// A process, its arguments apart by blanks.
    pub fn process(&self, id: u32, command_line: &str, memlock: &str) {
        let arguments: Vec<_> = command_line.split_whitespace().collect();
        self.write(&format!("proc/{id}/cmdline"), &(arguments.join("\0") + "\0"));
        self.limits(id, memlock);
    }

    /// The limit of locked memory of a process.
    pub fn limits(&self, id: u32, memlock: &str) {
        self.limits_of(&id.to_string(), memlock, memlock);
    }

    fn limits_of(&self, process: &str, soft: &str, hard: &str) {
        self.write(
            &format!("proc/{process}/limits"),
            &format!(
                "Limit                     Soft Limit           Hard Limit           Units     \n\
                 Max locked memory         {soft:<20} {hard:<20} bytes     \n"
            ),
        );
    }

    pub fn container(&self) {
        self.link("proc/self/ns/pid", "pid:[4026532211]");
    }

    pub fn physical(&self, address: &str, total: u32, created: u32) {
        let folder = format!("sys/bus/pci/devices/{address}");
        self.write(&format!("{folder}/class"), "0x020000\n");
        self.write(&format!("{folder}/sriov_totalvfs"), &format!("{total}\n"));
        self.write(&format!("{folder}/sriov_numvfs"), &format!("{created}\n"));
        self.write(&format!("{folder}/net/enp1s0/address"), "00:00:00:00:00:01\n");
        self.driver(address, Some("igb"));
    }

    pub fn virtual_function(&self, address: &str, driver: Option<&str>, group: Option<u32>) {
        let folder = format!("sys/bus/pci/devices/{address}");
        self.write(&format!("{folder}/class"), "0x020000\n");
        self.link(&format!("{folder}/physfn"), "../0000:01:00.0");
        self.driver(address, driver);
        if let Some(group) = group {
            self.member(address, group);
        }
    }

    /// The card of [`with_card`](Self::with_card) with no VF left.
    pub fn without_vfs(&self) {
        self.write("sys/bus/pci/devices/0000:01:00.0/sriov_numvfs", "0\n");
        self.remove("sys/bus/pci/devices/0000:01:10.0");
        self.remove("sys/bus/pci/devices/0000:01:10.2");
    }

    /// A network function that is neither a PF nor a VF.
    pub fn plain(&self, address: &str, driver: Option<&str>) {
        self.write(&format!("sys/bus/pci/devices/{address}/class"), "0x020000\n");
        self.driver(address, driver);
    }

    pub fn driver(&self, address: &str, driver: Option<&str>) {
        let link = format!("sys/bus/pci/devices/{address}/driver");
        match driver {
            Some(driver) => self.link(&link, &format!("../../drivers/{driver}")),
            None if self.path(&link).is_symlink() => self.remove(&link),
            None => {}
        }
    }

    pub fn member(&self, address: &str, group: u32) {
        self.write(&format!("sys/kernel/iommu_groups/{group}/devices/{address}"), "");
        self.link(
            &format!("sys/bus/pci/devices/{address}/iommu_group"),
            &format!("../../../../kernel/iommu_groups/{group}"),
        );
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }
}

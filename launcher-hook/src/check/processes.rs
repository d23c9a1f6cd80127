//! The processes of a virtual machine in `/proc`: QEMU, and what starts it.

use std::fs;
use std::path::Path;

use contract::PciAddress;
use serde_json::Value;

use crate::sysfs::{Roots, entries, text};

/// What a process is to a virtual machine, the most telling first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// QEMU with a guest.
    Qemu,
    /// virtqemud or libvirtd, whose limits QEMU inherits.
    Libvirt,
    /// virt-launcher, which starts virtqemud.
    Launcher,
}

/// A soft and a hard limit in bytes; `None` is unlimited.
pub type Limits = (Option<u64>, Option<u64>);

/// A process of a virtual machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// What it is.
    pub role: Role,
    /// Its id.
    pub id: u32,
    /// Its limits of locked memory, if they can be read.
    pub limits: Option<Limits>,
    /// What its command line says; QEMU's only.
    pub qemu: Option<Qemu>,
}

/// What QEMU's command line says. Devices that were attached later are not in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Qemu {
    /// The domain.
    pub guest: String,
    /// The guest's memory in bytes.
    pub memory: Option<u64>,
    /// Its VFIO functions, with their aliases.
    pub functions: Vec<(PciAddress, Option<String>)>,
    /// Whether the guest has an IOMMU.
    pub viommu: bool,
}

/// The process of the domain `guest`, or of any if it is not named, that tells most.
#[must_use]
pub fn find(roots: &Roots, guest: Option<&str>) -> Option<Process> {
    let processes = entries(&roots.procfs).filter_map(|name| {
        let id = name.parse().ok()?;
        let folder = roots.procfs.join(&name);
        let command_line = fs::read(folder.join("cmdline")).ok()?;
        let arguments: Vec<_> = command_line.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
        let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
        let role = role(arguments.first()?)?;
        let qemu = (role == Role::Qemu).then(|| Qemu::read(&arguments));
        // Without a name it is libvirt looking for what QEMU can do.
        let is_other = |qemu: &Qemu| qemu.guest.is_empty() || guest.is_some_and(|guest| guest != qemu.guest);
        if qemu.as_ref().is_some_and(is_other) {
            return None;
        }
        Some(Process { role, id, limits: limits(&folder), qemu })
    });
    processes.min_by_key(|process| (process.role, process.id))
}

fn role(program: &str) -> Option<Role> {
    let name = Path::new(program).file_name()?.to_str()?;
    match name {
        "qemu-kvm" => Some(Role::Qemu),
        "virtqemud" | "libvirtd" => Some(Role::Libvirt),
        "virt-launcher" => Some(Role::Launcher),
        _ => name.starts_with("qemu-system-").then_some(Role::Qemu),
    }
}

/// The limits of locked memory of the process whose folder in `/proc` this is.
#[must_use]
pub fn limits(folder: &Path) -> Option<Limits> {
    let limits = text(&folder.join("limits"))?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max locked memory"))?;
    let mut values = line.split_whitespace();
    let mut limit = || {
        let value = values.next()?;
        if value == "unlimited" { Some(None) } else { value.parse().ok().map(Some) }
    };
    Some((limit()?, limit()?))
}

impl Qemu {
    fn read(arguments: &[&str]) -> Self {
        let mut qemu = Self::default();
        for (option, value) in arguments.iter().zip(arguments.iter().skip(1)) {
            match *option {
                "-name" => qemu.guest = property(value, "guest").unwrap_or_default().to_owned(),
                "-m" => qemu.memory = memory(property(value, "size").unwrap_or(value)),
                "-machine" => qemu.viommu |= property(value, "iommu").is_some(),
                "-device" => qemu.device(value),
                _ => {}
            }
        }
        qemu
    }

    /// A device in either of QEMU's grammars: JSON, or `driver,name=value`.
    fn device(&mut self, text: &str) {
        let json: Option<Value> = serde_json::from_str(text).ok();
        let field = |name: &str| match &json {
            Some(json) => json.get(name).and_then(Value::as_str),
            None => property(text, name),
        };
        let driver = match &json {
            Some(_) => field("driver"),
            None => text.split(',').next(),
        };
        match driver {
            Some("vfio-pci") => {
                let in_sysfs = || field("sysfsdev")?.rsplit_once('/').map(|(_, name)| name);
                let address = field("host").or_else(in_sysfs).and_then(|host| host.parse().ok());
                self.functions.extend(address.map(|address| (address, field("id").map(str::to_owned))));
            }
            Some(driver) => {
                self.viommu |=
                    ["intel-iommu", "amd-iommu", "virtio-iommu-pci", "arm-smmuv3"].contains(&driver);
            }
            None => {}
        }
    }
}

/// A property of `first,name=value,…`. Commas inside values are doubled, which none of ours has.
fn property<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
}

/// QEMU's size: MiB, if there is no letter behind the number.
fn memory(text: &str) -> Option<u64> {
    let text = text.split(',').next()?;
    let (digits, shift) = match text.char_indices().next_back()? {
        (end, 'k' | 'K') => (text.get(..end)?, 10),
        (end, 'M') => (text.get(..end)?, 20),
        (end, 'G') => (text.get(..end)?, 30),
        (end, 'T') => (text.get(..end)?, 40),
        (end, 'B' | 'b') => (text.get(..end)?, 0),
        _ => (text, 20),
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn read(line: &str) -> Qemu {
        Qemu::read(&line.split_whitespace().collect::<Vec<_>>())
    }

    #[test]
    fn a_command_line_of_libvirt() {
        let qemu = read(
            "/usr/bin/qemu-system-x86_64 -name guest=default_vm1,debug-threads=on -machine pc-q35-10.0,usb=off \
             -m size=98304k -device {\"driver\":\"intel-iommu\",\"id\":\"iommu0\"} \
             -device {\"driver\":\"vfio-pci\",\"host\":\"0000:01:10.0\",\"id\":\"ua-sriov-blue\",\"bus\":\"pci.5\"} \
             -device {\"driver\":\"virtio-net-pci\",\"id\":\"ua-default\"}",
        );
        assert_eq!((qemu.guest.as_str(), qemu.memory, qemu.viommu), ("default_vm1", Some(98304 << 10), true));
        assert_eq!(qemu.functions, [("0000:01:10.0".parse().unwrap(), Some("ua-sriov-blue".to_owned()))]);
    }

    #[rstest]
    #[case::old_grammar(
        "qemu-kvm -device vfio-pci,host=0000:01:10.2,id=ua-sriov-red,bus=pci.6",
        Some("ua-sriov-red"),
        false
    )]
    #[case::by_sysfs(
        "qemu-kvm -device vfio-pci,sysfsdev=/sys/bus/pci/devices/0000:01:10.2 -machine virt,iommu=smmuv3",
        None,
        true
    )]
    fn devices(#[case] line: &str, #[case] alias: Option<&str>, #[case] viommu: bool) {
        let qemu = read(line);
        assert_eq!(qemu.functions, [("0000:01:10.2".parse().unwrap(), alias.map(str::to_owned))]);
        assert_eq!(qemu.viommu, viommu);
    }

    #[rstest]
    #[case::libvirt("98304k", Some(96 << 20))]
    #[case::by_hand("512", Some(512 << 20))]
    #[case::with_slots("2G,slots=4,maxmem=8G", Some(2 << 30))]
    #[case::too_large("99999999999T", None)]
    #[case::no_number("much", None)]
    #[case::empty("", None)]
    fn sizes(#[case] text: &str, #[case] expected: Option<u64>) {
        assert_eq!(memory(text), expected);
    }

    #[rstest]
    #[case::qemu("/usr/libexec/qemu-kvm", Some(Role::Qemu))]
    #[case::qemu_of_debian("/usr/bin/qemu-system-aarch64", Some(Role::Qemu))]
    #[case::libvirt("/usr/sbin/virtqemud", Some(Role::Libvirt))]
    #[case::launcher("/usr/bin/virt-launcher", Some(Role::Launcher))]
    #[case::monitor("/usr/bin/virt-launcher-monitor", None)]
    #[case::other("bash", None)]
    #[case::kernel_thread("", None)]
    fn roles(#[case] program: &str, #[case] expected: Option<Role>) {
        assert_eq!(role(program), expected);
    }
}

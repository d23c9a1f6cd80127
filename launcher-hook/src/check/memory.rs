//! How much memory a virtual machine with VFs locks, compared with what its process may lock.

use serde::Serialize;

use super::facts::Facts;
use super::processes::{Limits, Process, Qemu, Role};
use super::{Finding, Place};

/// What QEMU locks besides the guest's memory, for the devices' own: as libvirt counts it.
const DEVICE_MEMORY: u64 = 1 << 30;

/// What decides how much memory is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Demand {
    /// The guest's memory in bytes.
    pub guest: u64,
    /// How many VFIO devices it has.
    pub devices: u64,
    /// Whether the guest has an IOMMU: then each device maps all of its memory again.
    pub viommu: bool,
}

impl Demand {
    /// What QEMU's command line says of the running machine, if one is in sight.
    #[must_use]
    pub fn of_running_machine(facts: &Facts) -> Option<Self> {
        let Qemu { memory, functions, viommu, .. } = facts.process.as_ref()?.qemu.as_ref()?;
        let devices = u64::try_from(functions.len()).ok()?;
        Some(Self { guest: (*memory)?, devices, viommu: *viommu })
    }

    /// The limit that QEMU needs, as libvirt works it out.
    #[must_use]
    pub fn needed(&self) -> u64 {
        if self.devices == 0 {
            return 0;
        }
        let times = if self.viommu { self.devices } else { 1 };
        self.guest.saturating_mul(times).saturating_add(DEVICE_MEMORY)
    }

    fn describe(&self) -> String {
        let Self { guest, devices, viommu } = *self;
        let mib = guest >> 20;
        match viommu && devices > 1 {
            true => format!(
                "{devices} devices times {mib} MiB of guest memory, with an IOMMU in the guest, and 1 GiB"
            ),
            false => format!("{mib} MiB of guest memory and 1 GiB"),
        }
    }
}

/// Judges the limit. `machine` is what is known of the virtual machine, if anything.
#[must_use]
pub fn judge(facts: &Facts, machine: Option<Demand>) -> Option<Finding> {
    const CHECK: &str = "memlock";
    let needed =
        machine.map(|machine| (machine.needed(), machine.describe())).filter(|(needed, _)| *needed > 0);
    let process = facts.process.as_ref().filter(|_| facts.place == Place::Container || machine.is_some());
    let Some(Process { role, id, limits: Some((soft, hard)), .. }) = process else {
        return own(facts, needed);
    };
    let name = match role {
        Role::Qemu => "QEMU",
        Role::Libvirt => "libvirt's daemon",
        Role::Launcher => "virt-launcher",
    };
    let found = format!("{name} (process {id}) has {}", show((*soft, *hard)));
    let need = |(bytes, why): &(u64, String)| format!("{found}; QEMU needs {bytes} bytes: {why}");
    Some(match (role, soft, &needed) {
        (_, None, _) => Finding::ok(CHECK, found),
        (Role::Qemu | Role::Libvirt, Some(soft), Some(needed)) if *soft >= needed.0 => {
            Finding::ok(CHECK, need(needed))
        }
        (Role::Qemu, Some(_), Some(needed)) => Finding::missing(CHECK, need(needed), RAISE),
        // virt-handler raises it between the start of virtqemud and that of QEMU.
        (Role::Libvirt, Some(_), Some(needed)) => Finding::warning(CHECK, need(needed), BEFORE_START),
        (Role::Launcher, Some(_), Some(needed)) => Finding::warning(CHECK, need(needed), BEFORE_START),
        (Role::Qemu | Role::Libvirt, Some(_), None) => {
            Finding::ok(CHECK, format!("{found}, set by virt-handler or libvirt"))
        }
        (Role::Launcher, Some(_), None) => Finding::warning(CHECK, found, BEFORE_START),
    })
}

const RAISE: &str = "virt-handler sets it for interfaces with sriov: {}, GPUs and host devices: use one of these; with \
                     an IOMMU in the guest, KubeVirt has to count the devices (1.9). At once, on the node: prlimit \
                     --pid PID --memlock=unlimited:unlimited";

const BEFORE_START: &str = "nothing yet: before QEMU starts, virt-handler gives virtqemud the guest's memory (once for \
                            each device from KubeVirt 1.9 on) and an overhead of over 1 GiB, for interfaces with \
                            sriov: {}; look again when QEMU runs";

/// Where no process of a virtual machine is in sight. A program started by `kubectl exec` has the container's limit,
/// which is not QEMU's.
fn own(facts: &Facts, needed: Option<(u64, String)>) -> Option<Finding> {
    const CHECK: &str = "memlock";
    let limits = facts.locked_memory?;
    let needs =
        needed.map(|(bytes, why)| format!("; QEMU will need {bytes} bytes: {why}")).unwrap_or_default();
    let found = format!("{}{needs}", show(limits));
    Some(match (limits.0, facts.place) {
        (None, _) => Finding::ok(CHECK, found),
        (Some(_), Place::Host) => Finding::warning(
            CHECK,
            found,
            "nothing, if libvirt runs as root or KubeVirt starts the machine: both raise it. QEMU by hand needs \
             the guest's memory and 1 GiB: ulimit -l unlimited",
        ),
        (Some(_), Place::Container) => Finding::warning(
            CHECK,
            format!("this program has {found}; no QEMU or virtqemud is in sight"),
            "nothing yet: for interfaces with sriov: {} virt-handler raises virtqemud's limit before QEMU starts. \
             Run this in `compute` when the virtual machine runs; the limit of a program started by kubectl exec \
             is not QEMU's",
        ),
    })
}

fn show((soft, hard): Limits) -> String {
    let text =
        |limit: Option<u64>| limit.map_or_else(|| "unlimited".to_owned(), |bytes| format!("{bytes} bytes"));
    format!("{} (hard limit: {})", text(soft), text(hard))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// 96 MiB: as libvirt 11.3 set it on KubeVirt 1.9's QEMU.
    #[rstest]
    #[case::two_devices(96 << 20, 2, false, 1_174_405_120)]
    #[case::one_with_an_iommu(96 << 20, 1, true, 1_174_405_120)]
    #[case::two_with_an_iommu(96 << 20, 2, true, 1_275_068_416)]
    #[case::none(96 << 20, 0, true, 0)]
    #[case::absurd(u64::MAX, 3, true, u64::MAX)]
    fn need(#[case] guest: u64, #[case] devices: u64, #[case] viommu: bool, #[case] expected: u64) {
        assert_eq!(Demand { guest, devices, viommu }.needed(), expected);
    }
}

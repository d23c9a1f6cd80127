//! The command line.

mod other_names;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use contract::helper::{flag, subcommand};
use contract::kubevirt;

pub use other_names::multi_call;

use crate::definer::DefinitionArguments;
use crate::logging::LogArguments;
use crate::network_info::filler::FillArguments;
use crate::sources::ClaimArguments;
use crate::sysfs::Roots;
use crate::verify::Verification;

const EXAMPLES: &str = "\
Examples:
  Serve KubeVirt's hook socket, in a sidecar without device nodes:
    launcher-hook serve --verify off
  Show which VFs a VMI would get, as its domain:
    launcher-hook define --vmi vmi.json --domain domain.xml --environ pod.env
  Check whether this node is fit for VFIO:
    launcher-hook check

Environment:
  PCIDEVICE_*                devices of a resource, set by the device plugin
  SRIOVNETWORK_*             devices of resource claims, set by dra-driver-sriov
  SRIOV_NETWORK_RESOURCES    resource of each network, set by sriov-webhook
  KUBEVIRT_RESOURCE_NAME_*   the same, set by KubeVirt up to 1.6
  LAUNCHER_HOOK_*            options, named in the help of each option

Other names, by a link or a copy:
  onDefineDomain             is `launcher-hook define`
  qemu, and any name in a folder qemu.d
                             is `launcher-hook libvirt-hook`

Exit status:
  0  done; check: fit for VFIO, and nothing of the virtual machine disagrees
  1  not done, and standard error says why; check: something is missing or
     disagrees
  2  wrong arguments";

/// Writes the SR-IOV virtual functions of a virt-launcher pod into its libvirt domain.
///
/// KubeVirt calls it through a hook socket before it defines a domain. launcher-hook reads which devices the pod was
/// given, finds out which of them belongs to which network of the virtual machine, and writes them into the domain as
/// hostdevs. If the sources leave a choice it refuses and says what is missing; it never guesses.
#[derive(Debug, Parser)]
#[command(name = "launcher-hook", version, after_long_help = EXAMPLES, max_term_width = 110, args_override_self = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    #[allow(missing_docs, reason = "its fields say it, and a comment here would be help text")]
    pub log: LogArguments,
    #[command(flatten)]
    #[allow(missing_docs, reason = "its fields say it, and a comment here would be help text")]
    pub roots: Roots,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Answer KubeVirt on a hook socket until stopped
    #[command(name = subcommand::SERVE, after_long_help = "\
Examples:
  launcher-hook serve --verify off
  launcher-hook serve --assign multus --networks-annotation /podinfo/networks

Exit status:
  0  virt-launcher said Shutdown, or a signal ended it
  1  it cannot serve, and standard error says why
  2  wrong arguments")]
    Serve(ServeArguments),
    /// Tell whether `serve` answers on its sockets, for a startup probe
    #[command(name = subcommand::READY, after_long_help = "\
Examples:
  launcher-hook ready --socket-dir /var/run/kubevirt-hooks

Exit status:
  0  every socket answers
  1  one does not
  2  wrong arguments")]
    Ready(ReadyArguments),
    /// Write which devices this container was given, for `serve` in another container
    ///
    /// For `lifecycle.postStart` of the container `compute`, whose environment and device nodes no other container
    /// sees. A failing postStart ends its container, so the exit status is 0 even if the file cannot be
    /// written; `serve` then reports that the file is missing.
    #[command(name = subcommand::REPORT_DEVICES, after_long_help = "\
Examples:
  launcher-hook report-devices /var/run/kubevirt-sriov/devices.json

Exit status:
  0  always, unless the arguments are wrong; standard error says why a file
     was not written
  2  wrong arguments")]
    ReportDevices(ReportDevicesArguments),
    /// Copy this program into a folder, for images without a shell
    #[command(after_long_help = "\
Examples:
  launcher-hook install /shared

Exit status:
  0  installed; standard output names the copy
  1  not installed, and standard error says why
  2  wrong arguments")]
    Install(InstallArguments),
    /// Write the VFs of a VMI into a domain once, and print it
    #[command(after_long_help = "\
Examples:
  launcher-hook define --vmi vmi.json --domain domain.xml
  virsh dumpxml vm | launcher-hook define --vmi vmi.json --domain - \\
      --network-info network-info.json
  launcher-hook define --vmi vmi.json --domain domain.xml --assign multus \\
      --environ /proc/PID/environ --networks-annotation networks.json

Exit status:
  0  the domain was printed
  1  it was not, and standard error says what is missing or wrong
  2  wrong arguments")]
    Define(DefineArguments),
    /// Act as libvirt's `qemu` hook, which gets the domain on standard input
    ///
    /// On migrate and restore it prints the domain with this host's devices in place of the other host's. On prepare
    /// begin it checks whether the devices can be used, and stops the start with the reason if they cannot. It ignores
    /// all other operations.
    #[command(after_long_help = "\
Examples:
  ln -s /usr/bin/launcher-hook /etc/libvirt/hooks/qemu
  ln -s /usr/bin/launcher-hook /etc/libvirt/hooks/qemu.d/50-sriov

libvirt empties the environment of its hooks: missing variables are taken from
process 1. In virt-launcher of KubeVirt 1.9 and later, hooks/qemu is KubeVirt's
own link, which it replaces at every start: this command cannot be used there.

Exit status:
  0  libvirt may go on
  1  libvirt must not go on, and standard error says why
  2  wrong arguments")]
    LibvirtHook(LibvirtHookArguments),
    /// Check whether this host or container is fit for VFIO, and what to do if not
    #[command(after_long_help = "\
Examples:
  launcher-hook check
  launcher-hook check --output json | jq '.findings[] | select(.state != \"ok\")'
  kubectl exec POD -c compute -- /path/to/launcher-hook check
  kubectl get vmi NAME -o json |
      kubectl exec -i POD -c compute -- /path/to/launcher-hook check --vmi -
  launcher-hook check --vmi vmi.json --domain domain.xml \\
      --nads nads.json --pf-links links.json --environ /proc/PID/environ

Exit status:
  0  fit for VFIO, and nothing of the virtual machine disagrees
  1  something is missing or disagrees, or a file cannot be read
  2  wrong arguments")]
    Check(CheckArguments),
}

/// Options of `serve`.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct ServeArguments {
    #[command(flatten)]
    #[allow(missing_docs, reason = "its fields say it, and a comment here would be help text")]
    pub sockets: SocketArguments,
    /// Keep serving after virt-launcher's Shutdown
    ///
    /// For a container that would be restarted when it ends, and that the kubelet ends itself.
    #[arg(long = flag::KEEP_SERVING, hide_short_help = true)]
    pub keep_serving: bool,
    /// Copy this program into a folder before the socket is created, as `install` does
    #[arg(long = flag::INSTALL, hide_short_help = true, value_name = "DIR")]
    pub install: Option<PathBuf>,
    /// What to do about a VF that does not exist, is not on vfio-pci, or has a device node that cannot be opened
    #[arg(long = flag::VERIFY, value_enum, env = "LAUNCHER_HOOK_VERIFY", default_value_t)]
    pub verify: Verification,
    #[command(flatten)]
    #[allow(missing_docs, reason = "its fields say it, and a comment here would be help text")]
    pub definition: DefinitionArguments,
    #[command(flatten)]
    #[allow(missing_docs, reason = "its fields say it, and a comment here would be help text")]
    pub fill: FillArguments,
}

/// Where the sockets are.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct SocketArguments {
    /// Folder of the socket
    ///
    /// Created if it does not exist. May be given several times. A sidecar's is its own part of KubeVirt's folder.
    #[arg(long = flag::SOCKET_DIR, value_name = "DIR", env = "LAUNCHER_HOOK_SOCKET_DIR", value_delimiter = ':', default_value = kubevirt::HOOK_SOCKET_DIRECTORY)]
    pub socket_dir: Vec<PathBuf>,
}

/// Options of `ready`.
#[derive(Debug, clap::Args)]
pub struct ReadyArguments {
    #[command(flatten)]
    #[allow(missing_docs, reason = "its fields say it, and a comment here would be help text")]
    pub sockets: SocketArguments,
    /// How long to wait for the sockets to answer
    #[arg(long = flag::PATIENCE, value_name = "SECONDS", default_value_t = 0)]
    pub patience: u64,
}

/// Options of `report-devices`.
#[derive(Debug, clap::Args)]
pub struct ReportDevicesArguments {
    /// The file to write, in a folder that the container of `serve` has as well
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs, reason = "its fields say it, and a comment here would be help text")]
    pub claims: ClaimArguments,
}

/// Options of `install`.
#[derive(Debug, clap::Args)]
pub struct InstallArguments {
    /// The folder to copy to, created if it does not exist
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}

/// Options of `define`.
#[derive(Debug, clap::Args)]
pub struct DefineArguments {
    /// The VirtualMachineInstance: a file, the JSON itself, or - for standard input
    #[arg(long, value_name = "FILE|JSON|-")]
    pub vmi: OsString,
    /// The domain: a file, the XML itself, or - for standard input
    #[arg(long, value_name = "FILE|XML|-")]
    pub domain: OsString,
    /// Where to write the domain; - is standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub write: PathBuf,
    /// What to do about a VF that does not exist, is not on vfio-pci, or has a device node that cannot be opened
    #[arg(long, value_enum, env = "LAUNCHER_HOOK_VERIFY", default_value_t)]
    pub verify: Verification,
    #[command(flatten)]
    #[allow(missing_docs, reason = "its fields say it, and a comment here would be help text")]
    pub definition: DefinitionArguments,
}

/// Options of `libvirt-hook`.
#[derive(Debug, clap::Args)]
pub struct LibvirtHookArguments {
    /// Name of the domain
    pub guest: String,
    /// The operation, such as prepare, start, migrate, restore or release
    pub operation: String,
    /// The sub-operation, such as begin or end
    #[arg(default_value = "-")]
    pub sub_operation: String,
    /// -, or the reason for the operation
    pub extra: Vec<String>,
    /// What to do about a VF that does not exist, is not on vfio-pci, or has a device node that cannot be opened
    #[arg(long, value_enum, env = "LAUNCHER_HOOK_VERIFY", default_value = "fail")]
    pub verify: Verification,
    #[command(flatten)]
    #[allow(missing_docs, reason = "its fields say it, and a comment here would be help text")]
    pub definition: DefinitionArguments,
}

/// Options of `check`.
#[derive(Debug, clap::Args)]
pub struct CheckArguments {
    /// How to print the report
    #[arg(long, value_enum, default_value_t)]
    pub output: CheckOutput,
    #[command(flatten)]
    #[allow(missing_docs, reason = "its fields say it, and a comment here would be help text")]
    pub machine: MachineArguments,
    #[command(flatten)]
    #[allow(missing_docs, reason = "its fields say it, and a comment here would be help text")]
    pub definition: DefinitionArguments,
}

/// The virtual machine that `check` looks at.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Check a running virtual machine")]
pub struct MachineArguments {
    /// The VirtualMachineInstance: a file, the JSON itself, or - for standard input
    ///
    /// Shows for each network its NAD, resource, VF and hostdev, what the PF says of the VF, and what disagrees.
    #[arg(long, value_name = "FILE|JSON|-")]
    pub vmi: Option<OsString>,
    /// The running domain: a file, the XML itself, or - for standard input
    ///
    /// Without it, QEMU's command line tells what was attached at the start.
    #[arg(long, value_name = "FILE|XML|-", requires = "vmi")]
    pub domain: Option<OsString>,
    /// The NADs, as kubectl get net-attach-def -o json prints them
    ///
    /// They say which VLAN, trust, spoof check and link state the networks want.
    #[arg(long, value_name = "FILE|-", requires = "vmi")]
    pub nads: Option<OsString>,
    /// The node's links, as ip -details -json link prints them
    ///
    /// They say how the PFs have configured their VFs.
    #[arg(long, value_name = "FILE|-", requires = "vmi")]
    pub pf_links: Option<OsString>,
}

/// How a report is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum CheckOutput {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
}

#[cfg(test)]
mod tests;

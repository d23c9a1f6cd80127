//! The command line.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use contract::helper::{flag, subcommand};
use contract::kubevirt;

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

/// Turns a call by another name into the call of a subcommand.
#[must_use]
pub fn multi_call(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<_> = arguments.into_iter().collect();
    let Some(program) = arguments.first().map(PathBuf::from) else { return arguments };
    let name = program.file_name().and_then(|name| name.to_str());
    // libvirt runs every program in this folder, whatever it is called.
    let in_hook_folder = program.parent().and_then(Path::file_name).is_some_and(|folder| folder == "qemu.d");
    let by_libvirt = is_libvirt_call(&arguments);
    let subcommand: &[&str] = match name {
        Some("onDefineDomain") => &["define"],
        // Without options, and with a guest whose name may begin with a dash.
        Some("qemu") if by_libvirt => &["libvirt-hook", "--"],
        _ if in_hook_folder && by_libvirt => &["libvirt-hook", "--"],
        Some("qemu") => &["libvirt-hook"],
        Some("launcher-hook") => return arguments,
        _ if in_hook_folder => &["libvirt-hook"],
        _ => return arguments,
    };
    // The usage that an error shows is the subcommand's, which the other name would not reach.
    let call = ["launcher-hook"].iter().chain(subcommand);
    arguments.splice(..1, call.map(OsString::from));
    arguments
}

/// Whether the arguments are GUEST OPERATION SUB-OPERATION EXTRA, as libvirt passes them. EXTRA is `-` or the reason
/// for the operation, such as `shutdown`.
fn is_libvirt_call(arguments: &[OsString]) -> bool {
    matches!(arguments, [_, _, _, part, _] if part == "begin" || part == "end" || part == "-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use rstest::rstest;

    #[test]
    fn the_command_line_is_well_made() {
        Cli::command().debug_assert();
    }

    /// A wrapped line of an example is no longer what a shell would take.
    #[test]
    fn what_help_ends_with_fits_a_terminal() {
        let cli = Cli::command();
        let commands = [&cli].into_iter().chain(cli.get_subcommands());
        let ends: Vec<_> =
            commands.filter_map(|command| command.get_after_long_help()).map(|end| end.to_string()).collect();
        assert_eq!(ends.len(), 8);
        for line in ends.iter().flat_map(|end| end.lines()) {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }

    #[test]
    fn each_command_has_examples_and_exit_status() {
        for command in Cli::command().get_subcommands() {
            let end = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
            for part in ["Examples:\n", "\nExit status:\n  0  "] {
                assert!(end.contains(part), "{}: no {part:?} in {end:?}", command.get_name());
            }
        }
    }

    #[rstest]
    #[case("define", 34)]
    #[case("check", 34)]
    #[case("serve", 34)]
    #[case("libvirt-hook", 34)]
    fn short_help_fits_a_screen(#[case] command: &str, #[case] lines: usize) {
        let mut cli = Cli::command().term_width(100);
        cli.build();
        let help = cli.find_subcommand_mut(command).unwrap().render_help().to_string();
        assert!(help.lines().count() <= lines, "{} lines:\n{help}", help.lines().count());
        // Of use in tests and on unusual hosts only.
        assert!(!help.contains("--sysfs"), "{help}");
    }

    /// Flags that the webhook sets itself, or that nobody has a use for in a pod.
    const NOT_SETTABLE: [&str; 15] = [
        "--dev",
        "--device-report",
        "--environ",
        "--claim-metadata",
        "--fill-network-info",
        "--help",
        "--install",
        "--keep-serving",
        "--network-info",
        "--network-status",
        "--networks-annotation",
        "--procfs",
        "--socket-dir",
        "--sysfs",
        "--vmi-networks",
    ];

    #[test]
    fn serve_has_the_flags_that_the_webhook_lets_through() {
        let mut cli = Cli::command();
        cli.build();
        let serve = cli.find_subcommand("serve").unwrap();
        let flags = serve.get_arguments().filter_map(|argument| argument.get_long());
        let mut flags: Vec<String> = flags.map(|name| format!("--{name}")).collect();
        let settable = contract::helper::FLAGS.iter().map(|flag| flag.name);
        let mut known: Vec<&str> = settable.chain(NOT_SETTABLE).collect();
        flags.sort_unstable();
        known.sort_unstable();
        assert_eq!(flags, known);
    }

    #[test]
    fn serve_takes_the_values_that_the_webhook_lets_through_and_no_others() {
        use contract::helper::{FLAGS, Values};
        let serve = |flag: &str, value: &str| {
            Cli::try_parse_from(["launcher-hook", "serve", &format!("{flag}={value}")]).is_ok()
        };
        for flag in FLAGS {
            let (values, takes_any): (&[&str], _) = match flag.values {
                Values::Text => (&["anything"], true),
                Values::Duration => (&["0", "90s", "500ms", "1y"], false),
                Values::Words(words) => (words, false),
            };
            for value in values {
                assert!(serve(flag.name, value), "{}={value}", flag.name);
            }
            assert_eq!(serve(flag.name, "nothing-known"), takes_any, "{}", flag.name);
        }
        for argument in Cli::command().get_subcommands().flat_map(|command| command.get_arguments()) {
            let name = format!("--{}", argument.get_long().unwrap_or_default());
            let Some(flag) = FLAGS.iter().find(|flag| flag.name == name) else { continue };
            let listed: Vec<_> =
                argument.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
            if let Values::Words(words) = flag.values
                && !listed.is_empty()
            {
                assert_eq!(listed, words, "{name}");
            }
        }
    }

    /// The webhook sets some flags itself, and the administrator's come beside them.
    #[test]
    fn a_flag_that_is_given_twice_counts_as_the_last() {
        let cli = Cli::try_parse_from(["launcher-hook", "serve", "--verify=off", "--verify=fail"]).unwrap();
        let Command::Serve(serve) = cli.command else { panic!("not serve") };
        assert_eq!(serve.verify, Verification::Fail);
        let two =
            ["launcher-hook", "serve", "--socket-dir=/a", "--socket-dir=/b", "--network-info-patience=5s"];
        let Command::Serve(serve) = Cli::try_parse_from(two).unwrap().command else { panic!("not serve") };
        assert_eq!(serve.sockets.socket_dir.len(), 2);
    }

    #[rstest]
    #[case::own_name(&["/usr/bin/launcher-hook", "check"], &["/usr/bin/launcher-hook", "check"])]
    #[case::shim(&["/usr/bin/onDefineDomain", "--vmi", "{}", "--domain", "<d/>"], &["launcher-hook", "define", "--vmi", "{}", "--domain", "<d/>"])]
    #[case::libvirt(&["/etc/libvirt/hooks/qemu", "vm", "prepare", "begin", "-"], &["launcher-hook", "libvirt-hook", "--", "vm", "prepare", "begin", "-"])]
    #[case::guest_with_a_dash(&["/etc/libvirt/hooks/qemu", "-vm", "prepare", "begin", "-"], &["launcher-hook", "libvirt-hook", "--", "-vm", "prepare", "begin", "-"])]
    #[case::reason(&["/etc/libvirt/hooks/qemu", "-vm", "release", "end", "shutdown"], &["launcher-hook", "libvirt-hook", "--", "-vm", "release", "end", "shutdown"])]
    #[case::port(&["/etc/libvirt/hooks/qemu", "vm", "port", "x", "-"], &["launcher-hook", "libvirt-hook", "vm", "port", "x", "-"])]
    #[case::in_the_folder(&["/etc/libvirt/hooks/qemu.d/50-vfs", "vm", "stopped", "end", "-"], &["launcher-hook", "libvirt-hook", "--", "vm", "stopped", "end", "-"])]
    #[case::own_name_in_the_folder(&["/etc/libvirt/hooks/qemu.d/launcher-hook", "--help", "migrate", "begin", "-"], &["launcher-hook", "libvirt-hook", "--", "--help", "migrate", "begin", "-"])]
    #[case::shim_in_the_folder(&["hooks/qemu.d/vfs", "vm", "attach", "begin", "-"], &["launcher-hook", "libvirt-hook", "--", "vm", "attach", "begin", "-"])]
    #[case::option_in_the_folder(&["hooks/qemu.d/vfs", "--verify=off", "vm", "prepare", "begin", "-"], &["launcher-hook", "libvirt-hook", "--verify=off", "vm", "prepare", "begin", "-"])]
    #[case::own_name_by_hand(&["hooks/qemu.d/launcher-hook", "check"], &["hooks/qemu.d/launcher-hook", "check"])]
    #[case::another_folder(&["/usr/lib/qemu/vfs", "check"], &["/usr/lib/qemu/vfs", "check"])]
    #[case::few_arguments(&["/etc/libvirt/hooks/qemu", "--verify=off", "vm", "prepare", "begin"], &["launcher-hook", "libvirt-hook", "--verify=off", "vm", "prepare", "begin"])]
    #[case::with_an_option(&["/etc/libvirt/hooks/qemu", "--verify=off", "vm", "prepare", "begin", "-"], &["launcher-hook", "libvirt-hook", "--verify=off", "vm", "prepare", "begin", "-"])]
    #[case::nothing(&[], &[])]
    fn names(#[case] call: &[&str], #[case] expected: &[&str]) {
        assert_eq!(multi_call(call.iter().map(OsString::from)), expected);
        if !expected.is_empty() {
            Cli::try_parse_from(expected).unwrap();
        }
    }
}

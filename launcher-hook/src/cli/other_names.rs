//! Other names of the program, and what is done under them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

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
    use clap::Parser;
    use rstest::rstest;

    use super::*;
    use crate::cli::Cli;

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

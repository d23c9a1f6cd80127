//! `libvirt-hook`, as libvirt calls it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Output;

use rstest::rstest;

use super::harness::{self, DOMAIN, PROGRAM, READ_BACK, fixture, text};
use super::tree::Machine;
use super::with_input;

/// libvirt's hook, by the name that libvirt gives it.
pub(crate) fn libvirt(folder: &Path, machine: &Machine, arguments: &[&str], domain: &str) -> Output {
    let link = folder.join("qemu");
    if !link.exists() {
        symlink(PROGRAM, &link).unwrap();
    }
    let mut command = harness::program_at(&link);
    command.args(arguments).args(machine.options());
    with_input(&mut command, domain)
}

/// A machine that has the devices of [`DOMAIN`].
fn fixture_machine() -> Machine {
    let machine = Machine::new();
    machine.physical("0000:65:00.0", 8, 2);
    for (address, group) in [("0000:65:02.1", 91), ("0000:65:02.3", 93)] {
        machine.virtual_function(address, Some("vfio-pci"), Some(group));
        machine.write(&format!("dev/vfio/{group}"), "");
    }
    machine
}

#[test]
fn prepare_passes_where_the_devices_are_usable_and_says_why_not() {
    let folder = tempfile::tempdir().unwrap();
    let machine = fixture_machine();
    let call = ["default_vmi-sriov", "prepare", "begin", "-"];
    let output = libvirt(folder.path(), &machine, &call, DOMAIN);
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");

    machine.driver("0000:65:02.3", Some("iavf"));
    let output = libvirt(folder.path(), &machine, &call, DOMAIN);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    let sentence =
        r#"domain "default_vmi-sriov" (prepare begin): VF 0000:65:02.3 is bound to iavf, not to vfio-pci"#;
    assert!(said.contains(sentence), "{said}");
}

#[test]
fn devices_that_are_not_ours_are_not_ours_to_check() {
    let folder = tempfile::tempdir().unwrap();
    let domain = DOMAIN.replace("ua-sriov-", "ua-gpu-");
    let output = libvirt(folder.path(), &Machine::new(), &["vm", "prepare", "begin", "-"], &domain);
    assert!(output.status.success(), "{output:?}");
}

/// libvirt empties the environment: the variables are those of process 1.
#[rstest]
#[case::migrate("migrate")]
#[case::restore("restore")]
fn a_domain_from_elsewhere_gets_this_hosts_addresses(#[case] operation: &str) {
    let folder = tempfile::tempdir().unwrap();
    let machine = fixture_machine();
    let info = fs::read_to_string(fixture("network-info.json")).unwrap();
    machine.write("network-info", &info);
    let elsewhere = READ_BACK
        .replace(r#"bus="0x65" slot="0x02" function="0x1""#, r#"bus="0x17" slot="0x01" function="0x4""#)
        .replace(r#"bus="0x65" slot="0x02" function="0x3""#, r#"bus="0x17" slot="0x01" function="0x5""#)
        .replace("bus='0x65' slot='0x02' function='0x1'", "bus='0x17' slot='0x01' function='0x4'")
        .replace("bus='0x65' slot='0x02' function='0x3'", "bus='0x17' slot='0x01' function='0x5'");
    assert_ne!(elsewhere, READ_BACK);
    let info = machine.path("network-info");
    let arguments = ["vm", operation, "begin", "-", "--network-info", info.to_str().unwrap()];
    let output = libvirt(folder.path(), &machine, &arguments, &elsewhere);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(text(&output.stdout), READ_BACK);
}

#[test]
fn one_network_is_readdressed_by_the_variables_of_process_1() {
    let folder = tempfile::tempdir().unwrap();
    let machine = fixture_machine();
    machine.write("proc/1/environ", "HOME=/\0PCIDEVICE_INTEL_COM_SRIOV_VFIO=0000:65:02.3\0");
    let domain = r#"<domain><name>vm</name><devices><hostdev mode="subsystem" type="pci" managed="no"><source><address domain="0x0000" bus="0x17" slot="0x01" function="0x4"/></source><alias name="ua-sriov-net"/></hostdev></devices></domain>"#;
    let arguments = ["vm", "restore", "begin", "-", "--network-info", "/nonexistent"];
    let output = libvirt(folder.path(), &machine, &arguments, domain);
    assert!(output.status.success(), "{output:?}");
    let expected = domain
        .replace(r#"bus="0x17" slot="0x01" function="0x4""#, r#"bus="0x65" slot="0x02" function="0x3""#);
    assert_eq!(text(&output.stdout), expected);
}

#[rstest]
#[case::start(&["vm", "start", "begin", "-"])]
#[case::started(&["vm", "started", "begin", "-"])]
#[case::stopped(&["vm", "stopped", "end", "-"])]
#[case::release(&["vm", "release", "end", "-"])]
#[case::prepare_end(&["vm", "prepare", "end", "-"])]
#[case::reconnect(&["vm", "reconnect", "begin", "-"])]
#[case::attach(&["vm", "attach", "begin", "-"])]
#[case::of_tomorrow(&["vm", "dance", "begin", "-", "more", "words"])]
fn other_operations_pass_in_silence(#[case] arguments: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    // Neither devices nor XML: nothing may be looked at.
    let output = libvirt(folder.path(), &Machine::new(), arguments, "no XML");
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
}

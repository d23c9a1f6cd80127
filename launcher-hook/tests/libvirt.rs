//! libvirt's own judgement on the domains that leave us: its schema, and its parser, which reads them back.
//!
//! Needs `virt-xml-validate` and `virsh` (Debian: libvirt-clients and libxml2-utils), and fails without them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "functions around the tests fail as the tests do")]

mod harness;

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use harness::{BARE_DOMAIN, DOMAIN, READ_BACK, fixture, program, succeed, text};
use rstest::rstest;

/// Runs one of libvirt's programs and gives what it prints.
fn libvirt<A: AsRef<OsStr>>(name: &str, arguments: impl IntoIterator<Item = A>) -> String {
    let output = Command::new(name)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{name}: {error}: apt-get install libvirt-clients libxml2-utils"));
    assert!(output.status.success(), "{name}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout).to_owned()
}

fn validate(file: &Path) {
    libvirt("virt-xml-validate", [file.as_os_str(), OsStr::new("domain")]);
}

/// Defines the domain in libvirt's test driver and gives it as libvirt reads it back.
fn define_and_read_back(file: &Path) -> String {
    let commands = format!("define {}; dumpxml --inactive default_vmi-sriov", file.display());
    let printed = libvirt("virsh", ["--connect", "test:///default", &commands]);
    let start = printed.find("<domain").unwrap_or_else(|| panic!("no domain in: {printed}"));
    printed.get(start..).unwrap().trim_end().to_owned()
}

fn define(domain: &str, options: &[&str]) -> String {
    let output = succeed(
        program()
            .args(["define", "--verify", "off", "--domain", domain, "--vmi"])
            .arg(fixture("vmi.json"))
            .args(options),
    );
    String::from_utf8(output.stdout).unwrap()
}

fn path(name: &str) -> String {
    fixture(name).to_str().unwrap().to_owned()
}

/// The domain without what KubeVirt writes and libvirt reads, but libvirt's schema does not know: empty parts of
/// sysinfo, and the type of a hostdev's source address. It is not ours to take out.
fn as_the_schema_has_it(domain: &str) -> String {
    let mut domain = domain.to_owned();
    for part in ["bios", "baseBoard", "chassis"] {
        domain = domain.replace(&format!("<{part}></{part}>"), "");
    }
    let kubevirts = r#"<address type="pci" domain="0x0000" bus="0x65""#;
    domain.replace(kubevirts, r#"<address domain="0x0000" bus="0x65""#)
}

#[track_caller]
fn assert_taken(domain: &str, options: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("domain.xml");
    fs::write(&file, define(domain, options)).unwrap();
    define_and_read_back(&file);
    fs::write(&file, define(&as_the_schema_has_it(domain), options)).unwrap();
    validate(&file);
}

#[rstest]
#[case::bare(BARE_DOMAIN)]
#[case::as_kubevirt_writes_it(DOMAIN)]
#[case::as_libvirt_reads_it_back(READ_BACK)]
fn libvirt_takes_every_domain_that_leaves_us(#[case] domain: &str) {
    assert_taken(domain, &["--network-info", &path("network-info.json")]);
}

#[rstest]
#[case::multus("multus")]
#[case::in_order("in-order")]
fn libvirt_takes_what_was_assigned(#[case] assign: &str) {
    let environ = path("node/compute.env");
    let annotation = path("node/networks-annotation.json");
    let options = ["--network-info", "/nonexistent", "--assign", assign, "--environ", &environ];
    assert_taken(BARE_DOMAIN, &[&options[..], &["--networks-annotation", &annotation]].concat());
}

/// Three calls, each fed what libvirt made of the last one's answer.
#[test]
fn three_calls_with_libvirt_between_them_are_stable_from_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let info = path("network-info.json");
    let mut domain = define(&as_the_schema_has_it(BARE_DOMAIN), &["--network-info", &info]);
    for call in ["first", "second", "third"] {
        let file = folder.path().join(call);
        fs::write(&file, &domain).unwrap();
        validate(&file);
        let read_back = define_and_read_back(&file);
        domain = define(&read_back, &["--network-info", &info]);
        assert_eq!(domain, read_back, "after the {call} call");
        let aliases = domain.matches("ua-sriov-sriov-net").count();
        assert_eq!(aliases, 2, "{domain}");
    }
}

//! `check --vmi`: a running virtual machine, and the memory that its process may lock.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "functions around the tests fail as the tests do"
)]

mod harness;
mod tree;

use std::fs;
use std::process::Output;

use harness::{fixture, program, text};
use rstest::rstest;
use serde_json::Value;
use tree::Machine;

const TEXTS: [(&str, &str); 6] = [
    ("--vmi", "vmi.json"),
    ("--domain", "domain.xml"),
    ("--network-info", "network-info.json"),
    ("--environ", "compute.env"),
    ("--nads", "nads.json"),
    ("--pf-links", "links.json"),
];

/// `compute` of a running machine with two VFs, and the texts about it, to be changed.
fn running() -> Machine {
    let machine = Machine::with_card();
    machine.container();
    machine.memlock("8388608", "8388608");
    machine.process(71, "/usr/sbin/virtqemud -t", "4294967296");
    machine.process(96, "/usr/bin/qemu-system-x86_64 -name guest=tenant_router,debug-threads=on -m size=524288k \
                         -device {\"driver\":\"vfio-pci\",\"host\":\"0000:01:10.0\",\"id\":\"ua-sriov-inside\"} \
                         -device {\"driver\":\"vfio-pci\",\"host\":\"0000:01:10.2\",\"id\":\"ua-sriov-outside\"}", "1610612736");
    for (_, name) in TEXTS {
        fs::copy(fixture("machine").join(name), machine.path(name)).unwrap();
    }
    machine
}

fn check(machine: &Machine, without: &[&str], output: &str) -> Output {
    let texts = TEXTS.into_iter().filter(|(option, _)| !without.contains(option));
    let mut command = program();
    command.args(["check", "--output", output]).args(machine.options());
    if without.contains(&"--network-info") {
        command.arg("--network-info").arg(machine.path("none"));
    }
    command.args(texts.flat_map(|(option, name)| [option.into(), machine.path(name)])).output().unwrap()
}

fn json(machine: &Machine, without: &[&str]) -> Value {
    let output = check(machine, without, "json");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// `network column: found`.
fn problems(report: &Value) -> Vec<String> {
    let networks = report["machine"]["networks"].as_array().unwrap();
    let of_network = |network: &Value| -> Vec<String> {
        let problems = network["problems"].as_array().unwrap();
        problems
            .iter()
            .map(|one| format!("{} {}: {}", network["network"], one["column"], one["found"]).replace('"', ""))
            .collect()
    };
    networks.iter().flat_map(of_network).collect()
}

#[test]
fn a_machine_that_is_right() {
    let output = check(&running(), &[], "table");
    assert!(output.status.success(), "{output:?}");
    let table = text(&output.stdout);
    insta::assert_snapshot!(table.split_once("Fit for VFIO.").unwrap().1, @"
    Virtual machine tenant/router

    network    inside                        outside
    nad        tenant/inside                 carriers/outside
    resource   example.com/vfs               example.com/vfs
    vf         0000:01:10.0 (network-info)   0000:01:10.2 (network-info)
    driver     vfio-pci                      vfio-pci
    group      14                            15
    pf         0000:01:00.0 (enp1s0) VF 0    0000:01:00.0 (enp1s0) VF 1
    hostdev    ua-sriov-inside 0000:01:10.0  ua-sriov-outside 0000:01:10.2
    mac        02:00:00:00:0a:01             02:00:00:00:0b:02
    vlan       7                             200
    spoofchk   off                           on
    trust      on                            off
    link       auto                          enable

    Nothing disagrees.
    ");
}

#[test]
fn a_machine_that_is_not_right() {
    let machine = running();
    replace(&machine, "links.json", r#""vlan": 7"#, r#""vlan": 8"#);
    let output = check(&machine, &["--environ"], "table");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let table = text(&output.stdout);
    insta::assert_snapshot!(table.split_once("Fit for VFIO.").unwrap().1, @"
    Virtual machine tenant/router

    network    inside                        outside
    nad        tenant/inside                 carriers/outside
    resource   example.com/vfs               example.com/vfs
    vf         0000:01:10.0 (network-info)   0000:01:10.2 (network-info)
    driver     vfio-pci                      vfio-pci
    group      14                            15
    pf         0000:01:00.0 (enp1s0) VF 0    0000:01:00.0 (enp1s0) VF 1
    hostdev    ua-sriov-inside 0000:01:10.0  ua-sriov-outside 0000:01:10.2
    mac        02:00:00:00:0a:01             02:00:00:00:0b:02
    vlan       ! 8                           200
    spoofchk   off                           on
    trust      on                            off
    link       auto                          enable

    ! inside vlan: wanted is 7, the PF says 8
        -> it was changed after the CNI had set it: on the node, ip link set enp1s0 vf 0 vlan 7; or restart the virtual machine
    1 thing disagrees.
    ");
}

fn replace(machine: &Machine, file: &str, from: &str, to: &str) {
    let path = machine.path(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

#[rstest]
#[case::vlan_changed_behind_its_back(
    "links.json",
    r#""vlan": 7"#,
    r#""vlan": 8"#,
    "inside vlan: wanted is 7, the PF says 8"
)]
#[case::vlan_removed("links.json", r#"[{"vlan": 200}]"#, "[]", "outside vlan: wanted is 200, the PF says 0")]
#[case::trust(
    "links.json",
    r#""trust": true"#,
    r#""trust": false"#,
    "inside trust: wanted is on, the PF says off"
)]
#[case::spoof_check(
    "links.json",
    r#""spoofchk": false"#,
    r#""spoofchk": true"#,
    "inside spoofchk: wanted is off, the PF says on"
)]
#[case::link_state(
    "links.json",
    r#""enable""#,
    r#""auto""#,
    "outside link: wanted is enable, the PF says auto"
)]
#[case::link_held_down(
    "links.json",
    r#""auto""#,
    r#""disable""#,
    "inside link: wanted is auto, the PF says disable"
)]
#[case::mac_of_the_vmi(
    "links.json",
    "02:00:00:00:0a:01",
    "02:00:00:00:0a:ff",
    "inside mac: wanted is 02:00:00:00:0a:01, the PF says 02:00:00:00:0a:ff"
)]
#[case::mac_of_the_cni(
    "links.json",
    "02:00:00:00:0b:02",
    "00:00:00:00:00:00",
    "outside mac: wanted is 02:00:00:00:0b:02, the PF says none"
)]
#[case::mac_that_never_reached_the_cni(
    "network-info.json",
    "02:00:00:00:0a:01",
    "02:00:00:00:0c:03",
    "inside mac: the VMI wants 02:00:00:00:0a:01, and Multus reported 02:00:00:00:0c:03"
)]
#[case::links_of_another_node(
    "links.json",
    "0000:01:00.0",
    "0000:02:00.0",
    "inside pf: --pf-links does not list this VF"
)]
#[case::wrong_vf(
    "domain.xml",
    "function='0x0'",
    "function='0x4'",
    "inside hostdev: ua-sriov-inside is 0000:01:10.4, and the network has 0000:01:10.0: the guest is on another network"
)]
#[case::vf_under_another_alias(
    "domain.xml",
    "ua-sriov-inside",
    "ua-blue",
    "inside hostdev: the domain has the VF under ua-blue, not ua-sriov-inside"
)]
#[case::nad_deleted(
    "nads.json",
    r#""name": "outside""#,
    r#""name": "elsewhere""#,
    "outside nad: carriers/outside is not among the NADs of --nads"
)]
#[case::nad_for_another_resource(
    "nads.json",
    r#""example.com/vfs""#,
    r#""example.com/others""#,
    "inside resource: the NAD names example.com/others now, and the pod was created for example.com/vfs"
)]
#[case::stale_group(
    "compute.env",
    "/dev/vfio/15",
    "/dev/vfio/9",
    "outside group: VF 0000:01:10.2 is in IOMMU group 15 now, and the pod was given /dev/vfio/9 (PCIDEVICE_EXAMPLE_COM_VFS_INFO)"
)]
fn what_disagrees(#[case] file: &str, #[case] from: &str, #[case] to: &str, #[case] found: &str) {
    let machine = running();
    replace(&machine, file, from, to);
    let report = json(&machine, &[]);
    let problems = problems(&report);
    assert!(problems.iter().any(|problem| problem.starts_with(found)), "{problems:?}");
    assert_eq!(report["machine"]["right"], false);
    assert_eq!(check(&machine, &[], "table").status.code(), Some(1));
}

#[rstest]
#[case::vf_gone(|machine: &Machine| machine.remove("sys/bus/pci/devices/0000:01:10.2"), "outside vf: VF 0000:01:10.2 no longer exists")]
#[case::vf_on_its_network_driver(|machine: &Machine| machine.driver("0000:01:10.0", Some("igbvf")), "inside driver: VF 0000:01:10.0 is on igbvf now")]
fn what_disagrees_on_the_node(#[case] change: fn(&Machine), #[case] found: &str) {
    let machine = running();
    change(&machine);
    let problems = problems(&json(&machine, &[]));
    assert!(problems.len() == 1 && problems[0].starts_with(found), "{problems:?}");
}

#[test]
fn a_hostdev_that_is_missing_has_a_reason() {
    let machine = running();
    let domain = fs::read_to_string(machine.path("domain.xml")).unwrap();
    let second = domain.rfind("    <hostdev").unwrap()..domain.find("  </devices>").unwrap();
    let without = [&domain[..second.start], &domain[second.end..]].concat();
    fs::write(machine.path("domain.xml"), without).unwrap();
    let found = problems(&json(&machine, &[]));
    assert_eq!(
        found,
        [
            "outside hostdev: the domain has no ua-sriov-outside: the network was added to the running machine, or nothing wrote it"
        ]
    );

    replace(&machine, "vmi.json", r#"  "spec""#, r#"  "status": {"migrationState": {}}, "spec""#);
    let found = problems(&json(&machine, &[]));
    assert_eq!(found, ["outside hostdev: the domain has no ua-sriov-outside: a migration is under way"]);
}

/// Where nothing tells the VFs apart, the hook's own refusal is the reason.
#[test]
fn a_refusal_is_the_reason() {
    let machine = running();
    let problems = problems(&json(&machine, &["--network-info", "--domain"]));
    assert!(
        problems.iter().any(|problem| problem.starts_with("inside vf: ") && problem.contains("0000:01:10.2")),
        "{problems:?}"
    );
}

/// Each empty column says what would fill it, and QEMU's command line stands in for the domain.
#[test]
fn what_would_fill_the_columns() {
    let machine = running();
    let report = json(&machine, &["--domain", "--nads", "--pf-links"]);
    assert_eq!(report["machine"]["right"], true, "{report}");
    let needed = report["machine"]["needed"].as_object().unwrap();
    let columns: Vec<_> = needed.keys().map(String::as_str).collect();
    assert_eq!(columns, ["link", "mac", "nad", "spoofchk", "trust", "vlan"]);
    assert!(needed["vlan"].as_str().unwrap().contains("ip -details -json link"));
    assert_eq!(report["machine"]["networks"][1]["columns"]["hostdev"], "ua-sriov-outside 0000:01:10.2");

    machine.remove("proc/96");
    let report = json(&machine, &["--domain", "--nads", "--pf-links", "--environ"]);
    let needed = report["machine"]["needed"].as_object().unwrap();
    assert!(needed["hostdev"].as_str().unwrap().contains("virsh dumpxml"), "{needed:?}");
    assert!(needed.contains_key("resource"), "{needed:?}");
}

#[test]
fn two_texts_cannot_share_standard_input() {
    let output = program().args(["check", "--vmi", "-", "--domain", "-"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("only one of --vmi, --domain"), "{output:?}");
}

fn memlock(report: &Value) -> (String, String) {
    let findings = report["findings"].as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["check"] == "memlock").unwrap();
    (finding["state"].as_str().unwrap().to_owned(), finding["found"].as_str().unwrap().to_owned())
}

/// A program that `kubectl exec` starts has 8 MiB, and QEMU what virt-handler and libvirt gave it.
#[rstest]
#[case::enough(|_: &Machine| {}, "ok", "QEMU (process 96) has 1610612736 bytes (hard limit: 1610612736 bytes); QEMU needs 1610612736 bytes: 512 MiB of guest memory and 1 GiB")]
#[case::too_little(|machine: &Machine| machine.limits(96, "1073741824"), "missing", "QEMU (process 96) has 1073741824 bytes (hard limit: 1073741824 bytes); QEMU needs 1610612736 bytes")]
#[case::iommu_in_the_guest(|machine: &Machine| replace(machine, "domain.xml", "<devices>", "<devices><iommu model='intel'/>"), "missing", "QEMU (process 96) has 1610612736 bytes (hard limit: 1610612736 bytes); QEMU needs 2147483648 bytes: 2 devices times 512 MiB of guest memory, with an IOMMU in the guest, and 1 GiB")]
#[case::unlimited(|machine: &Machine| machine.limits(96, "unlimited"), "ok", "QEMU (process 96) has unlimited")]
#[case::before_qemu(|machine: &Machine| machine.remove("proc/96"), "ok", "libvirt's daemon (process 71) has 4294967296 bytes")]
#[case::before_virt_handler(|machine: &Machine| { machine.remove("proc/96"); machine.limits(71, "8388608"); }, "warning", "libvirt's daemon (process 71) has 8388608 bytes (hard limit: 8388608 bytes); QEMU needs 1610612736 bytes")]
#[case::before_libvirt(|machine: &Machine| { machine.remove("proc/96"); machine.remove("proc/71"); }, "warning", "this program has 8388608 bytes (hard limit: 8388608 bytes); QEMU will need 1610612736 bytes: 512 MiB of guest memory and 1 GiB; no QEMU or virtqemud is in sight")]
#[case::another_machines_qemu(|machine: &Machine| { replace(machine, "vmi.json", "router", "switch"); machine.remove("proc/71"); }, "warning", "this program has 8388608 bytes")]
fn locked_memory(#[case] change: fn(&Machine), #[case] state: &str, #[case] found: &str) {
    let machine = running();
    change(&machine);
    let (now, seen) = memlock(&json(&machine, &[]));
    assert_eq!(now, state, "{seen}");
    assert!(seen.starts_with(found), "{seen}");
}

/// Without a VMI, QEMU's command line says how much it needs.
#[rstest]
#[case::enough("1610612736", "ok")]
#[case::too_little("8388608", "missing")]
fn locked_memory_of_a_machine_that_is_not_named(#[case] limit: &str, #[case] state: &str) {
    let machine = running();
    machine.limits(96, limit);
    let all: Vec<_> = TEXTS.iter().map(|(option, _)| *option).collect();
    let (now, seen) = memlock(&json(&machine, &all));
    assert!(now == state && seen.contains("QEMU needs 1610612736 bytes"), "{now} {seen}");
}

/// KubeVirt from 1.7 on names no resources in the variables of `compute`; the webhook has written them on the VMI.
#[test]
fn the_resource_is_read_from_the_vmi_as_well() {
    let machine = running();
    let resource = |machine: &Machine| {
        json(machine, &["--environ", "--nads"])["machine"]["networks"][0]["columns"]["resource"].clone()
    };
    assert_eq!(resource(&machine), Value::Null);
    let annotation =
        r#"{\"inside\":{\"nad\":\"tenant/inside\",\"resource\":\"example.com/vfs\",\"sriov\":true}}"#;
    let annotated = format!(
        r#""namespace": "tenant", "annotations": {{"kubevirt-sriov.io/networks": "{annotation}"}}}}"#
    );
    replace(&machine, "vmi.json", r#""namespace": "tenant"}"#, &annotated);
    assert_eq!(resource(&machine), "example.com/vfs");
}

/// Multus has not reported, so nothing proves that a CNI plugin has configured the VFs.
#[test]
fn a_vf_is_not_right_before_multus_has_attached_it() {
    let machine = running();
    let says_so = |machine: &Machine| {
        let report = json(machine, &["--network-info"]);
        problems(&report)
            .iter()
            .any(|problem| problem.contains("whether Multus has attached inside, outside is not known"))
    };
    assert!(!says_so(&machine));
    // As the helper keeps it beside network-info.
    fs::write(machine.path("network-status"), "").unwrap();
    assert!(says_so(&machine));
}
